from __future__ import annotations

import itertools
import math

import pytest

from odrun.errors import RunFailedError
from odrun.training.loop import StepReport, train


class CountingTrainer:
    """Counts its steps; the total loss of step n is `losses[n]`, 1 / n where none is given."""

    def __init__(self, losses: dict[int, float] | None = None) -> None:
        self.step = 0
        self._losses = losses or {}

    def learning_rate(self) -> float:
        return 0.1 * (self.step + 1)

    def train(self, features: object, labels: object) -> dict[str, float]:
        self.step += 1
        total = self._losses.get(self.step, 1 / self.step)
        return {
            "Loss/classification_loss": total / 2,
            "Loss/RPNLoss/objectness_loss": total / 2,
            "Loss/total_loss": total,
        }


def run(trainer: CountingTrainer, *, steps: int, log_every: int = 2, stop_after: int | None = None) -> list[StepReport]:
    reports: list[StepReport] = []
    train(
        trainer,
        zip(itertools.count(), itertools.count()),
        steps=steps,
        batch_size=4,
        log_every=log_every,
        after_step=(reports.append,),
        stop_requested=lambda: trainer.step == stop_after,
    )
    return reports


@pytest.mark.parametrize("steps", [1, 2, 7, 101])
def test_exactly_as_many_steps_are_trained_as_asked_for(steps: int) -> None:
    trainer = CountingTrainer()

    reports = run(trainer, steps=steps)

    assert trainer.step == steps
    assert [report.step for report in reports] == list(range(1, steps + 1))
    assert [report.is_last for report in reports] == [False] * (steps - 1) + [True]


def test_the_first_each_nth_and_the_last_step_are_logged() -> None:
    assert [report.step for report in run(CountingTrainer(), steps=7, log_every=3) if report.metrics] == [1, 3, 6, 7]


def test_logged_metrics_have_the_names_of_the_interface_and_the_rate_of_their_own_step() -> None:
    metrics = dict(run(CountingTrainer(), steps=2)[1].metrics)

    speeds = {name: metrics.pop(name) for name in ("train/step_s", "train/input_wait_s", "train/images_per_s")}
    assert metrics == {
        "train/loss/total": 0.5,
        "train/loss/classification": 0.25,
        "train/loss/RPNLoss/objectness": 0.25,
        "train/learning_rate": pytest.approx(0.2),
    }
    assert all(value > 0 for value in speeds.values())


def test_training_goes_on_from_the_step_that_the_trainer_is_at() -> None:
    trainer = CountingTrainer()
    trainer.step = 5

    assert [report.step for report in run(trainer, steps=7)] == [6, 7]


def test_nothing_is_trained_when_the_steps_are_reached_already() -> None:
    trainer = CountingTrainer()
    trainer.step = 7

    assert run(trainer, steps=7) == []


def test_a_request_to_stop_ends_training_after_the_step_it_came_in() -> None:
    trainer = CountingTrainer()

    assert [report.step for report in run(trainer, steps=100, stop_after=3)] == [1, 2, 3]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_fails_the_run_and_names_step_and_remedy(loss: float) -> None:
    with pytest.raises(RunFailedError, match=rf"the loss is {loss} at step 4") as failure:
        run(CountingTrainer({4: loss}), steps=10)

    assert failure.value.remedy is not None
    assert "train.learning_rate" in failure.value.remedy
