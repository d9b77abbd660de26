"""The trials of one batch on a cluster, from the first to the last: which run, and what became of each."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from odrun.errors import OdrunError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Summary
from odrun.sweeps.clusters.cluster import Cluster
from odrun.sweeps.clusters.errand import Errand
from odrun.sweeps.warm.board import Board
from odrun.sweeps.warm.hooks import Hook, Progress
from odrun.sweeps.warm.outcome import error_of, failed, result_of
from odrun.sweeps.warm.stopping import Signals, SweepStoppedError
from odrun.sweeps.warm.trials import Trial


class Watch:
    """Gives the trials of the sweep in the folder `sweep` to a cluster and waits; results are in `returned`."""

    def __init__(
        self,
        sweep: Path,
        trials: Sequence[Trial],
        errands: Mapping[int, Errand],
        earlier: Sequence[Trial],
        *,
        hook: Hook,
        board: Board,
    ) -> None:
        self._sweep = sweep
        self._errands = errands
        self._earlier = tuple(earlier)
        self._hook = hook
        self._board = board
        self.trials = {trial.number: trial for trial in trials}
        self.returned: dict[int, JobReturn] = {}
        self._progress: dict[int, Progress] = {}
        self._signals: list[int] = []
        self._warned: set[str] = set()

    def run(self, cluster: Cluster) -> None:
        """Run all trials.

        Raises:
            SweepStoppedError: a signal came; at the first one the trials are stopped in order, a second one does not
                wait for that.
            RunFailedError: the cluster does not take them.
        """
        self._tell()
        with Signals(self._signals):
            cluster.submit(self._errands)
            is_stopping = False
            while len(self.returned) < len(self.trials) and len(self._signals) < 2:
                time.sleep(cluster.poll_s)
                if self._signals and not is_stopping:
                    is_stopping = True
                    self._stop(cluster)
                for number in cluster.ended(now=is_stopping):
                    self._end(number, cluster)
                self._look()
        for number in set(self.trials) - set(self.returned):
            self._change(number, status="interrupted", ended=time.time(), reason=self._stopped_by())
        if self._signals:
            raise SweepStoppedError(self._signals[0])

    def _stop(self, cluster: Cluster) -> None:
        waiting = [number for number in self.trials if number not in self.returned]
        name = signal.Signals(self._signals[0]).name
        self._board.say(f"{name}: the trials ({len(waiting)}) are stopped in order; again: not waited for")
        for number in waiting:
            cluster.stop(number)

    def _end(self, number: int, cluster: Cluster) -> None:
        order, trial = self._errands[number].order, self.trials[number]
        reason, status = None, "completed"
        fault = None if self._signals or order.result.is_file() else cluster.fault(number)
        # Finding out takes time, in which a result that another machine has written may come into sight.
        returned = result_of(order)
        if returned is None:
            reason, status = self._reason(trial, fault)
            returned = failed(order, trial, reason)
            if isinstance(fault, OdrunError):
                returned.return_value = fault
        elif returned.status == JobStatus.FAILED:
            reason, status = self._hook.told(error_of(returned)), "failed"
        order.result.unlink(missing_ok=True)
        self.returned[number] = returned
        self._progress[number] = self._hook.progress(trial.directory)
        self._change(number, status=status, ended=time.time(), reason=reason)
        self._board.ended(self.trials[number], self._progress[number])

    def _reason(self, trial: Trial, fault: BaseException | str | None) -> tuple[str, str]:
        """Why a trial left no result, and whether it failed or was only stopped."""
        if self._signals:
            return self._stopped_by(), "interrupted"
        told = self._hook.told(fault) if isinstance(fault, BaseException) else str(fault)
        summary = RunDirectory(trial.directory).summary
        if summary.is_file() and (saved := Summary.read(summary)).status == "interrupted":
            what = f"the cluster stopped it after step {saved.steps}, and did not start it again"
            return f"{what}: {told}", "interrupted"
        return told, "failed"

    def _stopped_by(self) -> str:
        return f"stopped by {signal.Signals(self._signals[0]).name}"

    def _look(self) -> None:
        """See which have begun and how far they are, and show it."""
        seen = {}
        for number, trial in self.trials.items():
            if trial.status == "pending" and trial.log.is_file():
                self._change(number, status="running", started=time.time())
                self._board.started(self.trials[number])
            if self.trials[number].status == "running":
                seen[number] = self._hook.progress(trial.directory)
        if any(self._progress.get(number) != progress for number, progress in seen.items()):
            self._progress.update(seen)
            self._tell()
        self._board.show(list(self.trials.values()), self._progress)

    def _change(self, number: int, **changes: Any) -> None:
        trial = self.trials[number] = replace(self.trials[number], **changes)
        try:
            if trial.directory.is_dir():
                trial.write()
        except OSError as error:
            self._warn(f"the record of a trial cannot be written: {error.strerror}")
        self._tell()

    def _tell(self) -> None:
        everything = [*self._earlier, *self.trials.values()]
        try:
            self._hook.changed(self._sweep, everything)
        except OSError as error:
            self._warn(f"the record of the sweep cannot be written: {error.strerror}")
        self._board.show(everything, self._progress)

    def _warn(self, fact: str) -> None:
        """Say it once."""
        if fact not in self._warned:
            self._warned.add(fact)
            self._board.say(fact)
