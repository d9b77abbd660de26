from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from odrun.config import application
from odrun.sweeps.clusters import settings

CLUSTERS = pytest.mark.parametrize(
    ("launcher", "extra"), [("submitit_slurm", "submitit"), ("submitit_local", "submitit"), ("ray", "ray")]
)


def forbidden(*_: Any, **__: Any) -> None:
    raise AssertionError("nothing is to be run")


def swept(tmp_path: Path, *arguments: str) -> int:
    given = ["-m", f"paths.outputs={tmp_path}/out", "train.seed=1,2", *arguments]
    return application.run("train", given, do=forbidden)


@CLUSTERS
def test_a_launcher_whose_package_is_missing_is_refused_with_the_command_that_installs_it(
    launcher: str,
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    assert swept(tmp_path, f"hydra/launcher={launcher}") == 2
    assert capsys.readouterr().err == (
        f"odrun: the package {extra} is not installed, and this launcher needs it\n"
        f"  where:  hydra/launcher={launcher}\n"
        f"  remedy: pip install 'odrun[{extra}]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_slurm_is_refused_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda name: name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert swept(tmp_path, "hydra/launcher=submitit_slurm") == 2
    assert "odrun: there is no Slurm here: sbatch and srun are not on the PATH\n" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@CLUSTERS
def test_the_settings_are_shown_without_the_package(
    launcher: str, extra: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert application.run("train", [f"hydra/launcher={launcher}", "--cfg", "hydra", "-p", "hydra.launcher"]) == 0
    assert "_target_: hydra_plugins.odrun_" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("hydra.launcher.gpus_per_node=two", "hydra.launcher.gpus_per_node is 'two', where a whole number is meant"),
        ("hydra.launcher.partitionn=gpu", "there is no hydra.launcher.partitionn"),
    ],
)
def test_a_wrong_setting_is_refused(
    argument: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(tmp_path, "hydra/launcher=submitit_slurm", argument) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_trial_asks_slurm_for_a_gpu_a_warning_and_another_turn() -> None:
    given = OmegaConf.to_container(OmegaConf.structured(settings.SlurmConf))
    assert isinstance(given, dict)
    assert given["gpus_per_node"] == 1
    assert given["signal_delay_s"] > 0
    assert given["max_num_timeout"] > 0
    assert given["additional_parameters"] == {"requeue": True}


@pytest.mark.parametrize(
    ("address", "variable", "is_own"),
    [
        (None, None, True),
        ("local", None, True),
        ("auto", None, False),
        (None, "10.0.0.1:6379", False),
        ("local", "10.0.0.1:6379", True),
    ],
)
def test_a_ray_is_started_only_where_no_address_of_one_is_given(
    address: str | None, variable: str | None, is_own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    assert settings.own_ray({"address": address}) is is_own
