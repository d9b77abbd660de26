"""What odrun itself fills into a pipeline configuration: classes, records, label map, checkpoint, a fitting warm-up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig

_OPTIMIZER = "pipeline.train_config.optimizer"


@dataclass(frozen=True)
class CompletedPipeline:
    """A pipeline configuration that is ready to be written and trained, and what the user should be told about it."""

    config: PipelineConfig
    notes: tuple[str, ...]


def complete(
    config: PipelineConfig,
    *,
    train_records: str,
    validation_records: str,
    label_map: Path,
    num_classes: int,
    checkpoint: str | None,
    checkpoint_type: str | None,
) -> CompletedPipeline:
    """A copy of `config` with everything that follows from the data and the checkpoint; `config` is not changed.

    `train_records` and `validation_records` are globs, one per reader. `checkpoint` is the prefix of a TensorFlow 2
    checkpoint, None for random weights; its `checkpoint_type` ("detection", "classification", ...) may be None to keep
    the configuration's own. The evaluation reads once, in order, one image at a time.

    Record, label map and checkpoint paths that the configuration brings are replaced; a note names each.

    A cosine schedule's warm-up (with the steps that hold the base rate) has to end before the training does. One that
    does not is shortened to a tenth of the training's steps, rounded down, without holding; a note says so.

    Raises:
        InputError: no architecture or optimizer is set, there is more than one evaluation reader, or the warm-up starts
            above the base learning rate.
    """
    completed = type(config)()
    completed.CopyFrom(config)
    notes = _replaced(config)
    _set_classes(completed, num_classes)
    _set_readers(completed, train_records, validation_records, label_map)
    _set_checkpoint(completed, checkpoint, checkpoint_type)
    return CompletedPipeline(completed, (*notes, *_fit_warmup(completed)))


def refuse_incomplete(config: PipelineConfig) -> None:
    """Raise what `complete` would raise, before there are data to complete `config` with."""
    complete(
        config,
        train_records="",
        validation_records="",
        label_map=Path(),
        num_classes=1,
        checkpoint=None,
        checkpoint_type=None,
    )


def _replaced(config: Any) -> list[str]:
    """A note for each path that was set by hand and gives way to what odrun knows."""
    readers = [("train_input_reader", config.train_input_reader)]
    readers += [(f"eval_input_reader.{number}", reader) for number, reader in enumerate(config.eval_input_reader)]
    given = [("train_config.fine_tune_checkpoint", "model.checkpoint", config.train_config.fine_tune_checkpoint)]
    for name, reader in readers:
        given.append((f"{name}.label_map_path", "dataset", reader.label_map_path))
        given.append((f"{name}.tf_record_input_reader", "dataset", reader.tf_record_input_reader.input_path))
    return [f"pipeline.{field} is not used: {key} decides" for field, key, value in given if value]


def _set_classes(config: Any, num_classes: int) -> None:
    architecture = config.model.WhichOneof("model")
    if architecture not in ("ssd", "faster_rcnn", "center_net"):
        remedy = "model=NAME, as odrun train --help lists them"
        given = "names no architecture" if architecture is None else f"is {architecture}, which odrun cannot train"
        raise InputError(f"pipeline.model {given}", where="pipeline.model", remedy=remedy)
    getattr(config.model, architecture).num_classes = num_classes


def _set_readers(config: Any, train_records: str, validation_records: str, label_map: Path) -> None:
    if len(config.eval_input_reader) > 1:
        raise InputError(
            f"pipeline.eval_input_reader has {len(config.eval_input_reader)} readers; odrun evaluates on one data set",
            where="pipeline.eval_input_reader",
            remedy="keep one reader in the list",
        )
    if not config.eval_input_reader:
        config.eval_input_reader.add()
    evaluation = config.eval_input_reader[0]
    for reader, records in ((config.train_input_reader, train_records), (evaluation, validation_records)):
        reader.label_map_path = str(label_map)
        reader.tf_record_input_reader.input_path[:] = [records]
    evaluation.shuffle = False
    evaluation.num_epochs = 1
    evaluation.num_readers = 1
    config.eval_config.batch_size = 1


def _set_checkpoint(config: Any, checkpoint: str | None, checkpoint_type: str | None) -> None:
    train = config.train_config
    train.ClearField("from_detection_checkpoint")
    if checkpoint is None:
        train.ClearField("fine_tune_checkpoint")
        train.ClearField("fine_tune_checkpoint_type")
        return
    train.fine_tune_checkpoint = checkpoint
    train.fine_tune_checkpoint_version = (
        train.DESCRIPTOR.fields_by_name["fine_tune_checkpoint_version"].enum_type.values_by_name["V2"].number
    )
    if checkpoint_type is not None:
        train.fine_tune_checkpoint_type = checkpoint_type


def _fit_warmup(config: Any) -> list[str]:
    optimizer = config.train_config.optimizer.WhichOneof("optimizer")
    if optimizer is None:
        raise InputError(f"{_OPTIMIZER} is not set", where=_OPTIMIZER, remedy=f"+{_OPTIMIZER}.momentum_optimizer={{}}")
    learning_rate = getattr(config.train_config.optimizer, optimizer).learning_rate
    if learning_rate.WhichOneof("learning_rate") != "cosine_decay_learning_rate":
        return []
    cosine = learning_rate.cosine_decay_learning_rate
    notes = []
    asked = cosine.warmup_steps + cosine.hold_base_rate_steps
    if asked >= cosine.total_steps:
        cosine.warmup_steps = cosine.total_steps // 10
        cosine.ClearField("hold_base_rate_steps")
        notes.append(
            f"warm-up shortened from {asked} to {cosine.warmup_steps} steps, as the training has {cosine.total_steps}"
        )
    if cosine.warmup_steps and cosine.warmup_learning_rate > cosine.learning_rate_base:
        key = f"{_OPTIMIZER}.{optimizer}.learning_rate.cosine_decay_learning_rate.warmup_learning_rate"
        raise InputError(
            f"the warm-up starts at the rate {_short(cosine.warmup_learning_rate)}, above the learning rate "
            f"{_short(cosine.learning_rate_base)} that it leads to",
            where=key,
            remedy=f"set {key} to at most the learning rate, or raise train.learning_rate",
        )
    return notes


def _short(value: float) -> str:
    """A float32 in the fewest digits that people gave it in."""
    return f"{value:.7g}" if math.isfinite(value) else str(value)
