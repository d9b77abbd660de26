"""TFRecord files, written without TensorFlow, and what it takes to read them (`odrun.records.index`).

Framing (tensorflow/core/lib/io/record_writer.h): the length as a 64-bit number, its masked CRC-32C, the payload, its
masked CRC-32C; all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import google_crc32c

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
HEADER_BYTES = _HEADER.size
FOOTER_BYTES = _CHECKSUM.size


def shard_name(name: str, number: int, shards: int) -> str:
    """The file name of shard `number` (from 0) of `shards`: `NAME-00000-of-00002.tfrecord`."""
    return f"{name}-{number:05d}-of-{shards:05d}.tfrecord"


def write_shard(path: Path, payloads: Iterable[Sequence[bytes]]) -> None:
    """Write the payloads, each in pieces, in their order to one file."""
    with path.open("wb") as stream:
        for pieces in payloads:
            stream.writelines(_framed(pieces))


def framed(payload: bytes) -> bytes:
    """One record as it stands in the file."""
    return b"".join(_framed((payload,)))


def length_in(header: bytes) -> int:
    """The bytes of the payload that follows a record's header; `ValueError` says what is wrong with the header."""
    if len(header) < HEADER_BYTES:
        raise ValueError("is cut off")
    length, checksum = _HEADER.unpack(header)
    if _CHECKSUM.pack(checksum) != _masked_crc(header[:8]):
        raise ValueError("has a length that does not fit its checksum")
    return int(length)


def checked_payload(content: bytes) -> bytes:
    """The payload at the begin of `content`, which ends in its checksum; `ValueError` if the two do not fit."""
    payload, checksum = content[:-FOOTER_BYTES], content[-FOOTER_BYTES:]
    if checksum != _masked_crc(payload):
        raise ValueError("does not fit its checksum")
    return payload


def _framed(pieces: Sequence[bytes]) -> tuple[bytes, ...]:
    length = struct.pack("<Q", sum(map(len, pieces)))
    return length, _masked_crc(length), *pieces, _masked_crc(*pieces)


def _masked_crc(*pieces: bytes) -> bytes:
    """The checksum rotated and shifted, so that one over data with checksums in it stays good (record_writer.h)."""
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return _CHECKSUM.pack(((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
