"""A pipeline configuration as its authors publish it: with a placeholder for each path, and its digest.

Two configurations are equal but for the paths of records, label maps and checkpoints exactly if their digests are.
"""

from __future__ import annotations

import hashlib
from typing import Any

from odrun.pipeline.descriptors import PipelineConfig

PLACEHOLDER = "PATH_TO_BE_CONFIGURED"
"""What the official configurations of the OD API begin their paths with."""


def with_placeholders(config: PipelineConfig) -> PipelineConfig:
    """A copy of `config` with `PLACEHOLDER` as the path of its checkpoint, records and label maps."""
    copy: Any = type(config)()
    copy.CopyFrom(config)
    copy.train_config.fine_tune_checkpoint = PLACEHOLDER
    for reader in (copy.train_input_reader, *copy.eval_input_reader):
        reader.label_map_path = PLACEHOLDER
        reader.tf_record_input_reader.input_path[:] = [PLACEHOLDER]
    if copy.model.HasField("center_net") and copy.model.center_net.keypoint_estimation_task:
        copy.model.center_net.keypoint_label_map_path = PLACEHOLDER
    placed: PipelineConfig = copy
    return placed


def digest(config: PipelineConfig) -> str:
    """The SHA-256 of `with_placeholders(config)`, serialized deterministically; a default that is set counts as set."""
    return hashlib.sha256(with_placeholders(config).SerializeToString(deterministic=True)).hexdigest()
