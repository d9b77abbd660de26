"""The course of a run: what has been reached and how long it took, told by `summary.json` however the run ends."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from types import TracebackType

from odrun.errors import InputError, InterruptedRunError, OdrunError, RunFailedError
from odrun.records.manifest import Ledger
from odrun.runs.clock import peak_memory_mb, seconds_since_process_start
from odrun.runs.directory import RunDirectory
from odrun.runs.log import logger
from odrun.runs.summary import Best, Exported, Status, StoppedBy, Summary, Throughput, Timings

_UNFORESEEN = "an unforeseen error; log.txt has the traceback"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Course:
    """Within this context a run is under way; on leaving it, `summary.json` is written, whatever happened.

    `KeyboardInterrupt` leaves it as `InterruptedRunError`, a full disk as `RunFailedError`; any other error as it came.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._seconds: dict[str, float] = {}
        self.steps = 0
        self.best: Best | None = None
        self.metrics: Mapping[str, float | None] | None = None
        self.throughput: Throughput | None = None
        self.resumed_from: tuple[int, ...] = ()
        self.status: Status = "failed"
        self.stopped_by: StoppedBy | None = None
        self.ledger: Ledger | None = None
        self.exported: Exported | None = None

    def __enter__(self) -> Course:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, InputError):
            # What is refused is not a run: a new directory goes, an old one keeps its summary.
            return
        told = error if isinstance(error, OdrunError) else self._told(error)
        if error is None:
            self.status = "completed" if self.stopped_by is None else "stopped_early"
        elif isinstance(told, InterruptedRunError):
            self.status = "interrupted"
        message = None
        if self.status == "failed":
            message = _UNFORESEEN if told is None else str(told)
        summary = self.summary(error=message)
        try:
            summary.write(self._directory.summary)
        except OSError as fault:
            if error is None:
                raise self._unwritable(fault) from fault
            logger.warning("summary.json cannot be written: %s", fault)
        if told is not None and told is not error:
            raise told from error

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds that pass within to the timing of this name."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add_seconds(name, time.perf_counter() - started)

    def add_seconds(self, name: str, seconds: float) -> None:
        """Add seconds to the timing of this name, one of `Timings`' fields."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def note_best(self, best: Best, metrics: Mapping[str, float | None]) -> None:
        """The best checkpoint until now, and the 12 COCO metrics of it."""
        self.best, self.metrics = best, metrics

    def begin_again(self, step: int, earlier: Summary | None) -> None:
        """The run goes on from `step`; said in `summary.json` at once, as a killed process cannot say it later."""
        self.steps = step
        self.resumed_from = (*(earlier.resumed_from if earlier else ()), step)
        self.status = "interrupted"
        self.summary(error=None).write(self._directory.summary)
        self.status = "failed"

    def summary(self, *, error: str | None) -> Summary:
        """The run as it stands."""
        timings = Timings(**{**self._seconds, "total_s": seconds_since_process_start()})
        return Summary(
            status=self.status,
            steps=self.steps,
            resumed_from=self.resumed_from,
            best=self.best,
            metrics=self.metrics,
            timings=timings,
            throughput=self.throughput,
            peak_memory_mb=peak_memory_mb(),
            error=error,
            ledger=None if self.ledger is None else asdict(self.ledger),
            exported=self.exported,
            stopped_by=self.stopped_by,
        )

    def _told(self, error: BaseException | None) -> OdrunError | None:
        """What a foreign error means to the user, where that is known."""
        if isinstance(error, KeyboardInterrupt):
            return InterruptedRunError("stopped before it was done", signal_number=signal.SIGINT)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return self._unwritable(error)
        return None

    def _unwritable(self, error: OSError) -> RunFailedError:
        return RunFailedError(
            f"a file of the run cannot be written: {(error.strerror or str(error)).lower()}",
            where=str(self._directory.path),
            remedy="make sure that the disk has room and the folder can be written; files written before are whole",
        )
