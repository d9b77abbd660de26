"""A `pipeline.config` that somebody wrote → the values of a `conf/model` entry that composes to the same message.

Comes in: the message, and what another entry composes to. Goes out: plain mappings of the values in which the two
differ, `null` where the other one's value is taken out. Paths of records, label maps and checkpoints stay out of it:
the data set and `model.checkpoint` decide them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.node import node_of
from odrun.settings import AugmentationSettings

STEPS_FIELD = "data_augmentation_options"
_TRAIN = "train_config"


def without_paths(config: PipelineConfig) -> PipelineConfig:
    """A copy of `config` without the paths that odrun replaces."""
    copy: Any = type(config)()
    copy.CopyFrom(config)
    if copy.HasField(_TRAIN):
        copy.train_config.ClearField("fine_tune_checkpoint")
    readers = [copy.train_input_reader] if copy.HasField("train_input_reader") else []
    for reader in (*readers, *copy.eval_input_reader):
        reader.ClearField("label_map_path")
        if reader.HasField("tf_record_input_reader"):
            reader.tf_record_input_reader.ClearField("input_path")
            if not reader.tf_record_input_reader.ListFields():
                reader.ClearField("tf_record_input_reader")
    if readers and not copy.train_input_reader.ListFields():
        copy.ClearField("train_input_reader")
    if copy.model.HasField("center_net"):
        copy.model.center_net.ClearField("keypoint_label_map_path")
    stripped: PipelineConfig = copy
    return stripped


def parts_of(config: PipelineConfig) -> tuple[dict[str, Any], AugmentationSettings]:
    """The `pipeline` node of `config` and its augmentation.

    A mapping of steps holds each name once: where a step stands twice or is empty, the node keeps them all as the list
    that they are, and the augmentation is without steps.
    """
    node = node_of(config)
    options = node.get(_TRAIN, {}).get(STEPS_FIELD, [])
    names = [name for option in options for name in option]
    if len(set(names)) < len(options) or len(names) != len(options):
        return node, AugmentationSettings(steps={}, order=None)
    if options:
        del node[_TRAIN][STEPS_FIELD]
    return node, AugmentationSettings(
        steps={name: fields for option in options for name, fields in option.items()}, order=None
    )


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What merged over `before` gives `after`: a mapping is merged, anything else replaced, `null` taken out."""
    changes: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        if name not in before:
            changes[name] = value
            continue
        held = before[name]
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            inner = difference(held, value)
            if inner:
                changes[name] = inner
        elif held != value:
            changes[name] = value
    return changes


def augmentation_difference(before: AugmentationSettings, after: AugmentationSettings) -> dict[str, Any]:
    """What merged over the steps of `before` gives those of `after`, with an order only where it is needed."""
    changes: dict[str, Any] = {}
    steps = difference(before.steps, after.steps)
    if steps:
        changes["steps"] = steps
    merged = [name for name in before.steps if name in after.steps]
    merged += [name for name in after.steps if name not in before.steps]
    wanted = list(after.steps)
    if (merged if before.order is None else before.order) != wanted:
        changes["order"] = None if merged == wanted else wanted
    return changes
