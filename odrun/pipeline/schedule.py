"""The learning rate's schedule, fitted to the number of steps that are trained.

Comes in: a complete `TrainEvalPipelineConfig`. Goes out: one that the OD API can compute a learning rate from at every
step, even if all its steps have been scaled down to one. Refused: no optimizer, no schedule, steps that run backwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig

OPTIMIZER = "pipeline.train_config.optimizer"


@dataclass(frozen=True)
class FittedSchedule:
    """The configuration with its schedule fitted, and a note for each thing about it that may surprise."""

    config: PipelineConfig
    notes: tuple[str, ...]


def fit_schedule(config: PipelineConfig) -> FittedSchedule:
    """A copy of `config` whose schedule fits its `num_steps`.

    A cosine's warm-up (with the steps that hold the base rate) has to end before the schedule does. One that does not
    is shortened to a tenth of the schedule, rounded down, without holding. Where several steps of a manual schedule
    fall on one training step, the last counts. What is merely never reached stays as it is; a note says so.

    Raises:
        InputError: there is no optimizer or no schedule, a warm-up starts above the rate it leads to, or the steps of a
            manual schedule do not increase.
    """
    fitted: Any = type(config)()
    fitted.CopyFrom(config)
    schedule, kind, key = schedule_of(fitted)
    steps = fitted.train_config.num_steps
    fit = {
        "cosine_decay_learning_rate": _fit_cosine,
        "exponential_decay_learning_rate": _fit_exponential,
        "manual_step_learning_rate": _fit_manual,
    }
    notes = fit[kind](schedule, steps, key) if kind in fit else []
    return FittedSchedule(fitted, tuple(notes))


def schedule_of(config: Any) -> tuple[Any, str, str]:
    """The schedule message of the optimizer, its kind (its field's name), and the key it lies at.

    Raises:
        InputError: there is no optimizer or no schedule.
    """
    optimizer = config.train_config.optimizer.WhichOneof("optimizer")
    if optimizer is None:
        raise InputError(f"{OPTIMIZER} is not set", where=OPTIMIZER, remedy=f"+{OPTIMIZER}.momentum_optimizer={{}}")
    learning_rate = getattr(config.train_config.optimizer, optimizer).learning_rate
    kind = learning_rate.WhichOneof("learning_rate")
    key = f"{OPTIMIZER}.{optimizer}.learning_rate"
    if kind is None:
        remedy = f"+{key}.constant_learning_rate.learning_rate=0.01, or a schedule: {_schedules(learning_rate)}"
        raise InputError(f"{key} is not set", where=key, remedy=remedy)
    return getattr(learning_rate, kind), kind, f"{key}.{kind}"


def short(value: float) -> str:
    """A float32 in the fewest digits that people gave it in."""
    return f"{value:.7g}" if math.isfinite(value) else str(value)


def _schedules(learning_rate: Any) -> str:
    return ", ".join(sorted(field.name for field in learning_rate.DESCRIPTOR.fields))


def _fit_cosine(cosine: Any, steps: int, key: str) -> list[str]:
    notes = []
    cosine.total_steps = max(cosine.total_steps, 1)
    total, asked = cosine.total_steps, cosine.warmup_steps + cosine.hold_base_rate_steps
    if asked >= total:
        cosine.warmup_steps = total // 10
        cosine.ClearField("hold_base_rate_steps")
        notes.append(f"warm-up shortened from {asked} to {cosine.warmup_steps} steps, as the training has {total}")
    if cosine.warmup_steps and cosine.warmup_learning_rate > cosine.learning_rate_base:
        raise InputError(
            f"the warm-up starts at the rate {short(cosine.warmup_learning_rate)}, above the learning rate "
            f"{short(cosine.learning_rate_base)} that it leads to",
            where=f"{key}.warmup_learning_rate",
            remedy=f"set {key}.warmup_learning_rate to at most the learning rate, or raise train.learning_rate",
        )
    if 0 < steps < total:
        notes.append(f"training ends after {steps} of the {total} steps of the learning rate's schedule")
    if steps > total:
        notes.append(f"the learning rate is 0 after step {total} of {steps}: its schedule ends there")
    return notes


def _fit_exponential(exponential: Any, steps: int, key: str) -> list[str]:
    exponential.decay_steps = max(exponential.decay_steps, 1)
    if 0 < steps <= exponential.burnin_steps:
        return [f"{key}.burnin_steps ({exponential.burnin_steps}) do not end within the {steps} steps of the training"]
    return []


def _fit_manual(manual: Any, steps: int, key: str) -> list[str]:
    given = [(change.step, change.learning_rate) for change in manual.schedule]
    numbers = [step for step, _ in given]
    if not given or numbers != sorted(numbers):
        fault = f"has steps that do not increase: {', '.join(map(str, numbers))}" if given else "has no steps"
        remedy = f"{key}.schedule='[{{step: 100, learning_rate: 0.001}}]', or a constant_learning_rate"
        raise InputError(f"{key} {fault}", where=f"{key}.schedule", remedy=remedy)
    # A dict keeps the last rate of each step.
    changes = dict(given)
    notes = [] if len(changes) == len(given) else [f"{key} changes the rate more than once at a step: the last counts"]
    if 0 in changes:
        manual.initial_learning_rate = changes.pop(0)
        manual.warmup = False
        # The OD API takes no schedule without a change.
        changes = changes or {1: manual.initial_learning_rate}
    del manual.schedule[:]
    for step, rate in changes.items():
        manual.schedule.add(step=step, learning_rate=rate)
    late = [str(step) for step in changes if 0 < steps <= step]
    if late:
        notes.append(f"{key} changes the rate at {', '.join(late)}, after the {steps} steps of the training")
    return notes
