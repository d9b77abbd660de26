from __future__ import annotations

from pathlib import Path

import pytest

from odrun.config.jobs import composed
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.pipeline.recipe import recipe_notes
from odrun.settings import TrainJob

ENTRY = "model=ssd_mobilenet_v2_fpnlite_320x320"
MOMENTUM = "pipeline.train_config.optimizer.momentum_optimizer.learning_rate"


def notes(*overrides: str) -> tuple[str, ...]:
    job = composed("train", (ENTRY, *overrides))
    assert isinstance(job, TrainJob)
    done = complete(
        build(job.pipeline, job.augmentation),
        train_records="",
        validation_records="",
        label_map=Path(),
        num_classes=1,
        checkpoint=None,
    )
    return recipe_notes(done.config, job.train, job.model.official)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ((), "learning rate 0.08, the official one for batch 128"),
        (("train.batch_size=8",), "learning rate 0.005 = official 0.08 x batch 8 / 128"),
        (
            ("train.batch_size=8", "train.scale_learning_rate=false"),
            "learning rate 0.08, the official one for batch 128, not scaled to batch 8",
        ),
        (
            ("train.batch_size=8", "train.learning_rate=0.04"),
            "learning rate 0.04, as set; official 0.08 for batch 128",
        ),
        (
            (f"{MOMENTUM}.cosine_decay_learning_rate.learning_rate_base=0.5",),
            "learning rate 0.5, as set in the pipeline; train.learning_rate (0.08) is not used",
        ),
    ],
)
def test_where_the_learning_rate_comes_from_is_said(overrides: tuple[str, ...], line: str) -> None:
    assert notes(*overrides)[0] == line


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ((), "warm-up 1000 steps, the official ones; then a cosine down to 0 at step 50000"),
        (
            ("train.steps=500",),
            "warm-up 10 steps = official 1000 x steps 500 / 50000; then a cosine down to 0 at step 500",
        ),
        (("train.steps=500", "train.warmup_steps=30"), "warm-up 30 steps; then a cosine down to 0 at step 500"),
        (
            ("train.steps=500", "train.scale_schedule=false"),
            "warm-up 1000 steps, the official ones; then a cosine down to 0 at step 50000",
        ),
        (
            ("train.steps=1",),
            "warm-up 0 steps = official 1000 x steps 1 / 50000; then a cosine down to 0 at step 1",
        ),
    ],
)
def test_where_the_schedule_comes_from_is_said(overrides: tuple[str, ...], line: str) -> None:
    assert notes(*overrides)[1:] == (line,)


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        ("constant_learning_rate={learning_rate: 0.5}", "0.5"),
        ("exponential_decay_learning_rate={initial_learning_rate: 0.25}", "0.25"),
        ("manual_step_learning_rate={initial_learning_rate: 0.125, schedule: [{step: 9, learning_rate: 1}]}", "0.125"),
        ("manual_step_learning_rate={warmup: true, schedule: [{step: 9, learning_rate: 1.5}]}", "1.5"),
    ],
)
def test_of_other_schedules_the_rate_after_the_warm_up_is_told(schedule: str, rate: str) -> None:
    lines = notes(f"{MOMENTUM}.cosine_decay_learning_rate=null", f"+{MOMENTUM}.{schedule}")
    assert lines == (f"learning rate {rate}, as set in the pipeline; train.learning_rate (0.08) is not used",)


def test_averages_of_the_weights_are_told() -> None:
    assert notes("train.ema_decay=0.999")[2:] == ("averages of the weights (decay 0.999) are evaluated and exported",)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (
            ("pipeline.train_config.batch_size=4",),
            "pipeline.train_config.batch_size is 4, and train.batch_size is 128",
        ),
        (("pipeline.train_config.num_steps=7",), "pipeline.train_config.num_steps is 7, and train.steps is 50000"),
        (
            ("train.freeze=[a]", "pipeline.train_config.freeze_variables=[b]"),
            "pipeline.train_config.freeze_variables is ['b'], and train.freeze is ['a']",
        ),
        (
            ("train.ema_decay=0.999", "pipeline.train_config.optimizer.use_moving_average=false"),
            "pipeline.train_config.optimizer.use_moving_average is false, and train.ema_decay is 0.999",
        ),
        (
            ("train.ema_decay=0.999", "pipeline.train_config.optimizer.moving_average_decay=0.5"),
            "pipeline.train_config.optimizer.moving_average_decay is 0.5, and train.ema_decay is 0.999",
        ),
    ],
)
def test_a_setting_that_the_pipeline_contradicts_is_refused(overrides: tuple[str, ...], what: str) -> None:
    with pytest.raises(InputError) as caught:
        notes(*overrides)
    assert caught.value.what == what


def test_the_remedy_for_a_batch_size_in_the_wrong_place_works() -> None:
    with pytest.raises(InputError) as caught:
        notes("pipeline.train_config.batch_size=4")
    assert caught.value.remedy == "train.batch_size=4, and leave pipeline.train_config.batch_size alone"
    assert notes("train.batch_size=4")[0] == "learning rate 0.0025 = official 0.08 x batch 4 / 128"


def test_frozen_variables_of_the_pipeline_alone_stand() -> None:
    assert len(notes("pipeline.train_config.freeze_variables=[b]")) == 2
