"""A trial as the launcher knows it, and `trial.json`, which says it to others, written whole when a trial changes."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Status = Literal["pending", "running", "completed", "failed", "interrupted"]
LOG_NAME = "output.log"
RECORD_NAME = "trial.json"
TAIL_LINES = 20
_TAIL_BYTES = 8192


class TrialError(RuntimeError):
    """A trial ended without a result of its own: it was killed, ran out of time or memory, or left its process."""


@dataclass(frozen=True)
class Trial:
    """One trial of a sweep: what it is, and how far it is.

    `started` and `ended` are seconds since the epoch. `reason` says why it failed or was interrupted; `exit_status` is
    that of its process, negative for the number of a signal that killed it.
    """

    number: int
    overrides: tuple[str, ...]
    directory: Path
    status: Status = "pending"
    pid: int | None = None
    started: float | None = None
    ended: float | None = None
    exit_status: int | None = None
    reason: str | None = None

    @property
    def log(self) -> Path:
        """What the trial and its libraries printed."""
        return self.directory / LOG_NAME

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ("completed", "failed", "interrupted")

    def write(self) -> None:
        """Write `trial.json` as a whole; one that failed holds the last lines that it printed."""
        content = asdict(self) | {"directory": str(self.directory), "log_tail": None}
        if self.status == "failed":
            content["log_tail"] = tail(self.log)
        write_whole(self.directory / RECORD_NAME, json.dumps(content, indent=2) + "\n")


def tail(log: Path) -> list[str]:
    """The last lines of a log; none where there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return stream.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        return []


def write_whole(path: Path, text: str) -> None:
    """Write `path` so that a reader sees the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
