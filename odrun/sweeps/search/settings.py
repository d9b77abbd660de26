"""What can be set of the search, as `hydra.sweeper.NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional

from odrun.errors import InputError, nearest
from odrun.settings import METRIC_KEYS, VALIDATION_LOSS

PLUGIN_MODULE = "hydra_plugins.odrun_search"
TARGET = f"{PLUGIN_MODULE}.SearchSweeper"
SAMPLERS = ("tpe", "random", "grid", "sobol")
PRUNERS = ("none", "median", "hyperband")
PRUNER_KEY = "hydra.sweeper.pruner"
CALLBACK = "odrun.sweeps.search.callback.Pruning"
JOURNAL_NAME = "study.journal"
COSTS = ("latency_ms", "size_mb", "total_s")
"""What a trial costs, beside what it is worth; the lowest is the best."""


@dataclass
class SearchSweeperConf:
    """A search ends after `n_trials` or `minutes`, whichever comes first; null is no limit.

    `n_jobs` trials run at a time; null stands for as many as the launcher runs at a time. `minutes` count from the
    beginning of the search, also if it is gone on with; trials that run when they are over are not ended.
    `objectives` are names of COCO metrics and validation losses, or of `latency_ms`, `size_mb` and `total_s`; none
    stands for `eval.metric`. With a `pruner` a trial whose evaluations promise little is ended early, not before step
    `warmup_steps`. `params` maps keys to sweeps in Hydra's override grammar, as on the command line.
    """

    _target_: str = TARGET
    sampler: str = "tpe"
    n_trials: Optional[int] = 20  # noqa: UP045 - OmegaConf 2.3 on Python 3.10
    minutes: Optional[float] = None  # noqa: UP045
    n_jobs: Optional[int] = None  # noqa: UP045
    seed: int = 0
    objectives: list[str] = field(default_factory=list)
    pruner: str = "none"
    warmup_steps: int = 0
    params: Optional[dict[str, str]] = None  # noqa: UP045

    def __post_init__(self) -> None:
        _check(self.sampler in SAMPLERS, "sampler", self.sampler, nearest(self.sampler, SAMPLERS))
        _check(self.pruner in PRUNERS, "pruner", self.pruner, nearest(self.pruner, PRUNERS))
        _check(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "0 or more")
        _check(self.n_trials is None or self.n_trials >= 1, "n_trials", self.n_trials, "null or 1 or more")
        _check(self.minutes is None or self.minutes > 0, "minutes", self.minutes, "null or above 0")
        _check(self.n_trials is not None or self.minutes is not None, "n_trials", None, "give it, or minutes")
        _check(self.n_jobs is None or self.n_jobs >= 1, "n_jobs", self.n_jobs, "null or 1 or more")
        for name in self.objectives:
            known = name in (*METRIC_KEYS, *COSTS) or name.startswith(VALIDATION_LOSS)
            _check(known, "objectives", name, nearest(name, (*METRIC_KEYS, *COSTS, f"{VALIDATION_LOSS}total")))


def callbacks_of(sweeper: Mapping[str, Any], folder: Path, number: int, metric: str) -> dict[str, Mapping[str, Any]]:
    """What a trial of the sweep in `folder` is to call back beside its own, by `hydra.sweeper`; `metric` is its own."""
    if sweeper["_target_"] != TARGET or sweeper["pruner"] == "none":
        return {}
    objective = next(iter(sweeper["objectives"]), metric)
    return {PRUNER_KEY: {"_target_": CALLBACK, "folder": str(folder), "number": number, "objective": objective}}


def is_maximized(objective: str) -> bool:
    """Whether the highest value of the objective is the best."""
    return objective not in COSTS and not objective.startswith(VALIDATION_LOSS)


def refuse_without_optuna() -> None:
    """Raise `InputError` if Optuna is not installed."""
    if find_spec("optuna") is None:
        raise InputError(
            "the package optuna is not installed, and this sweeper needs it",
            where="hydra/sweeper=search",
            remedy="pip install 'odrun[optuna]'",
        )


def _check(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise InputError(f"{name} is {value!r}", where=f"hydra.sweeper.{name}", remedy=wanted)
