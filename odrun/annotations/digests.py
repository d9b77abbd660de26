"""What files hold, remembered: a file of the same size, times and place as before is not read again.

A file that changed within two seconds of being read is not remembered, as its clock might not show a later change.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from odrun.annotations.files import ListedFile
from odrun.annotations.problems import ProblemLog
from odrun.runs.files import write_whole

CHUNK_FILES = 64
_FRESH_NS = 2_000_000_000
_DIGEST_BYTES = 32
_MAGIC = b"odrun digests 2\n"
_HEAD = struct.Struct("<16sIQ")
_ENTRY = struct.Struct("<QqqQ32s")
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file held when it was read: the hexadecimal SHA-256 of its bytes, and how many they are."""

    sha256: str
    size_bytes: int


class Contents(Mapping[str, FileContent]):
    """What files hold, by name, held in 40 bytes a file beside the names."""

    def __init__(self, contents: Iterable[tuple[str, FileContent]]) -> None:
        names: list[str] = []
        digests, sizes = bytearray(), array("q")
        for name, content in contents:
            names.append(name)
            digests += bytes.fromhex(content.sha256)
            sizes.append(content.size_bytes)
        order = _order(names)
        self._names = [names[number] for number in order]
        self._digests = _reordered(digests, order, _DIGEST_BYTES)
        self._sizes = array("q", (sizes[number] for number in order))

    def __getitem__(self, name: str) -> FileContent:
        number = _place(self._names, name)
        if number is None:
            raise KeyError(name)
        start = number * _DIGEST_BYTES
        return FileContent(self._digests[start : start + _DIGEST_BYTES].hex(), self._sizes[number])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _place(self._names, name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class KnownDigests:
    """Digests by file name and stamp (size, times of change, inode), kept in the file `path` between runs.

    A file that is damaged or not there holds none; `keep` writes what was seen since, whole. The file has an entry for
    each name, in the order of the names, then the names.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names, self._entries = _read(path)
        self._seen_names: list[str] = []
        self._seen_entries = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was known before."""
        return not self._names

    def find(self, name: str, stamp: Stamp) -> str | None:
        """The digest of the file of this name, if its stamp is the same as when it was read."""
        number = _place(self._names, name)
        if number is None:
            return None
        entry = self._entries[number * _ENTRY.size : (number + 1) * _ENTRY.size]
        *known, digest = _ENTRY.unpack(entry)
        if tuple(known) != stamp:
            return None
        self._see(name, entry)
        return bytes(digest).hex()

    def note(self, name: str, stamp: Stamp, content: FileContent) -> None:
        """Remember what a file holds that was read just now."""
        if time.time_ns() - max(stamp[1], stamp[2]) > _FRESH_NS:
            self._see(name, _ENTRY.pack(*stamp, bytes.fromhex(content.sha256)))

    def keep(self) -> None:
        """Write what was found and noted to the file; raises OSError where that cannot be."""
        order = _order(self._seen_names)
        names = [self._seen_names[number] for number in order]
        entries = _reordered(self._seen_entries, order, _ENTRY.size)
        if (names, entries) != (self._names, self._entries):
            text = "\0".join(names).encode("utf-8", "surrogateescape")
            head = _HEAD.pack(_MAGIC, zlib.crc32(text, zlib.crc32(entries)), len(names))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, b"".join((head, entries, text)))

    def _see(self, name: str, entry: bytes) -> None:
        self._seen_names.append(name)
        self._seen_entries += entry


def read_contents(files: Sequence[ListedFile], problems: ProblemLog, known: KnownDigests, *, workers: int) -> Contents:
    """The content of every file; one that cannot be read is noted as a problem and left out."""
    found = Contents((file.name, content) for file in files if (content := _remembered(file, known)) is not None)
    unknown = [file for file in files if file.name not in found]
    if not unknown:
        return found
    return Contents(chain(found.items(), _read_unknown(unknown, problems, known, workers)))


def _read_unknown(
    files: Sequence[ListedFile], problems: ProblemLog, known: KnownDigests, workers: int
) -> Iterator[tuple[str, FileContent]]:
    # It takes a while to be imported, and files that are known are not read again.
    from odrun.annotations.parallel import map_in_order

    chunks = (files[start : start + CHUNK_FILES] for start in range(0, len(files), CHUNK_FILES))
    read = chain.from_iterable(map_in_order(_read_all, chunks, workers=workers))
    for file, content in zip(files, read, strict=True):
        if isinstance(content, OSError):
            message = f"cannot be read: {content.strerror}"
            problems.add("unreadable_file", file.path, message, images_lost=int(file.is_image))
        else:
            stamp, held = content
            known.note(file.name, stamp, held)
            yield file.name, held


def _remembered(file: ListedFile, known: KnownDigests) -> FileContent | None:
    if known.is_empty:
        return None
    try:
        stamp = _stamp(os.stat(f"{file.root}/{file.name}"))  # noqa: PTH116 - a path takes ten times as long
    except OSError:
        return None
    sha256 = known.find(file.name, stamp)
    return None if sha256 is None else FileContent(sha256, stamp[0])


def _read_all(files: Sequence[ListedFile]) -> list[tuple[Stamp, FileContent] | OSError]:
    return [_read_now(file) for file in files]


def _read_now(file: ListedFile) -> tuple[Stamp, FileContent] | OSError:
    """What the file holds, with the stamp that it had before it was read."""
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as stream:
            stamp = _stamp(os.fstat(stream.fileno()))
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        return error
    return stamp, FileContent(digest.hexdigest(), stamp[0])


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _read(path: Path) -> tuple[list[str], bytes]:
    """Names and their entries; none out of a file that is not there, not whole or of another layout."""
    try:
        stored = path.read_bytes()
        magic, checksum, count = _HEAD.unpack_from(stored)
    except (OSError, struct.error):
        return [], b""
    held = stored[_HEAD.size :]
    names = held[count * _ENTRY.size :].decode("utf-8", "surrogateescape").split("\0")
    if magic != _MAGIC or zlib.crc32(held) != checksum or len(names) != count:
        return [], b""
    return names, held[: count * _ENTRY.size]


def _order(names: Sequence[str]) -> Sequence[int]:
    """The numbers of names in the order of these, which most often is theirs."""
    if all(one <= other for one, other in pairwise(names)):
        return range(len(names))
    return sorted(range(len(names)), key=names.__getitem__)


def _reordered(entries: bytearray, order: Sequence[int], size_bytes: int) -> bytes:
    if isinstance(order, range):
        return bytes(entries)
    return b"".join(bytes(entries[number * size_bytes : (number + 1) * size_bytes]) for number in order)


def _place(names: Sequence[str], name: str) -> int | None:
    """Where a name stands among sorted ones."""
    number = bisect_left(names, name)
    return number if number < len(names) and names[number] == name else None
