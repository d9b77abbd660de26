"""`odrun zoo fetch NAME`: an entry's archive into the cache, as a training would fetch it."""

from __future__ import annotations

import sys
from pathlib import Path

from odrun.errors import InputError
from odrun.report.megabytes import in_megabytes
from odrun.report.terminal import Terminal
from odrun.zoo.fetch import fetch


def fetch_entry(name: str, address: str | None, *, mirror: str | None, cache: Path) -> Path:
    """Fetch the archive of the entry `name` from `address`; returns the folder that it is unpacked in.

    Facts and progress go to standard error. `address` is None for an entry that has no archive.

    Raises:
        InputError: there is no archive, or `zoo.fetch` refuses it.
    """
    if address is None:
        raise InputError(
            f"{name} has no archive in the zoo",
            where=f"odrun zoo fetch {name}",
            remedy=f"train it from random weights: odrun train model={name} model.checkpoint=none",
        )
    terminal = Terminal(sys.stderr)
    with terminal.loops() as progress:
        return fetch(name, address, cache, mirror=mirror, report=terminal.fact, progress=in_megabytes(progress))
