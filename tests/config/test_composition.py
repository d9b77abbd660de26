"""Every way a configuration can fail to compose, through the real Hydra, as the user reads it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from odrun.config import application
from odrun.config.composition import explain


def never(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a job was started")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, command: str = "train") -> str:
    assert application.run(command, arguments, do=never) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


ENTRY = "model=ssd_mobilenet_v2_fpnlite_digits"


@pytest.mark.parametrize(
    ("argument", "what", "remedy"),
    [
        ("train.stepz=3", "there is no train.stepz", "did you mean steps"),
        ("trian.steps=3", "there is no trian", "did you mean train or tracking"),
        ("datset=digits", "there is no datset", "did you mean dataset"),
        ("dataset=digit", "dataset has no option digit", "did you mean digits"),
        ("experiment=nope", "experiment has no option nope", "valid: digits_quick"),
        ("train.steps=abc", "train.steps is 'abc', where a whole number is meant", "train.steps=VALUE"),
        ("train.steps=1e4", "train.steps is 10000.0, where a whole number is meant", "train.steps=10000"),
        ("train.steps=null", "train.steps cannot be null", "train.steps=VALUE"),
        ("verbose=7up", "verbose is '7up', where true or false is meant", "verbose=VALUE"),
        (
            "dataset.problems.outside_box=drop",
            "there is no dataset.problems.outside_box yet",
            "add it with a plus sign: +dataset.problems.outside_box=drop",
        ),
        ("train.freeze=cat", "train.freeze is one value, where a list is meant", "'train.freeze=[cat]'"),
        ("pipeline=3", "pipeline is 3, where a group of values is meant", "set a value below it: pipeline.NAME=VALUE"),
        (
            "pipeline.model.ssd.num_clases=3",
            "pipeline.model.ssd.num_clases is not a field of the OD API",
            "did you mean num_classes",
        ),
        (
            "pipeline.model.ssd.add_background_class=true",
            "pipeline.model.ssd.add_background_class is a field of the OD API that this model leaves unset",
            "add it with a plus sign: +pipeline.model.ssd.add_background_class=true",
        ),
        (
            "pipeline.eval_input_reader.0.shufle=true",
            "pipeline.eval_input_reader.0.shufle is not a field of the OD API",
            "did you mean shuffle",
        ),
        (
            "pipeline.eval_input_reader.3.shuffle=true",
            "pipeline.eval_input_reader.3 is beyond the end of pipeline.eval_input_reader, a list of 1 counted from 0",
            "set the whole list: 'pipeline.eval_input_reader=[...]'",
        ),
        (
            "augmentation.steps.random_rgb_to_gray={}",
            "augmentation.steps.random_rgb_to_gray is a step that is not among the present ones",
            "add it with a plus sign: +augmentation.steps.random_rgb_to_gray={}",
        ),
        (
            "augmentation.steps.random_rgb_to_grey={}",
            "random_rgb_to_grey is not a preprocessing step of the OD API",
            "did you mean random_rgb_to_gray or rgb_to_gray or random_crop_image",
        ),
        (
            "~augmentation.steps.random_horizontal_flip",
            "augmentation.steps.random_horizontal_flip cannot be taken out: it is not set",
            "odrun train --cfg job shows what is set",
        ),
        (
            "+train.steps=3",
            "train.steps is set already, so it cannot be added",
            "leave out the plus sign: train.steps=3",
        ),
        ("+dataset=voc", "dataset is set already, so it cannot be added", "leave out the plus sign: dataset=voc"),
        (
            "train.steps=10,20",
            "train.steps is given several values, and this is not a sweep",
            "a run for each: odrun train -m train.steps=10,20; a list: 'train.steps=[10,20]'; "
            "text: 'train.steps=\"10,20\"'",
        ),
        (
            "train.steps",
            "train.steps is not of the form key=value",
            "write it as train.steps=VALUE; odrun train --help lists the keys",
        ),
        (
            "train=3",
            "train is given no option of its group",
            "odrun train --help lists the options; to set a value of it: train.NAME=VALUE",
        ),
        (
            "dataset.name=a#(b)",
            "the value of dataset.name cannot be read as it stands: # ( ) has to stand within quotes",
            "quote it: 'dataset.name=\"a#(b)\"'",
        ),
        (
            "dataset.name=${oc.env:ODRUN_NOT_SET}",
            "dataset.name refers to something that is not there: the environment variable ODRUN_NOT_SET is not set",
            "export ODRUN_NOT_SET=VALUE",
        ),
        ("train..steps=3", "train..steps is not a key", "keys are names with points between, as in train.steps"),
    ],
)
def test_a_refused_argument_is_answered_with_fault_place_and_remedy(
    argument: str, what: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = f"odrun: {what}\n  where:  command line: {argument}\n  remedy: {remedy}\n"
    assert refusal(capsys, "train.seed=1", argument) == expected


@pytest.mark.parametrize("path", ["/a=b", "/my (photos) [1]", "~/photos", "/a,b c"])
def test_a_path_that_hydra_cannot_read_works_in_the_quoted_form_that_the_remedy_shows(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, "dataset=voc", f"dataset.path={path}")
    typed = f"'dataset.path=\"{path}\"'"
    assert typed in told
    seen = []

    def keep(job: object, **_: object) -> None:
        seen.append(job.dataset.path)  # type: ignore[attr-defined]

    assert application.run("train", ["dataset=voc", typed.strip("'"), "hydra.run.dir=/tmp"], do=keep) == 0
    assert seen == [path]


def test_values_without_default_are_all_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, command="predict") == (
        "odrun: run and source are not given, and there is no default\n"
        "  where:  run, source\n"
        "  remedy: run=DIR, the directory of a finished odrun train; source=FILE, a folder or a quoted glob of images\n"
    )
    assert refusal(capsys, "dataset=voc") == (
        "odrun: dataset.path is not given, and there is no default\n"
        "  where:  dataset.path\n"
        "  remedy: dataset.path=DIR, the folder of your images and annotations\n"
    )


def test_a_value_out_of_its_limits_names_the_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "train.steps=0") == (
        "odrun: train.steps is 0; it has to be 1 or more\n"
        "  where:  train.steps (command line: train.steps=0)\n"
        "  remedy: set train.steps=VALUE\n"
    )


@pytest.mark.parametrize(
    ("argument", "fact"),
    [
        ("train.steps=${train.foo}", "Interpolation key 'train.foo' not found"),
        ("train.steps=${oc.env:ODRUN_NOT_SET}", "the environment variable ODRUN_NOT_SET is not set"),
        ("--config-name=absent", "there is no configuration absent.yaml"),
        ("~train.steps", "train.steps cannot be taken out: every run has it"),
        ("~dataset", "dataset cannot be taken out: every run has it"),
        ("train.steps=${train.steps}", "train.steps refers to something that is not there: Recursive interpolation"),
    ],
)
def test_rarer_faults_come_with_a_remedy_and_without_traceback(
    argument: str, fact: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, argument)
    assert fact in told
    assert "\n  remedy: " in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("name", "content", "what", "place"),
    [
        (
            "dataset/mine",
            "name: [a\nformat: x\n",
            "the YAML cannot be read: expected ',' or ']', but got ':'",
            ", line 2, column 7",
        ),
        ("dataset/mine", "formatt: voc\n", "there is no dataset.formatt", ""),
        ("dataset/mine", "split:\n  seed: x\n", "dataset.split.seed is 'x', where a whole number is meant", ""),
        ("dataset/mine", "defaults: [voca]\n", "dataset has no option voca", ""),
        (
            "experiment/mine",
            "# @package _global_\ndefaults:\n  - override /modell: x\n",
            "the defaults list overrides modell, which is not in it",
            "",
        ),
        (
            "experiment/mine",
            "train: {steps: 3}\n",
            "the values of this file would be set below experiment, which has none",
            "",
        ),
        (
            "experiment/mine",
            "defaults:\n  - override /modell: x\n",
            "the defaults list overrides modell, which is not in it",
            "",
        ),
    ],
)
def test_a_fault_in_a_users_own_file_names_the_file(
    name: str, content: str, what: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{name}.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    group = file.parent.name
    lines = refusal(capsys, f"--config-dir={tmp_path}", f"{group}=mine").splitlines()
    assert lines[:2] == [f"odrun: {what}", f"  where:  {file}{place}"]


def test_a_file_that_is_not_text_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "good.yaml").write_text("name: é\n", encoding="utf-8")
    (tmp_path / "dataset" / "mine.yaml").write_bytes(b"name: \xff\n")
    assert refusal(capsys, f"--config-dir={tmp_path}", "dataset=mine") == (
        "odrun: a configuration file is not UTF-8 text\n"
        f"  where:  {tmp_path}/dataset/mine.yaml\n"
        "  remedy: save it as UTF-8 text\n"
    )


def test_a_folder_of_ones_own_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "--config-dir=/absent/folder").splitlines()[:2] == [
        "odrun: there is no such folder",
        "  where:  command line: --config-dir /absent/folder",
    ]


def test_an_unforeseen_refusal_keeps_its_own_words() -> None:
    error = explain(KeyError("odd"), "train", ["a=1"])
    assert (error.what, error.where) == ("the configuration does not compose: 'odd'", "command line: odrun train a=1")
