"""Which trials of a search are ended early: what they report on the way, and by what they are judged.

Trials are processes of their own, on other machines too; what their evaluations find they write to the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner

from odrun.errors import InputError
from odrun.sweeps.search.journal import name_in, open_journal
from odrun.sweeps.search.settings import JOURNAL_NAME

RULE = "pruning"
"""Under this name the rule is kept in the study."""
HYPERBAND_REDUCTION = 3
"""One of so many trials goes on at each halving: eta of Li et al., Hyperband, JMLR 18 (2018)."""


@dataclass(frozen=True)
class PruningRule:
    """When a trial is ended early: `pruner` is none, median or hyperband, and none ends before step `warmup_steps`.

    `every` is the number of steps between evaluations, `longest` that of the longest training there can be.
    """

    pruner: str
    warmup_steps: int
    every: int
    longest: int

    def made(self) -> BasePruner:
        """Optuna's pruner."""
        if self.pruner == "median":
            return MedianPruner(n_warmup_steps=self.warmup_steps)
        if self.pruner == "hyperband":
            least = max(self.every, self.warmup_steps)
            return HyperbandPruner(
                min_resource=least, max_resource=max(least, self.longest), reduction_factor=HYPERBAND_REDUCTION
            )
        return NopPruner()


class Reports:
    """What one trial tells the study in a folder while it runs, from its own process.

    Raises:
        InputError: there is no such trial.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._storage = open_journal(folder)
        name = name_in(self._storage)
        if name is None:
            raise InputError(f"the folder holds no search ({JOURNAL_NAME} is empty or absent)", where=str(folder))
        self._study = optuna.load_study(study_name=name, storage=self._storage)
        self._pruner = PruningRule(**self._study.user_attrs[RULE]).made()
        study_id = self._storage.get_study_id_from_name(name)
        self._trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def should_end(self, step: int, value: float) -> bool:
        """Tell the value of the objective after a step; whether the trial is to be ended, judged by all others."""
        self._storage.set_trial_intermediate_value(self._trial_id, step, value)
        return self._pruner.prune(self._study, self._storage.get_trial(self._trial_id))
