"""What the program whose trials are run may tell the launcher of them, and be told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from odrun.sweeps.warm.trials import Trial

PROGRESS_NAME = "progress.json"


@dataclass(frozen=True)
class Progress:
    """How far a trial is: `step` of `steps`, and the value of a metric that it is judged by, where there is one."""

    step: int | None = None
    steps: int | None = None
    metric: str | None = None
    value: float | None = None


class Hook(Protocol):
    """Made once for each sweep, in the launcher's own process, without arguments; every call has to be quick."""

    def progress(self, directory: Path) -> Progress:
        """How far the trial in `directory` is."""

    def changed(self, sweep: Path, trials: Sequence[Trial]) -> None:
        """The trials of the sweep in the folder `sweep`, each time that one has started, moved on or ended."""

    def told(self, error: BaseException) -> str:
        """What is to be said of an error that ended a trial."""


class FileHook:
    """Reads `progress.json` in the trial's directory, an object with any of the fields of `Progress`."""

    def progress(self, directory: Path) -> Progress:
        """What the file says; nothing while there is none, or while it is being written."""
        try:
            content = json.loads((directory / PROGRESS_NAME).read_text(encoding="utf-8"))
            return Progress(**content)
        except (OSError, ValueError, TypeError):
            return Progress()

    def changed(self, sweep: Path, trials: Sequence[Trial]) -> None:
        """Nobody else is to be told."""

    def told(self, error: BaseException) -> str:
        """The kind of the error and its text."""
        return f"{type(error).__name__}: {error}"


def load_hook(name: str | None) -> Hook:
    """The hook of this dotted name; `FileHook` without one."""
    if name is None:
        return FileHook()
    module, _, kind = name.rpartition(".")
    return cast(Hook, getattr(import_module(module), kind)())
