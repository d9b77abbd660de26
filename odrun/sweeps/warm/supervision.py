"""The trials of one batch, from the first to the last: who runs, for how long, and what became of each."""

from __future__ import annotations

import contextlib
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from odrun.sweeps.warm.board import Board
from odrun.sweeps.warm.child import Order
from odrun.sweeps.warm.client import LaunchError, Server
from odrun.sweeps.warm.hooks import Hook, Progress
from odrun.sweeps.warm.resources import resident_mb
from odrun.sweeps.warm.server import Ended, Event, Started
from odrun.sweeps.warm.settings import WarmLauncherConf
from odrun.sweeps.warm.trials import Trial, TrialError, tail

WAIT_S = 0.2
LOOK_S = 1.0
"""How often progress and memory are looked at."""
_STOPS = (signal.SIGINT, signal.SIGTERM)


class SweepStoppedError(KeyboardInterrupt):
    """A signal stopped the sweep, after its running trials had ended, or at once when it came twice."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


@dataclass
class _Running:
    """A trial on its way: its place among the `n_jobs`, and what has been done to end it."""

    place: int
    since: float
    reason: str | None = None
    told_at: float | None = None
    is_killed: bool = False


class Supervision:
    """Runs `trials` of the sweep in the folder `sweep`, each by its order, by a server that `open_server` opens.

    `places` is what the environment says at each of the places where trials run at a time. Results are in `returned`.
    """

    def __init__(
        self,
        settings: WarmLauncherConf,
        sweep: Path,
        trials: Sequence[Trial],
        orders: Mapping[int, Order],
        *,
        earlier: Sequence[Trial],
        places: Sequence[Mapping[str, str]],
        open_server: Callable[[], Server],
        hook: Hook,
        board: Board,
    ) -> None:
        self._settings = settings
        self._sweep = sweep
        self._earlier = tuple(earlier)
        self._orders = orders
        self._places = places
        self._open_server = open_server
        self._hook = hook
        self._board = board
        self.trials = {trial.number: trial for trial in trials}
        self.returned: dict[int, JobReturn] = {}
        self._pending = deque(trial.number for trial in trials)
        self._running: dict[int, _Running] = {}
        self._progress: dict[int, Progress] = {}
        self._signals: list[int] = []
        self._is_stopping = False
        self._warned: set[str] = set()
        self._looked_at = 0.0

    def run(self) -> None:
        """Run all trials.

        Raises:
            SweepStoppedError: a signal came.
            LaunchError: no server can be started.
        """
        self._tell()
        with _Signals(self._signals):
            server = self._open_server()
            while self._running or (self._pending and not self._signals):
                server = self._advanced(server)
        if self._signals:
            raise SweepStoppedError(self._signals[0])

    def _advanced(self, server: Server) -> Server:
        """One round: start what has room, hear what has ended, end what takes too much."""
        try:
            while self._pending and len(self._running) < len(self._places) and not self._signals:
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

    def _start(self, server: Server, number: int) -> None:
        taken = {running.place for running in self._running.values()}
        place = next(place for place in range(len(self._places)) if place not in taken)
        self._running[number] = _Running(place, time.monotonic())
        order = self._orders[number]
        with contextlib.suppress(OSError):
            order.log.parent.mkdir(parents=True, exist_ok=True)
        self._change(number, status="running", started=time.time())
        server.submit(replace(order, environment={**order.environment, **self._places[place]}))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Started):
            self._running[event.number].since = time.monotonic()
            self._change(event.number, pid=event.pid)
            self._board.started(self.trials[event.number])
        elif isinstance(event, Ended):
            self._end(event.number, event.status, None)
        elif event.fault is not None:
            self._warn(f"not everything can be imported ahead, so each trial imports for itself: {event.fault}")

    def _end(self, number: int, status: int | None, fault: str | None) -> None:
        running = self._running.pop(number)
        order, trial = self._orders[number], self.trials[number]
        returned = _result(order)
        order.result.unlink(missing_ok=True)
        reason = running.reason or fault
        if returned is not None and returned.status == JobStatus.COMPLETED and not running.is_killed:
            reason, outcome = None, "completed"
        elif self._signals and running.reason is None:
            reason, outcome = f"stopped by {signal.Signals(self._signals[0]).name}", "interrupted"
        else:
            outcome = "failed"
        if outcome == "failed" and reason is None:
            reason = _exit_reason(status, trial) if returned is None else self._hook.told(_error_of(returned))
        if returned is None or (outcome == "failed" and running.reason is not None):
            returned = _failed(order, trial, reason or outcome)
        self.returned[number] = returned
        self._progress[number] = self._hook.progress(trial.directory)
        self._change(number, status=outcome, ended=time.time(), exit_status=status, reason=reason)
        self._board.ended(self.trials[number], self._progress[number])

    def _stop(self, server: Server) -> None:
        """Pass the first signal on to the trials; at the second one end them at once."""
        if self._signals and not self._is_stopping:
            self._is_stopping = True
            name = signal.Signals(self._signals[0]).name
            self._board.say(f"{name}: running trials ({len(self._running)}) are stopped in order; again: at once")
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
            pid = self.trials[number].pid
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
        """See how far the trials are, and show it."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        seen = {number: self._hook.progress(self.trials[number].directory) for number in self._running}
        if any(self._progress.get(number) != progress for number, progress in seen.items()):
            self._progress.update(seen)
            self._tell()
        self._board.show(list(self.trials.values()), self._progress)

    def _change(self, number: int, **changes: Any) -> None:
        self.trials[number] = replace(self.trials[number], **changes)
        try:
            self.trials[number].write()
        except OSError as error:
            # The trials go on; what they wrote themselves is there.
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


class _Signals:
    """Within it SIGINT and SIGTERM are only noted, in `noted`; outside of the main thread nothing is done."""

    def __init__(self, noted: list[int]) -> None:
        self._noted = noted
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in _STOPS:
                before = signal.getsignal(number)
                if before != signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._note)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._noted.append(number)


def _result(order: Order) -> JobReturn | None:
    """What the trial left, `None` if it left nothing."""
    try:
        returned = pickle.loads(order.result.read_bytes())  # noqa: S301 - a child of this process wrote it
    except FileNotFoundError:
        return None
    assert isinstance(returned, JobReturn)
    return returned


def _error_of(returned: JobReturn) -> BaseException:
    error = returned._return_value
    assert isinstance(error, BaseException)
    return error


def _failed(order: Order, trial: Trial, reason: str) -> JobReturn:
    config = pickle.loads(order.config)  # noqa: S301 - this process wrote it
    returned = JobReturn(overrides=list(trial.overrides), hydra_cfg=config, working_dir=str(trial.directory))
    returned.status = JobStatus.FAILED
    returned.return_value = TrialError(f"trial {trial.number}: {reason}")
    return returned


def _exit_reason(status: int | None, trial: Trial) -> str:
    if status is None or status >= 0:
        last = [line for line in tail(trial.log) if line.strip()][-1:]
        return "\n".join([f"it left its process with exit status {status} and no result", *last])
    name = signal.Signals(-status).name
    if name == "SIGKILL":
        return "it was killed (SIGKILL), as the system does with a process when memory runs out"
    return f"it was killed by {name}"
