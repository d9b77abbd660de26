"""A sweep's trials, all composed and checked before the first one starts and before its directory is made.

A sweep that is gone on with has to be the one that was begun: the overrides of its trials and what they compose to are
compared with what lies in its directory.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from odrun.commands.resuming import changes
from odrun.config import jobs
from odrun.config.arguments import asks_for_multirun, key_of, touches
from odrun.config.planning import Plan
from odrun.config.trials import Trial, checked, composed_sweep, given_overrides
from odrun.errors import InputError
from odrun.report.closing import override
from odrun.runs.directory import RunDirectory
from odrun.settings import RESUME_AUTO, RESUME_NONE, Job, TrainJob
from odrun.sweeps import clusters, warm
from odrun.sweeps.grid import TARGET
from odrun.sweeps.record import SWEEP_NAME, TrialLine
from odrun.sweeps.resuming import is_held, reconciled
from odrun.sweeps.search.settings import COSTS, SearchSweeperConf, refuse_without_optuna
from odrun.sweeps.search.settings import TARGET as SEARCH
from odrun.sweeps.search.space import corners, grid, split
from odrun.tracking.agent import refuse_sweep_of_agent

CHANGES_TOLD = 8
GRIDS = (TARGET, f"{BasicSweeper.__module__}.{BasicSweeper.__name__}")
"""The sweepers that try every combination."""
_NAMING_KEY = "hydra.job.config.override_dirname.exclude_keys"
_FREE = (
    "paths",
    "sweep",
    "tracking",
    "verbose",
    "zoo",
    "train.checkpoint",
    "train.log_every",
    "train.resume",
)
"""What a sweep that is gone on with may have otherwise: no metric depends on it."""


def planned(command: str, arguments: Sequence[str]) -> Plan:
    """Refuse a sweep one of whose trials cannot run; a single run and other sweepers' trials are left to Hydra.

    Raises:
        InputError: trials cannot run; each is named with its fault. Or the sweep to go on with is another one.
        hydra.errors.HydraException, omegaconf.errors.OmegaConfBaseException: the sweep itself does not compose.
    """
    with composed_sweep(command, arguments, RunMode.MULTIRUN) as master:
        if not asks_for_multirun(arguments) and master.hydra.mode != RunMode.MULTIRUN:
            return Plan(arguments)
        refuse_sweep_of_agent(os.environ)
        named = [*arguments, *_naming(master, arguments)]
        if master.hydra.sweeper["_target_"] == SEARCH:
            _refuse_launcher(master.hydra.launcher)
            return _search(master, command, named)
        if master.hydra.sweeper["_target_"] not in GRIDS:
            return Plan(named)
        _refuse_launcher(master.hydra.launcher)
        trials = checked(master, command, _trials(master))
        folder, lines = _resumed(master, trials)
    if folder is None:
        begun = [argument for argument in named if key_of(argument) != "sweep.resume"]
        return Plan(begun, {number: trial.job for number, trial in enumerate(trials)})
    retried = bool(OmegaConf.select(master, "sweep.retry_failed", default=False))
    left = {line.number for line in lines if line.is_left or (retried and line.status == "failed")}
    places = [_argument("sweep.resume", folder), _argument("hydra.sweep.dir", folder)]
    return Plan(
        [*(argument for argument in named if key_of(argument) != "sweep.resume"), *places],
        {number: trial.job for number, trial in enumerate(trials) if number in left},
    )


def _search(master: DictConfig, command: str, arguments: list[str]) -> Plan:
    """Of a search, whose trials are not known, some that together have all the ends of what is searched."""
    refuse_without_optuna()
    settings = OmegaConf.to_object(master.hydra.sweeper)
    assert isinstance(settings, SearchSweeperConf)
    space, common = split(given_overrides(master))
    if settings.sampler == "grid":
        grid(space)
    trials = checked(master, command, [[*common, *corner] for corner in corners(space)])
    refuse_unprunable(settings, [trial.job for trial in trials])
    if OmegaConf.select(master, "sweep.retry_failed", default=False):
        raise InputError(
            "a search does not run again what failed", where="sweep.retry_failed", remedy="it looks on elsewhere"
        )
    asked = str(OmegaConf.select(master, "sweep.resume", default=RESUME_NONE))
    plan = Plan(arguments, {number: trial.job for number, trial in enumerate(trials)})
    if asked == RESUME_NONE:
        return plan
    folder = Path(asked).expanduser().absolute()
    if asked == RESUME_AUTO or not (folder / SWEEP_NAME).is_file():
        raise InputError(
            "a search is gone on with by its directory, and this is none",
            where=f"sweep.resume={asked}",
            remedy="give the directory of a search, outputs/sweeps/NAME",
        )
    return replace(plan, arguments=[*arguments, _argument("hydra.sweep.dir", folder)])


def refuse_unprunable(settings: SearchSweeperConf, given: Sequence[Job]) -> None:
    """Refuse a pruner that could never end a trial early: `given` are jobs with all ends of what is searched."""
    if settings.pruner == "none":
        return
    where = f"hydra.sweeper.pruner={settings.pruner}"
    if len(settings.objectives) > 1:
        what = f"trials are judged on the way by one objective, and there are {len(settings.objectives)}"
        raise InputError(what, where=where, remedy="give one of hydra.sweeper.objectives, or pruner=none")
    if set(settings.objectives) & set(COSTS):
        what = f"{settings.objectives[0]} is not known before a trial ends"
        raise InputError(what, where=where, remedy="take an objective that evaluations measure, or pruner=none")
    trainings = [job for job in given if isinstance(job, TrainJob)]
    if not any(job.eval.every is not None and job.eval.every < job.train.steps for job in trainings):
        what = "no trial is evaluated before its last step, so that none could be ended early"
        raise InputError(what, where=where, remedy="evaluate on the way with eval.every=STEPS, or pruner=none")


def _resumed(master: DictConfig, trials: Sequence[Trial]) -> tuple[Path | None, Sequence[TrialLine]]:
    """The sweep that `sweep.resume` asks for and its trials; without a folder, a new one is begun."""
    asked = str(OmegaConf.select(master, "sweep.resume", default=RESUME_NONE))
    if asked == RESUME_NONE:
        return None, ()
    if asked == RESUME_AUTO:
        siblings = Path(str(master.hydra.sweep.dir)).absolute().parent.glob(f"*/{SWEEP_NAME}")
        for folder in sorted((found.parent for found in siblings), reverse=True):
            lines = _left_of(folder)
            if any(line.is_left for line in lines) and not _differences(folder, lines, trials):
                return folder, lines
        return None, ()
    folder = Path(asked).expanduser().absolute()
    lines = reconciled(folder)[1]
    differences = _differences(folder, lines, trials)
    if differences:
        more = f" and {len(differences) - CHANGES_TOLD} more" if len(differences) > CHANGES_TOLD else ""
        raise InputError(
            f"this is not the sweep that was begun: {'; '.join(differences[:CHANGES_TOLD])}{more}",
            where=f"sweep.resume={asked}",
            remedy="give what the sweep was given, or begin a new one without sweep.resume",
        )
    return folder, lines


def _left_of(folder: Path) -> Sequence[TrialLine]:
    """The trials of a sweep that nobody is at work on; none of one that cannot be gone on with."""
    try:
        return () if is_held(folder) else reconciled(folder)[1]
    except InputError:
        return ()


def _differences(folder: Path, lines: Sequence[TrialLine], trials: Sequence[Trial]) -> list[str]:
    """What the sweep in the folder has otherwise than these trials, each once."""
    if len(lines) != len(trials):
        return [f"{len(lines)} trials -> {len(trials)}"]
    found: dict[str, list[int]] = {}
    for line, trial in zip(lines, trials, strict=True):
        before, now = _meant(line.overrides), _meant(trial.overrides)
        differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        told = [f"{before.get(key, f'{key} not given')} -> {now.get(key, 'not given')}" for key in differing]
        run = RunDirectory(folder / line.dir)
        if not told and line.dir and run.config.is_file():
            told = changes(run, trial.text, free=_FREE)
        for each in told:
            found.setdefault(each, []).append(line.number)
    return [
        each if len(numbers) == len(trials) else f"trial {', '.join(map(str, numbers))}: {each}"
        for each, numbers in found.items()
    ]


def _argument(key: str, folder: Path) -> str:
    """`key=folder` as Hydra reads it."""
    return shlex.split(override(key, str(folder)))[0]


def _meant(overrides: Sequence[str]) -> dict[str, str]:
    """The overrides that count, by their keys."""
    return {
        key_of(text): text
        for text in overrides
        if not any(key_of(text) == free or key_of(text).startswith(f"{free}.") for free in _FREE)
    }


def _naming(master: DictConfig, arguments: Sequence[str]) -> list[str]:
    """The argument by which only what differs between trials gets into the names of their directories."""
    if any(touches(argument, _NAMING_KEY) for argument in arguments):
        return []
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    given = parser.parse_overrides(list(jobs.texts(master.hydra.overrides.task)))
    common = [f'"{each.key_or_group}"' for each in given if not each.is_sweep_override()]
    return [f"{_NAMING_KEY}=[{','.join(dict.fromkeys(common))}]"]


def _refuse_launcher(launcher: DictConfig) -> None:
    """Refuse settings of the warm launcher that are out of their limits, and clusters that are not to be had."""
    clusters.refuse_unusable(launcher)
    if launcher["_target_"] == warm.TARGET:
        try:
            OmegaConf.to_object(launcher)
        except warm.SettingError as error:
            raise InputError(str(error), where=f"hydra.launcher.{error.key}") from error


def _trials(master: DictConfig) -> list[list[str]]:
    """The overrides of each trial, in the order in which Hydra's basic sweeper runs them."""
    return [trial for batch in BasicSweeper.split_arguments(given_overrides(master), None) for trial in batch]
