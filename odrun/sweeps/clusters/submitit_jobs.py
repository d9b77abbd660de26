"""Errands as submitit's jobs: of Slurm, or processes of this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import submitit
from submitit.core.utils import FailedSubmissionError, UncompletedJobError

from odrun.errors import RunFailedError
from odrun.sweeps.clusters.errand import Errand
from odrun.sweeps.clusters.settings import SLURM

_GENERAL = ("timeout_min", "gpus_per_node", "cpus_per_task", "mem_gb", "name")
"""What submitit takes for every cluster; the names of all else begin with that of the cluster."""
_OWN = ("_target_", "cluster", "submitit_folder", "max_num_timeout")
_SOONEST_S, _LATEST_S, _SHARE = 0.5, 5.0, 0.05
"""How often jobs are asked after: soon at first, then after this share of the time that has passed."""
_TAIL_LINES = 20
_OWN_LINES = ("submitit INFO", "submitit WARNING")


class SubmititJobs:
    """The jobs of one launch, with the settings of `SubmititConf` or `SlurmConf`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._cluster = str(settings["cluster"])
        self._jobs: dict[int, submitit.Job[None]] = {}
        self._ended: set[int] = set()
        self._faulty: set[int] = set()
        self._since = time.monotonic()

    @property
    def poll_s(self) -> float:
        """How often it bears to be asked."""
        return min(_LATEST_S, max(_SOONEST_S, _SHARE * (time.monotonic() - self._since)))

    def __enter__(self) -> SubmititJobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Jobs live by themselves; what they were told and said is removed, but for those that left no result."""
        for number in self._ended - self._faulty:
            paths = self._jobs[number].paths
            for path in (paths.submitted_pickle, paths.result_pickle, paths.stdout):
                path.unlink(missing_ok=True)
        if self._ended - self._faulty == set(self._jobs):
            for job in self._jobs.values():
                job.paths.submission_file.unlink(missing_ok=True)
        with suppress(OSError):
            Path(self._settings["submitit_folder"]).rmdir()

    def submit(self, errands: Mapping[int, Errand]) -> None:
        """Have the errands run, as one array.

        Raises:
            RunFailedError: `sbatch` refused them.
        """
        try:
            with _ctrl_c_left_to_the_launcher():
                executor = self._executor()
                with executor.batch():
                    jobs = [executor.submit(errand) for errand in errands.values()]
        except (FailedSubmissionError, UncompletedJobError) as error:
            raise RunFailedError(
                f"the cluster did not take the trials: {_last_line(str(error))}",
                where=f"hydra/launcher=submitit_{self._cluster}",
                remedy="the settings hydra.launcher.NAME are what sbatch was asked for; null leaves one to the cluster",
            ) from error
        self._jobs |= zip(errands, jobs, strict=True)

    def ended(self, *, now: bool) -> list[int]:
        """The numbers of those that have ended since it was last asked."""
        found = [
            number
            for number, job in self._jobs.items()
            if number not in self._ended and job.done(force_check=now and self._cluster == SLURM)
        ]
        self._ended.update(found)
        return found

    def fault(self, number: int) -> BaseException | str:
        """Why a job left no result: how the cluster calls its end, and the last it said."""
        job = self._jobs[number]
        self._faulty.add(number)
        # For a file that another machine has written submitit waits; what ran here has written it, or never will.
        left = self._cluster == SLURM or job.paths.result_pickle.exists()
        error = job.exception() if left else None
        if "timed-out too many times" in str(error):
            turns, minutes = int(self._settings["max_num_timeout"]) + 1, self._settings["timeout_min"]
            return f"its {turns} x {minutes} minutes are over (hydra.launcher.max_num_timeout + 1, timeout_min)"
        printed = (job.stdout() or "" if error is None else str(error)).strip().splitlines()
        told = [line for line in printed if not line.startswith(_OWN_LINES)][-_TAIL_LINES:]
        if not job.paths.stdout.exists():
            told = [f"nothing that it printed is here: do its machine and this one share {job.paths.folder}?"]
        return "\n".join([f"job {job.job_id} ended as {job.state} without a result", *told])

    def stop(self, number: int) -> None:
        """Have a job save and end: by `scancel`, or by SIGTERM to the process that leads it."""
        job = self._jobs[number]
        if self._cluster == SLURM:
            job.cancel(check=False)
            return
        with suppress(ProcessLookupError):
            os.kill(int(job.job_id), signal.SIGTERM)

    def _executor(self) -> submitit.AutoExecutor:
        retries = {f"{self._cluster}_max_num_timeout": self._settings["max_num_timeout"]}
        executor = submitit.AutoExecutor(self._settings["submitit_folder"], cluster=self._cluster, **retries)
        given = {name: value for name, value in self._settings.items() if name not in _OWN and value is not None}
        executor.update_parameters(
            **{name if name in _GENERAL else f"{self._cluster}_{name}": value for name, value in given.items()},
            stderr_to_stdout=True,
        )
        return executor


@contextmanager
def _ctrl_c_left_to_the_launcher() -> Iterator[None]:
    """Within it started processes are deaf to SIGINT, which a terminal sends to them too; the launcher stops them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
