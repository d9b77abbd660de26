"""A sweep's directory, held by one sweep at a time, and what is left to do of a sweep that has been stopped.

What a trial's own directory says goes before `sweep.json`: the launcher may have been killed before it wrote that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from odrun.errors import InputError
from odrun.runs.directory import RunDirectory
from odrun.runs.locks import locked
from odrun.runs.summary import Summary
from odrun.sweeps.record import SWEEP_NAME, Objective, TrialLine, read_sweep, status_of

LOCK_NAME = ".lock"
ENDING_S = 60.0
"""How long a sweep waits for trials whose launcher was killed: they save and end within the launcher's grace_s."""
_POLL_S = 0.2


@contextmanager
def held(sweep: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Make the directory of a sweep, and within it keep every other sweep out of it.

    `waiting` is called if trials of a launcher that was killed are still ending.

    Raises:
        InputError: another sweep is at work there, or the path is that of a file.
    """
    try:
        sweep.mkdir(parents=True, exist_ok=True)
        stream = (sweep / LOCK_NAME).open("a+")
    except FileExistsError as error:
        raise InputError("a file stands where the sweep's directory should be", where=str(sweep)) from error
    with stream:
        if not locked(stream.fileno(), wait=False):
            stream.seek(0)
            _wait_for_orphans(stream.fileno(), stream.read().strip(), sweep, waiting)
        stream.seek(0)
        stream.truncate()
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def is_held(sweep: Path) -> bool:
    """Whether a sweep is at work in its directory; trials alone, whose launcher was killed, are about to end."""
    try:
        with (sweep / LOCK_NAME).open("a+") as stream:
            if locked(stream.fileno(), wait=False):
                return False
            stream.seek(0)
            return _is_alive(stream.read().strip())
    except OSError:
        return False


def refuse_taken(sweep: Path) -> None:
    """Raise `InputError` if a sweep lies in the directory of a new one."""
    if (sweep / SWEEP_NAME).exists():
        raise InputError(
            f"the directory already holds a sweep ({SWEEP_NAME} is there)",
            where=str(sweep),
            remedy=f"go on with it: sweep.resume={sweep}; or choose another with hydra.sweep.dir=DIR",
        )


def reconciled(sweep: Path) -> tuple[Objective | None, list[TrialLine]]:
    """What has become of the trials of a sweep that nobody works on any more.

    Raises:
        InputError: there is no sweep in the folder, or its record is damaged.
    """
    objective, lines = read_sweep(sweep)
    return objective, [_reconciled(sweep, line) for line in lines]


def _reconciled(sweep: Path, line: TrialLine) -> TrialLine:
    if not line.is_left or not line.dir:
        return line
    summary = None
    with suppress(InputError, OSError):
        summary = Summary.read(RunDirectory(sweep / line.dir).summary)
    if summary is None or summary.status == "interrupted":
        return replace(line, status="pending" if line.pid is None else "interrupted")
    metric = line.metric if summary.best is None else summary.best.value
    return replace(line, status=status_of(summary), metric=metric, error=summary.error)


def _wait_for_orphans(descriptor: int, holder: str, sweep: Path, waiting: Callable[[], None]) -> None:
    deadline = time.monotonic() + ENDING_S
    if not _is_alive(holder):
        waiting()
        while time.monotonic() < deadline:
            if locked(descriptor, wait=False):
                return
            time.sleep(_POLL_S)
    raise InputError(
        "another sweep is at work in this directory",
        where=str(sweep),
        remedy=f"wait for it or stop it (process {holder})" if holder else "wait for it or stop it",
    )


def _is_alive(holder: str) -> bool:
    """Whether the process that wrote its number down is there; one of another machine is taken to be."""
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True
