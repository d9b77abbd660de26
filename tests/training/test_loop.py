from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from odrun.errors import RunFailedError
from odrun.training.loop import Loop, StepReport


class CountingTrainer:
    """Counts its steps; the total loss of step n is `losses[n]`, 1 / n where none is given."""

    def __init__(self, losses: dict[int, float] | None = None) -> None:
        self.step = 0
        self._losses = losses or {}

    def learning_rate(self) -> float:
        return 0.1 * (self.step + 1)

    def train(self, features: object, labels: object) -> SimpleNamespace:
        self.step += 1
        total = self._losses.get(self.step, 1 / self.step)
        losses = {
            "Loss/classification_loss": total / 2,
            "Loss/RPNLoss/objectness_loss": total / 2,
            "Loss/total_loss": total,
        }
        return SimpleNamespace(losses=losses, gradient_norm=2 * total, is_applied=math.isfinite(total))


def run(
    trainer: CountingTrainer,
    *,
    steps: int,
    log_every: int = 2,
    interrupt_after: int | None = None,
    then: Callable[[StepReport], None] = lambda report: None,
    on_nan: Callable[[int], None] = lambda step: None,
) -> list[tuple[StepReport, bool]]:
    """The reports, each with what `is_last` said when it came."""
    reports: list[tuple[StepReport, bool]] = []
    loop = Loop(
        trainer,
        zip(itertools.count(), itertools.count()),
        steps=steps,
        batch_size=4,
        log_every=log_every,
        after_step=(lambda report: reports.append((report, report.is_last)), then),
        on_nan=on_nan,
    )
    loop.run(interrupted=lambda: trainer.step == interrupt_after)
    return reports


def numbers(reports: list[tuple[StepReport, bool]]) -> list[int]:
    return [report.step for report, _ in reports]


@pytest.mark.parametrize("steps", [1, 2, 7, 101])
def test_exactly_as_many_steps_are_trained_as_asked_for(steps: int) -> None:
    trainer = CountingTrainer()

    reports = run(trainer, steps=steps)

    assert trainer.step == steps
    assert numbers(reports) == list(range(1, steps + 1))
    assert [is_last for _, is_last in reports] == [False] * (steps - 1) + [True]


def test_the_first_each_nth_and_the_last_step_are_logged() -> None:
    reports = run(CountingTrainer(), steps=7, log_every=3)

    assert [report.step for report, _ in reports if report.metrics] == [1, 3, 6, 7]


def test_logged_metrics_have_the_names_of_the_interface_and_the_rate_of_their_own_step() -> None:
    metrics = dict(run(CountingTrainer(), steps=2)[1][0].metrics)

    speeds = {name: metrics.pop(name) for name in ("train/step_s", "train/input_wait_s", "train/images_per_s")}
    assert metrics == {
        "train/loss/total": 0.5,
        "train/loss/classification": 0.25,
        "train/loss/RPNLoss/objectness": 0.25,
        "train/learning_rate": pytest.approx(0.2),
        "train/gradient_norm": 1.0,
        "train/skipped_steps": 0.0,
    }
    assert all(value > 0 for value in speeds.values())


def test_training_goes_on_from_the_step_that_the_trainer_is_at() -> None:
    trainer = CountingTrainer()
    trainer.step = 5

    assert numbers(run(trainer, steps=7)) == [6, 7]


def test_nothing_is_trained_when_the_steps_are_reached_already() -> None:
    trainer = CountingTrainer()
    trainer.step = 7

    assert run(trainer, steps=7) == []


def test_an_interruption_ends_training_after_the_step_it_came_in() -> None:
    assert numbers(run(CountingTrainer(), steps=100, interrupt_after=3)) == [1, 2, 3]


def test_whoever_is_told_of_a_step_can_make_it_the_last_and_the_first_reason_is_kept() -> None:
    def stop_at_3(report: StepReport) -> None:
        if report.step == 3:
            report.control.stop("three are enough")
            report.control.stop("no other reason")

    reports = run(CountingTrainer(), steps=100, then=stop_at_3)

    last, _ = reports[-1]
    assert (last.step, last.is_last, last.control.reason) == (3, True, "three are enough")


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_told_at_once_and_may_end_the_training(loss: float) -> None:
    def fail(step: int) -> None:
        raise RunFailedError(f"step {step}")

    with pytest.raises(RunFailedError, match="step 5"):
        run(CountingTrainer({5: loss}), steps=10, log_every=100, on_nan=fail)


def test_steps_left_out_are_counted_until_the_next_logged_step() -> None:
    told: list[int] = []

    reports = run(CountingTrainer({4: math.nan, 5: math.nan}), steps=9, log_every=3, on_nan=told.append)

    assert told == [4, 5]
    skipped = {report.step: report.metrics["train/skipped_steps"] for report, _ in reports if report.metrics}
    assert skipped == {1: 0, 3: 0, 6: 2, 9: 0}
