"""Every optimizer and every schedule of the OD API, chosen on the command line."""

from __future__ import annotations

import math
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.descriptors import message_at
from odrun.pipeline.schedule import fit_schedule
from odrun.pipeline.text import to_text
from odrun.settings import TrainJob

OPTIMIZER = "pipeline.train_config.optimizer"
RATE = f"{OPTIMIZER}.adam_optimizer.learning_rate"
OPTIMIZERS = {
    "adam_optimizer": (
        "epsilon: 0.001, learning_rate: {constant_learning_rate: {learning_rate: 0.25}}",
        "adam_optimizer {\n  learning_rate {\n    constant_learning_rate {\n      learning_rate: 0.25\n    }\n  }\n"
        "  epsilon: 0.001\n}\nuse_moving_average: false\n",
    ),
    "momentum_optimizer": (
        "momentum_optimizer_value: 0.5, learning_rate: {constant_learning_rate: {learning_rate: 0.25}}",
        "momentum_optimizer {\n  learning_rate {\n    constant_learning_rate {\n      learning_rate: 0.25\n    }\n  }\n"
        "  momentum_optimizer_value: 0.5\n}\nuse_moving_average: false\n",
    ),
    "rms_prop_optimizer": (
        "momentum_optimizer_value: 0.5, decay: 0, epsilon: 0.125, "
        "learning_rate: {constant_learning_rate: {learning_rate: 0.25}}",
        "rms_prop_optimizer {\n  learning_rate {\n    constant_learning_rate {\n      learning_rate: 0.25\n    }\n  }\n"
        "  momentum_optimizer_value: 0.5\n  decay: 0.0\n  epsilon: 0.125\n}\nuse_moving_average: false\n",
    ),
}
SCHEDULES = {
    "constant_learning_rate": ("learning_rate: 0.25", "constant_learning_rate {\n  learning_rate: 0.25\n}\n"),
    "exponential_decay_learning_rate": (
        "initial_learning_rate: 0.25, decay_steps: '${scaled_steps:260}', decay_factor: 0.5, staircase: false",
        "exponential_decay_learning_rate {\n  initial_learning_rate: 0.25\n  decay_steps: 20\n  decay_factor: 0.5\n"
        "  staircase: false\n}\n",
    ),
    "manual_step_learning_rate": (
        "initial_learning_rate: 0.25, warmup: true, "
        "schedule: [{step: '${scaled_steps:1300}', learning_rate: 0.125}, {step: 150, learning_rate: 0.5}]",
        "manual_step_learning_rate {\n  initial_learning_rate: 0.25\n  schedule {\n    step: 100\n"
        "    learning_rate: 0.125\n  }\n  schedule {\n    step: 150\n    learning_rate: 0.5\n  }\n  warmup: true\n}\n",
    ),
    "cosine_decay_learning_rate": (
        "learning_rate_base: '${train.learning_rate}', total_steps: '${train.steps}', warmup_steps: 3, "
        "warmup_learning_rate: 0, hold_base_rate_steps: 2",
        "cosine_decay_learning_rate {\n  learning_rate_base: 0.002\n  total_steps: 200\n  warmup_learning_rate: 0.0\n"
        "  warmup_steps: 3\n  hold_base_rate_steps: 2\n}\n",
    ),
}


def pipeline(*overrides: str) -> Any:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return build(job.pipeline, job.augmentation)


def fields_of(*path: str) -> list[str]:
    message = message_at(("train_config", "optimizer", *path))
    assert message is not None
    return sorted(field.name for field in message.fields if field.message_type is not None)


