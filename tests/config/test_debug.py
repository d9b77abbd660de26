"""The presets of `conf/debug/`: what each of them changes, and that no other lies there untested."""

from __future__ import annotations

import pytest

from odrun.config.jobs import composed
from odrun.config.location import conf_dir
from odrun.settings import TrainJob

ENTRIES = ("ssd_mobilenet_v2_fpnlite_digits", "ssd_mobilenet_v2_fpnlite_320x320")


def job(*overrides: str) -> TrainJob:
    made = composed("train", overrides)
    assert isinstance(made, TrainJob)
    return made


def is_told(made: TrainJob) -> bool:
    return made.tracking.tensorboard or made.tracking.wandb.mode != "disabled"


def test_the_presets_are_those_that_are_tested_here() -> None:
    presets = sorted(file.stem for file in (conf_dir() / "debug").glob("*.yaml"))
    assert presets == ["no_augmentation", "overfit_one_batch", "profile", "two_steps"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_two_steps_end_after_two_steps_and_an_evaluation(entry: str) -> None:
    made = job(f"model={entry}", "debug=two_steps")
    assert (made.train.steps, made.train.batch_size, made.train.warmup_steps, made.eval.every) == (2, 2, 0, None)
    assert not is_told(made)


@pytest.mark.parametrize("entry", ENTRIES)
def test_one_batch_is_overfitted_on_as_many_unchanged_images_as_a_batch_has(entry: str) -> None:
    made = job(f"model={entry}", "debug=overfit_one_batch")
    assert made.train.max_images == made.train.batch_size
    assert job("debug=overfit_one_batch", "train.batch_size=3").train.max_images == 3
    assert (made.augmentation.steps, made.train.warmup_steps, made.eval.every) == ({}, 0, None)
    official = made.model.official
    assert made.train.learning_rate == official.learning_rate * made.train.batch_size / official.batch_size
    assert not is_told(made)


def test_a_profile_lies_within_the_steps_that_are_trained() -> None:
    made = job("debug=profile")
    assert made.train.callbacks == {
        "profile": {"_target_": "odrun.training.callbacks.Profile", "first_step": 5, "steps": 10}
    }
    assert made.train.steps >= 5 + 10


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_augmentation_takes_out_the_augmentation_and_nothing_else(entry: str) -> None:
    made, plain = job(f"model={entry}", "debug=no_augmentation"), job(f"model={entry}")
    assert plain.augmentation.steps != {}
    assert made.augmentation.steps == {}
    made.augmentation = plain.augmentation
    assert made == plain
