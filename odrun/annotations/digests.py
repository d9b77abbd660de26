"""What files hold, remembered: a file of the same size, times and place as before is not read again.

A file that changed within two seconds of being read is not remembered, as its clock might not show a later change.
All of it lies on disk: a data set may have more files than memory has room for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tempfile
import time
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from odrun.annotations.files import ListedFile, Listing
from odrun.annotations.problems import ProblemLog
from odrun.annotations.rows import Rows
from odrun.runs.files import whole_file

CHUNK_FILES = 64
_FRESH_NS = 2_000_000_000
_MAGIC = b"odrun digests 3\n"
_HEAD = struct.Struct("<16sIQ")
# Stamp, digest, and the length of the name, which follows.
_ENTRY = struct.Struct("<QqqQ32sI")
_CONTENT = struct.Struct("<32sQ")
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file held when it was read: the hexadecimal SHA-256 of its bytes, and how many they are."""

    sha256: str
    size_bytes: int


class Contents(Mapping[str, FileContent]):
    """What `files` hold, by name; `rows` has digest and size of each, in their order."""

    def __init__(self, files: Listing, rows: Rows) -> None:
        self.files = files
        self._rows = rows

    def __getitem__(self, name: str) -> FileContent:
        place = self.files.place(name)
        if place is None:
            raise KeyError(name)
        digest, size_bytes = self._rows[place]
        return FileContent(digest.hex(), size_bytes)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.files.place(name) is not None

    def __iter__(self) -> Iterator[str]:
        return self.files.names()

    def __len__(self) -> int:
        return len(self.files)

    def in_order(self) -> Iterator[tuple[str, FileContent]]:
        """Names and what the files hold, in the order of the names."""
        for place, name in enumerate(self.files.names()):
            digest, size_bytes = self._rows[place]
            yield name, FileContent(digest.hex(), size_bytes)


class KnownDigests:
    """Digests by file name and stamp (size, times of change, inode), kept in the file `path` between runs.

    A file that is damaged or not there holds none; `keep` writes what was noted, whole. The file has an entry for each
    name in the order of the names, in which they are to be asked for, and noted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stored, self._known = _opened(path)
        if self._stored is not None:
            weakref.finalize(self, self._stored.close)
        self._ahead = self._next()
        self._noted = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._noted.close)
        self._last = ""
        self._checksum = self._count = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was known before."""
        return not self._known[1]

    def find(self, name: str, stamp: Stamp) -> FileContent | None:
        """What the file of this name holds, if its stamp is the same as when it was read."""
        while self._ahead is not None and self._ahead[0] < name:
            self._ahead = self._next()
        if self._ahead is None or self._ahead[:2] != (name, stamp):
            return None
        return FileContent(self._ahead[2].hex(), stamp[0])

    def note(self, name: str, stamp: Stamp, content: FileContent) -> None:
        """Remember what a file holds that was found, or read just now; ValueError for a name out of its order."""
        if name <= self._last:
            raise ValueError(f"{name!r} comes after {self._last!r}")
        self._last = name
        if time.time_ns() - max(stamp[1], stamp[2]) > _FRESH_NS:
            encoded = name.encode("utf-8", "surrogateescape")
            entry = _ENTRY.pack(*stamp, bytes.fromhex(content.sha256), len(encoded)) + encoded
            self._noted.write(entry)
            self._checksum = zlib.crc32(entry, self._checksum)
            self._count += 1

    def keep(self) -> None:
        """Write what was noted to the file; raises OSError where that cannot be."""
        head = _HEAD.pack(_MAGIC, _checksum_with(self._count, self._checksum), self._count)
        if self._known != (self._checksum, self._count):
            self._noted.seek(0)
            with whole_file(self._path) as temporary, temporary.open("wb") as stream:
                stream.write(head)
                shutil.copyfileobj(self._noted, stream)

    def _next(self) -> tuple[str, Stamp, bytes] | None:
        head = b"" if self._stored is None else self._stored.read(_ENTRY.size)
        if self._stored is None or not head:
            return None
        *stamp, digest, length = _ENTRY.unpack(head)
        name = self._stored.read(length).decode("utf-8", "surrogateescape")
        return name, (stamp[0], stamp[1], stamp[2], stamp[3]), digest


