"""The launcher's end of the server: start it, give it orders, hear what has become of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from odrun.sweeps.warm.child import Order, Work, pickled_work
from odrun.sweeps.warm.server import Event, Send, forked, serve_forked, serve_fresh
from odrun.sweeps.warm.settings import AUTO, FORK

CLOSING_S = 10.0


class LaunchError(RuntimeError):
    """The launcher itself cannot work: forking is asked for where there is none, or its server was killed."""


class Server(Protocol):
    """A started server."""

    def submit(self, order: Order) -> None:
        """Start a trial."""

    def send(self, number: int, signal_number: int) -> None:
        """Send a trial a signal."""

    def events(self, timeout_s: float) -> list[Event]:
        """What has happened; waits for that at most so long. `EOFError`: the server is gone, and its trials end."""

    def is_alive(self) -> bool:
        """Whether it can be given orders."""

    def close(self) -> None:
        """Ask all that it runs to end, wait for that, and end it."""

    def kill(self) -> None:
        """End all that it runs, and it, at once."""


def can_fork() -> bool:
    """Whether a process may fork after it has imported much: on macOS and Windows it may not."""
    return hasattr(os, "fork") and sys.platform not in ("darwin", "win32")


def start_server(
    start: str, work: Work, *, preload: Sequence[str], environment: Mapping[str, str], log: Path, grace_s: float
) -> Server:
    """A server as `start` says (`auto`, `fork` or `fresh`), its modules being imported; what it prints goes to `log`.

    Raises:
        LaunchError: forking is asked for where there is none, or the task function cannot go to a new interpreter.
    """
    if start == FORK and not can_fork():
        raise LaunchError(f"start={FORK} is not to be had on {sys.platform}; start={AUTO} takes what there is")
    if start == FORK or (start == AUTO and can_fork()):
        return _ForkServer(work, preload, environment, log, grace_s)
    return _FreshServer(work, grace_s)


class _Connected:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_gone = False

    def is_alive(self) -> bool:
        return not self._is_gone

    def submit(self, order: Order) -> None:
        self._tell(order)

    def send(self, number: int, signal_number: int) -> None:
        self._tell(Send(number, signal_number))

    def events(self, timeout_s: float) -> list[Event]:
        found = []
        wait_s = timeout_s
        try:
            while self._connection.poll(wait_s):
                found.append(self._connection.recv())
                wait_s = 0
        except (EOFError, OSError) as error:
            self._is_gone = True
            if not found:
                raise EOFError("the server of the trials is gone") from error
        return found

    def _tell(self, message: Order | Send) -> None:
        # That it is gone is told by `events`.
        with contextlib.suppress(OSError):
            self._connection.send(message)


class _ForkServer(_Connected):
    def __init__(
        self, work: Work, preload: Sequence[str], environment: Mapping[str, str], log: Path, grace_s: float
    ) -> None:
        ours, theirs = multiprocessing.Pipe()
        super().__init__(ours)
        self._owner = os.getpid()
        self._grace_s = grace_s
        self._pid = forked()
        if not self._pid:
            ours.close()
            serve_forked(theirs, work, preload=preload, environment=environment, log=log, grace_s=grace_s)
        theirs.close()

    def close(self) -> None:
        # A forked trial inherits this object, and must not end what is not its own.
        if self._pid == 0 or os.getpid() != self._owner:
            return
        self._is_gone = True
        self._connection.close()
        deadline = time.monotonic() + self._grace_s + CLOSING_S
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.01)
        self._pid = 0

    def kill(self) -> None:
        # The trials are of its process group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        self.close()


class _FreshServer(_Connected):
    def __init__(self, work: Work, grace_s: float) -> None:
        ours, theirs = multiprocessing.Pipe()
        super().__init__(ours)
        try:
            payload = pickled_work(work)
        except Exception as error:
            raise LaunchError(f"the task function cannot be given to a new interpreter: {error}") from error
        self._thread = threading.Thread(
            target=serve_fresh, args=(theirs, payload), kwargs={"grace_s": grace_s}, name="trials", daemon=True
        )
        self._numbers: set[int] = set()
        self._thread.start()

    def submit(self, order: Order) -> None:
        self._numbers.add(order.number)
        super().submit(order)

    def close(self) -> None:
        self._is_gone = True
        self._connection.close()
        self._thread.join()

    def kill(self) -> None:
        for number in self._numbers:
            self.send(number, getattr(signal, "SIGKILL", signal.SIGTERM))
        self.close()
