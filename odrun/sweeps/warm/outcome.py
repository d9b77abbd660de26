"""What became of a trial, judged by what it left and how its process ended."""

from __future__ import annotations

import pickle
import signal

from hydra.core.utils import JobReturn, JobStatus

from odrun.sweeps.warm.child import Order
from odrun.sweeps.warm.trials import Trial, TrialError, tail


def result_of(order: Order) -> JobReturn | None:
    """What the trial left, `None` if it left nothing."""
    try:
        returned = pickle.loads(order.result.read_bytes())  # noqa: S301 - a child of this process wrote it
    except FileNotFoundError:
        return None
    assert isinstance(returned, JobReturn)
    return returned


def error_of(returned: JobReturn) -> BaseException:
    """The exception of a trial that failed."""
    error = returned._return_value
    assert isinstance(error, BaseException)
    return error


def failed(order: Order, trial: Trial, reason: str) -> JobReturn:
    """What Hydra is told of a trial that left nothing, or that was ended from outside."""
    config = pickle.loads(order.config)  # noqa: S301 - this process wrote it
    returned = JobReturn(overrides=list(trial.overrides), hydra_cfg=config, working_dir=str(trial.directory))
    returned.status = JobStatus.FAILED
    returned.return_value = TrialError(f"trial {trial.number}: {reason}")
    return returned


def exit_reason(status: int | None, trial: Trial) -> str:
    """Why a trial left no result, as far as the exit status of its process says; `None`: its server was killed."""
    if status is None or status >= 0:
        last = [line for line in tail(trial.log) if line.strip()][-1:]
        return "\n".join([f"it left its process with exit status {status} and no result", *last])
    name = signal.Signals(-status).name
    if name == "SIGKILL":
        return "it was killed (SIGKILL), as the system does with a process when memory runs out"
    return f"it was killed by {name}"
