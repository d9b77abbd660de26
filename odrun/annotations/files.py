"""A data set's folder as a listing: every file below it, sorted, without hidden ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from odrun.annotations.problems import ProblemLog

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"))


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file below the data set's folder: `name` is its path below the folder, with slashes."""

    name: str
    path: Path

    @property
    def suffix(self) -> str:
        """The ending of its name with the dot, in lower case."""
        return self.path.suffix.lower()

    @property
    def is_image(self) -> bool:
        """Whether it is named like an image."""
        return self.suffix in IMAGE_SUFFIXES


def list_files(root: Path, problems: ProblemLog) -> list[ListedFile]:
    """All files below `root`, sorted by name.

    Hidden files and folders are passed over; links to folders are followed, each real folder once. A folder that may
    not be read is noted as a problem.
    """
    listed = [ListedFile(path.relative_to(root).as_posix(), path) for path in _walk(root, problems)]
    return sorted(listed, key=lambda file: file.name)


def beginning(file: ListedFile, *, size_bytes: int = 4096) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with file.path.open("rb") as stream:
            return stream.read(size_bytes)
    except OSError:
        return b""


def _walk(root: Path, problems: ProblemLog) -> Iterator[Path]:
    """Files and broken links; a folder that two ways lead to is walked once."""
    seen = set()
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            problems.add("unreadable_file", Path(folder), f"cannot be read: {error.strerror}")
            continue
        waiting += [entry.path for entry in reversed(found) if entry.is_dir()]
        yield from (
            Path(entry.path) for entry in found if entry.is_file() or (entry.is_symlink() and not entry.is_dir())
        )
