"""TFRecord files, written and read without TensorFlow.

Framing (tensorflow/core/lib/io/record_writer.h): the length as a 64-bit number, its masked CRC-32C, the payload, its
masked CRC-32C; all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import google_crc32c

from odrun.errors import InputError

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


def shard_name(name: str, number: int, shards: int) -> str:
    """The file name of shard `number` (from 0) of `shards`: `NAME-00000-of-00002.tfrecord`."""
    return f"{name}-{number:05d}-of-{shards:05d}.tfrecord"


def write_shards(folder: Path, name: str, payloads: Iterable[bytes], *, count: int, shards: int) -> list[Path]:
    """Write `count` payloads, in their order, to `shards` files of nearly equal numbers of records; return their paths.

    Raises:
        ValueError: there are fewer or more than `count` payloads, or fewer payloads than shards.
    """
    if not 1 <= shards <= max(count, 1):
        raise ValueError(f"{count} records do not fill {shards} shards")
    source = iter(payloads)
    paths = []
    for number in range(shards):
        wanted = count * (number + 1) // shards - count * number // shards
        paths.append(folder / shard_name(name, number, shards))
        with paths[-1].open("wb") as stream:
            written = 0
            for payload in islice(source, wanted):
                stream.write(framed(payload))
                written += 1
        if written != wanted:
            raise ValueError(f"{count} records were announced, and fewer came")
    if next(source, None) is not None:
        raise ValueError(f"{count} records were announced, and more came")
    return paths


def framed(payload: bytes) -> bytes:
    """One record as it stands in the file."""
    length = struct.pack("<Q", len(payload))
    return b"".join((length, _masked_crc(length), payload, _masked_crc(payload)))


def read_shard(path: Path) -> Iterator[bytes]:
    """Yield the payloads of a TFRecord file, each proven by its checksums.

    Raises:
        InputError: a record is cut off or does not fit its checksum; the message names the file and the record.
    """
    with path.open("rb") as stream:
        number = 0
        while header := stream.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise _damaged(path, number, "is cut off")
            length, length_crc = _HEADER.unpack(header)
            if _CHECKSUM.pack(length_crc) != _masked_crc(header[:8]):
                raise _damaged(path, number, "has a length that does not fit its checksum")
            payload = stream.read(length)
            checksum = stream.read(_CHECKSUM.size)
            if len(payload) < length or len(checksum) < _CHECKSUM.size:
                raise _damaged(path, number, "is cut off")
            if checksum != _masked_crc(payload):
                raise _damaged(path, number, "does not fit its checksum")
            yield payload
            number += 1


def _masked_crc(content: bytes) -> bytes:
    """The checksum rotated and shifted, so that one over data with checksums in it stays good (record_writer.h)."""
    crc = google_crc32c.value(content)
    return _CHECKSUM.pack(((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)


def _damaged(path: Path, number: int, how: str) -> InputError:
    return InputError(
        f"Record {number} of a TFRecord file {how}.", where=str(path), remedy=f"delete {path.parent} and run again"
    )
