"""A published pipeline configuration as a recipe: what it was trained with, and the same for other settings.

Comes in: a `TrainEvalPipelineConfig` that somebody else wrote. Goes out: its batch size, steps and rates; or a copy
whose schedule is in proportion to the settings of a training, as the entries written in YAML have it by interpolation.
"""

from __future__ import annotations

from typing import Any

from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.recipe import base_rate
from odrun.pipeline.schedule import schedule_of
from odrun.settings import OfficialSettings, TrainSettings

_WARMUPS = {
    "cosine_decay_learning_rate": ("warmup_learning_rate", "warmup_steps"),
    "exponential_decay_learning_rate": ("burnin_learning_rate", "burnin_steps"),
}
_FLOAT32_DIGITS = 7


def official_recipe(config: PipelineConfig) -> OfficialSettings:
    """Batch size, steps and rates of `config`; without a warm-up its rate and steps are 0.

    Raises:
        InputError: there is no optimizer or no schedule, or a number is out of its limits.
    """
    schedule, kind, _ = schedule_of(config)
    rate, steps = (getattr(schedule, name) for name in _WARMUPS[kind]) if kind in _WARMUPS else (0.0, 0)
    train: Any = config.train_config  # type: ignore[attr-defined]  # fields are made at run time
    return OfficialSettings(
        batch_size=train.batch_size,
        steps=train.num_steps,
        learning_rate=_decimal(base_rate(config)),
        warmup_learning_rate=_decimal(rate),
        warmup_steps=steps,
    )


def following(config: PipelineConfig, train: TrainSettings) -> PipelineConfig:
    """A copy of `config` with rates in proportion to `train.learning_rate` and steps to `train.steps`.

    The warm-up of a cosine is `train.warmup_steps`. Frozen variables and averages are added where `train` has them;
    without `train.scale_schedule` the steps stay.

    Raises:
        InputError: as of `official_recipe`.
    """
    official = official_recipe(config)
    copy: Any = type(config)()
    copy.CopyFrom(config)
    schedule, kind, _ = schedule_of(copy)
    rates = (train.learning_rate, official.learning_rate)
    steps = (train.steps, official.steps) if train.scale_schedule else (1, 1)
    _scale(schedule, rates, steps)
    if kind in _WARMUPS and train.warmup_steps != official.warmup_steps:
        setattr(schedule, _WARMUPS[kind][1], train.warmup_steps)
    copy.train_config.freeze_variables.extend(train.freeze)
    if train.ema_decay is not None:
        copy.train_config.optimizer.use_moving_average = True
        copy.train_config.optimizer.moving_average_decay = train.ema_decay
    followed: PipelineConfig = copy
    return followed


def _scale(message: Any, rates: tuple[float, float], steps: tuple[int, int]) -> None:
    """Scale the rates and steps that are set, as (now, official); the schedules' messages keep to these names."""
    if rates[0] == rates[1] and steps[0] == steps[1]:
        # What is not scaled keeps all its digits.
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value:
                _scale(inner, rates, steps)
        elif "learning_rate" in field.name:
            setattr(message, field.name, _decimal(value) * rates[0] / rates[1])
        elif field.name == "step" or field.name.endswith("_steps"):
            setattr(message, field.name, round(value * steps[0] / steps[1]))


def _decimal(value: float) -> float:
    """A 32-bit number as the decimal that somebody wrote."""
    return float(f"{value:.{_FLOAT32_DIGITS}g}")
