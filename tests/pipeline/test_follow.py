from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.descriptors import new_config
from odrun.pipeline.follow import following, official_recipe
from odrun.settings import OfficialSettings, TrainJob

STEPS = "centernet_hourglass104_512x512"
COSINE = "ssd_resnet50_v1_fpn_640x640"


def job_of(*overrides: str) -> TrainJob:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return job


def built(*overrides: str) -> Any:
    job = job_of(*overrides)
    return build(job.pipeline, job.augmentation)


@pytest.mark.parametrize("entry", [STEPS, COSINE])
def test_the_recipe_of_a_configuration_is_that_of_its_entry(entry: str) -> None:
    assert official_recipe(built(f"model={entry}")) == job_of(f"model={entry}").model.official


@pytest.mark.parametrize("entry", [STEPS, COSINE])
@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["train.learning_rate=0.0005"],
        ["train.steps=7000", "train.warmup_steps=3"],
        ["train.steps=7000", "train.scale_schedule=false"],
        ["train.ema_decay=0.99", "train.freeze=[a]"],
    ],
)
def test_a_configuration_follows_the_settings_as_its_entry_does_by_interpolation(
    entry: str, changes: list[str]
) -> None:
    train = job_of(f"model={entry}", *changes).train
    if entry == STEPS:
        train = replace(train, warmup_steps=0)
    followed: Any = following(built(f"model={entry}"), train)
    followed.train_config.batch_size = train.batch_size
    followed.train_config.num_steps = train.steps
    assert followed == built(f"model={entry}", *changes)


def test_an_exponential_schedule_is_followed_whole() -> None:
    config: Any = new_config()
    config.train_config.batch_size = 10
    config.train_config.num_steps = 100
    schedule = config.train_config.optimizer.momentum_optimizer.learning_rate.exponential_decay_learning_rate
    schedule.initial_learning_rate, schedule.decay_steps, schedule.decay_factor = 0.5, 50, 0.25
    schedule.burnin_learning_rate, schedule.burnin_steps = 0.125, 10
    assert official_recipe(config) == OfficialSettings(10, 100, 0.5, 0.125, 10)
    train = replace(job_of().train, learning_rate=0.25, steps=200, warmup_steps=7)
    followed: Any = following(config, train)
    now = followed.train_config.optimizer.momentum_optimizer.learning_rate.exponential_decay_learning_rate
    assert (now.initial_learning_rate, now.decay_steps, now.decay_factor) == (0.25, 100, 0.25)
    assert (now.burnin_learning_rate, now.burnin_steps) == (0.0625, 7)
    assert schedule.initial_learning_rate == 0.5


def test_a_configuration_without_a_schedule_has_no_recipe() -> None:
    with pytest.raises(InputError, match="optimizer is not set"):
        official_recipe(new_config())
