"""The part of `odrun train` that needs TensorFlow: build, train, evaluate, keep the best, export it, draw its findings.

Comes in: a complete pipeline.config and prepared records. Goes out: the run directory's remaining files.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, islice

from odrun.commands.course import Course
from odrun.commands.evaluating import Evaluations
from odrun.commands.pictures import draw_evaluated
from odrun.compat.engine import (
    DetectionModel,
    Features,
    Labels,
    library_code_unconverted,
    seed_everything,
    training_batches,
)
from odrun.errors import InterruptedRunError
from odrun.evaluation.detections import EvaluatedImage, RecordDetector
from odrun.evaluation.records import ValidationRecords
from odrun.export.saved_model import export_saved_model, prove_equal
from odrun.pipeline.descriptors import PipelineConfig
from odrun.records.manifest import PreparedData
from odrun.report.plots import write_plots
from odrun.report.terminal import Terminal
from odrun.runs.clock import seconds_since_process_start
from odrun.runs.directory import RunDirectory
from odrun.runs.signals import StopRequests
from odrun.runs.summary import Throughput
from odrun.settings import TrainJob
from odrun.tracking.jsonl import JsonlTracker, read_metrics
from odrun.tracking.tensorboard import TensorboardTracker
from odrun.tracking.tracker import Tracker, Trackers
from odrun.tracking.wandb import open_wandb
from odrun.training.checkpoints import Checkpoints, restore_start
from odrun.training.loop import StepReport, train
from odrun.training.step import Trainer

PARITY_IMAGES = 4
STOPPING = "stopping after this step; press Ctrl-C once more to stop without saving"


def fit(
    job: TrainJob,
    pipeline: PipelineConfig,
    data: PreparedData,
    *,
    directory: RunDirectory,
    course: Course,
    terminal: Terminal,
) -> None:
    """Train as `job` says, evaluate on the way, export the best checkpoint; `course` learns how far it came.

    Raises:
        InputError: the starting checkpoint does not fit the model.
        RunFailedError: the loss is not finite, a file cannot be written, or the export is not equal to the checkpoint.
        InterruptedRunError: a signal stopped training; a checkpoint of its last step has been saved.
    """
    seed_everything(job.train.seed)
    classes = dict(enumerate(data.classes, start=1))
    with library_code_unconverted(), _told(job, directory, terminal) as tracker:
        with course.timed("build_s"):
            trainer, batches = _built(pipeline, terminal)
        checkpoints = Checkpoints(
            trainer, folder=directory.checkpoints, best=directory.best, keep=job.train.checkpoint.keep
        )
        records = ValidationRecords(data.validation_records, trainer.model, batch_size=job.eval.batch_size)
        detector = RecordDetector(trainer.model, records)
        evaluations = Evaluations(
            job.eval,
            trainer=trainer,
            detector=detector,
            classes=classes,
            checkpoints=checkpoints,
            directory=directory,
            tracker=tracker,
            announce=lambda fact: terminal.stage("evaluation", fact),
        )
        _trained(job, trainer, batches, checkpoints, evaluations, tracker=tracker, course=course, terminal=terminal)
        terminal.stage("export", "the best checkpoint becomes a SavedModel")
        export_saved_model(pipeline, checkpoint_dir=directory.best, label_map=data.label_map, folder=directory.export)
        checkpoints.restore_best()
        samples = list(islice(detector.detect(), max(job.eval.pictures, PARITY_IMAGES)))
        parity = prove_equal(trainer.model, directory.export, [sample.pixels for sample in samples[:PARITY_IMAGES]])
        terminal.fact(f"equal to the checkpoint on {parity.images} images: largest difference {parity.largest:.1e}")
        _show(samples[: job.eval.pictures], classes, directory, evaluations, tracker)


@contextmanager
def _told(job: TrainJob, directory: RunDirectory, terminal: Terminal) -> Iterator[Tracker]:
    """The trackers of a run, closed with the status that the run ends with."""
    settings = job.tracking
    trackers: list[Tracker] = [JsonlTracker(directory.metrics)]
    if settings.tensorboard:
        trackers.append(TensorboardTracker(directory.tensorboard))
    trackers.append(
        open_wandb(
            settings.wandb,
            folder=directory.path,
            name=directory.path.name,
            job_type="train",
            config=asdict(job),
            report=lambda fact: terminal.stage("tracking", fact),
        )
    )
    tracker = Trackers(trackers, report=terminal.warning)
    status = "failed"
    try:
        yield tracker
        status = "completed"
    except (InterruptedRunError, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        tracker.close(status)


def _built(pipeline: PipelineConfig, terminal: Terminal) -> tuple[Trainer, Iterator[tuple[Features, Labels]]]:
    """The model with all its variables, filled from the starting checkpoint if there is one, and its training input."""
    model = DetectionModel(pipeline, is_training=True)
    trainer = Trainer(model, pipeline)
    batches = iter(training_batches(pipeline, model))
    first = next(batches)
    trainer.build(first[0])
    if model.start is not None:
        restored = restore_start(model)
        terminal.fact(f"{restored} of {model.variable_count} variables restored, the others are fresh")
    return trainer, chain((first,), batches)


def _trained(
    job: TrainJob,
    trainer: Trainer,
    batches: Iterator[tuple[Features, Labels]],
    checkpoints: Checkpoints,
    evaluations: Evaluations,
    *,
    tracker: Tracker,
    course: Course,
    terminal: Terminal,
) -> None:
    """Train to the last step or to a signal; checkpoints, metrics and evaluations are written on the way."""
    every = job.train.checkpoint.every or job.eval.every

    def note_step(report: StepReport) -> None:
        if report.step == 1:
            course.add_seconds("first_step_s", seconds_since_process_start())
        course.steps = report.step
        if report.metrics:
            tracker.metrics(report.step, report.metrics)

    def save_checkpoint(report: StepReport) -> None:
        if report.is_last or (every is not None and report.step % every == 0):
            checkpoints.save(report.step)

    def evaluate(report: StepReport) -> None:
        evaluations.after_step(report)
        if evaluations.best is not None:
            course.best, course.metrics = evaluations.best.best, evaluations.best.scores.metrics

    with StopRequests(lambda _: terminal.warning(STOPPING)) as stop, terminal.training(job.train.steps) as show:
        time = train(
            trainer,
            batches,
            steps=job.train.steps,
            batch_size=job.train.batch_size,
            log_every=job.train.log_every,
            after_step=(
                note_step,
                lambda report: show(report.step, report.metrics),
                save_checkpoint,
                evaluate,
            ),
            stop_requested=lambda: stop.requested is not None,
        )
    course.add_seconds("train_s", time.first_step_s + time.steps_s)
    course.add_seconds("eval_s", evaluations.seconds)
    course.throughput = Throughput(time.steps_per_s, time.images_per_s)
    if stop.requested is not None and course.steps < job.train.steps:
        checkpoints.save(course.steps)
        raise InterruptedRunError(
            f"stopped by {signal.Signals(stop.requested).name} after step {course.steps} of {job.train.steps}; "
            "a checkpoint of it has been saved",
            signal_number=stop.requested,
            where=str(checkpoints.folder),
        )


def _show(
    samples: Sequence[EvaluatedImage],
    classes: Mapping[int, str],
    directory: RunDirectory,
    evaluations: Evaluations,
    tracker: Tracker,
) -> None:
    best = evaluations.best
    assert best is not None, "training ends with an evaluation"
    pictures = draw_evaluated(samples, classes, directory.predictions)
    tracker.pictures(evaluations.last_step, pictures)
    tracker.summary({f"best/{name}": value for name, value in best.scores.metrics.items()})
    write_plots(
        read_metrics(directory.metrics), directory.plots, title=directory.path.name, class_ap=best.scores.class_ap
    )
