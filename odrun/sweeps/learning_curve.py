"""More data or more steps: what doubling either would bring, read from trainings on parts of the data.

The error of a model falls with the number of images as a power law down to a floor that no data gets below, and so,
near the end of a training, with its steps: error = floor + a * amount ** -b (Hestness et al. 2017,
https://arxiv.org/abs/1712.00409). It is fitted by least squares of relative errors, with a floor of
0 or more. The interval, 95 %, is that of the profile: every gain which fits, with the floor and the exponent that suit
it best, not significantly worse than the best one (Bates and Watts 1988, Nonlinear Regression Analysis
and Its Applications, chapter 6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import f as fisher

POINTS_MIN = 4
"""The law has three numbers to find; fewer points leave nothing to judge the fit by."""
CONFIDENCE = 0.95
_LATER_PART, _LATER_POINTS = 0.5, 5
_EXPONENTS = tuple(map(float, np.geomspace(0.01, 4.0, 200)))
"""From a curve that is almost a straight line over the logarithm to one that has come to its end."""


@dataclass(frozen=True)
class Gain:
    """How much the objective gets better if something is doubled: the best guess, and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def gain_of_doubling(amounts: Sequence[float], errors: Sequence[float], *, now: float) -> Gain | None:
    """What twice the amount of `now` takes off the error, by the law through the points.

    `None` with fewer than `POINTS_MIN` points, with fewer than three amounts, or where an error is 0 or less.
    """
    if len(amounts) < POINTS_MIN or len(set(amounts)) < 3 or min(errors) <= 0 or min(amounts) <= 0:
        return None
    x, y = np.asarray(amounts, float), np.asarray(errors, float)
    rough = [_Fit.of(x / now, y, exponent) for exponent in _EXPONENTS]
    place = min(range(len(rough)), key=lambda place: rough[place].misfit)
    around = np.geomspace(_EXPONENTS[max(place - 1, 0)], _EXPONENTS[min(place + 1, len(rough) - 1)], 100)
    fits = [*rough, *(_Fit.of(x / now, y, float(exponent)) for exponent in around)]
    best = min(fits, key=lambda fit: fit.misfit)
    freedom = len(amounts) - 3
    limit = best.misfit * (1.0 + float(fisher.ppf(CONFIDENCE, 1, freedom)) / freedom)
    value = best.factor * best.share
    reached = [value, *(factor * fit.share for fit in fits for factor in fit.factors_within(limit))]
    return Gain(value, min(reached), max(reached))


def gain_of_steps(curves: Sequence[Sequence[tuple[float, float]]]) -> Gain | None:
    """What twice the steps take off the error, from the later half of trainings' (step, error) points.

    Evaluations that follow each other are alike, and many of them would look surer than they are: of each training
    `_LATER_POINTS` are taken, evenly. With that many, and a correlation of 0.5 from one to the next, the interval holds
    the truth in 92 % of simulated trainings; with all of ten in 81 %.
    """
    points = [point for curve in curves for point in _later(curve)]
    last = max((step for step, _ in points), default=0.0)
    return gain_of_doubling([step for step, _ in points], [error for _, error in points], now=last)


def reading(data: Gain | None, steps: Gain | None, *, objective: str) -> list[str]:
    """What the two gains say, as sentences."""
    if data is None:
        return [
            f"what more data would bring cannot be told: it takes {POINTS_MIN} or more trials that end with a value of "
            f"{objective}, of 3 or more fractions, and none without any error"
        ]
    lines = [f"twice the data would improve {objective} by {data}, 95 % interval"]
    if steps is None:
        return [
            *lines,
            f"what more steps would bring cannot be told: fewer than {POINTS_MIN} evaluations in the later half; "
            "lower eval.every",
        ]
    lines.append(f"twice the steps would improve {objective} by {steps}, if the end of its curve went on so")
    if data.low > steps.high:
        lines.append("more data would help more than more steps")
    elif steps.low > data.high:
        lines.append("more steps would help more than more data")
    else:
        lines.append(
            "which would help more cannot be told: the intervals overlap; add train.seed=0,1,2 for narrower ones"
        )
    if data.low <= 0 and steps.low <= 0:
        lines.append("neither is certain to help at all")
    return lines


def _later(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    last = max((step for step, _ in curve), default=0.0)
    later = sorted(point for point in curve if point[0] >= last * _LATER_PART)
    if len(later) <= _LATER_POINTS:
        return later
    return [later[round(place * (len(later) - 1) / (_LATER_POINTS - 1))] for place in range(_LATER_POINTS)]


@dataclass(frozen=True)
class _Fit:
    """The law with one exponent: error = floor + factor * amount ** -exponent, the floor 0 or more.

    What is left of the squares is a parabola over the factor: `free` up to `turn`, with the floor that suits best, and
    `bound` from there on, where that would be below 0 and the floor stays 0.
    """

    exponent: float
    free: tuple[float, float, float]
    bound: tuple[float, float, float]
    turn: float

    @classmethod
    def of(cls, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], exponent: float) -> _Fit:
        """The fit to errors `y` at amounts `x`."""
        q, weights = x**-exponent, 1.0 / y**2
        total = float(weights.sum())
        mean_q, mean_y = float(weights @ q) / total, float(weights @ y) / total
        return cls(exponent, _parabola(weights, q - mean_q, y - mean_y), _parabola(weights, q, y), mean_y / mean_q)

    @property
    def share(self) -> float:
        """The share of the factor that the doubling of an amount of 1 takes off the error."""
        return float(1.0 - 2.0**-self.exponent)

    @property
    def factor(self) -> float:
        """The best factor."""
        return self.free[0] if self.free[0] <= self.turn else max(self.bound[0], self.turn)

    @property
    def misfit(self) -> float:
        """What the best factor leaves."""
        lowest, misfit, bend = self.free if self.factor < self.turn else self.bound
        return misfit + bend * (self.factor - lowest) ** 2

    def factors_within(self, limit: float) -> list[float]:
        """The ends of the ranges of factors that leave no more than `limit`."""
        found: list[float] = []
        for (lowest, misfit, bend), low, high in ((self.free, -math.inf, self.turn), (self.bound, self.turn, math.inf)):
            if misfit <= limit:
                reach = math.sqrt((limit - misfit) / bend)
                ends = max(low, lowest - reach), min(high, lowest + reach)
                found += ends if ends[0] <= ends[1] else ()
        return found


def _parabola(
    weights: npt.NDArray[np.float64], q: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """Of the weighted sum of squares of y - factor * q: the factor at its lowest, its value there, its bend."""
    bend = float(weights @ q**2)
    lowest = float(weights @ (q * y)) / bend
    return lowest, float(weights @ (y - lowest * q) ** 2), bend
