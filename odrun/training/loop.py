"""The training loop: exactly as many steps as asked for, whatever the architecture.

Comes in: a trainer, its batches and who is to be told after each step. Goes out: how long it took. What happens on the
way (logging, evaluation, checkpoints, a progress bar, callbacks) is a list of functions called after each step, in
their order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from odrun.compat.inputs import Features, Labels
from odrun.compat.tensorflow import tf
from odrun.runs.summary import CALLBACK, StoppedBy
from odrun.training.step import Trainer


class Control:
    """How whoever is told of a step asks for the end of training."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.by: StoppedBy | None = None

    def stop(self, reason: str, *, by: StoppedBy = CALLBACK) -> None:
        """End training with this step, as if it were the last; the first `reason` given, and who gave it, is kept."""
        if self.reason is None:
            self.reason, self.by = reason, by


@dataclass(frozen=True)
class StepReport:
    """A finished step, numbered from 1.

    `metrics` is filled at logged steps (the first, each `log_every`th and the
    last) and empty at the others: `train/loss/...`, `train/learning_rate`, `train/gradient_norm`, means since the
    logged step before of `train/step_s` and `train/input_wait_s` (seconds) and `train/images_per_s`, and
    `train/skipped_steps`, the steps since then whose loss or gradient was no finite number.
    """

    step: int
    steps: int
    metrics: Mapping[str, float]
    control: Control

    @property
    def is_last(self) -> bool:
        """Whether training ends with this step."""
        return self.step == self.steps or self.control.reason is not None


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


class Loop:
    """Trains `trainer` on `batches` until its step is `steps`.

    After each step `after_step` is called in its order. `on_nan` is called with the number of a step whose loss or
    gradient was no finite number, which has left the weights as they were; it may raise.
    """

    def __init__(
        self,
        trainer: Trainer,
        batches: Iterator[tuple[Features, Labels]],
        *,
        steps: int,
        batch_size: int,
        log_every: int,
        after_step: Sequence[AfterStep],
        on_nan: Callable[[int], None],
    ) -> None:
        self.control = Control()
        self._trainer = trainer
        self._batches = batches
        self._steps = steps
        self._log_every = log_every
        self._after_step = after_step
        self._on_nan = on_nan
        self._meter = _Meter(batch_size)
        self._skipped = 0

    def run(self, *, interrupted: Callable[[], bool]) -> None:
        """Train to the last step, until `control` is asked to stop, or until `interrupted()` after a step."""
        first = step = int(self._trainer.step) + 1
        while step <= self._steps and self.control.reason is None and not interrupted():
            metrics = self._step(step, is_logged=step in (first, self._steps) or step % self._log_every == 0)
            report = StepReport(step, self._steps, metrics, self.control)
            for tell in self._after_step:
                tell(report)
            step += 1

    def time(self) -> TrainingTime:
        """What the steps until now took."""
        return self._meter.total()

    def _step(self, step: int, *, is_logged: bool) -> dict[str, float]:
        with self._meter.measure_step():
            with self._meter.measure_input():
                features, labels = next(self._batches)
            metrics = {"train/learning_rate": self._trainer.learning_rate()} if is_logged else {}
            result = self._trainer.train(features, labels)
            is_applied = bool(result.is_applied)
        if not is_applied:
            self._skipped += 1
            self._on_nan(step)
        if is_logged:
            metrics |= {f"train/{name}": value for name, value in loss_metrics(result.losses).items()}
            metrics |= {"train/gradient_norm": float(result.gradient_norm), "train/skipped_steps": float(self._skipped)}
            metrics |= self._meter.means_since_last()
            self._skipped = 0
        return metrics


def loss_metrics(losses: Mapping[str, tf.Tensor | float]) -> dict[str, float]:
    """`Loss/total_loss` → `loss/total`, `Loss/RPNLoss/objectness_loss` → `loss/RPNLoss/objectness`."""
    return {f"loss/{name.removeprefix('Loss/').removesuffix('_loss')}": float(value) for name, value in losses.items()}


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
