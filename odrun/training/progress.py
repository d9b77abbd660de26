"""How one metric goes over the evaluations of a training: the best value, and how long there has been no gain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Progress:
    """`min_delta` is by how much a value has to be better to count as a gain; what is best counts without it."""

    higher_is_better: bool
    min_delta: float = 0.0
    best_step: int | None = field(default=None, init=False)
    best_value: float = field(default=math.nan, init=False)
    evaluations_without_gain: int = field(default=0, init=False)
    _reference: float = field(default=math.nan, init=False)

    def note(self, step: int, value: float) -> bool:
        """Note the value after `step`; whether it is the best so far. No number is best only as the first value."""
        if self._gain(value, self._reference) > self.min_delta:
            self._reference = value
            self.evaluations_without_gain = 0
        else:
            self.evaluations_without_gain += 1
        is_best = self.best_step is None or self._gain(value, self.best_value) > 0
        if is_best:
            self.best_step, self.best_value = step, value
        return is_best

    def _gain(self, value: float, before: float) -> float:
        if math.isnan(value):
            return -math.inf
        if math.isnan(before):
            return math.inf
        return value - before if self.higher_is_better else before - value
