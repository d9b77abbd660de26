from __future__ import annotations

from pathlib import Path

import pytest

from odrun.config import arguments


@pytest.mark.parametrize(
    ("argument", "key"),
    [("train.steps=3", "train.steps"), ("+a.b={}", "a.b"), ("~a.b", "a.b"), ("++a=1=2", "a"), ("db@pkg=x", "db")],
)
def test_the_key_of_an_override(argument: str, key: str) -> None:
    assert arguments.key_of(argument) == key


def test_the_last_argument_that_sets_a_key_is_blamed() -> None:
    given = ["train.seed=1", "train.steps=1", "train={steps: 2}", "trainer.steps=3"]
    assert arguments.argument_for("train.steps", given) == "train={steps: 2}"
    assert arguments.argument_for("model.name", given) == "model.name"


def test_a_value_is_quoted_for_the_shell_and_for_hydra() -> None:
    assert arguments.quoted("dataset.path", "/a b=c") == "'dataset.path=\"/a b=c\"'"
    assert arguments.quoted("k", 'say "x"[1]') == '\'k="say \\"x\\"[1]"\''


def test_flags_go_behind_the_overrides_with_their_values() -> None:
    given = ["a=1", "--config-dir", "my", "-m", "b=1,2", "--info", "c=3"]
    assert arguments.overrides_in(given) == ["a=1", "b=1,2", "c=3"]
    assert arguments.overrides_first(given) == ["a=1", "b=1,2", "c=3", "--config-dir", "my", "-m", "--info"]
    assert arguments.overrides_first(["--info", "defaults", "a=1"]) == ["a=1", "--info", "defaults"]
    assert arguments.overrides_first([]) == []


@pytest.mark.parametrize(
    ("given", "may"),
    [
        (["-m", "a=1,2"], True),
        (["sweep=learning_rate"], True),
        (["a=1,2"], False),
        (["-m", "--cfg", "job"], False),
        (["--info=defaults", "sweep=x"], False),
    ],
)
def test_whether_arguments_may_start_a_sweep(given: list[str], may: bool) -> None:
    assert arguments.may_sweep(given) == may


def test_folders_and_names_given_by_flags_are_found_in_both_spellings() -> None:
    assert arguments.added_folders(["--config-dir=/a", "-cd", "/b"]) == [Path("/a"), Path("/b")]
    assert arguments.config_name(["a=1", "-cn", "mine"]) == "mine"
    assert arguments.config_name(["a=1"]) is None
