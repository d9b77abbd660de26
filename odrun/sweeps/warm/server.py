"""The process (or thread) that starts the trials, keeps their logs within bounds and says when they end.

A forked server imports the modules that the trials need and then forks a child for each; it never starts a thread or
the runtime of a library. Where forking is not to be had, a thread starts a new interpreter for each trial instead.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

from odrun.sweeps.warm.child import Order, Work
from odrun.sweeps.warm.output import BoundedLog, redirect
from odrun.sweeps.warm.processes import Child, Starter, forget_exit_work, start_forked, start_fresh

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
        forget_exit_work()
        redirect(log)
        os.environ.update(environment)
        fault = _imported(preload)
        # What exists now is shared with all trials for good; the collector of a trial need not write to it.
        gc.collect()
        gc.freeze()
        connection.send(Ready(fault))
        serve(connection, lambda order: start_forked(order, work, connection), grace_s=grace_s)
        status = 0
    finally:
        os._exit(status)


def serve_fresh(connection: Connection, payload: bytes, *, grace_s: float) -> None:
    """Be the thread that starts a new interpreter for each trial."""
    connection.send(Ready(None))
    serve(connection, lambda order: start_fresh(order, payload), grace_s=grace_s)


def _imported(names: Sequence[str]) -> str | None:
    """Import the modules up to the first that fails; the error if one does."""
    try:
        for name in names:
            import_module(name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything, and the launcher tells it
        return f"{name}: {type(error).__name__}: {error}"
    return None


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
