"""Folders of the cache: made by one writer while others wait, and seen whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from odrun.runs.locks import locked


@contextmanager
def one_writer(path: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on making `path`; if another process holds it, call `waiting` once and wait.

    The lock is a file beside `path` that the system unlocks when its holder ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as stream:
        if not locked(stream.fileno(), wait=False):
            waiting()
            locked(stream.fileno(), wait=True)
        yield


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `folder`; on success it takes that place, on any failure it is removed.

    To be called by the holder of `one_writer(folder)`: it clears away what a killed writer left.
    """
    temporary = folder.parent / f".{folder.name}.part"
    _remove(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _remove(folder)
        temporary.rename(folder)
    finally:
        _remove(temporary)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
