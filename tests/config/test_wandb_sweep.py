"""`odrun wandb-sweep`: a sweep as it is given to `odrun train -m`, as YAML for W&B."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from odrun import cli
from odrun.config import application
from odrun.config.jobs import composed
from odrun.runs.directory import RunDirectory
from odrun.settings import Job, TrainJob


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert cli.run(["wandb-sweep", "model.checkpoint=none", *arguments]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert isinstance(config, dict)
    assert list(Path.cwd().iterdir()) == []
    return config


def test_a_search_that_ships_is_a_sweep_of_wandb(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["sweep=tune", "hydra.sweeper.pruner=hyperband", "hydra.sweeper.warmup_steps=2000", "train.steps=9000"]
    assert exported(capsys, *given, "hydra.launcher.n_jobs=2") == {
        "program": "odrun",
        "method": "bayes",
        "project": "odrun",
        "metric": {"name": "eval/AP", "goal": "maximize"},
        "run_cap": 30,
        "early_terminate": {"type": "hyperband", "min_iter": 2},
        "command": [
            "odrun",
            "train",
            "model.checkpoint=none",
            "sweep=tune",
            "train.steps=9000",
            "hydra.mode=RUN",
            "${args_no_hyphens}",
        ],
        "parameters": {
            "train.learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1},
            "train.batch_size": {"values": [4, 8, 16]},
            "train.ema_decay": {"values": ["null", 0.99, 0.999]},
            "augmentation": {"values": ["none", "flip", "crop", "flip_crop", "crop_colour_pad"]},
        },
    }


def test_a_grid_is_one_of_wandb_and_runs_each_of_its_points(capsys: pytest.CaptureFixture[str]) -> None:
    config = exported(
        capsys,
        "-m",
        "train.batch_size=4,8",
        "train.steps=range(10,30,5)",
        "tracking.wandb.project=p",
        "tracking.wandb.entity=team",
        "eval.metric=loss/total",
    )
    assert (config["method"], config["run_cap"], config["project"], config["entity"]) == ("grid", 8, "p", "team")
    assert config["metric"] == {"name": "eval/loss/total", "goal": "minimize"}


def test_trials_have_what_the_sweeps_file_says_beside_what_it_sweeps(capsys: pytest.CaptureFixture[str]) -> None:
    command = exported(capsys, "sweep=data_fraction", "train.steps=500", "hydra.run.dir=here")["command"]
    assert isinstance(command, list)
    assert command[2:] == [
        "model.checkpoint=none",
        "sweep=data_fraction",
        "train.steps=500",
        "hydra.run.dir=here",
        "hydra.mode=RUN",
        "${args_no_hyphens}",
    ]
    job = composed("train", [argument for argument in command[2:-1] if not argument.startswith("hydra.run")])
    assert isinstance(job, TrainJob)
    assert job.eval.every == 50


def test_the_folder_of_ones_own_groups_is_given_to_the_trials(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path_factory.mktemp("conf")
    (own / "sweep").mkdir()
    (own / "sweep" / "mine.yaml").write_text(
        "# @package _global_\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      train.seed: 1,2\n      eval.every: 7\n"
    )
    config = exported(capsys, "--config-dir", str(own), "sweep=mine")
    assert config["command"] == [
        "odrun",
        "train",
        "--config-dir",
        str(own),
        "eval.every=7",
        "model.checkpoint=none",
        "sweep=mine",
        "hydra.mode=RUN",
        "${args_no_hyphens}",
    ]
    assert config["parameters"] == {"train.seed": {"values": [1, 2]}}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train.batch_size=4"], "there is nothing to search"),
        (["train.learning_rate=interval(1e-4,1e-1)"], "train.learning_rate is an interval, which has no grid"),
        (["train.batch_sizes=4,8"], "there is no train.batch_sizes"),
        (["train.batch_size=0,8"], "train.batch_size is 0; it has to be 1 or more"),
        (["train.batchsize=4", "train.seed=1,2"], "there is no train.batchsize"),
        ([r"tracking.wandb.group=choice('it\'s',d)"], "the value of tracking.wandb.group cannot be read as it stands"),
        (["augmentation=none,flop"], "augmentation has no option flop"),
        (["train.seed=1,2", "tracking=none"], "a sweep of W&B hears nothing of a run that is not logged online"),
        (["train.seed=1,2", "tracking.wandb.mode=offline"], "a sweep of W&B hears nothing of a run"),
        (["train.seed=1,2", "sweep.resume=auto"], "a sweep of W&B is gone on with by its agents"),
        (["train.seed=1,2", "--cfg", "job"], "this shows the sweep already"),
        (["train.seed=1,2", "--confg"], "the flags of this command line cannot be read"),
        (["train.seed=range(20000)"], "the grid has 20000 points"),
        (["sweep=tune"], "W&B does not end trials by median"),
        (["sweep=tune", "hydra.sweeper.pruner=none", "hydra.sweeper.sampler=sobol"], "does not search by sobol"),
        (["sweep=tune", "hydra.sweeper.pruner=none", "hydra.sweeper.objectives=[AP,AP50]"], "there are 2"),
        (["sweep=tune", "hydra.sweeper.pruner=none", "hydra.sweeper.minutes=9"], "has no limit of time"),
        (["sweep=tune", "hydra.sweeper.pruner=none", "hydra.sweeper.n_jobs=2"], "as many trials at a time as agents"),
        (["sweep=tune", "hydra.sweeper.pruner=none", "hydra.sweeper.seed=3"], "draws by a seed of its own"),
        (["sweep=tune", "hydra.sweeper.sampler=grd"], "hydra.sweeper.sampler"),
        (["train.seed=1,2", "sweep=tun"], "sweep has no option tun"),
        (["+pipeline.train_config.use_bfloat16=true,false"], "for no name of a parameter"),
    ],
)
def test_what_is_no_sweep_of_wandb_is_told_once_and_ends_with_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["wandb-sweep", "model.checkpoint=none", *arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert told in error
    assert error.count("odrun: ") == 1


def test_without_arguments_there_is_nothing_to_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["wandb-sweep"]) == 2
    assert "there is nothing to search" in capsys.readouterr().err


def test_its_help_tells_the_three_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["wandb-sweep", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in ("odrun wandb-sweep", "wandb sweep sweep.yaml", "wandb agent"))


def test_a_run_of_an_agent_has_a_directory_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two agents on one machine may begin in the same second."""
    begun: list[Path] = []

    def keep(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
        begun.append(directory.path)

    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    for run in ("r1", "../r 2"):
        monkeypatch.setenv("WANDB_RUN_ID", run)
        assert application.run("train", ["model.checkpoint=none", "dataset.name=d"], do=keep) == 0
    monkeypatch.delenv("WANDB_SWEEP_ID")
    assert application.run("train", ["model.checkpoint=none", "dataset.name=d"], do=keep) == 0
    names = [path.name.partition("_d-")[2] for path in begun]
    model = "ssd_mobilenet_v2_fpnlite_digits"
    assert names == [f"{model}_r1", f"{model}_.._r_2", model]
    assert {path.parent for path in begun} == {tmp_path / "outputs" / "train"}


@pytest.mark.parametrize("arguments", [["-m", "train.seed=1,2"], ["sweep=learning_rate"]])
def test_a_sweep_that_an_agent_starts_is_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
        raise AssertionError(f"begun: {overrides}")

    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert application.run("train", ["model.checkpoint=none", "hydra/launcher=basic", *arguments], do=refuse) == 2
    assert "a trial is no sweep itself" in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == []


def test_a_run_that_the_sweep_would_not_hear_of_ends_with_2_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert cli.run(["train", "model.checkpoint=none", "dataset=folder", "dataset.path=nowhere", "tracking=none"]) == 2
    assert "a sweep of W&B hears nothing of a run that is not logged online" in capsys.readouterr().err
    assert [path.name for path in Path.cwd().rglob("*")] in ([], ["outputs"])


def test_a_file_that_sweeps_is_one_run_with_the_mode_that_its_trials_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs: list[Job] = []

    def keep(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
        jobs.append(job)

    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    given = ["model.checkpoint=none", "sweep=tune", "hydra.mode=RUN", "train.batch_size=4", "train.ema_decay=null"]
    assert application.run("train", given, do=keep) == 0
    (job,) = jobs
    assert isinstance(job, TrainJob)
    assert (job.train.batch_size, job.train.ema_decay) == (4, None)
