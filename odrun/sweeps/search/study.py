"""The memory of a search: an Optuna study in `study.journal` beside `sweep.json`, which optuna-dashboard can show.

A trial has the same number in both. One that was asked for and has no line yet, as the search was killed, is run again.
"""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from odrun.errors import InputError
from odrun.sweeps.search.journal import name_in, open_journal
from odrun.sweeps.search.pruning import RULE, PruningRule
from odrun.sweeps.search.space import GRID_MAX, Choice, Dimension, grid

_TOLD, _SPENT_S = "space", "spent_s"


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
        pruning: PruningRule,
    ) -> None:
        self._space = dict(space)
        self._distributions = {key: _distribution(dimension) for key, dimension in space.items()}
        self.limit = size_of_grid(space) if sampler == "grid" else None
        storage = open_journal(folder)
        name = name_in(storage)
        asked = 0 if name is None else len(storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False))
        self._study = optuna.create_study(
            storage=storage,
            study_name=folder.name if name is None else name,
            sampler=_sampler(sampler, seed, asked),
            pruner=pruning.made(),
            directions=["maximize" if up else "minimize" for up in maximized],
            load_if_exists=True,
        )
        told = {"objectives": list(objectives), "sampler": sampler, "pruner": pruning.pruner}
        told |= {key: str(dimension) for key, dimension in space.items()}
        before = self._study.user_attrs.get(_TOLD)
        if before is None:
            self._study.set_user_attr(_TOLD, told)
            if sampler == "grid":
                self._enqueue(grid(space))
        elif before != told:
            changed = [key for key in {**before, **told} if before.get(key) != told.get(key)]
            raise InputError(
                f"the search that was begun here has other values: {', '.join(changed)}",
                where=str(folder),
                remedy="give what the search was given, or begin a new one without sweep.resume",
            )
        self._study.set_user_attr(RULE, asdict(pruning))
        self._spent_before_s = float(self._study.user_attrs.get(_SPENT_S, 0.0))
        self._since = time.monotonic()

    @property
    def spent_s(self) -> float:
        """Seconds that the search has gone on, those before it was gone on with included."""
        return self._spent_before_s + time.monotonic() - self._since

    def ask(self) -> tuple[int, list[str]]:
        """A new trial: its number and the overrides to try."""
        trial = self._study.ask(self._distributions)
        return trial.number, self._overrides(trial.params)

    def untold(self) -> dict[int, list[str]]:
        """The trials that were asked for and of which nothing has been told, by number."""
        found = self._study.get_trials(states=(TrialState.RUNNING,))
        return {trial.number: self._overrides(trial.params) for trial in found}

    def tell(self, number: int, values: Sequence[float] | None, *, is_pruned: bool = False) -> None:
        """What came of a trial: its values of the objectives, `None` if it failed; or that it was ended early."""
        if is_pruned:
            self._study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
        elif values is None:
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self._study.tell(number, list(values), skip_if_finished=True)
        self._study.set_user_attr(_SPENT_S, self.spent_s)

    @property
    def count(self) -> int:
        """How many trials have been asked for."""
        return sum(trial.state != TrialState.WAITING for trial in self._study.get_trials(deepcopy=False))

    def _enqueue(self, values: Mapping[str, Sequence[str | int | float]]) -> None:
        """Have the points of a grid asked for in order; Optuna's own sampler for grids needs its loop."""
        for point in itertools.product(*values.values()):
            self._study.enqueue_trial(dict(zip(values, point, strict=True)))

    def _overrides(self, parameters: Mapping[str, object]) -> list[str]:
        return [f"{key}={self._space[key].text(value)}" for key, value in parameters.items()]


def _sampler(name: str, seed: int, asked: int) -> BaseSampler:
    """The sampler of a study of which so many trials have been asked for: what it drew before is not drawn again."""
    if name in ("random", "grid"):
        return RandomSampler(seed=seed + asked)
    if name == "sobol":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return QMCSampler(
                # Its place in the sequence is in the study; a seed scrambles the sequence, and has to stay.
                seed=seed,
                scramble=True,
                independent_sampler=RandomSampler(seed=seed + asked),
                warn_asynchronous_seeding=False,
                warn_independent_sampling=False,
            )
    # Trials that run at a time are not to be alike.
    return TPESampler(seed=seed + asked, constant_liar=True)


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
