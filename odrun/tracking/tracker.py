"""Who is told: the `Tracker` protocol, the one that does nothing, and several in one.

A tracker can never stop or fail a run: each translates its foreign errors into `TrackingError` at its own border, and
`Trackers` switches off one that raises it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from odrun.errors import OdrunError

_logger = logging.getLogger("odrun.tracking")


class TrackingError(OdrunError):
    """A tracker cannot go on; the run can."""


@dataclass(frozen=True)
class PictureBox:
    """A box on a picture, in pixels of that picture; `score` (0 to 1) is `None` for the ground truth."""

    xmin_px: float
    ymin_px: float
    xmax_px: float
    ymax_px: float
    label_id: int
    score: float | None = None

    def __post_init__(self) -> None:
        if not (self.xmin_px <= self.xmax_px and self.ymin_px <= self.ymax_px):
            raise ValueError(f"the box is inverted or not a number: {self}")
        if self.label_id < 1:
            raise ValueError(f"label_id is {self.label_id}; ids start at 1")


@dataclass(frozen=True)
class Picture:
    """An image with its boxes, for whoever draws the boxes itself, and the file with them drawn for the others."""

    name: str
    image: Path
    drawn: Path
    class_names: Mapping[int, str]
    ground_truth: tuple[PictureBox, ...]
    predictions: tuple[PictureBox, ...]

    def __post_init__(self) -> None:
        unnamed = sorted({box.label_id for box in (*self.ground_truth, *self.predictions)} - set(self.class_names))
        if unnamed:
            raise ValueError(f"picture {self.name}: no class name for label ids {unnamed}")


class Tracker(Protocol):
    """Is told how a run goes. Every method may raise `TrackingError`, and nothing else, for faults of the outside."""

    @property
    def name(self) -> str:
        """What to call it in a message, such as `W&B`."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Values at `step`, which never goes back; the same step may be told in several calls."""

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        """Pictures of the model's state at `step`."""

    def summary(self, values: Mapping[str, float]) -> None:
        """What the run comes to."""

    def close(self, status: str) -> None:
        """The run ended: `completed`, `stopped_early`, `interrupted` or `failed`."""


class NullTracker:
    """The tracker that does nothing."""

    name = "none"

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        """Nothing."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Nothing."""

    def close(self, status: str) -> None:
        """Nothing."""


class Trackers:
    """Several trackers in one; one that raises `TrackingError` is told nothing more, and the reason is logged once.

    `report` is called with the sentence that says so, for the terminal.
    """

    name = "all"

    def __init__(self, trackers: Sequence[Tracker], *, report: Callable[[str], None]) -> None:
        self._trackers = list(trackers)
        self._report = report

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Pass values at `step` on."""
        self._tell(lambda tracker: tracker.metrics(step, values))

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        """Pass pictures on."""
        self._tell(lambda tracker: tracker.pictures(step, pictures))

    def summary(self, values: Mapping[str, float]) -> None:
        """Pass the run's result on."""
        self._tell(lambda tracker: tracker.summary(values))

    def close(self, status: str) -> None:
        """Close all; later calls do nothing."""
        self._tell(lambda tracker: tracker.close(status))
        self._trackers.clear()

    def _tell(self, call: Callable[[Tracker], None]) -> None:
        self._trackers = [tracker for tracker in self._trackers if self._told(tracker, call)]

    def _told(self, tracker: Tracker, call: Callable[[Tracker], None]) -> bool:
        try:
            call(tracker)
        except TrackingError as error:
            _logger.warning("%s is switched off: %s", tracker.name, error)
            self._report(f"{tracker.name} is switched off, the run goes on: {error.what}")
            return False
        return True
