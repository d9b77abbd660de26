"""The processes of trials: forked from this one, or new interpreters."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol, TypeAlias

from odrun.sweeps.warm.child import Order, Work, run_forked, run_fresh


class Child(Protocol):
    """A started process."""

    pid: int

    def status(self) -> int | None:
        """Its exit status once it has ended."""

    def send(self, signal_number: int) -> None:
        """Send it a signal."""


Starter: TypeAlias = Callable[[Order], Child]


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


def start_forked(order: Order, work: Work, connection: Connection) -> Child:
    """A fork of this process for a trial, in which `connection` is closed."""
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


def start_fresh(order: Order, payload: bytes) -> Child:
    """A new interpreter for a trial, with the trial's environment from its beginning."""
    process = multiprocessing.get_context("spawn").Process(target=run_fresh, args=(order, payload), daemon=False)
    before = {name: os.environ.get(name) for name in order.environment}
    os.environ.update(order.environment)
    try:
        process.start()
    finally:
        _restore(before)
    return _Fresh(process)


def forget_exit_work() -> None:
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
