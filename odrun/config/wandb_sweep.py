"""`odrun wandb-sweep OVERRIDES`: a sweep, given as to `odrun train -m`, becomes the YAML that `wandb sweep` takes.

It is composed and checked as a search is before its first trial; nothing is run, and neither W&B nor Optuna is asked.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence

import yaml
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from odrun.config import composition, resolvers, schemas
from odrun.config.arguments import flags_in, key_of, overrides_in, refuse_unreadable_flags, shows, touches
from odrun.config.sweep import GRIDS, refuse_unprunable
from odrun.config.trials import checked, composed_sweep, given_overrides
from odrun.errors import InputError
from odrun.settings import TrainJob
from odrun.sweeps.search import wandb_sweep as words
from odrun.sweeps.search.settings import TARGET as SEARCH
from odrun.sweeps.search.settings import SearchSweeperConf
from odrun.sweeps.search.space import GRID_MAX, Dimension, corners, grid, split
from odrun.tracking.wandb_access import refuse_silence

_COMMAND = "train"
_OF_THE_SWEEP = ("hydra/sweeper", "hydra.sweeper", "hydra/launcher", "hydra.launcher", "hydra.mode", "hydra.sweep")
_WIDTH = 10_000
"""No line of the YAML is broken."""
_HELP = """\
usage: odrun wandb-sweep [-m] [--config-dir DIR] [group=option ...] [key=value ...] > sweep.yaml

A sweep, given as to odrun train -m, as the YAML of a Weights & Biases sweep. Then:

  wandb sweep sweep.yaml          registers it, and prints its id
  wandb agent ENTITY/PROJECT/ID   runs trials of it, on as many machines as you like

  odrun wandb-sweep sweep=tune hydra.sweeper.pruner=hyperband hydra.sweeper.n_trials=50 > sweep.yaml
"""


def main(arguments: Sequence[str]) -> int:
    """Print the YAML of the sweep that the arguments mean; 0.

    Raises:
        InputError: the arguments compose to no sweep, to one whose trials cannot run, or to one W&B has no words for.
    """
    if any(argument in ("-h", "--help") for argument in arguments):
        sys.stdout.write(_HELP)
        return 0
    schemas.register(_COMMAND)
    resolvers.register()
    refuse_unreadable_flags(_COMMAND, arguments)
    if shows(arguments):
        raise InputError("this shows the sweep already", where=" ".join(arguments), remedy="odrun train --cfg job ...")
    try:
        text = _text(arguments)
    except composition.REFUSALS as error:
        raise composition.explain(error, _COMMAND, arguments) from error
    except ValueError as error:
        if not composition.raised_by_hydra(error):
            raise
        raise composition.explain(error, _COMMAND, arguments) from error
    sys.stdout.write(text)
    return 0


def _text(arguments: Sequence[str]) -> str:
    resuming = [argument for argument in overrides_in(arguments) if key_of(argument).startswith("sweep.")]
    if resuming:
        raise InputError("a sweep of W&B is gone on with by its agents", where=" ".join(resuming))
    with composed_sweep(_COMMAND, arguments, RunMode.MULTIRUN) as master:
        space, common = split(given_overrides(master))
        settings = _settings(master, space)
        trials = checked(master, _COMMAND, [[*common, *corner] for corner in corners(space)])
        parameters = words.parameters(space)
    jobs = [trial.job for trial in trials if isinstance(trial.job, TrainJob)]
    refuse_unprunable(settings, jobs)
    wandb = jobs[0].tracking.wandb
    refuse_silence(wandb.mode, {})
    every = min(job.eval.every or job.train.steps for job in jobs)
    config = {
        "program": "odrun",
        "method": words.method(settings.sampler),
        "project": wandb.project,
        "entity": wandb.entity,
        "metric": words.metric(settings.objectives or [jobs[0].eval.metric]),
        "run_cap": settings.n_trials,
        "early_terminate": words.early_terminate(settings.pruner, warmup_steps=settings.warmup_steps, every=every),
        "command": ["odrun", _COMMAND, *_fixed(master, arguments, common), words.ARGUMENTS],
        "parameters": parameters,
    }
    said = {key: value for key, value in config.items() if value is not None}
    asked = " ".join(shlex.join(["odrun", "wandb-sweep", *arguments]).split())
    return f"# {asked}\n{yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=_WIDTH)}"


def _settings(master: DictConfig, space: Mapping[str, Dimension]) -> SearchSweeperConf:
    """Of a search its own settings, of a grid those of the search that tries every combination."""
    target = master.hydra.sweeper["_target_"]
    if target == SEARCH:
        settings = OmegaConf.to_object(master.hydra.sweeper)
        assert isinstance(settings, SearchSweeperConf)
    elif target in GRIDS:
        settings = SearchSweeperConf(sampler="grid", n_trials=math.prod(map(len, grid(space).values())))
    else:
        raise InputError(
            f"W&B has no words for the sweeper {target}",
            where="hydra/sweeper",
            remedy="hydra/sweeper=search or hydra/sweeper=grid",
        )
    _refuse_meaningless(settings)
    if settings.sampler == "grid":
        size = math.prod(map(len, grid(space).values()))
        if size > GRID_MAX:
            raise InputError(f"the grid has {size} points", remedy="hydra/sweeper=search hydra.sweeper.sampler=tpe")
    return settings


def _refuse_meaningless(settings: SearchSweeperConf) -> None:
    """Refuse what is set of the search and W&B has no place for."""
    reasons = {
        "minutes": (settings.minutes, None, "has no limit of time: set minutes=null and n_trials=N"),
        "n_jobs": (settings.n_jobs, None, "has as many trials at a time as agents: start so many, and set n_jobs=null"),
        "seed": (settings.seed, SearchSweeperConf().seed, "draws by a seed of its own: leave this one out"),
    }
    for name, (value, unset, reason) in reasons.items():
        if value != unset:
            what, _, remedy = reason.partition(": ")
            raise InputError(f"a sweep of W&B {what}", where=f"hydra.sweeper.{name}={value}", remedy=remedy)


def _fixed(master: DictConfig, arguments: Sequence[str], common: Sequence[str]) -> list[str]:
    """The arguments that every trial has; what is set of the sweep itself is none of a trial's."""
    hydras = [argument for argument in overrides_in(arguments) if key_of(argument).startswith("hydra")]
    kept = [argument for argument in hydras if not any(touches(argument, key) for key in _OF_THE_SWEEP)]
    # The file that says what is swept may say more, so trials have it, too; it alone must not make them sweeps.
    single = ["hydra.mode=RUN"] if master.hydra.mode == RunMode.MULTIRUN else []
    return [*flags_in(arguments), *common, *kept, *single]
