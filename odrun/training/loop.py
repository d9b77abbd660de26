"""The training loop: exactly as many steps as asked for, whatever the architecture.

Comes in: a trainer, its batches and who is to be told after each step. Goes out: how long it took. What happens on the
way (logging, evaluation, checkpoints, a progress bar) is a list of functions called after each step, in their order.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from odrun.compat.engine import Features, Labels
from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError
from odrun.training.step import Trainer

TOTAL_LOSS_METRIC = "train/loss/total"


@dataclass(frozen=True)
class StepReport:
    """A finished step, numbered from 1.

    `metrics` is filled at logged steps (step 1, each `log_every`th and the last) and empty at the others:
    `train/loss/...`, `train/learning_rate`, and means since the logged step before of `train/step_s` and
    `train/input_wait_s` (seconds) and `train/images_per_s`.
    """

    step: int
    steps: int
    metrics: Mapping[str, float]

    @property
    def is_last(self) -> bool:
        """Whether training ends with this step."""
        return self.step == self.steps


@dataclass(frozen=True)
class TrainingTime:
    """Seconds in `steps` steps and their input: of the first step, which traces, and of all others together."""

    steps: int
    batch_size: int
    first_step_s: float
    steps_s: float

    @property
    def steps_per_s(self) -> float | None:
        """Steps per second after the first; `None` if there was only one."""
        return (self.steps - 1) / self.steps_s if self.steps > 1 else None

    @property
    def images_per_s(self) -> float | None:
        """Images per second after the first step; `None` if there was only one."""
        return None if self.steps_per_s is None else self.steps_per_s * self.batch_size


AfterStep = Callable[[StepReport], None]


def train(
    trainer: Trainer,
    batches: Iterator[tuple[Features, Labels]],
    *,
    steps: int,
    batch_size: int,
    log_every: int,
    after_step: Sequence[AfterStep],
    stop_requested: Callable[[], bool],
) -> TrainingTime:
    """Train until `trainer.step` is `steps`, or until `stop_requested()` after a step.

    Raises:
        RunFailedError: the total loss of a logged step is not a finite number.
    """
    first = int(trainer.step) + 1
    meter = _Meter(batch_size)
    step = first - 1
    while step < steps and not stop_requested():
        step += 1
        with meter.measure_step():
            with meter.measure_input():
                features, labels = next(batches)
            is_logged = step in (first, steps) or step % log_every == 0
            metrics = {"train/learning_rate": trainer.learning_rate()} if is_logged else {}
            losses = trainer.train(features, labels)
            if is_logged:
                metrics |= _loss_metrics(losses)
        if is_logged:
            metrics |= meter.means_since_last()
            _check_finite(metrics[TOTAL_LOSS_METRIC], step)
        report = StepReport(step, steps, metrics)
        for tell in after_step:
            tell(report)
    return meter.total()


class _Meter:
    """Adds up the time of steps and of the wait for their input."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._steps = 0
        self._first_step_s = 0.0
        self._steps_s = 0.0
        self._input_wait_s = 0.0
        self._last = (0, 0.0, 0.0)

    def measure_step(self) -> _Stopwatch:
        return _Stopwatch(self._add_step)

    def measure_input(self) -> _Stopwatch:
        return _Stopwatch(self._add_input_wait)

    def means_since_last(self) -> dict[str, float]:
        now = (self._steps, self._first_step_s + self._steps_s, self._input_wait_s)
        steps, seconds, waited = (new - old for new, old in zip(now, self._last, strict=True))
        self._last = now
        return {
            "train/step_s": seconds / steps,
            "train/input_wait_s": waited / steps,
            "train/images_per_s": self._batch_size * steps / seconds,
        }

    def total(self) -> TrainingTime:
        return TrainingTime(self._steps, self._batch_size, self._first_step_s, self._steps_s)

    def _add_step(self, seconds: float) -> None:
        self._steps += 1
        if self._steps == 1:
            self._first_step_s = seconds
        else:
            self._steps_s += seconds

    def _add_input_wait(self, seconds: float) -> None:
        self._input_wait_s += seconds


class _Stopwatch:
    def __init__(self, add: Callable[[float], None]) -> None:
        self._add = add

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *failure: object) -> None:
        self._add(time.perf_counter() - self._started)


def _loss_metrics(losses: Mapping[str, tf.Tensor]) -> dict[str, float]:
    """`Loss/total_loss` → `train/loss/total`, `Loss/RPNLoss/objectness_loss` → `train/loss/RPNLoss/objectness`."""
    return {
        f"train/loss/{name.removeprefix('Loss/').removesuffix('_loss')}": float(value) for name, value in losses.items()
    }


def _check_finite(total_loss: float, step: int) -> None:
    if not math.isfinite(total_loss):
        raise RunFailedError(
            f"the loss is {total_loss} at step {step}",
            where=f"step {step}",
            remedy="lower train.learning_rate, or lengthen train.warmup_steps",
        )
