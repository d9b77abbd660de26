"""Evaluation on the way and at the end of a training: scores, records them, keeps the best checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from odrun.annotations.found import coco_detections
from odrun.evaluation.coco import Scores, score
from odrun.evaluation.detections import RecordDetector
from odrun.runs.directory import RunDirectory
from odrun.runs.files import write_whole
from odrun.runs.summary import Best
from odrun.settings import EvalSettings
from odrun.tracking.tracker import Tracker
from odrun.training.checkpoints import Checkpoints
from odrun.training.loop import StepReport
from odrun.training.step import Trainer


@dataclass(frozen=True)
class BestEvaluation:
    """The best evaluation so far, by the metric that `eval.metric` names."""

    best: Best
    scores: Scores


@dataclass
class Evaluations:
    """Evaluates after the steps that `eval.every` names and after the last one.

    Each evaluation writes `eval/<step>/`, tells the tracker, and saves the checkpoint if it is the best so far.
    `announce` gets one sentence per evaluation. `seconds` adds up what evaluations took.
    """

    settings: EvalSettings
    trainer: Trainer
    detector: RecordDetector
    classes: Mapping[int, str]
    checkpoints: Checkpoints
    directory: RunDirectory
    tracker: Tracker
    announce: Callable[[str], None]
    best: BestEvaluation | None = field(default=None, init=False)
    last_step: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)

    def after_step(self, report: StepReport) -> None:
        """Evaluate if this step is one to evaluate after."""
        every = self.settings.every
        if report.is_last or (every is not None and report.step % every == 0):
            self.evaluate(report.step)

    def evaluate(self, step: int) -> Scores:
        """Evaluate the model as it is after `step`, with the averaged weights where the pipeline keeps averages."""
        started = time.perf_counter()
        with self.trainer.averaged_weights():
            images = [(image.truth, image.found) for image in self.detector.detect()]
        detections = [entry for truth, found in images for entry in coco_detections(truth.image_id, found)]
        scores = score([truth for truth, _ in images], detections, classes=self.classes)
        files = self.directory.eval(step)
        write_whole(files.detections, json.dumps(detections) + "\n")
        write_whole(files.metrics, json.dumps(scores.metrics, indent=2) + "\n")
        self.tracker.metrics(step, {f"eval/{name}": value for name, value in scores.metrics.items()})
        self._keep_if_best(step, scores)
        self.last_step = step
        self.seconds += time.perf_counter() - started
        self.announce(f"step {step}: AP {scores.metrics['AP']:.3f}, AP50 {scores.metrics['AP50']:.3f}")
        return scores

    def _keep_if_best(self, step: int, scores: Scores) -> None:
        metric = self.settings.metric
        value = scores.metrics[metric]
        if self.best is None or self.best.best.value is None or value > self.best.best.value:
            self.checkpoints.save_best(step)
            self.best = BestEvaluation(Best(step, metric, value), scores)
