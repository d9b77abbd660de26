"""What `train` makes of the model entry's official recipe, told in lines at the start of a training.

Comes in: the completed pipeline and the settings that it was composed from. Refused: a pipeline that was given other
values than the settings, which would be ignored without a word, as the settings are what the training goes by.
"""

from __future__ import annotations

import math
from typing import Any

from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.schedule import OPTIMIZER, schedule_of, short
from odrun.settings import OfficialSettings, TrainSettings

_FLOAT32_DIGITS = 1e-6


def recipe_notes(config: PipelineConfig, train: TrainSettings, official: OfficialSettings) -> tuple[str, ...]:
    """Lines such as "learning rate 0.005 = official 0.08 x batch 8 / 128", for a completed `config`.

    Raises:
        InputError: a value of `train` has not reached the pipeline, because another one was written there by hand.
    """
    refuse_unheard(config, train)
    return (_rate_line(config, train, official), *_schedule_lines(config, train, official), *_average_lines(config))


def refuse_unheard(config: Any, train: TrainSettings) -> None:
    """Raise `InputError` where `config` says otherwise than the settings that it follows from."""
    written = config.train_config
    pairs = (
        ("train_config.batch_size", written.batch_size, "train.batch_size", train.batch_size),
        ("train_config.num_steps", written.num_steps, "train.steps", train.steps),
    )
    for field, value, key, asked in pairs:
        if value != asked:
            raise _unheard(
                f"pipeline.{field}", value, key, asked, remedy=f"{key}={value}, and leave pipeline.{field} alone"
            )
    lost = [pattern for pattern in train.freeze if pattern not in written.freeze_variables]
    if lost:
        key = "pipeline.train_config.freeze_variables"
        remedy = f"say all of them in train.freeze, and leave {key} alone"
        raise _unheard(key, list(written.freeze_variables), "train.freeze", train.freeze, remedy=remedy)
    if train.ema_decay is None:
        return
    decay = written.optimizer.moving_average_decay if written.optimizer.use_moving_average else None
    if decay is None or not _equal(decay, train.ema_decay):
        key = f"{OPTIMIZER}.use_moving_average" if decay is None else f"{OPTIMIZER}.moving_average_decay"
        value = "false" if decay is None else short(decay)
        remedy = f"leave {key} alone, or train.ema_decay=null"
        raise _unheard(key, value, "train.ema_decay", train.ema_decay, remedy=remedy)


def _unheard(field: str, value: object, key: str, asked: object, *, remedy: str) -> InputError:
    return InputError(f"{field} is {value}, and {key} is {asked}", where=f"{field}, {key}", remedy=remedy)


def _rate_line(config: PipelineConfig, train: TrainSettings, official: OfficialSettings) -> str:
    rate = base_rate(config)
    scaled = official.learning_rate * train.batch_size / official.batch_size
    told = f"learning rate {short(rate)}"
    at_batch = f"for batch {official.batch_size}"
    if not _equal(rate, train.learning_rate):
        return f"{told}, as set in the pipeline; train.learning_rate ({short(train.learning_rate)}) is not used"
    if _equal(rate, official.learning_rate):
        unscaled = "" if train.batch_size == official.batch_size else f", not scaled to batch {train.batch_size}"
        return f"{told}, the official one {at_batch}{unscaled}"
    if train.scale_learning_rate and _equal(rate, scaled):
        of = f"{short(official.learning_rate)} x batch {train.batch_size} / {official.batch_size}"
        return f"{told} = official {of}"
    return f"{told}, as set; official {short(official.learning_rate)} {at_batch}"


def _schedule_lines(config: PipelineConfig, train: TrainSettings, official: OfficialSettings) -> list[str]:
    cosine, kind, _ = schedule_of(config)
    if kind != "cosine_decay_learning_rate":
        return []
    told = f"warm-up {cosine.warmup_steps} steps"
    scaled = round(official.warmup_steps * train.steps / official.steps)
    if cosine.warmup_steps == official.warmup_steps:
        told += ", the official ones"
    elif train.scale_schedule and cosine.warmup_steps == scaled:
        told += f" = official {official.warmup_steps} x steps {train.steps} / {official.steps}"
    return [f"{told}; then a cosine down to 0 at step {cosine.total_steps}"]


def _average_lines(config: Any) -> list[str]:
    optimizer = config.train_config.optimizer
    if not optimizer.use_moving_average:
        return []
    return [f"averages of the weights (decay {short(optimizer.moving_average_decay)}) are evaluated and exported"]


def base_rate(config: PipelineConfig) -> float:
    """The rate that the schedule has once it is warmed up."""
    schedule, kind, _ = schedule_of(config)
    names = {"constant_learning_rate": "learning_rate", "cosine_decay_learning_rate": "learning_rate_base"}
    is_warmed_up = kind == "manual_step_learning_rate" and schedule.warmup
    rate: float = (
        schedule.schedule[0].learning_rate
        if is_warmed_up
        else getattr(schedule, names.get(kind, "initial_learning_rate"))
    )
    return rate


def _equal(one: float, other: float) -> bool:
    """The pipeline holds 32 bits, the settings 64."""
    return math.isclose(one, other, rel_tol=_FLOAT32_DIGITS)
