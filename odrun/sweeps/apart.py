"""Work of a sweep done in a process of its own, so that the one which waits for the trials stays small."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from odrun.errors import RunFailedError
from odrun.sweeps.warm.client import can_fork


def apart(work: Callable[..., None], *arguments: Any) -> None:
    """Call `work` in another process; what it raises is raised here.

    Raises:
        RunFailedError: the process was killed.
    """
    context = multiprocessing.get_context("fork" if can_fork() else "spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context) as process:
            process.submit(work, *arguments).result()
    except BrokenProcessPool as error:
        raise RunFailedError("a process of the sweep was killed, as it is where memory runs out") from error
