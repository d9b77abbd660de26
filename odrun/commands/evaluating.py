"""Evaluation on the way and at the end of a training: scores, records them, keeps the best, may end the training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from odrun.annotations.found import CocoDetection, coco_detections
from odrun.commands.course import Course
from odrun.evaluation.coco import MASK_AP, Scores, score, score_masks
from odrun.evaluation.detections import RecordDetector
from odrun.evaluation.keypoints import KEYPOINT_AP, KeypointScores
from odrun.evaluation.records import TrueImage
from odrun.runs.directory import RunDirectory
from odrun.runs.files import write_whole
from odrun.runs.summary import EARLY_STOPPING, Best
from odrun.settings import METRIC_KEYS, EvalSettings
from odrun.tracking.jsonl import MetricsRow
from odrun.tracking.tracker import Tracker
from odrun.training.checkpoints import Checkpoints
from odrun.training.loop import Control, StepReport, loss_metrics
from odrun.training.progress import Progress
from odrun.training.step import Trainer

PREFIX = "eval/"


@dataclass
class Evaluations:
    """Evaluates after the steps that `eval.every` names and after the last one.

    Each evaluation writes `eval/<step>/`, tells the tracker and `listeners`, notes the best in `course`, and saves the
    checkpoint if it is the best so far. After `patience` evaluations without a gain training is asked to stop.
    `announce` gets one sentence per evaluation.
    """

    settings: EvalSettings
    trainer: Trainer
    detector: RecordDetector
    classes: Mapping[int, str]
    checkpoints: Checkpoints
    directory: RunDirectory
    course: Course
    tracker: Tracker
    announce: Callable[[str], None]
    progress: Progress
    keypoints: KeypointScores = field(default_factory=KeypointScores)
    patience: int | None = None
    listeners: Sequence[Callable[[int, Mapping[str, float]], None]] = ()
    last_step: int = field(default=0, init=False)
    _class_aps: dict[int, Mapping[str, float]] = field(default_factory=dict, init=False)
    """Of the best evaluation, by its step, if it was in this process."""

    def resume(self, rows: Sequence[MetricsRow]) -> None:
        """Go on from the evaluations that `rows` of metrics.jsonl tell of."""
        for row in rows:
            value = row.get(PREFIX + self.settings.metric)
            if value is not None and (step := row["step"]) is not None:
                self._note(int(step), {key.removeprefix(PREFIX): number for key, number in row.items()})
                self.last_step = int(step)

    def after_step(self, report: StepReport) -> None:
        """Evaluate if this step is one to evaluate after."""
        self._evaluate_if_due(report.step, report.control, is_last=report.is_last)

    def catch_up(self, step: int, control: Control, *, is_last: bool) -> None:
        """After a resume at `step`: do what the process that was killed had saved a checkpoint for, and not done."""
        if step > self.last_step:
            self._evaluate_if_due(step, control, is_last=is_last)
        self._stop_if_stalled(control)

    def evaluate(self, step: int) -> Mapping[str, float]:
        """Evaluate the model as it is after `step`, with the averaged weights where the pipeline keeps averages.

        Returns the 12 COCO metrics, those of masks and keypoints if the model finds any, and the losses on the
        validation images.
        """
        started = time.perf_counter()
        with self.trainer.averaged_weights():
            evaluated = self.detector.evaluate()
        detections = [entry for truth, found in evaluated.images for entry in coco_detections(truth.image_id, found)]
        truth = [truth for truth, _ in evaluated.images]
        scores = self._scores(truth, detections)
        metrics = {**scores.metrics, **self._mask_metrics(truth, detections)}
        metrics |= self.keypoints.score(truth, detections, classes=self.classes)
        files = self.directory.eval(step)
        write_whole(files.detections, json.dumps(detections) + "\n")
        write_whole(files.metrics, json.dumps(metrics, indent=2) + "\n")
        values = {**metrics, **loss_metrics(evaluated.losses)}
        named = {PREFIX + name: value for name, value in values.items()}
        self.tracker.metrics(step, named)
        if self._note(step, values):
            self._class_aps = {step: scores.class_ap}
            self.checkpoints.save_best(step)
        self.last_step = step
        self.course.add_seconds("eval_s", time.perf_counter() - started)
        masks = f", keypoint AP {values[KEYPOINT_AP]:.3f}" if KEYPOINT_AP in values else ""
        masks += f", mask AP {values[MASK_AP]:.3f}" if MASK_AP in values else ""
        told = f"AP {values['AP']:.3f}, AP50 {values['AP50']:.3f}{masks}, loss {values['loss/total']:.3g}"
        self.announce(f"step {step}: {told}")
        for tell in self.listeners:
            tell(step, named)
        return values

    def class_ap(self) -> Mapping[str, float]:
        """AP of each class at the best checkpoint; of an earlier process, out of the detections that it wrote."""
        best_step = self.progress.best_step
        assert best_step is not None, "training ends with an evaluation"
        if best_step not in self._class_aps:
            detections = json.loads(self.directory.eval(best_step).detections.read_text(encoding="utf-8"))
            return self._scores(self.detector.truths(), detections).class_ap
        return self._class_aps[best_step]

    def _evaluate_if_due(self, step: int, control: Control, *, is_last: bool) -> None:
        every = self.settings.every
        if is_last or (every is not None and step % every == 0):
            self.evaluate(step)
            self._stop_if_stalled(control)

    def _stop_if_stalled(self, control: Control) -> None:
        if self.patience is not None and self.progress.evaluations_without_gain >= self.patience:
            control.stop(
                f"{self.settings.metric} has not become better in {self.progress.evaluations_without_gain} evaluations "
                "(train.early_stopping); "
                f"the best was {self.progress.best_value:.3f} at step {self.progress.best_step}",
                by=EARLY_STOPPING,
            )

    def _note(self, step: int, values: Mapping[str, float | None]) -> bool:
        metric = self.settings.metric
        value = values.get(metric)
        is_best = self.progress.note(step, float("nan") if value is None else value)
        if is_best:
            metrics = {key: values.get(key) for key in METRIC_KEYS}
            self.course.note_best(Best(step, metric, value), metrics)
        return is_best

    def _scores(self, truth: Sequence[TrueImage], detections: Sequence[CocoDetection]) -> Scores:
        return score(truth, detections, classes=self.classes)

    def _mask_metrics(self, truth: Sequence[TrueImage], detections: Sequence[CocoDetection]) -> Mapping[str, float]:
        """The metrics of masks, of a model that finds them."""
        if any(image.masks is None for image in truth):
            return {}
        return score_masks(truth, detections, classes=self.classes)
