"""What files hold, remembered: a file of the same size, times and place as before is not read again.

A file that changed within two seconds of being read is not remembered, as its clock might not show a later change.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from odrun.annotations.files import ListedFile
from odrun.annotations.parallel import map_in_order
from odrun.annotations.problems import ProblemLog
from odrun.runs.files import write_whole

CHUNK_FILES = 64
_FRESH_NS = 2_000_000_000
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file held when it was read: the hexadecimal SHA-256 of its bytes, and how many they are."""

    sha256: str
    size_bytes: int


class KnownDigests:
    """Digests by file name and stamp (size, times of change, inode), kept in the file `path` between runs.

    A file that is damaged or not there holds none; `keep` writes what was seen since, whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)
        self._seen: dict[str, tuple[Stamp, str]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was known before."""
        return not self._known

    def find(self, name: str, stamp: Stamp) -> str | None:
        """The digest of the file of this name, if its stamp is the same as when it was read."""
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            return None
        self._seen[name] = known
        return known[1]

    def note(self, name: str, stamp: Stamp, content: FileContent) -> None:
        """Remember what a file holds that was read just now."""
        if time.time_ns() - max(stamp[1], stamp[2]) > _FRESH_NS:
            self._seen[name] = (stamp, content.sha256)

    def keep(self) -> None:
        """Write what was found and noted to the file; raises OSError where that cannot be."""
        if self._seen != self._known:
            text = json.dumps({name: [*stamp, sha256] for name, (stamp, sha256) in self._seen.items()})
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, text)


def read_contents(
    files: Sequence[ListedFile], problems: ProblemLog, known: KnownDigests, *, workers: int
) -> dict[str, FileContent]:
    """The content of every file; one that cannot be read is noted as a problem and left out."""
    found = {file.name: _remembered(file, known) for file in files}
    unknown = [file for file in files if found[file.name] is None]
    chunks = [unknown[start : start + CHUNK_FILES] for start in range(0, len(unknown), CHUNK_FILES)]
    read = chain.from_iterable(map_in_order(_read_all, chunks, workers=workers))
    for file, content in zip(unknown, read, strict=True):
        if isinstance(content, OSError):
            problems.add("unreadable_file", file.path, f"cannot be read: {content.strerror}")
        else:
            stamp, held = content
            found[file.name] = held
            known.note(file.name, stamp, held)
    return {name: content for name, content in found.items() if content is not None}


def _remembered(file: ListedFile, known: KnownDigests) -> FileContent | None:
    try:
        stamp = _stamp(file.path.stat())
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


def _read(path: Path) -> Mapping[str, tuple[Stamp, str]]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        return {
            name: ((size, mtime, ctime, inode), sha256) for name, (size, mtime, ctime, inode, sha256) in stored.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