def read_contents(files: Listing, problems: ProblemLog, known: KnownDigests, *, workers: int) -> Contents:
    """The content of every file; one that cannot be read is noted as a problem and left out."""
    rows = Rows(tempfile.TemporaryFile(), _CONTENT)  # noqa: SIM115 - closed with the rows
    unreadable = set()
    read = _in_order(_chunks(files, known), workers)
    for file, content in zip(files, read, strict=True):
        if isinstance(content, OSError):
            message = f"cannot be read: {content.strerror}"
            problems.add("unreadable_file", file.path, message, images_lost=int(file.is_image))
            unreadable.add(file.name)
        else:
            stamp, held = content
            known.note(file.name, stamp, held)
            rows.append(bytes.fromhex(held.sha256), held.size_bytes)
    return Contents(files.where(lambda file: file.name not in unreadable) if unreadable else files, rows)


_Read = tuple[Stamp, FileContent]


def _in_order(chunks: Iterator[list[tuple[ListedFile, _Read | None]]], workers: int) -> Iterator[_Read | OSError]:
    """What each file holds: remembered, or, from the first one on that is not, read by workers."""
    for chunk in chunks:
        if all(remembered for _, remembered in chunk):
            yield from _read_all(chunk)
            continue
        # It takes a while to be imported, and most runs read nothing again.
        from odrun.annotations.parallel import map_in_order

        yield from chain.from_iterable(map_in_order(_read_all, chain((chunk,), chunks), workers=workers))


def _chunks(files: Listing, known: KnownDigests) -> Iterator[list[tuple[ListedFile, _Read | None]]]:
    """Files, each with what is remembered of it."""
    rest = iter(files)
    while chunk := [(file, _remembered(file, known)) for file in islice(rest, CHUNK_FILES)]:
        yield chunk


def _remembered(file: ListedFile, known: KnownDigests) -> _Read | None:
    if known.is_empty:
        return None
    try:
        stamp = _stamp(os.stat(f"{file.root}/{file.name}"))  # noqa: PTH116 - a path takes ten times as long
    except OSError:
        return None
    content = known.find(file.name, stamp)
    return None if content is None else (stamp, content)


def _read_all(files: Sequence[tuple[ListedFile, _Read | None]]) -> list[_Read | OSError]:
    return [remembered or _read_now(file) for file, remembered in files]


def _read_now(file: ListedFile) -> tuple[Stamp, FileContent] | OSError:
    """What the file holds, with the stamp that it had before it was read."""
    digest = hashlib.sha256()
    try:
        # Most files are small, and a path and a buffer would take as long as the reading.
        with open(f"{file.root}/{file.name}", "rb", buffering=0) as stream:  # noqa: PTH123
            stamp = _stamp(os.fstat(stream.fileno()))
            while chunk := stream.read(min(1 << 20, stamp[0] + 1)):
                digest.update(chunk)
    except OSError as error:
        return error
    return stamp, FileContent(digest.hexdigest(), stamp[0])


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _opened(path: Path) -> tuple[BinaryIO | None, tuple[int, int]]:
    """The entries, and their checksum and number; none out of a file that is not there, not whole or of another
    layout."""
    try:
        stream = path.open("rb")
    except OSError:
        return None, (0, 0)
    try:
        magic, checksum, count = _HEAD.unpack(stream.read(_HEAD.size))
        of_entries = 0
        while piece := stream.read(1 << 16):
            of_entries = zlib.crc32(piece, of_entries)
        stream.seek(_HEAD.size)
        if magic == _MAGIC and _checksum_with(count, of_entries) == checksum:
            return stream, (of_entries, count)
    except (OSError, struct.error):
        pass
    stream.close()
    return None, (0, 0)


def _checksum_with(count: int, of_entries: int) -> int:
    return zlib.crc32(struct.pack("<Q", count), of_entries)
