"""A data set's folder as a listing: every file below it, sorted, without hidden ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from odrun.annotations.problems import ProblemLog
from odrun.annotations.threads import map_in_order

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


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file held when it was read: the hexadecimal SHA-256 of its bytes, and how many they are."""

    sha256: str
    size_bytes: int


def list_files(root: Path, suffixes: frozenset[str], problems: ProblemLog) -> list[ListedFile]:
    """The files below `root` whose names end in one of `suffixes`, sorted by name.

    Hidden files and folders are passed over; links to folders are followed, each real folder once. A folder that may
    not be read is noted as a problem.
    """
    listed = [
        ListedFile(path.relative_to(root).as_posix(), path)
        for path in _walk(root, problems)
        if path.suffix.lower() in suffixes
    ]
    return sorted(listed, key=lambda file: file.name)


def read_contents(files: list[ListedFile], problems: ProblemLog, *, workers: int) -> dict[str, FileContent]:
    """Hash every file; a file that cannot be read is noted as a problem and left out."""
    contents = {}
    for file, found in zip(files, map_in_order(_content, files, workers=workers), strict=True):
        if isinstance(found, OSError):
            problems.add("unreadable_file", file.path, f"cannot be read: {found.strerror}")
        else:
            contents[file.name] = found
    return contents


def _walk(root: Path, problems: ProblemLog) -> Iterator[Path]:
    def note(error: OSError) -> None:
        problems.add("unreadable_file", Path(error.filename), f"cannot be read: {error.strerror}")

    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=note):
        real = Path(folder).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and (path.is_file() or path.is_symlink()):
                yield path


def _content(file: ListedFile) -> FileContent | OSError:
    digest = hashlib.sha256()
    size = 0
    try:
        with file.path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        return error
    return FileContent(digest.hexdigest(), size)
