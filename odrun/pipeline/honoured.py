"""Which fields of a pipeline configuration odrun's engine acts on, and what becomes of those it does not.

Every field of the messages below stands in exactly one of four places: it is honoured; it is passed over in silence, as
it could change nothing (the zoo's configurations are full of such); it is passed over and named, as somebody may have
counted on it; or it is refused, as training without it would be another training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig

_DISTRIBUTED = "for training on several machines in TensorFlow 1"
_QUEUES = "records are read by their index: there are no queues, reader threads or shuffle buffers"
_OLD_EVALUATION = "for the evaluation program of TensorFlow 1"
_DRAWING = "for pictures, which odrun draws by eval.pictures"
_BOXES_ONLY = "odrun's records hold boxes, classes, masks and keypoints"


@dataclass(frozen=True)
class Reason:
    """Why a field is passed over or refused; values among `neutral`, like the field's default, change nothing."""

    why: str
    neutral: tuple[object, ...] = ()


@dataclass(frozen=True)
class Fields:
    """The fields of one message. `silent` gives the reason for each; `named` and `refused` with harmless values."""

    honoured: frozenset[str]
    silent: Mapping[str, str]
    named: Mapping[str, Reason]
    refused: Mapping[str, Reason]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _for_each(names: str, why: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), why)


def _reasons(names: str, why: str) -> dict[str, Reason]:
    return dict.fromkeys(names.split(), Reason(why))


_TRAIN_CONFIG = Fields(
    honoured=_names(
        "batch_size num_steps data_augmentation_options optimizer gradient_clipping_by_norm fine_tune_checkpoint "
        "fine_tune_checkpoint_type freeze_variables merge_multiple_label_boxes add_regularization_loss "
        "unpad_groundtruth_tensors retain_original_images"
    ),
    silent={
        **_for_each("sync_replicas replicas_to_aggregate startup_delay_steps", _DISTRIBUTED),
        **_for_each("batch_queue_capacity num_batch_queue_threads prefetch_queue_capacity", _QUEUES),
        "fine_tune_checkpoint_version": "checkpoints of TensorFlow 2 are the only ones",
        "run_fine_tune_checkpoint_dummy_computation": "variables are always made before they are restored",
        "use_bfloat16": "for TPUs; the Object Detection API switches it off elsewhere, too",
    },
    named={
        "keep_checkpoint_every_n_hours": Reason("train.checkpoint.every and train.checkpoint.keep decide"),
        "from_detection_checkpoint": Reason("what is restored follows from what the checkpoint holds"),
        "max_number_of_boxes": Reason("in TensorFlow 2 that of train_input_reader decides", neutral=(100,)),
        "summarize_gradients": Reason("the norm of the gradients is always logged"),
    },
    refused={
        "load_all_detection_checkpoint_vars": Reason("in TensorFlow 2 fine_tune_checkpoint_type=full does that"),
        "bias_grad_multiplier": Reason("gradients are applied as they are", neutral=(1.0,)),
        "update_trainable_variables": Reason("train.freeze, with a regular expression for the others, does that"),
        "use_multiclass_scores": Reason(_BOXES_ONLY),
    },
)
_NO_SUCH_RECORDS = {
    **_reasons("load_multiclass_scores load_context_features load_context_image_ids", _BOXES_ONLY),
    **_reasons("load_dense_pose load_track_id load_keypoint_depth_features use_keypoint_label_map", _BOXES_ONLY),
    "num_additional_channels": Reason("odrun's images have three channels"),
    "input_type": Reason("odrun's records are tf.train.Example", neutral=(1,)),
    "external_input_reader": Reason("odrun reads the records that it has prepared"),
    "sample_from_datasets_weights": Reason("odrun trains on one data set"),
    "expand_labels_hierarchy": Reason("odrun's classes have no hierarchy"),
}
_READING = {
    **_for_each("shuffle_buffer_size filenames_shuffle_buffer_size num_readers num_parallel_batches", _QUEUES),
    **_for_each("num_prefetch_batches queue_capacity min_after_dequeue read_block_length", _QUEUES),
    **_for_each("prefetch_size num_parallel_map_calls", _QUEUES),
    "name": "it names a reader and does nothing",
    "drop_remainder": "batches are always full",
    "mask_type": "odrun's records hold masks as PNG",
    "use_display_name": "the Object Detection API does not look at it, either",
}
_FRAMES = {"frame_index": Reason("only videos have frames")}
_TRAIN_READER = Fields(
    honoured=_names(
        "label_map_path tf_record_input_reader shuffle sample_1_of_n_examples max_number_of_boxes include_source_id "
        "load_instance_masks num_keypoints keypoint_type_weight"
    ),
    silent=_READING,
    named=_FRAMES,
    refused=_NO_SUCH_RECORDS | {"num_epochs": Reason("train.steps says how long training is")},
)
_EVAL_READER = Fields(
    honoured=_names("label_map_path tf_record_input_reader load_instance_masks num_keypoints keypoint_type_weight"),
    silent=_READING
    | {
        "shuffle": "the order of evaluation changes nothing",
        "num_epochs": "all images are evaluated, once",
        "include_source_id": "odrun knows each image by the id in its record",
    },
    named=_FRAMES
    | {
        "sample_1_of_n_examples": Reason("all validation images are evaluated", neutral=(0,)),
        "max_number_of_boxes": Reason("that of train_input_reader decides, and of the scores none"),
    },
    refused=_NO_SUCH_RECORDS,
)
_EVAL_CONFIG = Fields(
    honoured=_names("use_moving_averages eval_instance_masks parameterized_metric"),
    silent={
        **_for_each("num_examples eval_interval_secs max_evals save_graph eval_master", _OLD_EVALUATION),
        **_for_each("num_visualizations retain_original_images", _DRAWING),
        "batch_size": "eval.batch_size decides",
    },
    named={
        **_reasons("visualization_export_dir min_score_threshold max_num_boxes_to_visualize skip_scores", _DRAWING),
        **_reasons("skip_labels visualize_groundtruth_boxes groundtruth_box_visualization_color", _DRAWING),
        **_reasons("keep_image_id_for_visualization_export keypoint_edge", _DRAWING),
        **_reasons("retain_original_image_additional_channels", _DRAWING),
        **_reasons("use_dummy_loss_in_eval export_path", _OLD_EVALUATION),
        "metrics_set": Reason(
            "odrun scores by COCO's metrics of boxes, masks and keypoints",
            neutral=(("coco_detection_metrics",), ("coco_detection_metrics", "coco_mask_metrics")),
        ),
        **_reasons(
            "super_categories recall_lower_bound recall_upper_bound skip_predictions_for_unlabeled_class "
            "image_classes_field_map_empty_to_ones include_metrics_per_category all_metrics_per_category",
            "odrun scores by COCO's metrics of boxes",
        ),
    },
    refused={
        "ignore_groundtruth": Reason("the best checkpoint is chosen by scores against the truth"),
        "force_no_resize": Reason("images are evaluated at the size that they are trained at"),
    },
)
PARTS: dict[str, Fields] = {
    "": Fields(
        honoured=_names("model train_config train_input_reader eval_config eval_input_reader"),
        silent={},
        named={},
        refused={"graph_rewriter": Reason("the Object Detection API does not quantize in TensorFlow 2")},
    ),
    "train_config": _TRAIN_CONFIG,
    "train_config.optimizer": Fields(
        honoured=_names("rms_prop_optimizer momentum_optimizer adam_optimizer use_moving_average moving_average_decay"),
        silent={},
        named={},
        refused={},
    ),
    "train_input_reader": _TRAIN_READER,
    "eval_input_reader": _EVAL_READER,
    "eval_config": _EVAL_CONFIG,
}
"""The fields of a pipeline by the part that they lie in; "" is the pipeline itself. The model's are all honoured."""


