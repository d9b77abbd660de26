from __future__ import annotations

import io
from pathlib import Path

import pytest

from odrun.sweeps.warm.board import ROWS_MAX, Board, duration
from odrun.sweeps.warm.hooks import Progress
from odrun.sweeps.warm.trials import Trial


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def trial(number: int, **facts: object) -> Trial:
    return Trial(number, (f"a={number}",), Path("sweep", str(number)), **facts)  # type: ignore[arg-type]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen()


def test_away_from_a_terminal_each_event_is_a_line() -> None:
    stream = io.StringIO()
    with Board(stream) as board:
        board.started(trial(0))
        board.show([trial(0)], {})
        board.ended(trial(0, status="completed", started=10.0, ended=75.0), Progress(5, 5, "AP", 0.5))
        board.ended(trial(1, status="failed", started=1.0, ended=2.0, reason="no data\n  where: here"), Progress())
    assert stream.getvalue().splitlines() == [
        "trial 0 started: a=0",
        "trial 0 completed after 1:05 min, step 5, AP 0.5: a=0",
        "trial 1 failed after 1 s: a=1",
        "  no data",
        "    where: here",
        f"  what it printed: {Path('sweep', '1', 'output.log')}",
    ]


def test_a_trial_is_named_by_what_it_does_not_share_with_all() -> None:
    stream = io.StringIO()
    with Board(stream, common={"b=1"}) as board:
        board.started(Trial(0, ("a=0", "b=1"), Path("0")))
        board.started(Trial(1, ("b=1",), Path("1")))
    assert stream.getvalue().splitlines() == ["trial 0 started: a=0", "trial 1 started: no overrides"]


def test_on_a_terminal_a_table_has_state_step_metric_and_time_left(screen: Screen) -> None:
    with Board(screen, clock=lambda: 130.0) as board:
        board.started(trial(0))
        trials = [trial(0, status="running", started=100.0), trial(1)]
        board.show(trials, {0: Progress(10, 40, "AP", 0.25)})
        rows = [line.split() for line in screen.getvalue().splitlines()]
    assert any(row[-7:] == ["a=0", "\x1b[36mrunning\x1b[0m", "10/40", "AP", "0.25", "1:30", "min"] for row in rows)
    assert "1 running, 1 pending" in screen.getvalue()
    assert "started" not in screen.getvalue()


def test_of_many_trials_those_that_run_and_their_neighbours_are_in_the_table(screen: Screen) -> None:
    trials = [
        trial(number, status="completed" if number < 50 else "running" if number < 52 else "pending")
        for number in range(100)
    ]
    with Board(screen) as board:
        board.show(trials, {})
        shown = [number for number in range(100) if f"a={number} " in screen.getvalue()]
    assert len(shown) == ROWS_MAX
    assert {50, 51} <= set(shown)
    assert shown == list(range(shown[0], shown[-1] + 1))


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (59, "59 s"), (185, "3:05 min"), (3599.6, "1:00:00 h"), (7385, "2:03:05 h")]
)
def test_seconds_are_told_as_people_say_them(seconds: float, told: str) -> None:
    assert duration(seconds) == told
