"""The life of one trial within its own process: from its orders to the file with its result."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction

from odrun.sweeps import warm
from odrun.sweeps.warm.output import redirect
from odrun.sweeps.warm.trials import TrialError

_PR_SET_PDEATHSIG = 1
"""prctl(2), linux/prctl.h."""


@dataclass(frozen=True)
class Order:
    """What a trial is told: its composed `config`, pickled; what its environment says; where log and result go."""

    number: int
    config: bytes
    environment: Mapping[str, str]
    log: Path
    result: Path


@dataclass(frozen=True)
class Work:
    """What all trials have in common."""

    task_function: TaskFunction
    hydra_context: HydraContext


def run_trial(order: Order, work: Work) -> None:
    """Run the trial in this process and leave its `JobReturn`, pickled, in `order.result`.

    `KeyboardInterrupt` and `SystemExit` of the trial go through, and leave no result.
    """
    os.environ.update(order.environment)
    setup_globals()
    returned = run_job(
        hydra_context=work.hydra_context,
        task_function=work.task_function,
        config=pickle.loads(order.config),  # noqa: S301 - the launcher wrote it
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    if returned.status == JobStatus.FAILED:
        traceback.print_exception(returned._return_value)
    temporary = order.result.with_suffix(".part")
    temporary.write_bytes(_pickled(returned))
    temporary.replace(order.result)


def run_forked(order: Order, work: Work) -> int:
    """Be the trial in a process that was forked for it, with SIGINT and SIGTERM blocked; return the exit status."""
    _stop_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return _status_of(order, work)


def run_fresh(order: Order, payload: bytes) -> None:
    """Be the trial in a new interpreter: `payload` is what `pickled_work` made; leaves the process."""
    redirect(order.log)
    sys.exit(_status_of(order, read_work(payload)))


def read_work(payload: bytes) -> Work:
    """What `pickled_work` wrote, in a process that knows nothing of Hydra yet."""
    # Hydra's state names the plugins' classes, so they have to be known before it is read.
    warm.register()
    setup_globals()
    task, hydra_context, state = pickle.loads(payload)  # noqa: S301 - the launcher wrote it
    Singleton.set_state(Singleton.get_state() | {"instances": pickle.loads(state)})  # noqa: S301
    return Work(task.function() if isinstance(task, _Decorated) else task, hydra_context)


def pickled_work(work: Work) -> bytes:
    """`work` and Hydra's own state for `read_work`; raises what pickle raises when the task function is a local one."""
    function = work.task_function
    decorated = getattr(sys.modules.get(function.__module__), function.__name__, None)
    is_wrapped = getattr(decorated, "__wrapped__", None) is function
    task = _Decorated(function.__module__, function.__name__) if is_wrapped else function
    return pickle.dumps((task, work.hydra_context, pickle.dumps(Singleton.get_state()["instances"])))


@dataclass(frozen=True)
class _Decorated:
    """A function that its module knows only as `hydra.main` has wrapped it."""

    module: str
    name: str

    def function(self) -> TaskFunction:
        function: TaskFunction = getattr(import_module(self.module), self.name).__wrapped__
        return function


def _status_of(order: Order, work: Work) -> int:
    try:
        redirect(order.log)
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
        run_trial(order, work)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except SystemExit as left:
        if isinstance(left.code, str):
            sys.stderr.write(f"{left.code}\n")
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - the outermost border of the process
        traceback.print_exc()
        return 1
    return 0


def _stop_with_parent() -> None:
    """Have the system send this process SIGTERM when its parent dies, where the system can (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _pickled(returned: JobReturn) -> bytes:
    """The result as bytes that can be read back; what cannot becomes a failure that says so."""
    try:
        return _proven(returned)
    except Exception as error:  # noqa: BLE001 - __reduce__ of anybody's class may raise anything
        value: Any = returned._return_value
        if returned.status == JobStatus.FAILED:
            told = f"{type(value).__name__}: {value}"
        else:
            told = f"what the trial returned, a {type(value).__name__}, cannot be pickled: {error}"
        returned.status = JobStatus.FAILED
        returned.return_value = TrialError(told)
        return _proven(returned)


def _proven(returned: JobReturn) -> bytes:
    content = pickle.dumps(returned)
    pickle.loads(content)  # noqa: S301 - written on the line before
    return content
