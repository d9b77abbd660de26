from __future__ import annotations

import numpy as np
import pytest

from odrun.sweeps.learning_curve import Gain, gain_of_doubling, gain_of_steps, reading

FRACTIONS = (0.1, 0.25, 0.5, 1.0)


def test_of_an_exact_power_law_the_gain_is_exact() -> None:
    errors = [0.4 * fraction**-0.5 for fraction in FRACTIONS]
    gain = gain_of_doubling(FRACTIONS, errors, now=1.0)
    assert gain is not None
    assert gain.value == pytest.approx(0.4 - 0.4 * 2**-0.5)
    assert (gain.low, gain.high) == (pytest.approx(gain.value), pytest.approx(gain.value))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    truth = 0.4 - 0.4 * 2**-0.3
    held = 0
    for _ in range(1000):
        errors = [0.4 * fraction**-0.3 * np.exp(generator.normal(0, 0.05)) for fraction in FRACTIONS]
        gain = gain_of_doubling(FRACTIONS, errors, now=1.0)
        assert gain is not None
        # The interval is one of the slope: the level is taken as fitted.
        held += gain.low <= truth <= gain.high
    assert 900 <= held <= 980


def test_without_enough_points_nothing_is_told() -> None:
    assert gain_of_doubling((0.5, 1.0), (0.4, 0.3), now=1.0) is None
    assert gain_of_doubling((1.0, 1.0, 1.0), (0.4, 0.3, 0.3), now=1.0) is None
    assert gain_of_doubling(FRACTIONS, (0.4, 0.3, 0.1, 0.0), now=1.0) is None
    assert gain_of_steps([]) is None


def test_of_a_training_only_the_later_half_counts() -> None:
    early = [(step, 0.9) for step in (10.0, 20.0, 40.0)]
    late = [(step, 0.5 * (step / 100) ** -0.2) for step in (50.0, 75.0, 100.0)]
    gain = gain_of_steps([*early, *late])
    assert gain is not None
    assert gain.value == pytest.approx(0.5 - 0.5 * 2**-0.2)


@pytest.mark.parametrize(
    ("data", "steps", "told"),
    [
        (Gain(0.05, 0.04, 0.06), Gain(0.01, 0.0, 0.02), "more data would help more than more steps"),
        (Gain(0.01, 0.0, 0.02), Gain(0.05, 0.04, 0.06), "more steps would help more than more data"),
        (Gain(0.01, -0.1, 0.2), Gain(0.05, 0.04, 0.06), "which would help more cannot be told"),
        (Gain(0.01, -0.1, 0.2), Gain(0.01, -0.1, 0.2), "neither is certain to help at all"),
        (None, None, "too few trials to tell what more data would bring"),
        (Gain(0.01, -0.1, 0.2), None, "lower eval.every"),
    ],
)
def test_the_reading_says_no_more_than_the_intervals(data: Gain | None, steps: Gain | None, told: str) -> None:
    assert any(told in line for line in reading(data, steps, objective="AP"))
