"""metrics.jsonl holds each step once, ascending, and survives whatever happens to a run."""

from __future__ import annotations

import json
import math
from itertools import count
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.tracking.jsonl import JsonlTracker, read_metrics
from odrun.tracking.tracker import TrackingError


def tracker(path: Path, *, resumed_at: int = 0, first_time: float = 100.0) -> JsonlTracker:
    times = count(first_time)
    return JsonlTracker(path, resumed_at=resumed_at, clock=lambda: float(next(times)))


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "metrics.jsonl"


def test_a_line_is_on_disk_as_soon_as_it_is_told(path: Path) -> None:
    told = tracker(path)
    told.metrics(1, {"train/loss/total": 2.5})
    assert path.read_text() == '{"step": 1, "time": 100.0, "train/loss/total": 2.5}\n'


def test_calls_for_one_step_are_one_line_with_the_time_of_the_first(path: Path) -> None:
    told = tracker(path)
    told.metrics(1, {"a": 1.0})
    told.metrics(2, {"a": 2.0, "b": 1.25})
    told.metrics(2, {"b": 2, "eval/AP": 0.5})
    told.metrics(3, {"a": 3.0})
    assert lines(path) == [
        {"step": 1, "time": 100.0, "a": 1.0},
        {"step": 2, "time": 101.0, "a": 2.0, "b": 2.0, "eval/AP": 0.5},
        {"step": 3, "time": 102.0, "a": 3.0},
    ]


def test_a_merged_line_that_became_shorter_leaves_no_rest(path: Path) -> None:
    told = tracker(path)
    told.metrics(1, {"a": 0.123456789012345})
    told.metrics(1, {"a": 1.0})
    assert lines(path) == [{"step": 1, "time": 100.0, "a": 1.0}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_null(path: Path, value: float) -> None:
    tracker(path).metrics(1, {"a": value})
    assert lines(path) == [{"step": 1, "time": 100.0, "a": None}]


def test_pictures_summary_and_closing_add_nothing(path: Path) -> None:
    told = tracker(path)
    told.metrics(1, {})
    told.pictures(1, ())
    told.summary({"AP": 1.0})
    told.close("completed")
    assert lines(path) == [{"step": 1, "time": 100.0}]


def test_going_back_is_refused_and_writes_nothing(path: Path) -> None:
    told = tracker(path)
    told.metrics(5, {})
    with pytest.raises(ValueError, match="step 4 after step 5"):
        told.metrics(4, {})
    assert lines(path) == [{"step": 5, "time": 100.0}]


@pytest.mark.parametrize("key", ["step", "time"])
def test_the_lines_own_keys_are_refused(path: Path, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        tracker(path).metrics(1, {key: 1.0})


@pytest.mark.parametrize(
    "tail",
    [
        '{"step": 30, "time": 1.0, "a": 0.5',
        '{"step": 30, "time": 1.0}',
        '{"step": 30, "ti\n',
        '{"step": 20, "time": 1.0}\n',
        '{"time": 1.0}\n',
        "[]\n",
        "\x00\x00\n",
    ],
    ids=["torn", "no line end", "torn line", "step again", "no step", "no object", "zeros"],
)
def test_a_bad_tail_is_cut_on_resume_and_left_out_by_readers(path: Path, tail: str) -> None:
    path.parent.mkdir()
    good = '{"step": 10, "time": 1.0}\n{"step": 20, "time": 2.0, "a": 1.5}\n'
    path.write_text(good + tail)
    assert read_metrics(path) == [{"step": 10, "time": 1.0}, {"step": 20, "time": 2.0, "a": 1.5}]
    tracker(path, resumed_at=100)
    assert path.read_text() == good


def test_lines_after_the_step_of_the_resume_are_cut_and_written_anew(path: Path) -> None:
    first = tracker(path)
    for step in (1, 10, 20, 30):
        first.metrics(step, {"a": float(step)})
    second = tracker(path, resumed_at=20, first_time=500.0)
    second.metrics(20, {"eval/AP": 0.5})
    second.metrics(30, {"a": 31.0})
    assert lines(path) == [
        {"step": 1, "time": 100.0, "a": 1.0},
        {"step": 10, "time": 101.0, "a": 10.0},
        {"step": 20, "time": 102.0, "a": 20.0, "eval/AP": 0.5},
        {"step": 30, "time": 500.0, "a": 31.0},
    ]


def test_a_new_run_starts_with_an_empty_file(path: Path) -> None:
    tracker(path).metrics(1, {})
    tracker(path)
    assert path.read_bytes() == b""


def test_a_place_that_cannot_be_written_is_a_tracking_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot be written") as caught:
        JsonlTracker(tmp_path / "file" / "metrics.jsonl")
    assert caught.value.where == str(tmp_path / "file" / "metrics.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_while_writing_is_a_tracking_error(path: Path) -> None:
    told = tracker(path)
    told._file.close()
    with (
        Path("/dev/full").open("r+b", buffering=0) as told._file,
        pytest.raises(TrackingError, match="No space left"),
    ):
        told.metrics(1, {"a": 1.0})


def test_reading_an_absent_file_names_it(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_metrics(path)
    assert caught.value.where == str(path)
