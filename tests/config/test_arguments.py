from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given as for_any
from hypothesis import strategies

from odrun.config import arguments
from odrun.errors import InputError


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


@for_any(
    strategies.text(strategies.sampled_from("ab=[]{}()'\"\\ ,#~é$"), max_size=8).filter(
        lambda text: text[:1] not in "'\""
    )
)
def test_what_is_quoted_reaches_hydra_as_it_was(text: str) -> None:
    (typed,) = shlex.split(arguments.quoted("dataset.path", text))
    read = OverridesParser.create().parse_override(typed).value()
    assert str(read) == text


def test_a_quote_that_was_left_open_is_not_part_of_the_value() -> None:
    assert arguments.quoted("k", "'a b") == arguments.quoted("k", '"a b') == "'k=\"a b\"'"
    assert arguments.quoted("k", "b 'a'") == "'k=\"b '\"'\"'a'\"'\"'\"'"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["--foo", "a=1"], "unrecognized arguments: --foo"),
        (["a=1", "--multi"], "unrecognized arguments: --multi"),
        (["--config-dir"], "argument --config-dir/-cd: expected one argument"),
        (["--cfg", "jobb"], "invalid choice: 'jobb'"),
    ],
)
def test_a_flag_that_hydra_does_not_know_is_refused_by_name(
    given: list[str], fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as caught:
        arguments.refuse_unreadable_flags("train", given)
    assert fault in caught.value.what
    assert caught.value.where == f"command line: {' '.join(text for text in given if text != 'a=1')}"
    assert caught.value.remedy == "odrun train --hydra-help lists the flags"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("given", [[], ["a=1"], ["-m", "~b", "+c={d: 1}"], ["--version"], ["--cfg", "job", "x=-1"]])
def test_flags_that_hydra_knows_pass_in_silence(given: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    arguments.refuse_unreadable_flags("train", given)
    assert capfd.readouterr() == ("", "")


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


@pytest.mark.parametrize(
    ("given", "asks"),
    [(["--cfg", "job"], True), (["-c=all", "a=1"], True), (["--cfg=job", "-m"], False), (["--info"], False)],
)
def test_whether_the_config_of_one_run_is_to_be_shown(given: list[str], asks: bool) -> None:
    assert arguments.asks_for_config(given) == asks


def test_folders_and_names_given_by_flags_are_found_in_both_spellings() -> None:
    assert arguments.added_folders(["--config-dir=/a", "-cd", "/b"]) == [Path("/a"), Path("/b")]
    assert arguments.config_name(["a=1", "-cn", "mine"]) == "mine"
    assert arguments.config_name(["a=1"]) is None
