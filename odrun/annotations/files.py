"""A data set's folder as a listing: every file below it, sorted, without hidden ones.

A listing holds a few bytes of each file, and makes `ListedFile`s as they are asked for.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import overload

from odrun.annotations.packed_names import PackedNames
from odrun.annotations.problems import ProblemLog

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"))


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file below the data set's folder `root`: `name` is its path below that, with slashes."""

    name: str
    root: Path

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root / self.name

    @property
    def folder(self) -> str:
        """The folder that it lies in, below the root."""
        return self.name.rpartition("/")[0]

    @property
    def file_name(self) -> str:
        """Its name without folders."""
        return self.name.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Its name without folders and without its ending."""
        return os.path.splitext(self.file_name)[0]  # noqa: PTH122 - a path takes ten times as long

    @property
    def suffix(self) -> str:
        """The ending of its name with the dot, in lower case."""
        # Asked for of each of many files, again and again.
        dot = self.name.rfind(".")
        return self.name[dot:].lower() if dot > self.name.rfind("/") + 1 else ""

    @property
    def is_image(self) -> bool:
        """Whether it is named like an image."""
        return self.suffix in IMAGE_SUFFIXES


class Listing(Sequence[ListedFile]):
    """Files below `root`, sorted by name: those of `names` that have `numbers` (ascending) among these.

    Of one that is chosen out of another no more than the numbers is held.
    """

    def __init__(self, root: Path, names: PackedNames, numbers: Sequence[int]) -> None:
        self.root = root
        self._names = names
        self._numbers = numbers

    @classmethod
    def of(cls, root: Path, names: Iterable[str]) -> Listing:
        """The files of these names, which may come in any order."""
        packed = PackedNames(names)
        return cls(root, packed, range(len(packed)))

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> ListedFile: ...
    @overload
    def __getitem__(self, place: slice) -> Listing: ...
    def __getitem__(self, place: int | slice) -> ListedFile | Listing:
        if isinstance(place, slice):
            return Listing(self.root, self._names, self._numbers[place])
        return ListedFile(self._names[self._numbers[place]], self.root)

    def __iter__(self) -> Iterator[ListedFile]:
        root = self.root
        return (ListedFile(name, root) for name in self.names())

    def names(self) -> Iterator[str]:
        """The names of the files."""
        whole = len(self._numbers) == len(self._names)
        return iter(self._names) if whole else (self._names[number] for number in self._numbers)

    def where(self, holds: Callable[[ListedFile], bool]) -> Listing:
        """Those of the files that something holds of."""
        chosen = (number for number, file in zip(self._numbers, self, strict=True) if holds(file))
        return Listing(self.root, self._names, array("I", chosen))

    def place(self, name: str) -> int | None:
        """The place of the file of a name, from 0; None of one that is not among them."""
        number = self._names.number(name)
        if number is None:
            return None
        place = bisect_left(self._numbers, number)
        return place if place < len(self._numbers) and self._numbers[place] == number else None

    def name_of(self, path: Path) -> str:
        """The name of a file at a path below the root."""
        return str(path)[len(str(self.root / "-")) - 1 :]


def list_files(root: Path, problems: ProblemLog) -> Listing:
    """All files below `root`, sorted by name.

    Hidden files and folders are passed over; links to folders are followed, each real folder once. A folder that may
    not be read is noted as a problem, and so is what is no file (a device or a pipe has no end).
    """
    return Listing.of(root, _names(root, problems))


def beginning(file: ListedFile, *, size_bytes: int = 4096) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with file.path.open("rb") as stream:
            return stream.read(size_bytes)
    except OSError:
        return b""


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a file; of one with more than `most_bytes` (a device has no end) at least a byte more than those.

    Raises:
        OSError: it cannot be read, or there is too little memory for it.
    """
    with path.open("rb") as stream, _short_memory_told(path):
        # Room is made for as much as is asked for, so that to ask for the most that is taken is slow.
        return stream.read(min(os.fstat(stream.fileno()).st_size, most_bytes) + 1)


@contextmanager
def _short_memory_told(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error


def _names(root: Path, problems: ProblemLog) -> Iterator[str]:
    """Files and links that lead nowhere; a folder that two ways lead to is walked once."""
    seen = set()
    waiting = [""]
    while waiting:
        name = waiting.pop()
        folder = root / name
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        within = f"{name}/" if name else ""
        below: dict[_Kind, list[str]] = {_Kind.FOLDER: [], _Kind.OTHER: []}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        kind = _kind(entry)
                        if kind is _Kind.FILE:
                            yield within + entry.name
                        else:
                            below[kind].append(within + entry.name)
        except OSError as error:
            problems.add("unreadable_file", folder, f"cannot be read: {error.strerror}")
        waiting += sorted(below[_Kind.FOLDER], reverse=True)
        for other in sorted(below[_Kind.OTHER]):
            problems.add("unused_file", root / other, "is neither a file nor a folder")


class _Kind(Enum):
    FILE = 1
    FOLDER = 2
    OTHER = 3


def _kind(entry: os.DirEntry[str]) -> _Kind:
    """What an entry of a folder leads to; a link to nothing or to itself is taken for a file, which cannot be read."""
    if not entry.is_symlink():
        # Known without asking the system for each of many files.
        return _Kind.FOLDER if entry.is_dir() else _Kind.FILE if entry.is_file() else _Kind.OTHER
    try:
        mode = entry.stat().st_mode
    except OSError:
        return _Kind.FILE
    return _Kind.FOLDER if stat.S_ISDIR(mode) else _Kind.FILE if stat.S_ISREG(mode) else _Kind.OTHER
