from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from odrun.annotations.found import FoundBoxes
from odrun.commands import evaluating
from odrun.commands.course import Course
from odrun.commands.evaluating import Evaluations
from odrun.evaluation.detections import Evaluated
from odrun.evaluation.records import TrueImage
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Best
from odrun.settings import METRIC_KEYS, EvalSettings
from odrun.tracking.tracker import NullTracker
from odrun.training.loop import Control, StepReport
from odrun.training.progress import Progress

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

    def evaluate(self) -> Evaluated:
        offset_px = next(self._offsets_px, None)
        if offset_px is None:
            raise RuntimeError("planted")
        count = int(self._trainer.averaged and not math.isnan(offset_px))
        found = FoundBoxes(
            (BOX + offset_px)[:count], np.array([0.9], np.float32)[:count], np.array([2], np.int32)[:count]
        )
        losses = {"Loss/total_loss": offset_px, "Loss/classification_loss": 0.0}
        return Evaluated(tuple((truth, found) for truth in self.truths()), losses)

    def truths(self) -> list[TrueImage]:
        return [TrueImage(image_id, 640, 640, BOX, np.array([2]), np.array([False])) for image_id in (1, 2)]


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
    patience: int | None = None,
    announce: Callable[[str], None] = lambda fact: None,
    listeners: tuple[Callable[[int, Mapping[str, float]], None], ...] = (),
) -> Evaluations:
    trainer = Averaging()
    settings = EvalSettings(every=every, batch_size=1, metric=metric, pictures=0)
    return Evaluations(
        settings,
        trainer=trainer,
        detector=ShiftedDetector(trainer, offsets_px),
        classes={1: "disc", 2: "square"},
        checkpoints=BestSteps(),
        directory=RunDirectory(path),
        course=Course(RunDirectory(path)),
        tracker=Memory(),
        announce=announce,
        progress=Progress(settings.higher_is_better),
        patience=patience,
        listeners=listeners,
    )


def run(evaluations: Evaluations, steps: int, *, first: int = 1) -> Control:
    control = Control()
    for step in range(first, steps + 1):
        evaluations.after_step(StepReport(step, steps, {}, control))
        if control.reason is not None:
            break
    return control


@pytest.mark.parametrize(("every", "evaluated"), [(3, [3, 6, 7]), (7, [7]), (None, [7]), (100, [7])])
def test_every_nth_step_and_the_last_are_evaluated(every: int | None, evaluated: list[int], tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL] * len(evaluated), every=every)

    run(subject, 7)

    assert [step for step, _ in subject.tracker.told] == evaluated
    assert sorted(int(folder.name) for folder in (tmp_path / "eval").iterdir()) == evaluated
    assert subject.last_step == 7


def test_a_step_that_was_made_the_last_one_is_evaluated(tmp_path: Path) -> None:
    subject, control = evaluations(tmp_path, [IDEAL]), Control()
    control.stop("enough")

    subject.after_step(StepReport(3, 100, {}, control))

    assert subject.last_step == 3


def test_the_metrics_file_holds_the_twelve_of_coco_with_no_number_changed(tmp_path: Path) -> None:
    values = evaluations(tmp_path, [IDEAL]).evaluate(40)

    metrics = json.loads((tmp_path / "eval" / "40" / "metrics.json").read_text())
    assert list(metrics) == list(METRIC_KEYS)
    assert metrics == {key: values[key] for key in METRIC_KEYS}
    expected = dict.fromkeys(METRIC_KEYS, 1.0) | dict.fromkeys(("AP_small", "AP_medium", "AR_small", "AR_medium"), -1.0)
    assert metrics == pytest.approx(expected)


def test_the_detections_are_in_the_coco_results_format(tmp_path: Path) -> None:
    evaluations(tmp_path, [SHIFTED]).evaluate(40)

    assert json.loads((tmp_path / "eval" / "40" / "detections.json").read_text()) == [
        {"image_id": image_id, "category_id": 2, "bbox": [30.0, 40.0, 100.0, 100.0], "score": 0.9}
        for image_id in (1, 2)
    ]


def test_tracker_and_listeners_are_told_metrics_and_losses_of_the_step_under_eval(tmp_path: Path) -> None:
    told: list[tuple[int, Mapping[str, float]]] = []
    subject = evaluations(tmp_path, [SHIFTED], listeners=(lambda step, metrics: told.append((step, metrics)),))

    values = subject.evaluate(40)

    assert set(values) == {*METRIC_KEYS, "loss/total", "loss/classification"}
    assert told == subject.tracker.told == [(40, {f"eval/{key}": value for key, value in values.items()})]


def test_a_model_that_finds_nothing_is_scored_zero_and_its_detections_are_an_empty_list(tmp_path: Path) -> None:
    values = evaluations(tmp_path, [NOTHING]).evaluate(40)

    assert (values["AP"], values["AR_100"]) == (0.0, 0.0)
    assert (tmp_path / "eval" / "40" / "detections.json").read_text() == "[]\n"


def test_a_better_evaluation_becomes_the_best_and_a_worse_or_equal_one_does_not(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [MISSED, SHIFTED, IDEAL, SHIFTED, IDEAL], every=10)

    run(subject, 50)

    assert subject.checkpoints.saved == [10, 20, 30]
    assert subject.course.best == Best(step=30, metric="AP", value=pytest.approx(1.0))
    assert subject.course.metrics is not None
    assert subject.course.metrics["AP50"] == pytest.approx(1.0)
    assert subject.last_step == 50


