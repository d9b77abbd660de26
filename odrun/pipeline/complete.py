"""What odrun itself fills into a pipeline configuration: classes, records, label map, checkpoint, fitting schedule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.heads import settle_heads
from odrun.pipeline.honoured import unhonoured
from odrun.pipeline.schedule import OPTIMIZER, fit_schedule

# odrun reads records by their index and has no such buffer. It is for the OD API's own programs, which may be given the
# file that odrun writes: their default of 2048 encoded images is gigabytes of camera pictures.
_SHUFFLE_BUFFER_SIZE = 256


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
    has_masks: bool = False,
    keypoints: KeypointSlots = NO_KEYPOINTS,
) -> CompletedPipeline:
    """A copy of `config` with everything that follows from the data and the checkpoint; `config` is not changed.

    `train_records` and `validation_records` are globs, one per reader. `checkpoint` is the prefix of a TensorFlow 2
    checkpoint, None for random weights. The evaluation reads once, in order, one image at a time.

    `has_masks` and `keypoints` say what the records have beside boxes.

    Record, label map and checkpoint paths that the configuration brings are replaced, and heads that the records do not
    train are taken out (`odrun.pipeline.heads`); a note names each.

    Fields that odrun does not act on are named (`odrun.pipeline.honoured`), and the schedule is fitted to the number of
    steps (`odrun.pipeline.schedule`). Averages of the weights are evaluated wherever the optimizer keeps them, and
    bfloat16, which is for TPUs, is switched off, as the Object Detection API does.

    Raises:
        InputError: no architecture, optimizer or schedule is set, there is more than one evaluation reader, a field is
            set that odrun does not act on though it would change the training, averages are to be evaluated that nobody
            keeps, or the schedule cannot be followed.
    """
    completed = type(config)()
    completed.CopyFrom(config)
    notes = _replaced(config)
    _set_readers(completed, train_records, validation_records, label_map)
    notes += [
        *settle_heads(completed, has_masks=has_masks, keypoints=keypoints, label_map=str(label_map)),
        *unhonoured(completed),
    ]
    _set_classes(completed, num_classes)
    _set_checkpoint(completed, checkpoint)
    fitted = fit_schedule(completed)
    _set_averages(fitted.config)
    return CompletedPipeline(fitted.config, (*notes, *fitted.notes))


def refuse_incomplete(config: PipelineConfig) -> None:
    """Raise what `complete` would raise, before there are data to complete `config` with."""
    complete(
        config,
        train_records="",
        validation_records="",
        label_map=Path(),
        num_classes=1,
        checkpoint=None,
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
    if not config.train_input_reader.HasField("shuffle_buffer_size"):
        config.train_input_reader.shuffle_buffer_size = _SHUFFLE_BUFFER_SIZE
    evaluation.shuffle = False
    evaluation.num_epochs = 1
    evaluation.num_readers = 1
    config.eval_config.batch_size = 1


def _set_checkpoint(config: Any, checkpoint: str | None) -> None:
    train = config.train_config
    train.ClearField("from_detection_checkpoint")
    if train.use_bfloat16:
        train.use_bfloat16 = False
    if checkpoint is None:
        train.ClearField("fine_tune_checkpoint")
        train.ClearField("fine_tune_checkpoint_type")
        return
    train.fine_tune_checkpoint = checkpoint
    train.fine_tune_checkpoint_version = (
        train.DESCRIPTOR.fields_by_name["fine_tune_checkpoint_version"].enum_type.values_by_name["V2"].number
    )


def _set_averages(config: Any) -> None:
    evaluation, keeps_averages = config.eval_config, config.train_config.optimizer.use_moving_average
    if evaluation.use_moving_averages and not keeps_averages:
        raise InputError(
            f"pipeline.eval_config.use_moving_averages is true, and {OPTIMIZER}.use_moving_average is false",
            where="pipeline.eval_config.use_moving_averages",
            remedy="train.ema_decay=0.999 keeps averages; pipeline.eval_config.use_moving_averages=false does not ask",
        )
    if keeps_averages:
        evaluation.use_moving_averages = True
