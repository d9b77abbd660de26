"""Work on many files at once: by threads, where it runs outside the interpreter's lock, or by processes.

The processes are fresh ones that import what their function needs and nothing else, above all not TensorFlow.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import forkserver
from typing import TypeVar

from odrun.errors import RunFailedError

Item = TypeVar("Item")
Result = TypeVar("Result")

RESULTS_AHEAD = 4
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Yield `function(item)` in the order of `items`, with `workers` threads at work at once.

    At most `RESULTS_AHEAD` results a worker are held back, so memory does not grow with the number of items. What
    `function` raises is raised here, at its turn.
    """
    with ThreadPoolExecutor(workers) as pool:
        yield from _in_order(pool, function, items, RESULTS_AHEAD * workers)


def get_ready(preload: Sequence[str]) -> None:
    """Begin with what takes long before `Workers` can work: their modules are imported beside other work."""
    if _METHOD == "forkserver":
        multiprocessing.get_context(_METHOD).set_forkserver_preload([*preload])
        forkserver.ensure_running()


class Workers:
    """Processes that work until the context is left; `number` 1 is this process itself.

    Functions, arguments and results are pickled. `preload` names the modules of the functions, which are then imported
    once for all processes. The processes end with this one, however it ends.
    """

    def __init__(self, number: int, *, preload: Sequence[str] = ()) -> None:
        self._number = number
        self._preload = preload
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self._number > 1:
            get_ready(self._preload)
            self._pool = ProcessPoolExecutor(self._number, multiprocessing.get_context(_METHOD), initializer=_begin)
        return self

    def __exit__(self, *failure: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """As `map_in_order`, by the processes.

        Raises:
            RunFailedError: a process was killed, as the system does when memory is short.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        with self._deaths_told():
            yield from _in_order(self._pool, function, items, RESULTS_AHEAD * self._number)

    def begin(self, function: Callable[[Item], Result], item: Item) -> Callable[[], Result]:
        """Begin with one call of `function`; what is returned waits for its end, and raises what it raised.

        Raises:
            RunFailedError: as `map`.
        """
        if self._pool is None:
            return partial(function, item)
        future = self._pool.submit(function, item)

        def end() -> Result:
            with self._deaths_told():
                return future.result()

        return end

    @contextmanager
    def _deaths_told(self) -> Iterator[None]:
        try:
            yield
        except BrokenProcessPool as error:
            raise RunFailedError(
                "a worker process was killed",
                where=f"one of {self._number} worker processes",
                remedy="make sure that memory is not short, and run again",
            ) from error


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
