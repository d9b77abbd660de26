from __future__ import annotations

from typing import Any

import pytest

from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.schedule import fit_schedule
from odrun.settings import AugmentationSettings

KEY = "pipeline.train_config.optimizer.adam_optimizer.learning_rate"


def fitted(kind: str, schedule: dict[str, Any], *, steps: int) -> tuple[Any, tuple[str, ...]]:
    optimizer = {"adam_optimizer": {"learning_rate": {kind: schedule}}}
    node = {"model": {"ssd": {}}, "train_config": {"num_steps": steps, "optimizer": optimizer}}
    done: Any = fit_schedule(build(node, AugmentationSettings(steps={}, order=None)))
    return getattr(done.config.train_config.optimizer.adam_optimizer.learning_rate, kind), done.notes


def manual(*changes: tuple[int, float], steps: int, warmup: bool = False) -> tuple[Any, tuple[str, ...]]:
    schedule = [{"step": step, "learning_rate": rate} for step, rate in changes]
    given = {"initial_learning_rate": 1.0, "schedule": schedule, "warmup": warmup}
    return fitted("manual_step_learning_rate", given, steps=steps)


def changes_of(schedule: Any) -> list[tuple[int, float]]:
    return [(change.step, change.learning_rate) for change in schedule.schedule]


@pytest.mark.parametrize(
    ("steps", "total", "notes"),
    [
        (100, 100, ()),
        (60, 100, ("training ends after 60 of the 100 steps of the learning rate's schedule",)),
        (200, 100, ("the learning rate is 0 after step 100 of 200: its schedule ends there",)),
        (0, 100, ()),
    ],
)
def test_a_cosine_that_ends_elsewhere_than_the_training_is_told(steps: int, total: int, notes: tuple[str, ...]) -> None:
    given = {"learning_rate_base": 0.5, "total_steps": total, "warmup_steps": 0}
    assert fitted("cosine_decay_learning_rate", given, steps=steps)[1] == notes


def test_steps_scaled_down_to_nothing_become_one() -> None:
    cosine, _ = fitted("cosine_decay_learning_rate", {"total_steps": 0, "warmup_steps": 0}, steps=1)
    exponential, _ = fitted("exponential_decay_learning_rate", {"decay_steps": 0}, steps=1)
    assert (cosine.total_steps, exponential.decay_steps) == (1, 1)


def test_a_burn_in_that_outlasts_the_training_is_told() -> None:
    given = {"burnin_steps": 10, "decay_steps": 5}
    assert fitted("exponential_decay_learning_rate", given, steps=11)[1] == ()
    assert fitted("exponential_decay_learning_rate", given, steps=10)[1] == (
        f"{KEY}.exponential_decay_learning_rate.burnin_steps (10) do not end within the 10 steps of the training",
    )


def test_a_manual_schedule_in_order_is_left_alone() -> None:
    schedule, notes = manual((10, 0.5), (20, 0.25), steps=30, warmup=True)
    assert (schedule.initial_learning_rate, changes_of(schedule), schedule.warmup) == (
        1.0,
        [(10, 0.5), (20, 0.25)],
        True,
    )
    assert notes == ()


def test_of_changes_scaled_onto_one_step_the_last_counts() -> None:
    schedule, notes = manual((1, 0.5), (1, 0.25), (3, 0.125), steps=4)
    assert changes_of(schedule) == [(1, 0.25), (3, 0.125)]
    assert notes == (f"{KEY}.manual_step_learning_rate changes the rate more than once at a step: the last counts",)


@pytest.mark.parametrize(
    ("given", "left"),
    [(((0, 0.5), (2, 0.25)), [(2, 0.25)]), (((0, 0.5),), [(1, 0.5)]), (((0, 1.0), (0, 0.5)), [(1, 0.5)])],
)
def test_a_change_at_step_0_is_the_first_rate(given: tuple[tuple[int, float], ...], left: list[Any]) -> None:
    schedule, _ = manual(*given, steps=4, warmup=True)
    assert (schedule.initial_learning_rate, changes_of(schedule), schedule.warmup) == (0.5, left, False)


def test_changes_after_the_last_step_are_told() -> None:
    assert manual((2, 0.5), (4, 0.25), (9, 0.125), steps=4)[1] == (
        f"{KEY}.manual_step_learning_rate changes the rate at 4, 9, after the 4 steps of the training",
    )


@pytest.mark.parametrize(
    ("schedule", "what"),
    [
        ([], f"{KEY}.manual_step_learning_rate has no steps"),
        (
            [{"step": 5}, {"step": 3}],
            f"{KEY}.manual_step_learning_rate has steps that do not increase: 5, 3",
        ),
    ],
)
def test_a_manual_schedule_that_cannot_be_followed_is_refused(schedule: list[dict[str, int]], what: str) -> None:
    with pytest.raises(InputError) as caught:
        fitted("manual_step_learning_rate", {"schedule": schedule}, steps=9)
    assert (caught.value.what, caught.value.where) == (what, f"{KEY}.manual_step_learning_rate.schedule")


def test_an_optimizer_without_a_schedule_is_refused_with_all_of_them_named() -> None:
    node = {"model": {"ssd": {}}, "train_config": {"optimizer": {"adam_optimizer": {}}}}
    with pytest.raises(InputError) as caught:
        fit_schedule(build(node, AugmentationSettings(steps={}, order=None)))
    assert caught.value.what == f"{KEY} is not set"
    assert caught.value.remedy == (
        f"+{KEY}.constant_learning_rate.learning_rate=0.01, or a schedule: constant_learning_rate, "
        "cosine_decay_learning_rate, exponential_decay_learning_rate, manual_step_learning_rate"
    )


def test_fitting_does_not_change_what_it_was_given() -> None:
    optimizer = {"adam_optimizer": {"learning_rate": {"exponential_decay_learning_rate": {"decay_steps": 0}}}}
    node = {"model": {"ssd": {}}, "train_config": {"optimizer": optimizer}}
    given = build(node, AugmentationSettings(steps={}, order=None))
    before = given.SerializeToString(deterministic=True)
    fit_schedule(given)
    assert given.SerializeToString(deterministic=True) == before