def unhonoured(config: PipelineConfig) -> tuple[str, ...]:
    """A note for each field of `config` that is set, that odrun passes over, and that somebody may have counted on.

    Raises:
        InputError: fields are set without which the training would be another one; all are named.
    """
    notes: list[str] = []
    refused: list[tuple[str, str]] = []
    for part, fields in PARTS.items():
        for path, message in _messages(config, part):
            named = _set_fields(message, fields.named)
            notes += [f"pipeline.{path}{field} is not used: {why}" for field, why in named]
            refused += [(f"pipeline.{path}{field}", why) for field, why in _set_fields(message, fields.refused)]
    if refused:
        raise _told(refused)
    return (*notes, *_rms_prop_notes(config))


def _messages(config: Any, part: str) -> Iterator[tuple[str, Any]]:
    """The message that `part` names, or each in a list, with its path."""
    if part == "eval_input_reader":
        for number, reader in enumerate(config.eval_input_reader):
            yield f"{part}.{number}.", reader
        return
    message = config
    for name in part.split(".") if part else ():
        message = getattr(message, name)
    yield f"{part}." if part else "", message


def _set_fields(message: Any, reasons: Mapping[str, Reason]) -> list[tuple[str, str]]:
    """The fields among `reasons` with a value that is neither the default nor neutral, and why they have no effect."""
    found = []
    for name, reason in reasons.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        value = getattr(message, name)
        if field.is_repeated:
            is_set = len(value) > 0 and tuple(value) not in reason.neutral
        elif field.message_type is not None:
            is_set = message.HasField(name)
        else:
            is_set = value != field.default_value and value not in reason.neutral
        if is_set:
            found.append((name, reason.why))
    return found


def _told(refused: list[tuple[str, str]]) -> InputError:
    remedy = " ".join(f"{path}=null" for path, _ in refused)
    where = ", ".join(path for path, _ in refused)
    if len(refused) == 1:
        ((path, why),) = refused
        return InputError(f"{path} has no effect in odrun: {why}", where=where, remedy=remedy)
    lines = [f"{len(refused)} fields of the pipeline have no effect in odrun:"]
    return InputError("\n".join([*lines, *(f"  {path}: {why}" for path, why in refused)]), where=where, remedy=remedy)


def _rms_prop_notes(config: Any) -> list[str]:
    """In TensorFlow 2 the OD API hands `decay` to Keras, which lowers the learning rate by it."""
    optimizer = config.train_config.optimizer
    if optimizer.WhichOneof("optimizer") != "rms_prop_optimizer" or optimizer.rms_prop_optimizer.decay == 0:
        return []
    decay = optimizer.rms_prop_optimizer.decay
    key = "pipeline.train_config.optimizer.rms_prop_optimizer.decay"
    return [f"{key} divides the learning rate by 1 + {decay:.7g} x step, as in the Object Detection API: 0 avoids it"]
