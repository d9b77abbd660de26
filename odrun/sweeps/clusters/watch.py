"""The trials of one batch on a cluster, from the first to the last: which run, and what became of each."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence

from hydra.core.utils import JobStatus

from odrun.errors import OdrunError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Summary
from odrun.sweeps.clusters.cluster import Cluster
from odrun.sweeps.clusters.errand import Errand
from odrun.sweeps.warm.accounts import Accounts
from odrun.sweeps.warm.outcome import error_of, failed, result_of
from odrun.sweeps.warm.stopping import Signals, SweepStoppedError
from odrun.sweeps.warm.trials import Trial


class Watch:
    """Gives trials to a cluster and waits: those that are `known`, then those of `later`; results are in `accounts`.

    The cluster has at most `at_a_time` of them at a time, all at once if that is `None`; a trial of `later` is asked
    for when it can be given.
    """

    def __init__(
        self,
        accounts: Accounts,
        known: Sequence[tuple[Errand, Trial]],
        *,
        later: Iterator[tuple[Errand, Trial]],
        at_a_time: int | None,
    ) -> None:
        self._accounts = accounts
        self._later = later
        self._at_a_time = at_a_time
        self._errands: dict[int, Errand] = {}
        self._pending: deque[int] = deque()
        self._given: set[int] = set()
        self._signals: list[int] = []
        for errand, trial in known:
            self._add(errand, trial)

    def run(self, cluster: Cluster) -> None:
        """Run all trials.

        Raises:
            SweepStoppedError: a signal came; at the first one the trials are stopped in order, a second one does not
                wait for that.
            RunFailedError: the cluster does not take them.
        """
        self._accounts.tell()
        with Signals(self._signals):
            is_stopping = False
            while len(self._signals) < 2 and (self._given or not self._signals):
                if not self._signals:
                    self._give(cluster)
                if not self._given:
                    break
                time.sleep(cluster.poll_s)
                if self._signals and not is_stopping:
                    is_stopping = True
                    self._stop(cluster)
                for number in cluster.ended(now=is_stopping):
                    self._end(number, cluster)
                self._look()
        for number in set(self._accounts.trials) - set(self._accounts.returned):
            self._accounts.change(number, status="interrupted", ended=time.time(), reason=self._stopped_by())
        if self._signals:
            raise SweepStoppedError(self._signals[0])

    def _give(self, cluster: Cluster) -> None:
        """Give the cluster all the trials that it has places for."""
        new = {}
        while (self._at_a_time is None or len(self._given) < self._at_a_time) and self._has_next():
            number = self._pending.popleft()
            new[number] = self._errands[number]
            self._given.add(number)
        if new:
            cluster.submit(new)

    def _has_next(self) -> bool:
        """Whether a trial waits to be given; if none does, a later one is asked for."""
        if not self._pending and (found := next(self._later, None)) is not None:
            self._add(*found)
            self._accounts.tell()
        return bool(self._pending)

    def _add(self, errand: Errand, trial: Trial) -> None:
        self._accounts.trials[trial.number] = trial
        self._errands[trial.number] = errand
        self._pending.append(trial.number)

    def _stop(self, cluster: Cluster) -> None:
        waiting = sorted(self._given)
        name = signal.Signals(self._signals[0]).name
        self._accounts.board.say(f"{name}: the trials ({len(waiting)}) are stopped in order; again: not waited for")
        for number in waiting:
            cluster.stop(number)

    def _end(self, number: int, cluster: Cluster) -> None:
        self._given.discard(number)
        order, trial = self._errands[number].order, self._accounts.trials[number]
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
            reason, status = self._accounts.hook.told(error_of(returned)), "failed"
        order.result.unlink(missing_ok=True)
        self._accounts.end(number, returned, status=status, reason=reason)

    def _reason(self, trial: Trial, fault: BaseException | str | None) -> tuple[str, str]:
        """Why a trial left no result, and whether it failed or was only stopped."""
        if self._signals:
            return self._stopped_by(), "interrupted"
        told = self._accounts.hook.told(fault) if isinstance(fault, BaseException) else str(fault)
        summary = RunDirectory(trial.directory).summary
        if summary.is_file() and (saved := Summary.read(summary)).status == "interrupted":
            what = f"the cluster stopped it after step {saved.steps}, and did not start it again"
            return f"{what}: {told}", "interrupted"
        return told, "failed"

    def _stopped_by(self) -> str:
        return f"stopped by {signal.Signals(self._signals[0]).name}"

    def _look(self) -> None:
        """See which have begun and how far they are."""
        for number, trial in list(self._accounts.trials.items()):
            if trial.status == "pending" and trial.log.is_file():
                self._accounts.change(number, status="running", started=time.time())
                self._accounts.board.started(self._accounts.trials[number])
        trials = self._accounts.trials.items()
        self._accounts.look([number for number, trial in trials if trial.status == "running"])
