"""The shipped model entries against the official training configs of the OD API, by digest.

The digests (`odrun.pipeline.official.digest`) are of `configs/tf2/*.config` of tensorflow/models,
research/object_detection; `tests/goldens/official_digests.py` makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.descriptors import new_config
from odrun.pipeline.official import PLACEHOLDER, digest, with_placeholders
from odrun.settings import TrainJob

DIGESTS: dict[str, str] = json.loads(
    (Path(__file__).parent.parent / "goldens" / "official_digests.json").read_text(encoding="utf-8")
)


def entry_digest(*overrides: str) -> str:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return digest(build(job.pipeline, job.augmentation))


def test_there_is_a_digest_of_each_official_config() -> None:
    assert len(DIGESTS) == len(set(DIGESTS.values())) == 36


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
        "model.input_px=[320,321]",
        "pipeline.model.ssd.matcher.argmax_matcher.matched_threshold=0.51",
        "+pipeline.train_config.use_bfloat16=false",
    ],
)
def test_a_deviation_from_the_official_config_would_be_seen(change: str) -> None:
    entry = "ssd_mobilenet_v2_fpnlite_320x320"
    assert entry_digest(f"model={entry}", change) != DIGESTS[entry]


@pytest.mark.parametrize("change", ["train.steps=70000", "train.learning_rate=0.002"])
def test_a_schedule_of_steps_follows_the_steps_and_the_rate(change: str) -> None:
    job = composed("train", ["model=centernet_hourglass104_512x512", change])
    assert isinstance(job, TrainJob)
    config: Any = build(job.pipeline, job.augmentation)
    manual = config.train_config.optimizer.adam_optimizer.learning_rate.manual_step_learning_rate
    steps, rate = job.train.steps / 140000, job.train.learning_rate
    assert manual.initial_learning_rate == pytest.approx(rate)
    assert [(item.step, item.learning_rate) for item in manual.schedule] == [
        (90000 * steps, pytest.approx(rate / 10)),
        (120000 * steps, pytest.approx(rate / 100)),
    ]


def test_configurations_that_differ_in_paths_alone_have_one_digest() -> None:
    one: Any = new_config()
    one.eval_input_reader.add()
    other: Any = new_config()
    other.CopyFrom(one)
    other.train_config.fine_tune_checkpoint = "a/ckpt-1"
    other.train_input_reader.tf_record_input_reader.input_path[:] = ["b", "c"]
    other.eval_input_reader[0].label_map_path = "d"
    assert digest(one) == digest(other)
    placed: Any = with_placeholders(other)
    assert placed.train_config.fine_tune_checkpoint == PLACEHOLDER
    assert other.train_config.fine_tune_checkpoint == "a/ckpt-1"


def test_a_default_that_is_set_differs_from_one_that_is_not() -> None:
    one: Any = new_config()
    other: Any = new_config()
    other.train_config.unpad_groundtruth_tensors = True
    assert one.train_config.unpad_groundtruth_tensors == other.train_config.unpad_groundtruth_tensors
    assert digest(one) != digest(other)
