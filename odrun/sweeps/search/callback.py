"""The callback by which a trial of a search is ended early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from odrun.runs.summary import PRUNING
from odrun.sweeps.search.pruning import Reports
from odrun.training.callbacks import Callback, Training
from odrun.training.loop import Control


class Pruning(Callback):
    """After each evaluation but the last tells the search of trial `number` in `folder`, and ends where it says so."""

    def __init__(self, *, folder: str, number: int, objective: str) -> None:
        self._reports = Reports(Path(folder), number)
        self._objective = objective
        self._control = Control()
        self._steps = 0

    def on_start(self, training: Training) -> None:
        """Note how the training is ended, and when it ends by itself."""
        self._control, self._steps = training.control, training.steps

    def after_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Report the objective."""
        value = metrics.get(f"eval/{self._objective}")
        if step >= self._steps or value is None or not math.isfinite(value):
            return
        if self._reports.should_end(step, value):
            told = f"{self._objective} {value:.3f} promises less than what the search has seen (hydra.sweeper.pruner)"
            self._control.stop(told, by=PRUNING)
