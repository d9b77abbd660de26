"""Work on many files at once: by threads, where it runs outside the interpreter's lock, or by processes.

The processes are fresh ones that import what their function needs and nothing else, above all not TensorFlow.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from odrun.errors import RunFailedError

Item = TypeVar("Item")
Result = TypeVar("Result")

RESULTS_AHEAD = 4


def usable_cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Yield `function(item)` in the order of `items`, with `workers` threads at work at once.

    At most `RESULTS_AHEAD` results a worker are held back, so memory does not grow with the number of items. What
    `function` raises is raised here, at its turn.
    """
    with ThreadPoolExecutor(workers) as pool:
        yield from _in_order(pool, function, items, RESULTS_AHEAD * workers)


def map_in_processes(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """As `map_in_order`, by processes; with one worker in this process itself.

    `function`, items and results are pickled. The processes end with this one, however it ends.

    Raises:
        RunFailedError: a process was killed, as the system does when memory is short.
    """
    if workers == 1:
        yield from map(function, items)
        return
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), initializer=_begin)
    try:
        yield from _in_order(pool, function, items, RESULTS_AHEAD * workers)
    except BrokenProcessPool as error:
        raise RunFailedError(
            "a worker process was killed",
            where=f"one of {workers} worker processes",
            remedy="make sure that memory is not short, and run again",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _begin() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the parent, and end when that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
