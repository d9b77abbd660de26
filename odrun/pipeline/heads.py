"""Which heads of a model the data can train.

Those for masks and keypoints stay where the records have them; the others go.

odrun's training reads boxes, classes and, where the records have them, masks and keypoints. A head without truth to
learn from would fail while the model is traced, or train on nothing; the rest of the model, and what its checkpoint
holds of it, stays as it is.
"""

from __future__ import annotations

from typing import Any

from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.keypoint_head import KEYPOINT_TASKS, settle_keypoints

_KEYPOINTS, _MASKS, _OTHERS = "keypoints", "masks", "dense poses or tracks"
_CENTER_NET = {
    KEYPOINT_TASKS: _KEYPOINTS,
    "mask_estimation_task": _MASKS,
    "deepmac_mask_estimation": _MASKS,
    "densepose_estimation_task": _OTHERS,
    "track_estimation_task": _OTHERS,
    "temporal_offset_task": _OTHERS,
}
_BOX_STAGES = 2
_READER_FIELDS = {
    _KEYPOINTS: ("num_keypoints",),
    _MASKS: ("load_instance_masks", "mask_type"),
    _OTHERS: ("load_dense_pose", "load_track_id"),
}
_EVALUATION_FIELDS = {
    _KEYPOINTS: ("parameterized_metric", "keypoint_edge"),
    _MASKS: ("eval_instance_masks",),
    _OTHERS: (),
}
_MASK_STAGE = "faster_rcnn.number_of_stages=3"
_MASK_PREDICTOR = "faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks"
_BOX_METRICS = "coco_detection_metrics"
_MASK_METRICS = "coco_mask_metrics"
_PNG_MASKS = "PNG_MASKS"


def settle_heads(
    config: PipelineConfig, *, has_masks: bool, keypoints: KeypointSlots = NO_KEYPOINTS, label_map: str = ""
) -> tuple[str, ...]:
    """Keep the heads of `config` that the records train, and take out the others; a note for each of them.

    `config` is changed. What the readers and the evaluation have to do with a head that is taken out goes with it; with
    a head for masks they read and score masks, with one for keypoints those of `keypoints`, which `label_map` names.
    """
    notes = []
    known = {_MASKS: has_masks, _KEYPOINTS: len(keypoints) > 0}
    for path, kind in _heads(config):
        if known.get(kind):
            notes.append(f"pipeline.model.{path} is kept: the records that are trained on have {kind}")
            continue
        _take_out(config, path)
        notes.append(f"pipeline.model.{path} is taken out: the records that are trained on have no {kind}")
        _leave_unread(config, kind)
    if has_keypoint_head(config):
        notes += settle_keypoints(config, keypoints, label_map)
    else:
        notes += _unread(config, "num_keypoints", _KEYPOINTS)
    if has_mask_head(config):
        _read_masks(config)
    else:
        notes += _unread(config, "load_instance_masks", _MASKS)
    return tuple(notes)


def has_mask_head(config: PipelineConfig) -> bool:
    """Whether the model of `config` finds masks."""
    return any(kind == _MASKS for _, kind in _heads(config))


def has_keypoint_head(config: PipelineConfig) -> bool:
    """Whether the model of `config` finds keypoints."""
    return any(kind == _KEYPOINTS for _, kind in _heads(config))


def _heads(config: Any) -> list[tuple[str, str]]:
    """The path below `model`, and what it is trained by, of each head that needs more than boxes."""
    architecture = config.model.WhichOneof("model")
    if architecture == "center_net":
        model = config.model.center_net
        return [(f"center_net.{name}", kind) for name, kind in _CENTER_NET.items() if _is_set(model, name)]
    found = []
    if architecture == "faster_rcnn":
        if config.model.faster_rcnn.number_of_stages > _BOX_STAGES:
            found.append((_MASK_STAGE, _MASKS))
        if config.model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks:
            found.append((_MASK_PREDICTOR, _MASKS))
    return found


def _is_set(message: Any, name: str) -> bool:
    is_list = message.DESCRIPTOR.fields_by_name[name].is_repeated
    return bool(len(getattr(message, name)) if is_list else message.HasField(name))


def _take_out(config: Any, path: str) -> None:
    if path == _MASK_STAGE:
        config.model.faster_rcnn.number_of_stages = _BOX_STAGES
    elif path == _MASK_PREDICTOR:
        predictor = config.model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor
        predictor.predict_instance_masks = False
    else:
        config.model.center_net.ClearField(path.removeprefix("center_net."))


def _leave_unread(config: Any, kind: str) -> None:
    for reader in (config.train_input_reader, *config.eval_input_reader):
        for name in _READER_FIELDS[kind]:
            reader.ClearField(name)
    for name in _EVALUATION_FIELDS[kind]:
        config.eval_config.ClearField(name)
    if kind == _KEYPOINTS:
        config.model.center_net.ClearField("keypoint_label_map_path")
    if kind == _MASKS:
        kept = [name for name in config.eval_config.metrics_set if name != _MASK_METRICS]
        config.eval_config.metrics_set[:] = kept


def _read_masks(config: Any) -> None:
    for reader in (config.train_input_reader, *config.eval_input_reader):
        reader.load_instance_masks = True
        reader.mask_type = reader.DESCRIPTOR.fields_by_name["mask_type"].enum_type.values_by_name[_PNG_MASKS].number
    config.eval_config.eval_instance_masks = True
    metrics = config.eval_config.metrics_set
    if _MASK_METRICS not in metrics:
        metrics[:] = [*(metrics or [_BOX_METRICS]), _MASK_METRICS]


def _unread(config: Any, name: str, kind: str) -> list[str]:
    """Without a head for them, masks and keypoints are not read; a note for each reader that was told to."""
    readers = [("train_input_reader", config.train_input_reader)]
    readers += [(f"eval_input_reader.{number}", reader) for number, reader in enumerate(config.eval_input_reader)]
    notes = []
    for path, reader in readers:
        if getattr(reader, name):
            reader.ClearField(name)
            notes.append(f"pipeline.{path}.{name} is not used: the model has no head for {kind}")
    return notes
