"""Which steps have a whole checkpoint, judged by the names of its files, without TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

_INDEX = re.compile(r"ckpt-(\d+)\.index")


def steps_in(folder: Path) -> list[int]:
    """The steps of the whole checkpoints in a folder, ascending; none if there is no such folder."""
    found = []
    for path in folder.glob("ckpt-*.index"):
        named = _INDEX.fullmatch(path.name)
        if named and any(folder.glob(f"ckpt-{named[1]}.data-*")):
            found.append(int(named[1]))
    return sorted(found)
