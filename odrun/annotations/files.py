"""A data set's folder as a listing: every file below it, sorted, without hidden ones."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from odrun.annotations.problems import ProblemLog

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"))


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file below the data set's folder `root`: `name` is its path below that, with slashes.

    There are as many as a data set has files, so that no more than this is held of each.
    """

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
        return os.path.splitext(self.file_name)[1].lower()  # noqa: PTH122

    @property
    def is_image(self) -> bool:
        """Whether it is named like an image."""
        return self.suffix in IMAGE_SUFFIXES


def list_files(root: Path, problems: ProblemLog) -> list[ListedFile]:
    """All files below `root`, sorted by name.

    Hidden files and folders are passed over; links to folders are followed, each real folder once. A folder that may
    not be read is noted as a problem.
    """
    return [ListedFile(name, root) for name in sorted(_names(root, problems))]


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
    """Files and broken links; a folder that two ways lead to is walked once."""
    seen = set()
    waiting = [""]
    while waiting:
        name = waiting.pop()
        folder = root / name
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            problems.add("unreadable_file", folder, f"cannot be read: {error.strerror}")
            continue
        within = f"{name}/" if name else ""
        waiting += [within + entry.name for entry in reversed(found) if entry.is_dir()]
        for entry in found:
            if entry.is_file() or (entry.is_symlink() and not entry.is_dir()):
                yield within + entry.name
