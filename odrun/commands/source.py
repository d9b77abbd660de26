"""What records are made of, as far as it is known without reading an image; most runs find theirs made already."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from odrun.annotations.digests import Contents
from odrun.annotations.files import Listing
from odrun.errors import InputError

ROOM_FACTOR = 1.2
PRELOAD = ("odrun.commands.making",)
WORTH_A_PROCESS = 200
"""Images below which another process takes longer to start than it saves."""
OTHER_CACHE = "set paths.cache=DIR to a folder that you can write to and that has room"

Progress = Callable[[str, int, int, str], None]
"""Told what is going on, how many of how many are done, and of what."""


@dataclass(frozen=True)
class Source:
    """A folder to read in a format: all files in it, what those of the format hold, and the
    fingerprint of the records that they and the options lead to."""

    format_name: str
    folder: Path
    files: Listing
    contents: Contents
    fingerprint: str


def require_room(cache: Path, payload_bytes: int) -> None:
    """Refuse (InputError) a cache whose disk has not room for that payload and what comes on top."""
    needed, free = int(payload_bytes * ROOM_FACTOR), shutil.disk_usage(cache).free
    if free < needed:
        raise InputError(
            f"The disk of the cache has too little room: {needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} are free.",
            where=str(cache),
            remedy=OTHER_CACHE,
        )
