"""The memory of a search, and how trials are judged on their way, with the real Optuna."""

from __future__ import annotations

from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.sweeps.search.pruning import PruningRule, Reports
from odrun.sweeps.search.space import Choice, Span
from odrun.sweeps.search.study import Study

SPACE = {"train.learning_rate": Span(1e-4, 1.0, None, is_log=True), "augmentation": Choice(("none", "flip"))}
NO_RULE = PruningRule("none", 0, 100, 1000)


def study(folder: Path, *, sampler: str = "tpe", pruning: PruningRule = NO_RULE, maximized: bool = True) -> Study:
    return Study(folder, SPACE, sampler=sampler, seed=0, objectives=["AP"], maximized=[maximized], pruning=pruning)


def asked(searched: Study, count: int) -> list[tuple[str, ...]]:
    found = []
    for _ in range(count):
        number, overrides = searched.ask()
        searched.tell(number, [0.5])
        found.append(tuple(overrides))
    return found


def test_what_was_asked_for_and_not_told_is_known_again(tmp_path: Path) -> None:
    begun = study(tmp_path)
    asked_for = dict(begun.ask() for _ in range(3))
    begun.tell(1, [0.5])
    again = study(tmp_path)
    assert again.untold() == {number: asked_for[number] for number in (0, 2)}
    assert again.count == 3
    again.tell(0, None)
    assert list(study(tmp_path).untold()) == [2]


@pytest.mark.parametrize("sampler", ["tpe", "random", "sobol"])
def test_a_search_that_is_gone_on_with_does_not_draw_again_what_it_drew(sampler: str, tmp_path: Path) -> None:
    before = asked(study(tmp_path, sampler=sampler), 4)
    after = asked(study(tmp_path, sampler=sampler), 4)
    assert len({*before, *after}) == 8


@pytest.mark.parametrize("sampler", ["tpe", "random", "sobol"])
def test_the_same_seed_draws_the_same(sampler: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    assert len({tuple(asked(study(folder, sampler=sampler), 3)) for folder in folders}) == 1


def test_a_search_whose_folder_has_another_name_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    asked(study(tmp_path / "one"), 2)
    (tmp_path / "one").rename(tmp_path / "other")
    assert study(tmp_path / "other").count == 2


def test_the_time_of_a_search_goes_on_from_what_it_took_before(tmp_path: Path) -> None:
    begun = study(tmp_path)
    begun._spent_before_s = 90.0
    asked(begun, 1)
    assert 90.0 <= study(tmp_path).spent_s < 150.0


def test_a_median_ends_a_trial_that_is_worse_than_most_were_at_its_step(tmp_path: Path) -> None:
    searched = study(tmp_path, pruning=PruningRule("median", 0, 10, 40))
    numbers = [searched.ask()[0] for _ in range(7)]
    for number in numbers[:5]:
        assert not Reports(tmp_path, number).should_end(10, 0.1 * number)
        searched.tell(number, [0.1 * number])
    assert Reports(tmp_path, 5).should_end(10, 0.15)
    assert not Reports(tmp_path, 6).should_end(10, 0.3)


def test_none_is_ended_before_the_warm_up_is_over(tmp_path: Path) -> None:
    searched = study(tmp_path, pruning=PruningRule("median", 20, 10, 40))
    for number in [searched.ask()[0] for _ in range(5)]:
        for step in (10, 20):
            Reports(tmp_path, number).should_end(step, 0.5)
        searched.tell(number, [0.5])
    number, _ = searched.ask()
    assert not Reports(tmp_path, number).should_end(10, 0.1)
    assert Reports(tmp_path, number).should_end(20, 0.1)


def test_hyperband_ends_the_worse_of_two_at_its_first_rung(tmp_path: Path) -> None:
    searched = study(tmp_path, pruning=PruningRule("hyperband", 0, 10, 20), maximized=False)
    good, bad = (searched.ask()[0] for _ in range(2))
    assert not Reports(tmp_path, good).should_end(10, 1.0)
    assert Reports(tmp_path, bad).should_end(10, 2.0)


def test_a_pruned_trial_is_one_in_the_study(tmp_path: Path) -> None:
    searched = study(tmp_path, pruning=PruningRule("median", 0, 10, 40))
    number, _ = searched.ask()
    Reports(tmp_path, number).should_end(10, 0.25)
    searched.tell(number, None, is_pruned=True)
    (trial,) = searched._study.get_trials()
    assert (trial.state.name, trial.value, trial.intermediate_values) == ("PRUNED", 0.25, {10: 0.25})


def test_a_folder_without_a_search_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder holds no search"):
        Reports(tmp_path, 0)
