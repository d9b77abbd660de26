"""The part of `odrun train` that needs TensorFlow: build, train, evaluate, keep the best, export it, draw its findings.

Comes in: a complete pipeline.config and prepared records. Goes out: the run directory's remaining files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from typing import Any

from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.annotations.model import VALIDATION
from odrun.commands.course import Course
from odrun.commands.data_pictures import OwnPictures
from odrun.commands.evaluating import Evaluations
from odrun.commands.pictures import draw_evaluated
from odrun.commands.stepping import Stepping
from odrun.compat.autograph import library_code_unconverted
from odrun.compat.devices import memory_faults_told, prepare_devices
from odrun.compat.engine import DetectionModel, seed_everything
from odrun.compat.inputs import Features, Labels
from odrun.errors import InterruptedRunError
from odrun.evaluation.detections import RecordDetector
from odrun.evaluation.keypoints import KeypointScores
from odrun.evaluation.records import TrueImage, ValidationRecords
from odrun.export.saved_model import export_saved_model, prove_equal
from odrun.pipeline.anchors import model_anchors
from odrun.pipeline.heads import has_keypoint_head, has_mask_head
from odrun.pipeline.keypoint_head import oks_sigmas
from odrun.pipeline.text import to_text
from odrun.records.index import RecordIndex
from odrun.records.manifest import Ledger, PreparedData, Station
from odrun.report.plots import write_plots
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.files import write_whole
from odrun.runs.summary import Exported
from odrun.settings import TrainJob
from odrun.tracking.jsonl import JsonlTracker, read_metrics
from odrun.tracking.tensorboard import TensorboardTracker
from odrun.tracking.tracker import Tracker, Trackers
from odrun.tracking.wandb import open_wandb
from odrun.training.callbacks import make_callbacks
from odrun.training.checkpoints import Checkpoints
from odrun.training.freezing import freeze
from odrun.training.inputs import TrainingInput
from odrun.training.order import Order, chosen_images
from odrun.training.progress import Progress
from odrun.training.restore import restore
from odrun.training.step import Trainer

PARITY_IMAGES = 4


def fit(
    job: TrainJob,
    pipeline: Any,
    data: PreparedData,
    *,
    directory: RunDirectory,
    course: Course,
    terminal: Terminal,
    resumed_at: int = 0,
) -> None:
    """Train as `job` says, evaluate on the way, export the best checkpoint; `course` learns how far it came.

    With `resumed_at` above 0 training goes on from the checkpoint of that step in `directory`.

    Raises:
        InputError: a checkpoint, a callback or a setting does not fit the model.
        RunFailedError: the loss is not finite, memory or disk are full, or the export is not equal to the checkpoint.
        InterruptedRunError: a signal stopped training; a checkpoint of its last step has been saved.
    """
    prepare_devices(deterministic=job.train.deterministic, batch_px=_batch_px(job))
    seed_everything(job.train.seed)
    callbacks = make_callbacks(job.train.callbacks)
    with (
        library_code_unconverted(),
        _told(job, directory, resumed_at, course, terminal) as tracker,
        training_input(job, pipeline, data) as source,
    ):
        with course.timed("build_s"):
            trainer, batches = _built(job, pipeline, source, resumed_at, terminal)
            write_whole(directory.pipeline_config, to_text(pipeline))
            checkpoints = Checkpoints(
                trainer, folder=directory.checkpoints, best=directory.best, keep=job.train.checkpoint.keep
            )
            if resumed_at:
                checkpoints.restore(resumed_at)
        classes = dict(enumerate(data.classes, start=1))
        slots = data.keypoints if has_keypoint_head(pipeline) else NO_KEYPOINTS
        detector = _detector(job, pipeline, data.validation_records, trainer, slots=slots, classes=classes)
        evaluations = Evaluations(
            job.eval,
            trainer=trainer,
            detector=detector,
            classes=classes,
            keypoints=KeypointScores(slots, oks_sigmas(pipeline)),
            checkpoints=checkpoints,
            directory=directory,
            course=course,
            tracker=tracker,
            announce=lambda fact: terminal.stage("evaluation", fact),
            progress=Progress(job.eval.higher_is_better, job.train.early_stopping.min_delta),
            patience=job.train.early_stopping.patience,
            listeners=[callback.after_evaluation for callback in callbacks],
        )
        if resumed_at:
            evaluations.resume(read_metrics(directory.metrics))
        stepping = Stepping(job.train, trainer, checkpoints, evaluations, callbacks, source, tracker, course, terminal)
        with memory_faults_told(job.train.batch_size):
            stepping.train(batches)
        course.ledger = _ledger(data, source.decoded(course.steps), detector.truths())
        _conclude(job, pipeline, data, evaluations, terminal)


def _detector(
    job: TrainJob,
    pipeline: Any,
    records: str,
    trainer: Trainer,
    *,
    slots: KeypointSlots,
    classes: Mapping[int, str],
) -> RecordDetector:
    """The model in training, to be run over the validation records, with all that it finds in them."""
    validation = ValidationRecords(records, has_masks=has_mask_head(pipeline), keypoint_slots=len(slots))
    keypoints = slots.by_label_id(classes)
    return RecordDetector(pipeline, trainer.model, validation, batch_size=job.eval.batch_size, keypoints=keypoints)


def _conclude(job: TrainJob, pipeline: Any, data: PreparedData, evaluations: Evaluations, terminal: Terminal) -> None:
    """Export the best checkpoint, prove the export equal to it, draw what it finds and how training went."""
    directory, detector = evaluations.directory, evaluations.detector
    terminal.stage("export", "the best checkpoint becomes a SavedModel")
    evaluations.checkpoints.restore_best()
    model = evaluations.trainer.model
    export_saved_model(model, pipeline, label_map=data.label_map, folder=directory.export)
    samples = detector.samples(max(job.eval.pictures, PARITY_IMAGES))
    parity = prove_equal(model, directory.export, [(each.pixels, each.raw) for each in samples[:PARITY_IMAGES]])
    terminal.fact(f"equal to the checkpoint on {parity.images} images: largest difference {parity.largest:.1e}")
    terminal.fact(f"{parity.latency_ms:.0f} ms an image here, {parity.size_mb:.1f} MB")
    evaluations.course.exported = Exported(parity.latency_ms, parity.size_mb)
    pictures = draw_evaluated(samples[: job.eval.pictures], evaluations.classes, directory.predictions)
    evaluations.tracker.pictures(evaluations.last_step, pictures)
    best = evaluations.course.metrics
    assert best is not None, "training ends with an evaluation"
    evaluations.tracker.summary({f"best/{name}": value for name, value in best.items() if value is not None})
    OwnPictures(directory.plots, model_anchors(pipeline)).write(data.folder)
    write_plots(
        read_metrics(directory.metrics), directory.plots, title=directory.path.name, class_ap=evaluations.class_ap()
    )


def _ledger(data: PreparedData, trained: tuple[int, int], truths: Sequence[TrueImage]) -> Ledger:
    """The ledger of the data, with what the training took of it and what the last evaluation compared.

    Of crowds pycocotools counts neither what is found nor what is missed.
    """
    crowds = sum(int(truth.is_crowd.sum()) for truth in truths)
    evaluated = Station(
        len(truths),
        sum(len(truth.label_ids) for truth in truths) - crowds,
        boxes_left_out={"crowd": crowds} if crowds else {},
    )
    held = data.counts[VALIDATION]
    decoded = Station(trained[0] + held.images, trained[1] + held.boxes)
    return data.ledger.further("decoded", decoded, "not_trained_on").further("evaluated", evaluated, "trained_on")


@contextmanager
def _told(
    job: TrainJob, directory: RunDirectory, resumed_at: int, course: Course, terminal: Terminal
) -> Iterator[Tracker]:
    """The trackers of a run, closed with the status that the run ends with."""
    settings = job.tracking
    trackers: list[Tracker] = [JsonlTracker(directory.metrics, resumed_at=resumed_at)]
    if settings.tensorboard:
        trackers.append(TensorboardTracker(directory.tensorboard, resumed_at=resumed_at))
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
        status = "completed" if course.stopped_by is None else "stopped_early"
    except (InterruptedRunError, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        tracker.close(status)


def _batch_px(job: TrainJob) -> int | None:
    """The pixels of a batch, all images together; `None` where the size of images is not known."""
    return None if job.model.input_px is None else job.train.batch_size * math.prod(job.model.input_px)


def training_input(job: TrainJob, pipeline: Any, data: PreparedData) -> TrainingInput:
    """The training records in the order of the run's seed, cut to the part of them that is asked for."""
    records = RecordIndex.matching(data.train_records)
    reader = pipeline.train_input_reader
    images = chosen_images(
        len(records),
        fraction=job.train.fraction,
        max_images=job.train.max_images,
        every=max(reader.sample_1_of_n_examples, 1),
        seed=job.train.seed,
        batch_size=job.train.batch_size,
    )
    order = Order(images, batch_size=job.train.batch_size, seed=job.train.seed, shuffle=reader.shuffle)
    return TrainingInput(records, order, num_classes=len(data.classes))


def _built(
    job: TrainJob, pipeline: Any, source: TrainingInput, resumed_at: int, terminal: Terminal
) -> tuple[Trainer, Iterator[tuple[Features, Labels]]]:
    """The model with all its variables, filled from the starting checkpoint if there is one, and its training input."""
    model = DetectionModel(pipeline, is_training=True)
    trainer = Trainer(model, pipeline, seed=job.train.seed)
    batches = source.batches(pipeline, model.network, first_step=resumed_at + 1)
    first = next(batches)
    trainer.build(first[0])
    config = pipeline.train_config
    if config.fine_tune_checkpoint:
        # The type that an entry's official configuration has is that of its own checkpoint, not of any.
        restored = restore(model, config.fine_tune_checkpoint, kind=None)
        config.fine_tune_checkpoint_type = restored.kind
        terminal.fact(str(restored))
    if config.freeze_variables:
        frozen = freeze(model, config.freeze_variables)
        trainer.train_only(frozen.trainable)
        terminal.fact(str(frozen))
    trainer.begin_averages()
    return trainer, chain((first,), batches)