def test_all_that_the_od_api_has_are_tried() -> None:
    assert fields_of() == sorted(OPTIMIZERS)
    assert fields_of("adam_optimizer", "learning_rate") == sorted(SCHEDULES)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_chosen_by_emptying_the_other(name: str) -> None:
    values, text = OPTIMIZERS[name]
    config = pipeline(f"{OPTIMIZER}.adam_optimizer=null", f"++{OPTIMIZER}.{name}={{{values}}}")
    assert to_text(config.train_config.optimizer) == text


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_chosen_by_emptying_the_other_and_may_follow_the_steps(name: str) -> None:
    values, text = SCHEDULES[name]
    config = pipeline("train.steps=200", f"{RATE}.cosine_decay_learning_rate=null", f"++{RATE}.{name}={{{values}}}")
    assert to_text(config.train_config.optimizer.adam_optimizer.learning_rate) == text
    assert fit_schedule(config).notes == ()


@pytest.mark.parametrize("entry", ["ssd_mobilenet_v2_fpnlite_digits", "ssd_mobilenet_v2_fpnlite_320x320"])
def test_an_entrys_schedule_shortens_to_a_single_step(entry: str) -> None:
    fitted: Any = fit_schedule(pipeline(f"model={entry}", "train.steps=1"))
    optimizer = fitted.config.train_config.optimizer
    cosine = getattr(optimizer, optimizer.WhichOneof("optimizer")).learning_rate.cosine_decay_learning_rate
    assert (cosine.total_steps, cosine.warmup_steps, fitted.notes) == (1, 0, ())


def test_gradients_are_clipped_at_the_norm_that_is_asked_for_or_not_at_all() -> None:
    key = "pipeline.train_config.gradient_clipping_by_norm"
    assert pipeline().train_config.gradient_clipping_by_norm == 10.0
    assert pipeline(f"{key}=2.5").train_config.gradient_clipping_by_norm == 2.5
    assert pipeline(f"{key}=null").train_config.gradient_clipping_by_norm == 0.0


def test_averages_and_frozen_variables_are_in_the_message_when_asked_for_and_only_then() -> None:
    plain = pipeline().train_config
    assert (plain.optimizer.use_moving_average, list(plain.freeze_variables)) == (False, [])
    assert not plain.optimizer.HasField("moving_average_decay")
    asked = pipeline("train.ema_decay=0.75", "train.freeze=[FeatureExtractor]").train_config
    assert (asked.optimizer.use_moving_average, asked.optimizer.moving_average_decay) == (True, 0.75)
    assert list(asked.freeze_variables) == ["FeatureExtractor"]


RATES_AT_STEP_50 = {
    "constant_learning_rate": 0.25,
    "exponential_decay_learning_rate": 0.25 * 0.5 ** (50 / 20),
    "manual_step_learning_rate": 0.25 + (0.125 - 0.25) * 50 / 100,
    "cosine_decay_learning_rate": 0.001 * (1 + math.cos(math.pi * (50 - 5) / (200 - 5))),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_engine_trains_with_each_optimizer_on_each_schedule_even_for_one_step(name: str, schedule: str) -> None:
    from odrun.compat.engine import optimizer_and_rate
    from odrun.compat.tensorflow import tf

    def rate_and_change(steps: int, at_step: int) -> tuple[float, float]:
        chosen = f"++{OPTIMIZER}.{name}={{learning_rate: {{{schedule}: {{{SCHEDULES[schedule][0]}}}}}}}"
        config: Any = fit_schedule(pipeline(f"train.steps={steps}", f"{OPTIMIZER}.adam_optimizer=null", chosen)).config
        optimizer, rate = optimizer_and_rate(config, step=tf.Variable(at_step, dtype=tf.int64), scale=tf.Variable(1.0))
        variable = tf.Variable(0.0)
        optimizer.apply_gradients([(tf.constant(1.0), variable)])
        return float(rate()), float(variable)

    rate, change = rate_and_change(200, at_step=50)
    assert rate == pytest.approx(RATES_AT_STEP_50[schedule], rel=1e-5)
    # Of RMSprop, whose epsilon is 1 by default, the first change is somewhat smaller than the rate.
    assert -1.001 * rate <= change <= -0.9 * rate
    assert rate_and_change(1, at_step=0)[1] < 0
