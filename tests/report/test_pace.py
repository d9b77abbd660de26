"""The time left leaves the slow first step out, and durations read as people say them."""

from __future__ import annotations

import pytest

from odrun.report.pace import Pace, duration


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (252, "4:12"), (3599.6, "1:00:00"), (3852, "1:04:12")],
)
def test_a_duration_is_short_and_exact_to_the_second(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_first_step_does_not_count_for_the_time_left() -> None:
    clock = Clock()
    pace = Pace(11, 0, clock=clock)
    clock.now += 20.0
    assert (pace.reach(1), pace.left()) == (True, "")
    clock.now += 2.0
    assert (pace.reach(2), pace.left()) == (False, "18 s left")
    clock.now += 8.0
    pace.reach(6)
    assert (pace.left(), pace.elapsed()) == ("10 s left", 30.0)
    pace.reach(11)
    assert pace.left() == ""


def test_a_resumed_loop_counts_from_where_it_goes_on() -> None:
    clock = Clock()
    pace = Pace(100, 90, clock=clock)
    pace.reach(91)
    clock.now += 1.0
    pace.reach(92)
    assert (pace.share, pace.left()) == (0.92, "8 s left")


def test_an_empty_loop_is_done() -> None:
    assert Pace(0, 0, clock=Clock()).share == 1.0
