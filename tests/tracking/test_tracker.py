"""A tracker that fails is switched off, told of once, and costs nobody else a thing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from odrun.tracking.tracker import NullTracker, Picture, PictureBox, Tracker, Trackers, TrackingError

BOX = PictureBox(xmin_px=1, ymin_px=2, xmax_px=30, ymax_px=40, label_id=1)


class Recorder:
    """Remembers what it is told; raises `error` from the call number `fails_at` on."""

    name = "recorder"

    def __init__(self, *, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.told: list[object] = []
        self._fails_at = fails_at
        self._error = TrackingError("planted", where="here") if error is None else error

    def _tell(self, *what: object) -> None:
        self.told.append(what)
        if self._fails_at is not None and len(self.told) >= self._fails_at:
            raise self._error

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self._tell("metrics", step, dict(values))

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        self._tell("pictures", step, len(pictures))

    def summary(self, values: Mapping[str, float]) -> None:
        self._tell("summary", dict(values))

    def close(self, status: str) -> None:
        self._tell("close", status)


ALL_TOLD = [
    ("metrics", 1, {"a": 1.0}),
    ("pictures", 1, 0),
    ("summary", {"AP": 0.5}),
    ("close", "completed"),
]


def tell_all(tracker: Tracker) -> None:
    tracker.metrics(1, {"a": 1.0})
    tracker.pictures(1, ())
    tracker.summary({"AP": 0.5})
    tracker.close("completed")


def test_everyone_is_told_everything_in_order() -> None:
    first, second = Recorder(), Recorder()
    tell_all(Trackers([first, NullTracker(), second], report=pytest.fail))
    assert (first.told, second.told) == (ALL_TOLD, ALL_TOLD)


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_a_failing_tracker_is_left_out_from_then_on(fails_at: int, caplog: pytest.LogCaptureFixture) -> None:
    failing, other, reported = Recorder(fails_at=fails_at), Recorder(), []
    with caplog.at_level(logging.WARNING, logger="odrun.tracking"):
        tell_all(Trackers([failing, other], report=reported.append))
    assert (failing.told, other.told) == (ALL_TOLD[:fails_at], ALL_TOLD)
    assert reported == ["recorder is switched off, the run goes on: planted"]
    assert caplog.messages == ["recorder is switched off: planted\n  where:  here"]


def test_a_programming_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        tell_all(Trackers([Recorder(fails_at=1, error=ZeroDivisionError())], report=pytest.fail))


def test_after_closing_nobody_is_told_more() -> None:
    recorder = Recorder()
    trackers = Trackers([recorder], report=pytest.fail)
    trackers.close("completed")
    tell_all(trackers)
    assert recorder.told == [("close", "completed")]


@pytest.mark.parametrize("change", [{"xmax_px": 0.0}, {"ymin_px": float("nan")}, {"label_id": 0}])
def test_a_box_that_cannot_be_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"inverted|ids start at 1"):
        PictureBox(**{**BOX.__dict__, **change})


def test_a_picture_needs_a_name_for_each_class_in_it() -> None:
    with pytest.raises(ValueError, match=r"picture a: no class name for label ids \[1\]"):
        Picture("a", Path("a.jpg"), Path("b.jpg"), {2: "two"}, (BOX,), ())
