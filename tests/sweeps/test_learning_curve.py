from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from odrun.sweeps.learning_curve import Gain, gain_of_doubling, gain_of_steps, reading

FRACTIONS = (0.1, 0.25, 0.5, 1.0)


@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_of_an_exact_law_the_gain_is_exact(floor: float) -> None:
    errors = [floor + 0.2 * fraction**-0.5 for fraction in FRACTIONS]
    gain = gain_of_doubling(FRACTIONS, errors, now=1.0)
    assert gain is not None
    assert gain.value == pytest.approx(0.2 - 0.2 * 2**-0.5, abs=1e-4)
    assert gain.low == pytest.approx(gain.value, abs=2e-3)
    assert gain.high == pytest.approx(gain.value, abs=2e-3)
    assert gain.low <= gain.value <= gain.high


@pytest.mark.parametrize("floor", [0.0, 0.2])
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_holds_the_truth_as_often_as_it_says(floor: float, seeds: int) -> None:
    generator = np.random.default_rng(0)
    amounts = FRACTIONS * seeds
    held = 0
    for _ in range(100):
        errors = [(floor + 0.2 * amount**-0.5) * np.exp(generator.normal(0, 0.05)) for amount in amounts]
        gain = gain_of_doubling(amounts, errors, now=1.0)
        assert gain is not None
        held += gain.low <= 0.2 - 0.2 * 2**-0.5 <= gain.high
    assert 0.88 <= held / 100 <= 1.0


@given(st.lists(st.floats(1e-6, 2.0), min_size=4, max_size=4))
@example([0.3, 0.3, 0.3, 0.3])
@example([2.0, 1e-6, 1e-6, 1e-6])
def test_whatever_the_errors_the_best_guess_lies_in_a_finite_interval(errors: list[float]) -> None:
    gain = gain_of_doubling(FRACTIONS, errors, now=1.0)
    assert gain is not None
    assert -math.inf < gain.low <= gain.value <= gain.high < math.inf


def test_more_trials_make_the_interval_narrower() -> None:
    generator = np.random.default_rng(0)
    errors = [(0.1 + 0.2 * amount**-0.5) * np.exp(generator.normal(0, 0.02)) for amount in FRACTIONS * 3]
    one, three = gain_of_doubling(FRACTIONS, errors[:4], now=1.0), gain_of_doubling(FRACTIONS * 3, errors, now=1.0)
    assert one is not None
    assert three is not None
    assert three.high - three.low < (one.high - one.low) / 2


def test_a_curve_that_has_come_to_its_end_promises_little_though_it_fell_far() -> None:
    gain = gain_of_doubling(FRACTIONS, (0.9, 0.42, 0.4, 0.4), now=1.0)
    assert gain is not None
    assert gain.value < 0.01


def test_data_that_did_harm_promise_no_gain() -> None:
    gain = gain_of_doubling(FRACTIONS, (0.3, 0.31, 0.33, 0.34), now=1.0)
    assert gain is not None
    assert gain.value < 0
    assert gain.low < gain.value < gain.high


def test_without_enough_points_nothing_is_told() -> None:
    assert gain_of_doubling((0.1, 0.5, 1.0), (0.5, 0.4, 0.3), now=1.0) is None
    assert gain_of_doubling((0.5, 0.5, 1.0, 1.0), (0.4, 0.4, 0.3, 0.3), now=1.0) is None
    assert gain_of_doubling(FRACTIONS, (0.4, 0.3, 0.1, 0.0), now=1.0) is None
    assert gain_of_steps([]) is None
    assert gain_of_steps([[]]) is None


def test_of_a_training_only_the_later_half_counts() -> None:
    early = [(step, 0.9) for step in (10.0, 20.0, 40.0)]
    late = [(step, 0.5 * (step / 100) ** -0.2) for step in (50.0, 60.0, 75.0, 100.0)]
    gain = gain_of_steps([[*early, *late]])
    assert gain is not None
    assert gain.value == pytest.approx(0.5 - 0.5 * 2**-0.2, abs=1e-3)


def test_of_many_evaluations_no_more_is_made_than_of_five() -> None:
    generator = np.random.default_rng(1)
    curve = [(float(step), 0.5 * (step / 100) ** -0.2 + generator.normal(0, 0.01)) for step in range(1, 101)]
    later = [point for point in curve if point[0] in (50.0, 62.0, 75.0, 88.0, 100.0)]
    assert gain_of_steps([curve]) == gain_of_steps([later])
    assert gain_of_steps([curve, curve]) == gain_of_steps([later, later])


@pytest.mark.parametrize(
    ("data", "steps", "told"),
    [
        (Gain(0.05, 0.04, 0.06), Gain(0.01, 0.0, 0.02), "more data would help more than more steps"),
        (Gain(0.01, 0.0, 0.02), Gain(0.05, 0.04, 0.06), "more steps would help more than more data"),
        (Gain(0.01, -0.1, 0.2), Gain(0.05, 0.04, 0.06), "which would help more cannot be told"),
        (Gain(0.01, -0.1, 0.2), Gain(0.01, -0.1, 0.2), "neither is certain to help at all"),
        (None, None, "what more data would bring cannot be told"),
        (Gain(0.01, -0.1, 0.2), None, "lower eval.every"),
    ],
)
def test_the_reading_says_no_more_than_the_intervals(data: Gain | None, steps: Gain | None, told: str) -> None:
    assert any(told in line for line in reading(data, steps, objective="AP"))
