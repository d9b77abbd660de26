"""What of the machine this process may use: cores, and the folder for what can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def user_cache() -> str:
    """The user's cache folder: `XDG_CACHE_HOME` where it is set to an absolute path, else `~/.cache`.

    Source: XDG Base Directory Specification, which has relative and empty values ignored.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    return given if Path(given).is_absolute() else "~/.cache"
