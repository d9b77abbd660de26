"""The trials of one batch, from the first to the last: who runs, for how long, and what became of each."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hydra.core.utils import JobStatus

from odrun.sweeps.warm.accounts import Accounts
from odrun.sweeps.warm.child import Order
from odrun.sweeps.warm.client import LaunchError, Server
from odrun.sweeps.warm.outcome import error_of, exit_reason, failed, result_of
from odrun.sweeps.warm.resources import resident_mb
from odrun.sweeps.warm.server import Ended, Event, Started
from odrun.sweeps.warm.settings import WarmLauncherConf
from odrun.sweeps.warm.stopping import Signals, SweepStoppedError
from odrun.sweeps.warm.trials import Trial

WAIT_S = 0.2
LOOK_S = 1.0
"""How often progress and memory are looked at."""


@dataclass
class _Running:
    """A trial on its way: its place among the `n_jobs`, and what has been done to end it."""

    place: int
    since: float
    reason: str | None = None
    told_at: float | None = None
    is_killed: bool = False


class Supervision:
    """Runs the trials that are `known`, each by its order, and then those of `later`, by a server that is opened.

    `places` is what the environment says at each of the places where trials run at a time; a trial of `later` is asked
    for when one is free. Results are in `accounts`.
    """

    def __init__(
        self,
        settings: WarmLauncherConf,
        accounts: Accounts,
        known: Sequence[tuple[Order, Trial]],
        *,
        later: Iterator[tuple[Order, Trial]],
        places: Sequence[Mapping[str, str]],
        open_server: Callable[[], Server],
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._later = later
        self._places = places
        self._open_server = open_server
        self._orders: dict[int, Order] = {}
        self._pending: deque[int] = deque()
        self._running: dict[int, _Running] = {}
        self._signals: list[int] = []
        self._is_stopping = False
        self._looked_at = 0.0
        for order, trial in known:
            self._add(order, trial)

    def run(self) -> None:
        """Run all trials.

        Raises:
            SweepStoppedError: a signal came.
            LaunchError: no server can be started.
        """
        self._accounts.tell()
        with Signals(self._signals):
            server = self._open_server()
            while self._running or (not self._signals and self._has_next()):
                server = self._advanced(server)
        if self._signals:
            raise SweepStoppedError(self._signals[0])

    def _advanced(self, server: Server) -> Server:
        """One round: start what has room, hear what has ended, end what takes too much."""
        try:
            while not self._signals and len(self._running) < len(self._places) and self._has_next():
                self._start(server, self._pending.popleft())
            for event in server.events(WAIT_S):
                self._hear(event)
        except EOFError:
            if not self._running:
                raise LaunchError("the process that trials are forked from was killed") from None
            for number in list(self._running):
                self._end(number, None, "the process that trials are forked from was killed")
            return self._open_server()
        self._stop(server)
        if not server.is_alive():
            return server
        self._limit(server)
        self._look()
        return server

    def _has_next(self) -> bool:
        """Whether a trial waits for its place; if none does, a later one is asked for."""
        if not self._pending and (found := next(self._later, None)) is not None:
            self._add(*found)
        return bool(self._pending)

    def _add(self, order: Order, trial: Trial) -> None:
        self._accounts.trials[trial.number] = trial
        self._orders[trial.number] = order
        self._pending.append(trial.number)

    def _start(self, server: Server, number: int) -> None:
        taken = {running.place for running in self._running.values()}
        place = next(place for place in range(len(self._places)) if place not in taken)
        self._running[number] = _Running(place, time.monotonic())
        order = self._orders[number]
        with contextlib.suppress(OSError):
            order.log.parent.mkdir(parents=True, exist_ok=True)
        self._accounts.change(number, status="running", started=time.time())
        server.submit(replace(order, environment={**order.environment, **self._places[place]}))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Started):
            self._running[event.number].since = time.monotonic()
            self._accounts.change(event.number, pid=event.pid)
            self._accounts.board.started(self._accounts.trials[event.number])
        elif isinstance(event, Ended):
            self._end(event.number, event.status, None)
        elif event.fault is not None:
            self._accounts.warn(
                f"not everything can be imported ahead, so each trial imports for itself: {event.fault}"
            )

    def _end(self, number: int, status: int | None, fault: str | None) -> None:
        running = self._running.pop(number)
        order, trial = self._orders[number], self._accounts.trials[number]
        returned = result_of(order)
        order.result.unlink(missing_ok=True)
        reason = running.reason or fault
        if returned is not None and returned.status == JobStatus.COMPLETED and not running.is_killed:
            reason, outcome = None, "completed"
        elif self._signals and running.reason is None:
            reason, outcome = f"stopped by {signal.Signals(self._signals[0]).name}", "interrupted"
        else:
            outcome = "failed"
        if outcome == "failed" and reason is None:
            reason = exit_reason(status, trial) if returned is None else self._accounts.hook.told(error_of(returned))
        if returned is None or (outcome == "failed" and running.reason is not None):
            returned = failed(order, trial, reason or outcome)
        self._accounts.end(number, returned, status=outcome, exit_status=status, reason=reason)

    def _stop(self, server: Server) -> None:
        """Pass the first signal on to the trials; at the second one end them at once."""
        if self._signals and not self._is_stopping:
            self._is_stopping = True
            name = signal.Signals(self._signals[0]).name
            told = f"{name}: running trials ({len(self._running)}) are stopped in order; again: at once"
            self._accounts.board.say(told)
            for number in self._running:
                server.send(number, self._signals[0])
        if len(self._signals) > 1:
            server.kill()
            for number in list(self._running):
                self._end(number, None, None)

    def _limit(self, server: Server) -> None:
        """End trials that take too long or too much memory."""
        limit_s, limit_mb, now = self._settings.timeout_s, self._settings.memory_mb, time.monotonic()
        for number, running in self._running.items():
            pid = self._accounts.trials[number].pid
            if running.is_killed or pid is None:
                continue
            if running.told_at is not None:
                if now - running.told_at >= self._settings.grace_s:
                    self._kill(server, number, running)
            elif limit_s is not None and now - running.since >= limit_s:
                running.reason = f"it took longer than timeout_s={limit_s:g} allows"
                running.told_at = now
                server.send(number, signal.SIGTERM)
            elif limit_mb is not None and (held_mb := resident_mb(pid)) is not None and held_mb > limit_mb:
                running.reason = f"it held {held_mb:.0f} MB of memory, and memory_mb={limit_mb} is allowed"
                self._kill(server, number, running)

    def _kill(self, server: Server, number: int, running: _Running) -> None:
        running.is_killed = True
        server.send(number, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _look(self) -> None:
        """See how far the trials are, now and then."""
        if time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            self._accounts.look(list(self._running))
