"""The shipped model entries against the official training configs of the OD API, by digest.

A digest is the SHA-256 of the deterministic serialization of the `TrainEvalPipelineConfig` after `canonical`: without
record, label map and checkpoint paths, and without the size of a shuffle buffer, which an entry leaves to odrun. The
digests were computed by the same function from `configs/tf2/*.config` of tensorflow/models, research/object_detection.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.settings import TrainJob

DIGESTS = {
    "ssd_mobilenet_v2_fpnlite_320x320": "1897e529840be1ab2661a5a65fa20ae3cc060de6f9985fbfd6a267b26b090c31",
}


def canonical(config: Any) -> bytes:
    copy = type(config)()
    copy.CopyFrom(config)
    copy.train_config.ClearField("fine_tune_checkpoint")
    copy.train_input_reader.ClearField("shuffle_buffer_size")
    for reader in (copy.train_input_reader, *copy.eval_input_reader):
        reader.ClearField("label_map_path")
        reader.ClearField("tf_record_input_reader")
    serialized: bytes = copy.SerializeToString(deterministic=True)
    return serialized


def entry_digest(*overrides: str) -> str:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return hashlib.sha256(canonical(build(job.pipeline, job.augmentation))).hexdigest()


@pytest.mark.parametrize("entry", sorted(DIGESTS))
def test_an_entry_with_its_own_values_equals_the_official_config(entry: str) -> None:
    assert entry_digest(f"model={entry}") == DIGESTS[entry]


@pytest.mark.parametrize(
    "change",
    [
        "train.learning_rate=0.081",
        "train.batch_size=64",
        "train.steps=25000",
        "train.ema_decay=0.999",
        "train.freeze=[FeatureExtractor]",
        "augmentation=flip",
        "pipeline.model.ssd.matcher.argmax_matcher.matched_threshold=0.51",
        "+pipeline.train_config.use_bfloat16=false",
    ],
)
def test_a_deviation_from_the_official_config_would_be_seen(change: str) -> None:
    entry = "ssd_mobilenet_v2_fpnlite_320x320"
    assert entry_digest(f"model={entry}", change) != DIGESTS[entry]
