"""Which parts of a model the data can train: heads for masks, joints, dense poses and tracks are taken out.

odrun's training reads boxes and classes. A head without truth to learn from would fail while the model is traced, or
train on nothing; the rest of the model, and what its checkpoint holds of it, stays as it is.
"""

from __future__ import annotations

from typing import Any

from odrun.pipeline.descriptors import PipelineConfig

_JOINTS, _MASKS, _OTHERS = "keypoints", "masks", "dense poses or tracks"
_CENTER_NET = {
    "keypoint_estimation_task": _JOINTS,
    "mask_estimation_task": _MASKS,
    "deepmac_mask_estimation": _MASKS,
    "densepose_estimation_task": _OTHERS,
    "track_estimation_task": _OTHERS,
    "temporal_offset_task": _OTHERS,
}
_BOX_STAGES = 2
_READER_FIELDS = {
    _JOINTS: ("num_keypoints",),
    _MASKS: ("load_instance_masks", "mask_type"),
    _OTHERS: ("load_dense_pose", "load_track_id"),
}
_EVALUATION_FIELDS = {
    _JOINTS: ("parameterized_metric", "keypoint_edge"),
    _MASKS: ("eval_instance_masks",),
    _OTHERS: (),
}
_MASK_METRICS = "coco_mask_metrics"


def take_out_heads(config: PipelineConfig) -> tuple[str, ...]:
    """Take out of `config`, which is changed, every head that boxes do not train; a note for each of them.

    What the readers and the evaluation have to do with such a head goes with it.
    """
    notes = []
    for path, kind in [*_from_center_net(config), *_from_mask_rcnn(config)]:
        notes.append(f"pipeline.model.{path} is taken out: the records that are trained on have no {kind}")
        _set_readers(config, kind)
    return tuple(notes)


def _from_center_net(config: Any) -> list[tuple[str, str]]:
    if config.model.WhichOneof("model") != "center_net":
        return []
    model, found = config.model.center_net, []
    for name, kind in _CENTER_NET.items():
        is_list = model.DESCRIPTOR.fields_by_name[name].is_repeated
        if len(getattr(model, name)) if is_list else model.HasField(name):
            model.ClearField(name)
            found.append((f"center_net.{name}", kind))
    model.ClearField("keypoint_label_map_path")
    return found


def _from_mask_rcnn(config: Any) -> list[tuple[str, str]]:
    if config.model.WhichOneof("model") != "faster_rcnn":
        return []
    model, found = config.model.faster_rcnn, []
    if model.number_of_stages > _BOX_STAGES:
        model.number_of_stages = _BOX_STAGES
        found.append(("faster_rcnn.number_of_stages=3", _MASKS))
    predictor = model.second_stage_box_predictor
    if predictor.mask_rcnn_box_predictor.predict_instance_masks:
        predictor.mask_rcnn_box_predictor.predict_instance_masks = False
        found.append(("faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks", _MASKS))
    return found


def _set_readers(config: Any, kind: str) -> None:
    for reader in (config.train_input_reader, *config.eval_input_reader):
        for name in _READER_FIELDS[kind]:
            reader.ClearField(name)
    for name in _EVALUATION_FIELDS[kind]:
        config.eval_config.ClearField(name)
    if kind == _MASKS:
        kept = [name for name in config.eval_config.metrics_set if name != _MASK_METRICS]
        config.eval_config.metrics_set[:] = kept
