"""What the README tells people to type and to look for is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from odrun.config import resolvers, schemas, wandb_sweep
from odrun.config.jobs import composed
from odrun.config.planning import plan
from odrun.settings import CheckJob, TrainJob

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```\n(.*?)```", README, re.DOTALL))


def train_commands() -> list[list[str]]:
    return commands("train")


def commands(name: str) -> list[list[str]]:
    lines = [line.partition("  #")[0] for line in CODE.splitlines() if line.startswith(f"odrun {name}")]
    return [shlex.split(line)[2:] for line in lines]


def test_there_are_commands_to_check() -> None:
    assert len(train_commands()) >= 8


@pytest.mark.parametrize("arguments", train_commands(), ids=" ".join)
def test_a_train_command_of_the_readme_composes(arguments: list[str]) -> None:
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    if "-m" in arguments:
        schemas.register("train")
        resolvers.register()
        assert plan("train", arguments).jobs
        return
    if "--cfg" in arguments:
        overrides.remove("job")

    assert isinstance(composed("train", overrides), TrainJob)


@pytest.mark.parametrize("arguments", commands("check"), ids=" ".join)
def test_a_check_command_of_the_readme_composes(arguments: list[str]) -> None:
    assert isinstance(composed("check", arguments), CheckJob)


@pytest.mark.parametrize("arguments", commands("wandb-sweep"), ids=" ".join)
def test_a_sweep_of_wandb_in_the_readme_is_one(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments[-2:] == [">", "sweep.yaml"]
    assert wandb_sweep.main(arguments[:-2]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["command"][:2] == ["odrun", "train"]


def test_the_two_commands_of_the_first_minute_are_those_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert "pip install uv && uv run odrun train" in README
    assert "uv run --all-groups pytest" in README
    assert re.search(r"^uv run --all-groups pytest$", ci, re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"`(ssd_\w+)`", README))
def test_a_model_that_the_readme_names_exists(name: str) -> None:
    assert (ROOT / "conf" / "model" / f"{name}.yaml").is_file()
