"""CenterNet's head for keypoints, fitted to those that the data have.

Comes in: a configuration whose first task of `keypoint_estimation_task` is the pattern for all, as a rule the official
one for COCO's persons. Goes out: a task for each class with keypoints, and what readers and mirrors have to know of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from odrun.annotations.keypoint_slots import KeypointSlots

KEYPOINT_TASKS = "keypoint_estimation_task"
DEFAULT_SIGMA = 0.05
"""Of a keypoint whose spread nobody has measured; so the OD API's object_detection/metrics/coco_evaluation.py."""
_MIRRORS = ("random_horizontal_flip", "random_vertical_flip")


def settle_keypoints(config: Any, keypoints: KeypointSlots, label_map: str) -> list[str]:
    """Fit the head of `config`, which is changed, to `keypoints`; a note for what is not as it was.

    `label_map` is the path of the label map that names them.
    """
    notes = []
    model = config.model.center_net
    model.keypoint_label_map_path = label_map
    pattern = type(model.keypoint_estimation_task[0])()
    pattern.CopyFrom(model.keypoint_estimation_task[0])
    spreads = dict(pattern.keypoint_label_to_std)
    sigmas = oks_sigmas(config)
    del model.keypoint_estimation_task[:]
    for class_name, points in keypoints.names.items():
        task = model.keypoint_estimation_task.add()
        task.CopyFrom(pattern)
        task.task_name = pattern.task_name if len(keypoints.names) == 1 else f"{pattern.task_name}_{class_name}"
        task.keypoint_class_name = keypoints.items.get(class_name, class_name)
        for label in spreads.keys() - set(points):
            del task.keypoint_label_to_std[label]
        unknown = [point for point in points if point not in spreads]
        notes.append(f"pipeline.model.center_net.{KEYPOINT_TASKS}: {len(points)} keypoints of {class_name}")
        if unknown:
            told = f"{', '.join(unknown)} of {class_name}"
            notes.append(f"no spread is known of {told}: 1 is taken for training, {DEFAULT_SIGMA} for evaluation")
    _set_readers(config, keypoints)
    _set_metrics(config, keypoints, sigmas)
    return notes


def oks_sigmas(config: Any) -> Mapping[str, float]:
    """How far people differ in placing a keypoint, by its name, as the evaluation of `config` has it.

    In shares of the square root of the object's area: sigma of COCO's object keypoint similarity.
    """
    found: dict[str, float] = {}
    for metric in config.eval_config.parameterized_metric:
        found |= dict(metric.coco_keypoint_metrics.keypoint_label_to_sigmas)
    return found


def _set_readers(config: Any, keypoints: KeypointSlots) -> None:
    for reader in (config.train_input_reader, *config.eval_input_reader):
        reader.num_keypoints = len(keypoints)
        reader.ClearField("keypoint_type_weight")
    for mirror in _mirrors(config):
        mirror.keypoint_flip_permutation[:] = keypoints.mirrored


def _mirrors(config: Any) -> Iterator[Any]:
    for step in config.train_config.data_augmentation_options:
        kind = step.WhichOneof("preprocessing_step")
        if kind in _MIRRORS:
            yield getattr(step, kind)


def _set_metrics(config: Any, keypoints: KeypointSlots, sigmas: Mapping[str, float]) -> None:
    evaluation = config.eval_config
    evaluation.ClearField("keypoint_edge")
    del evaluation.parameterized_metric[:]
    for class_name, points in keypoints.names.items():
        metric = evaluation.parameterized_metric.add().coco_keypoint_metrics
        metric.class_label = class_name
        for point in points:
            metric.keypoint_label_to_sigmas[point] = sigmas.get(point, DEFAULT_SIGMA)
