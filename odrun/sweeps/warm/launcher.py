"""`hydra/launcher=warm`: Hydra's interface to the launcher."""

from __future__ import annotations

import pickle
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from odrun.sweeps.warm.accounts import Accounts
from odrun.sweeps.warm.board import Board
from odrun.sweeps.warm.child import Order, Work
from odrun.sweeps.warm.client import Server, can_fork, start_server
from odrun.sweeps.warm.hooks import load_hook
from odrun.sweeps.warm.jobs import Jobs
from odrun.sweeps.warm.resources import gpu_variables, thread_variables, usable_cores, usable_gpus
from odrun.sweeps.warm.settings import AUTO, PLUGIN_MODULE, WarmLauncherConf
from odrun.sweeps.warm.supervision import Supervision
from odrun.sweeps.warm.trials import Trial


class WarmLauncher(Launcher):
    """Runs each trial in a fresh child of a process that has imported the modules named once.

    Trials that fail have `JobStatus.FAILED` and their exception, or a `TrialError` where they left none.
    """

    __module__ = PLUGIN_MODULE

    def __init__(self, **settings: Any) -> None:
        self._settings = WarmLauncherConf(**settings)
        self._hook = load_hook(self._settings.hook)
        self._earlier: list[Trial] = []
        self._server: Server | None = None
        self._scratch = Path()

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
            SweepStoppedError: SIGINT or SIGTERM came; the trials have been stopped.
            SettingError: there are fewer GPUs than the settings hand out.
            LaunchError: no server can be started.
        """
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        sweep = Path(str(self._config.hydra.sweep.dir)).absolute()
        sweep.mkdir(parents=True, exist_ok=True)
        board = Board(sys.stdout, common=jobs.common)
        places = gpu_variables(self._settings, usable_gpus())[: jobs.at_a_time]
        self._open(board)
        accounts = Accounts(sweep, self._earlier, hook=self._hook, board=board, is_here=True)
        supervision = Supervision(
            self._settings,
            accounts,
            [self._planned(number, list(overrides)) for number, overrides in jobs.known.items()],
            later=(self._planned(number, list(overrides)) for number, overrides in jobs.later),
            places=places,
            open_server=lambda: self._open(board),
        )
        try:
            with board:
                supervision.run()
        except BaseException:
            self.close()
            raise
        self._earlier += accounts.trials.values()
        return accounts.returned

    def close(self) -> None:
        """End the server and all that it runs; the next batch starts another."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _open(self, board: Board) -> Server:
        """The server, started if there is none or if the one there was is gone."""
        if self._server is not None and self._server.is_alive():
            return self._server
        self.close()
        if self._settings.start == AUTO and not can_fork():
            board.say("forking is not to be had here: each trial starts a new interpreter and imports for itself")
        if not self._scratch.name:
            scratch = tempfile.TemporaryDirectory(prefix="trials-", ignore_cleanup_errors=True)
            self._scratch = Path(scratch.name)
            self._kept = scratch
        server = start_server(
            self._settings.start,
            self._work,
            preload=list(self._settings.preload),
            environment=thread_variables(self._settings, usable_cores()),
            log=self._scratch / "server.log",
            grace_s=self._settings.grace_s,
        )
        weakref.finalize(self, server.close)
        self._server = server
        return server

    def _planned(self, number: int, overrides: list[str]) -> tuple[Order, Trial]:
        """What the child is told of a trial, and the trial; its directory is where Hydra will make it."""
        config = trial_config(self._work, self._config, number, overrides)
        directory = trial_directory(config)
        trial = Trial(number, tuple(filter_overrides(overrides)), directory)
        order = Order(
            number=number,
            config=pickle.dumps(config),
            environment=thread_variables(self._settings, usable_cores()),
            log=trial.log,
            result=self._scratch / f"{number}.pickle",
        )
        return order, trial


def trial_config(work: Work, config: DictConfig, number: int, overrides: list[str]) -> DictConfig:
    """The config of one trial of the sweep that `config` composes to."""
    composed = work.hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = number
        composed.hydra.job.num = number
    return composed


def trial_directory(config: DictConfig) -> Path:
    """The directory of a trial, found as `hydra.core.utils.run_job` finds it."""
    kept = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        sweep = str(OmegaConf.select(config, "hydra.sweep.dir"))
        return Path(sweep, str(OmegaConf.select(config, "hydra.sweep.subdir"))).absolute()
    finally:
        HydraConfig.instance().cfg = kept
