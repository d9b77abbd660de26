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
    patterns = [_copy(task) for task in model.keypoint_estimation_task]
    sigmas = oks_sigmas(config)
    del model.keypoint_estimation_task[:]
    for class_name, points in keypoints.names.items():
        item = keypoints.items.get(class_name, class_name)
        own = [pattern for pattern in patterns if pattern.keypoint_class_name in (class_name, item)]
        task = model.keypoint_estimation_task.add()
        task.CopyFrom((own or patterns)[0])
        task.keypoint_class_name = item
        if not own and len(keypoints.names) > 1:
            task.task_name = f"{task.task_name}_{class_name}"
        notes += _fitted(task, class_name, points)
    for reader in (config.train_input_reader, *config.eval_input_reader):
        reader.num_keypoints = len(keypoints)
    notes += _fitted_weights(config, len(keypoints))
    notes += _set_mirrors(config, keypoints.mirrored)
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


def _fitted(task: Any, class_name: str, points: tuple[str, ...]) -> list[str]:
    """Leave in a task what it can have of these keypoints; a note of them, and of what is not known."""
    path = f"pipeline.model.center_net.{KEYPOINT_TASKS}"
    notes = [f"{path}: {len(points)} keypoints of {class_name}"]
    if task.predict_depth:
        task.predict_depth = False
        notes.append(f"{path}: no depth of {class_name}, of which records know none")
    for label in set(task.keypoint_label_to_std) - set(points):
        del task.keypoint_label_to_std[label]
    unknown = [point for point in points if point not in task.keypoint_label_to_std]
    if unknown:
        told = f"{', '.join(unknown)} of {class_name}"
        notes.append(f"no spread is known of {told}: 1 is taken for training, {DEFAULT_SIGMA} for evaluation")
    return notes


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _fitted_weights(config: Any, slots: int) -> list[str]:
    """Take out weights that are not one for each keypoint; a note for each."""
    places = [("train_input_reader", config.train_input_reader, "keypoint_type_weight")]
    for number, reader in enumerate(config.eval_input_reader):
        places.append((f"eval_input_reader.{number}", reader, "keypoint_type_weight"))
    center = config.model.center_net.object_center_params
    places.append(("model.center_net.object_center_params", center, "keypoint_weights_for_center"))
    notes = []
    for path, message, name in places:
        count = len(getattr(message, name))
        if count not in (0, slots):
            message.ClearField(name)
            notes.append(f"pipeline.{path}.{name} is not used: it has {count} weights, and the data {slots} keypoints")
    return notes


def _set_mirrors(config: Any, mirrored: list[int]) -> list[str]:
    """Have mirrors exchange keypoints by their names; what is set is kept where names tell no left from right."""
    notes = []
    for mirror in _mirrors(config):
        given = list(mirror.keypoint_flip_permutation)
        names_tell_sides = mirrored != sorted(mirrored)
        if not names_tell_sides and sorted(given) == list(range(len(mirrored))):
            continue
        mirror.keypoint_flip_permutation[:] = mirrored
        if given != mirrored:
            notes.append(f"{mirror.DESCRIPTOR.name}: keypoints are exchanged by the left and right of their names")
    return notes


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
