"""More data or more steps: what doubling either would bring, read from trainings on parts of the data.

The error of a model falls with the number of images as a power law, error = a * images ** -b, over wide ranges
(Hestness et al. 2017, https://arxiv.org/abs/1712.00409, section 3), and near the end of a training it falls so with its
steps. Both are fitted as straight lines through the logarithms by least squares; the intervals are Student's for the
slope, 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

POINTS_MIN = 3
"""Fewer points have a line through them and no interval."""
CONFIDENCE = 0.95
_LATER_PART = 0.5


@dataclass(frozen=True)
class Gain:
    """How much the objective gets better if something is doubled: the best guess, and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def gain_of_doubling(amounts: Sequence[float], errors: Sequence[float], *, now: float) -> Gain | None:
    """What twice the amount of `now` takes off the error, by the power law through the points.

    `None` with fewer than `POINTS_MIN` points, with one amount alone, or where an error is 0 or less.
    """
    if len(amounts) < POINTS_MIN or len(set(amounts)) < 2 or min(errors) <= 0 or min(amounts) <= 0:
        return None
    x, y = np.log(np.asarray(amounts, float)), np.log(np.asarray(errors, float))
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    level = float(y.mean()) + slope * (math.log(now) - float(x.mean()))
    residuals = y - y.mean() - slope * centred
    freedom = len(amounts) - 2
    deviation = math.sqrt(float(residuals @ residuals) / freedom / spread)
    reach = float(student.ppf(0.5 + CONFIDENCE / 2, freedom)) * deviation
    error_now = math.exp(level)

    def gain(of_slope: float) -> float:
        return error_now * (1.0 - math.exp(of_slope * math.log(2.0)))

    return Gain(gain(slope), gain(slope + reach), gain(slope - reach))


def gain_of_steps(curve: Sequence[tuple[float, float]]) -> Gain | None:
    """What twice the steps take off the error, from the later half of a training's (step, error) points."""
    if not curve:
        return None
    last = max(step for step, _ in curve)
    later = [(step, error) for step, error in curve if step >= last * _LATER_PART]
    return gain_of_doubling([step for step, _ in later], [error for _, error in later], now=last)


def reading(data: Gain | None, steps: Gain | None, *, objective: str) -> list[str]:
    """What the two gains say, as sentences."""
    if data is None:
        return [f"too few trials to tell what more data would bring: {POINTS_MIN} or more have to end with {objective}"]
    lines = [f"twice the data would bring {data} {objective}, 95 % interval"]
    if steps is None:
        return [
            *lines,
            "what more steps would bring cannot be told: fewer than 3 evaluations in the later half; lower eval.every",
        ]
    lines.append(f"twice the steps would bring {steps} {objective}, if its rise at the end went on")
    if data.low > steps.high:
        lines.append("more data would help more than more steps")
    elif steps.low > data.high:
        lines.append("more steps would help more than more data")
    else:
        lines.append("which would help more cannot be told: the intervals overlap; repeat with train.seed=0,1,2")
    if data.low <= 0 and (steps.low <= 0):
        lines.append("neither is certain to help at all")
    return lines
