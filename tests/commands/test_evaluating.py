from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from odrun.annotations.found import FoundBoxes
from odrun.commands.evaluating import Evaluations
from odrun.evaluation.detections import EvaluatedImage
from odrun.evaluation.records import TrueImage
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Best
from odrun.settings import METRIC_KEYS, EvalSettings
from odrun.tracking.tracker import NullTracker
from odrun.training.loop import StepReport

BOX = np.array([[20.0, 30.0, 120.0, 130.0]])
IDEAL, SHIFTED, MISSED = 0.0, 10.0, 500.0
NOTHING = math.nan


class Averaging:
    """Knows whether the averaged weights are in use."""

    averaged = False

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        self.averaged = True
        try:
            yield
        finally:
            self.averaged = False


class ShiftedDetector:
    """Finds the square of image 1 and of image 2, as far off as `offsets_px` says for each evaluation, and then fails.

    It finds nothing without the averaged weights, and for an offset of `NOTHING`.
    """

    def __init__(self, trainer: Averaging, offsets_px: list[float]) -> None:
        self._trainer = trainer
        self._offsets_px = iter(offsets_px)

    def detect(self) -> Iterator[EvaluatedImage]:
        offset_px = next(self._offsets_px, None)
        if offset_px is None:
            raise RuntimeError("planted")
        for image_id in (1, 2):
            count = int(self._trainer.averaged and not math.isnan(offset_px))
            truth = TrueImage(image_id, 640, 640, BOX, np.array([2]), np.array([False]))
            found = FoundBoxes(
                (BOX + offset_px)[:count], np.array([0.9], np.float32)[:count], np.array([2], np.int32)[:count]
            )
            yield EvaluatedImage(truth, found, np.zeros((640, 640, 3), np.uint8))


class BestSteps:
    """Remembers the steps that it was told to save as the best."""

    def __init__(self) -> None:
        self.saved: list[int] = []

    def save_best(self, step: int) -> None:
        self.saved.append(step)


class Memory(NullTracker):
    """Remembers the metrics that it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Mapping[str, float]]] = []

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append((step, values))


def evaluations(
    path: Path,
    offsets_px: list[float],
    *,
    every: int | None = None,
    metric: str = "AP",
    announce: Callable[[str], None] = lambda fact: None,
) -> Evaluations:
    trainer = Averaging()
    return Evaluations(
        EvalSettings(every=every, batch_size=1, metric=metric, pictures=0),
        trainer=trainer,
        detector=ShiftedDetector(trainer, offsets_px),
        classes={1: "disc", 2: "square"},
        checkpoints=BestSteps(),
        directory=RunDirectory(path),
        tracker=Memory(),
        announce=announce,
    )


def run(evaluations: Evaluations, steps: int) -> None:
    for step in range(1, steps + 1):
        evaluations.after_step(StepReport(step, steps, {}))


@pytest.mark.parametrize(("every", "evaluated"), [(3, [3, 6, 7]), (7, [7]), (None, [7]), (100, [7])])
def test_every_nth_step_and_the_last_are_evaluated(every: int | None, evaluated: list[int], tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL] * len(evaluated), every=every)

    run(subject, 7)

    assert [step for step, _ in subject.tracker.told] == evaluated
    assert sorted(int(folder.name) for folder in (tmp_path / "eval").iterdir()) == evaluated
    assert subject.last_step == 7


def test_the_metrics_are_the_twelve_of_coco_with_no_number_changed(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL])

    scores = subject.evaluate(40)

    metrics = json.loads((tmp_path / "eval" / "40" / "metrics.json").read_text())
    assert list(metrics) == list(METRIC_KEYS)
    assert metrics == scores.metrics
    expected = dict.fromkeys(METRIC_KEYS, 1.0) | dict.fromkeys(("AP_small", "AP_medium", "AR_small", "AR_medium"), -1.0)
    assert metrics == pytest.approx(expected)


def test_the_detections_are_in_the_coco_results_format(tmp_path: Path) -> None:
    evaluations(tmp_path, [SHIFTED]).evaluate(40)

    assert json.loads((tmp_path / "eval" / "40" / "detections.json").read_text()) == [
        {"image_id": image_id, "category_id": 2, "bbox": [30.0, 40.0, 100.0, 100.0], "score": 0.9}
        for image_id in (1, 2)
    ]


def test_the_tracker_is_told_the_metrics_of_the_step_under_eval(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [SHIFTED])

    scores = subject.evaluate(40)

    assert subject.tracker.told == [(40, {f"eval/{key}": scores.metrics[key] for key in METRIC_KEYS})]


def test_a_model_that_finds_nothing_is_scored_zero_and_its_detections_are_an_empty_list(tmp_path: Path) -> None:
    scores = evaluations(tmp_path, [NOTHING]).evaluate(40)

    assert (scores.metrics["AP"], scores.metrics["AR_100"]) == (0.0, 0.0)
    assert (tmp_path / "eval" / "40" / "detections.json").read_text() == "[]\n"


def test_a_better_evaluation_becomes_the_best_and_a_worse_or_equal_one_does_not(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [MISSED, SHIFTED, IDEAL, SHIFTED, IDEAL], every=10)

    run(subject, 50)

    assert subject.checkpoints.saved == [10, 20, 30]
    assert subject.best is not None
    assert subject.best.best == Best(step=30, metric="AP", value=pytest.approx(1.0))
    assert subject.best.scores.metrics["AP50"] == pytest.approx(1.0)
    assert subject.last_step == 50


def test_the_best_is_chosen_by_the_metric_that_the_settings_name(tmp_path: Path) -> None:
    """A box that is shifted by a tenth of its side (IoU 0.68) counts for AP50 and not for AP75."""
    by_ap75 = evaluations(tmp_path / "ap75", [MISSED, SHIFTED], every=1, metric="AP75")
    by_ap50 = evaluations(tmp_path / "ap50", [MISSED, SHIFTED], every=1, metric="AP50")

    run(by_ap75, 2)
    run(by_ap50, 2)

    assert (by_ap75.best.best, by_ap75.checkpoints.saved) == (Best(step=1, metric="AP75", value=0.0), [1])
    assert (by_ap50.best.best, by_ap50.checkpoints.saved) == (Best(2, "AP50", pytest.approx(1.0)), [1, 2])


def test_the_averaged_weights_are_evaluated_and_gone_afterwards(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL])

    assert subject.evaluate(1).metrics["AP"] == pytest.approx(1.0)
    assert not subject.trainer.averaged


def test_an_evaluation_that_fails_leaves_no_files_no_best_and_no_averaged_weights(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [])

    with pytest.raises(RuntimeError, match="planted"):
        subject.evaluate(1)

    assert list(tmp_path.iterdir()) == []
    assert (subject.best, subject.checkpoints.saved, subject.trainer.averaged) == (None, [], False)


def test_one_sentence_is_said_of_each_evaluation(tmp_path: Path) -> None:
    announced: list[str] = []

    run(evaluations(tmp_path, [MISSED, IDEAL], every=5, announce=announced.append), 10)

    assert announced == ["step 5: AP 0.000, AP50 0.000", "step 10: AP 1.000, AP50 1.000"]


def test_the_seconds_of_all_evaluations_add_up(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL])
    subject.seconds = 100.0

    subject.evaluate(1)

    assert 100 < subject.seconds < 200
