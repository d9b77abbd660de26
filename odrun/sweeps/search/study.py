"""The memory of a search: an Optuna study in `study.journal` beside `sweep.json`, which optuna-dashboard can show.

A trial has the same number in both. One that was asked for and has no line yet, as the search was killed, is run again.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from odrun.errors import InputError
from odrun.sweeps.search.space import GRID_MAX, Choice, Dimension, grid

JOURNAL_NAME = "study.journal"
_SPACE = "space"


class Study:
    """The study of the search in a folder, begun or gone on with; `maximized` says of each objective which way is up.

    Raises:
        InputError: the study there is of another space or of other objectives; or the space has no grid.
    """

    def __init__(
        self,
        folder: Path,
        space: Mapping[str, Dimension],
        *,
        sampler: str,
        seed: int,
        objectives: Sequence[str],
        maximized: Sequence[bool],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = {key: _distribution(dimension) for key, dimension in space.items()}
        self.limit = size_of_grid(space) if sampler == "grid" else None
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL_NAME))),
            study_name=folder.name,
            sampler=_sampler(sampler, seed),
            directions=["maximize" if up else "minimize" for up in maximized],
            load_if_exists=True,
        )
        told = {"objectives": list(objectives), "sampler": sampler}
        told |= {key: str(dimension) for key, dimension in space.items()}
        before = self._study.user_attrs.get(_SPACE)
        if before is None:
            self._study.set_user_attr(_SPACE, told)
            if sampler == "grid":
                self._enqueue(grid(space))
        elif before != told:
            changed = [key for key in {**before, **told} if before.get(key) != told.get(key)]
            raise InputError(
                f"the search that was begun here has other values: {', '.join(changed)}",
                where=str(folder),
                remedy="give what the search was given, or begin a new one without sweep.resume",
            )

    def ask(self) -> tuple[int, list[str]]:
        """A new trial: its number and the overrides to try."""
        trial = self._study.ask(self._distributions)
        return trial.number, _overrides(trial.params)

    def untold(self) -> dict[int, list[str]]:
        """The trials that were asked for and of which nothing has been told, by number."""
        found = self._study.get_trials(states=(TrialState.RUNNING,))
        return {trial.number: _overrides(trial.params) for trial in found}

    def tell(self, number: int, values: Sequence[float] | None) -> None:
        """What came of a trial; `None` if it failed."""
        if values is None:
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self._study.tell(number, list(values), skip_if_finished=True)

    @property
    def count(self) -> int:
        """How many trials have been asked for."""
        return sum(trial.state != TrialState.WAITING for trial in self._study.get_trials(deepcopy=False))

    def _enqueue(self, values: Mapping[str, Sequence[str | int | float]]) -> None:
        """Have the points of a grid asked for in order; Optuna's own sampler for grids needs its loop."""
        for point in itertools.product(*values.values()):
            self._study.enqueue_trial(dict(zip(values, point, strict=True)))


def _sampler(name: str, seed: int) -> BaseSampler:
    if name in ("random", "grid"):
        return RandomSampler(seed=seed)
    if name == "sobol":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return QMCSampler(
                seed=seed, scramble=True, warn_asynchronous_seeding=False, warn_independent_sampling=False
            )
    # Trials that run at a time are not to be alike.
    return TPESampler(seed=seed, constant_liar=True)


def size_of_grid(space: Mapping[str, Dimension]) -> int:
    """How many points the grid of the space has; `InputError` if it has none, or too many."""
    size = math.prod(map(len, grid(space).values()))
    if size > GRID_MAX:
        raise InputError(f"the grid has {size} points", where="hydra.sweeper.sampler=grid", remedy="take sampler=tpe")
    return size


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.texts)
    if dimension.is_whole:
        step = 1 if dimension.step is None else int(dimension.step)
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.is_log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.is_log, step=dimension.step)


def _overrides(parameters: Mapping[str, object]) -> list[str]:
    return [f"{key}={value if isinstance(value, str) else repr(value)}" for key, value in parameters.items()]