def test_the_best_is_chosen_by_the_metric_that_the_settings_name(tmp_path: Path) -> None:
    """A box that is shifted by a tenth of its side (IoU 0.68) counts for AP50 and not for AP75."""
    by_ap75 = evaluations(tmp_path / "ap75", [MISSED, SHIFTED], every=1, metric="AP75")
    by_ap50 = evaluations(tmp_path / "ap50", [MISSED, SHIFTED], every=1, metric="AP50")

    run(by_ap75, 2)
    run(by_ap50, 2)

    assert (by_ap75.course.best, by_ap75.checkpoints.saved) == (Best(step=1, metric="AP75", value=0.0), [1])
    assert (by_ap50.course.best, by_ap50.checkpoints.saved) == (Best(2, "AP50", pytest.approx(1.0)), [1, 2])


def test_of_a_loss_the_lowest_is_the_best(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [MISSED, SHIFTED, MISSED], every=1, metric="loss/total")

    run(subject, 3)

    assert subject.checkpoints.saved == [1, 2]
    assert subject.course.best == Best(2, "loss/total", SHIFTED)


def test_evaluations_without_a_gain_end_training_and_say_so(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [MISSED, SHIFTED, SHIFTED, MISSED, IDEAL], every=10, patience=2)

    control = run(subject, 50)

    assert subject.last_step == 40
    assert control.reason is not None
    assert "AP has not become better in 2 evaluations" in control.reason
    assert "at step 20" in control.reason


def test_a_resumed_run_knows_its_best_and_its_patience(tmp_path: Path) -> None:
    offsets = [SHIFTED, MISSED, MISSED, IDEAL]
    whole, cut = (evaluations(tmp_path / name, offsets, every=10, patience=2) for name in ("whole", "cut"))
    run(whole, 40)
    rows = [{"step": step, **values} for step, values in whole.tracker.told]
    resumed = evaluations(tmp_path / "cut", offsets[2:], every=10, patience=2)

    run(cut, 20)
    resumed.resume(rows[:2])
    control = run(resumed, 40, first=21)

    assert (resumed.last_step, resumed.course.best) == (whole.last_step, whole.course.best) == (30, whole.course.best)
    assert resumed.course.metrics == whole.course.metrics
    assert resumed.checkpoints.saved == []
    assert control.reason is not None


def test_an_evaluation_that_a_killed_run_has_not_come_to_is_caught_up_with(tmp_path: Path) -> None:
    rows = [{"step": 10, "eval/AP": 0.5}, {"step": 20, "train/loss/total": 1.0}]
    subject, done = (evaluations(tmp_path / name, [IDEAL], every=10) for name in ("one", "other"))
    subject.resume(rows)
    done.resume([*rows[:1], {"step": 20, "eval/AP": 0.6}])

    subject.catch_up(20, Control(), is_last=False)
    done.catch_up(20, Control(), is_last=False)

    assert (subject.last_step, subject.checkpoints.saved) == (20, [20])
    assert (done.last_step, done.checkpoints.saved) == (20, [])


def test_a_run_killed_when_its_patience_was_over_stops_at_once(tmp_path: Path) -> None:
    subject, control = evaluations(tmp_path, [], every=10, patience=1), Control()
    subject.resume([{"step": 10, "eval/AP": 0.5}, {"step": 20, "eval/AP": 0.4}])

    subject.catch_up(20, control, is_last=False)

    assert control.reason is not None


def test_the_averaged_weights_are_evaluated_and_gone_afterwards(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL])

    assert subject.evaluate(1)["AP"] == pytest.approx(1.0)
    assert not subject.trainer.averaged


def test_an_evaluation_that_fails_leaves_no_files_no_best_and_no_averaged_weights(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [])

    with pytest.raises(RuntimeError, match="planted"):
        subject.evaluate(1)

    assert list(tmp_path.iterdir()) == []
    assert (subject.course.best, subject.checkpoints.saved, subject.trainer.averaged) == (None, [], False)


def test_one_sentence_is_said_of_each_evaluation(tmp_path: Path) -> None:
    announced: list[str] = []

    run(evaluations(tmp_path, [MISSED, IDEAL], every=5, announce=announced.append), 10)

    assert announced == ["step 5: AP 0.000, AP50 0.000, loss 500", "step 10: AP 1.000, AP50 1.000, loss 0"]


def test_the_ap_of_each_class_is_that_of_the_best_evaluation(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL, MISSED], every=1)

    run(subject, 2)

    assert subject.class_ap() == {"disc": -1.0, "square": pytest.approx(1.0)}


def test_the_ap_of_each_class_is_scored_again_only_where_another_process_has_scored_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, scored = evaluations(tmp_path, [IDEAL], every=1), []
    run(first, 1)
    published = evaluating.score
    monkeypatch.setattr(evaluating, "score", lambda *given, **named: scored.append(1) or published(*given, **named))
    resumed = evaluations(tmp_path, [], every=1)
    resumed.resume([{"step": 1, "eval/AP": 1.0}])

    assert first.class_ap() == {"disc": -1.0, "square": pytest.approx(1.0)}
    assert scored == []
    assert resumed.class_ap() == first.class_ap()
    assert scored == [1]


def test_the_seconds_of_all_evaluations_add_up(tmp_path: Path) -> None:
    subject = evaluations(tmp_path, [IDEAL])
    subject.course.add_seconds("eval_s", 100.0)

    subject.evaluate(1)

    seconds = subject.course.summary(error="none yet").timings.eval_s
    assert seconds is not None
    assert 100 < seconds < 200
