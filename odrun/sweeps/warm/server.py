"""The process (or thread) that starts the trials, keeps their logs within bounds and says when they end.

A forked server imports the modules that the trials need and then forks a child for each; it never starts a thread or
the runtime of a library. Where forking is not to be had, a thread starts a new interpreter for each trial instead.
"""

from __future__ import annotations

import atexit
import gc
import logging
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol, TypeAlias

from odrun.sweeps.warm.child import Order, Work, run_forked, run_fresh
from odrun.sweeps.warm.output import BoundedLog, redirect

POLL_S = 0.05


@dataclass(frozen=True)
class Send:
    """Send the trial of this number a signal."""

    number: int
    signal_number: int


@dataclass(frozen=True)
class Ready:
    """All modules are imported; `fault` names the error when one could not be."""

    fault: str | None


@dataclass(frozen=True)
class Started:
    """The trial of this number has a process."""

    number: int
    pid: int


@dataclass(frozen=True)
class Ended:
    """The process of this trial has ended; a negative status is the number of the signal that killed it."""

    number: int
    status: int


Event: TypeAlias = Ready | Started | Ended


class Child(Protocol):
    """A started process."""

    pid: int

    def status(self) -> int | None:
        """Its exit status once it has ended."""

    def send(self, signal_number: int) -> None:
        """Send it a signal."""


Starter: TypeAlias = Callable[[Order], Child]


def serve(connection: Connection, start: Starter, *, grace_s: float) -> None:
    """Answer `Order` and `Send` with `Started` and `Ended` until the other end is closed; then end all that runs."""
    running: dict[int, tuple[Child, BoundedLog]] = {}
    try:
        while True:
            if connection.poll(POLL_S):
                message = connection.recv()
                if isinstance(message, Order):
                    child = start(message)
                    running[message.number] = child, BoundedLog(message.log)
                    connection.send(Started(message.number, child.pid))
                elif message.number in running:
                    running[message.number][0].send(message.signal_number)
            for ended in _ended(running):
                connection.send(ended)
    except (EOFError, OSError):
        _end(running, grace_s)


def serve_forked(
    connection: Connection,
    work: Work,
    *,
    preload: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    grace_s: float,
) -> None:
    """Be the fork server: import, then serve; never returns. The environment is that of all trials."""
    status = 1
    try:
        # Ctrl-C goes to the whole group of the terminal; here it arrives once, from the launcher, in order.
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _forget_exit_work()
        redirect(log)
        os.environ.update(environment)
        fault = _imported(preload)
        # What exists now is shared with all trials for good; the collector of a trial need not write to it.
        gc.collect()
        gc.freeze()
        connection.send(Ready(fault))
        serve(connection, lambda order: _fork(order, work, connection), grace_s=grace_s)
        status = 0
    finally:
        os._exit(status)


def serve_fresh(connection: Connection, payload: bytes, *, grace_s: float) -> None:
    """Be the thread that starts a new interpreter for each trial."""
    connection.send(Ready(None))
    context = multiprocessing.get_context("spawn")

    def start(order: Order) -> Child:
        process = context.Process(target=run_fresh, args=(order, payload), daemon=False)
        before = {name: os.environ.get(name) for name in order.environment}
        os.environ.update(order.environment)
        try:
            process.start()
        finally:
            _restore(before)
        return _Fresh(process)

    serve(connection, start, grace_s=grace_s)


def _forget_exit_work() -> None:
    """Leave to the process that this one was forked from what it wants done at its own end.

    What is begun from here on, here or in a trial, is ended at the end of each trial.
    """
    atexit._clear()
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    multiprocessing.util._finalizer_registry.clear()  # type: ignore[attr-defined]
    atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _imported(names: Sequence[str]) -> str | None:
    """Import the modules up to the first that fails; the error if one does."""
    try:
        for name in names:
            import_module(name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything, and the launcher tells it
        return f"{name}: {type(error).__name__}: {error}"
    return None


class _Forked:
    def __init__(self, pid: int) -> None:
        self.pid = pid

    def status(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def send(self, signal_number: int) -> None:
        os.kill(self.pid, signal_number)


class _Fresh:
    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    def status(self) -> int | None:
        return self._process.exitcode

    def send(self, signal_number: int) -> None:
        if self._process.exitcode is not None:
            return
        if sys.platform == "win32":
            self._process.terminate()
        else:
            os.kill(self.pid, signal_number)


def _fork(order: Order, work: Work, connection: Connection) -> Child:
    stops = (signal.SIGINT, signal.SIGTERM)
    # A signal that comes before the child can take it waits for that.
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    pid = forked()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
        return _Forked(pid)
    status = 1
    try:
        connection.close()
        status = run_forked(order, work)
        # What a whole interpreter does at its end, of what was begun in this process.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def forked() -> int:
    """`os.fork()`, with nothing left in the buffers of the standard streams."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with warnings.catch_warnings():
        # Python 3.12 counts the threads of BLAS, which ends and restarts them around a fork by itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _ended(running: dict[int, tuple[Child, BoundedLog]]) -> list[Ended]:
    found = []
    for number, (child, log) in list(running.items()):
        status = child.status()
        log.bound(is_last=status is not None)
        if status is not None:
            del running[number]
            found.append(Ended(number, status))
    return found


def _end(running: dict[int, tuple[Child, BoundedLog]], grace_s: float) -> None:
    """The launcher is gone: ask the trials to stop, wait, and kill what is left."""
    for child, _ in running.values():
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while running and time.monotonic() < deadline:
        _ended(running)
        time.sleep(POLL_S)
    for child, _ in running.values():
        child.send(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    while running:
        _ended(running)
        time.sleep(POLL_S)
