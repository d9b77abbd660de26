"""Whole-file writes: a file appears complete under its name or not at all. And how a path is shown."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any failure it is removed.

    The parent folder is made. A reader sees the old file or the new one, never a part of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` as a whole; text is stored as UTF-8 with `\\n` line ends."""
    payload = content.encode() if isinstance(content, str) else content
    with whole_file(path) as temporary:
        temporary.write_bytes(payload)


def copy_whole(source: Path, path: Path) -> None:
    """Copy the file `source` to `path` as a whole, a piece after the other."""
    with whole_file(path) as temporary:
        shutil.copyfile(source, temporary)


def shown_path(path: Path) -> str:
    """`path` as a user would type it: relative where it lies below the working directory, absolute elsewhere."""
    working = Path.cwd()
    return str(path.relative_to(working)) if path.is_relative_to(working) else str(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
