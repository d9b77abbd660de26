"""`hydra/launcher=submitit_slurm`, `submitit_local` and `ray`: Hydra's interface to the clusters."""

from __future__ import annotations

import pickle
import sys
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from odrun.sweeps.clusters.cluster import Cluster
from odrun.sweeps.clusters.errand import Errand
from odrun.sweeps.clusters.settings import RAY_MODULE, SUBMITIT_MODULE
from odrun.sweeps.clusters.watch import Watch
from odrun.sweeps.record import SweepRecord
from odrun.sweeps.warm.accounts import Accounts
from odrun.sweeps.warm.board import Board
from odrun.sweeps.warm.child import Order, Work, pickled_work
from odrun.sweeps.warm.client import LaunchError
from odrun.sweeps.warm.jobs import Jobs
from odrun.sweeps.warm.launcher import trial_config, trial_directory
from odrun.sweeps.warm.trials import Trial

_RESULTS_NAME = ".trials"


class ClusterLauncher(Launcher):
    """Gives trials to a cluster and waits for them.

    Trials that fail have `JobStatus.FAILED` and their exception, or a `TrialError` where they left none.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = {name: _plain(value) for name, value in settings.items()}
        self._hook = SweepRecord()
        self._earlier: list[Trial] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives; nothing is started."""
        self._config = config
        self._work = Work(task_function, hydra_context)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of trials and return what each returned, in their order; see `launch_jobs`."""
        known = dict(enumerate(job_overrides, start=initial_job_idx))
        returned = self.launch_jobs(Jobs(known))
        return [returned[number] for number in known]

    def launch_jobs(self, jobs: Jobs) -> dict[int, JobReturn]:
        """Run trials; return what each returned, by its number in the sweep.

        Raises:
            SweepStoppedError: SIGINT or SIGTERM came; the cluster has been told to stop the trials.
            RunFailedError: the cluster does not take them.
            LaunchError: the task function cannot leave this process.
        """
        setup_globals()
        sweep = Path(str(self._config.hydra.sweep.dir)).absolute()
        with read_write(self._config), open_dict(self._config):
            # The trials may begin in another folder and on another day.
            self._config.hydra.sweep.dir = str(sweep)
        try:
            payload = pickled_work(self._work)
        except Exception as error:
            raise LaunchError(f"the task function cannot be given to another machine: {error}") from error
        board = Board(sys.stdout, common=jobs.common)
        accounts = Accounts(sweep, self._earlier, hook=self._hook, board=board, is_here=False)
        watch = Watch(
            accounts,
            [self._planned(number, overrides, sweep, payload) for number, overrides in jobs.known.items()],
            later=(self._planned(number, overrides, sweep, payload) for number, overrides in jobs.later),
            at_a_time=jobs.at_a_time,
        )
        try:
            with board, self._cluster() as cluster:
                watch.run(cluster)
        finally:
            with suppress(OSError):
                (sweep / _RESULTS_NAME).rmdir()
        self._earlier += accounts.trials.values()
        return accounts.returned

    def _planned(self, number: int, overrides: Sequence[str], sweep: Path, payload: bytes) -> tuple[Errand, Trial]:
        """What the cluster is given of a trial, and the trial."""
        config = trial_config(self._work, self._config, number, list(overrides))
        trial = Trial(number, tuple(filter_overrides(overrides)), trial_directory(config))
        result = sweep / _RESULTS_NAME / f"{number}.pickle"
        result.parent.mkdir(parents=True, exist_ok=True)
        order = Order(number, pickle.dumps(config), {}, trial.log, result)
        return Errand(order, trial.directory, sweep, Path.cwd(), payload), trial

    @abstractmethod
    def _cluster(self) -> Cluster:
        """Who runs the trials."""


class SubmititLauncher(ClusterLauncher):
    """Trials as jobs of Slurm, or as submitit's processes of this machine."""

    __module__ = SUBMITIT_MODULE

    def _cluster(self) -> Cluster:
        from odrun.sweeps.clusters.submitit_jobs import SubmititJobs

        return SubmititJobs(self._settings)


class RayLauncher(ClusterLauncher):
    """Trials as tasks of Ray."""

    __module__ = RAY_MODULE

    def _cluster(self) -> Cluster:
        from odrun.sweeps.clusters.ray_tasks import RayTasks

        return RayTasks(self._settings["ray"])


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
