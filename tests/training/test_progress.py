from __future__ import annotations

import math

import pytest

from odrun.training.progress import Progress


def noted(progress: Progress, *values: float) -> list[bool]:
    return [progress.note(step, value) for step, value in enumerate(values, start=1)]


def test_the_best_is_the_highest_or_the_lowest_and_the_first_of_equals() -> None:
    highest, lowest = Progress(True), Progress(False)

    assert noted(highest, 0.1, 0.3, 0.3, 0.2, 0.4) == [True, True, False, False, True]
    assert noted(lowest, 5.0, 3.0, 3.0, 4.0, 2.0) == [True, True, False, False, True]
    assert (highest.best_step, highest.best_value) == (5, 0.4)


@pytest.mark.parametrize("values", [(math.nan, 0.1, math.nan), (math.nan, -1.0, math.nan)])
def test_no_number_is_the_best_only_until_there_is_one(values: tuple[float, ...]) -> None:
    assert noted(Progress(True), *values) == [True, True, False]


def test_a_gain_has_to_exceed_the_least_difference_over_what_was_last_a_gain() -> None:
    progress = Progress(True, min_delta=0.1)
    without = []
    for step, value in enumerate((0.5, 0.58, 0.61, 0.62, 0.70)):
        progress.note(step, value)
        without.append(progress.evaluations_without_gain)

    assert without == [0, 1, 0, 1, 2]
    assert progress.best_value == 0.70
