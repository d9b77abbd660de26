"""Which run is gone on with, what counts as the same configuration, and what is said otherwise."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from odrun.commands.resuming import (
    Resumption,
    changes,
    find,
    newest_step,
    of_a_sweep,
    refuse_other_data,
    refuse_reached,
)
from odrun.config.jobs import composed
from odrun.errors import InputError
from odrun.runs.directory import RunDirectory
from odrun.runs.steps import steps_in
from odrun.runs.summary import Summary, Timings
from odrun.settings import TrainJob

ENDS = ("completed", "interrupted")
CONFIG = {
    "train": {"seed": 0, "steps": 100, "resume": "none", "log_every": 20, "warmup_steps": 5},
    "eval": {"every": 10},
    "paths": {"outputs": "outputs"},
    "pipeline": {"model": {"ssd": {"aspect_ratios": [1.0, 2.0]}}, "schedule": {"total_steps": 100, "base": 0.1}},
}


def text(**changed: object) -> str:
    """The configuration as YAML, with `a__b=value` for the key a.b."""
    config = json.loads(json.dumps(CONFIG))
    for name, value in changed.items():
        *path, last = name.split("__")
        node = config
        for part in path:
            node = node[part]
        node[last] = value
    return yaml.safe_dump(config)


def written(path: Path, *, status: str | None = "interrupted", config: str | None = None) -> RunDirectory:
    """A run of `odrun train` that ended with `status`; None was killed."""
    path.mkdir(parents=True)
    run = RunDirectory(path)
    run.config.write_text(text() if config is None else config)
    for file in (run.pipeline_config, run.label_map, run.log):
        file.touch()
    run.origin.write_text(json.dumps({"overrides": ["train.steps=100", "dataset.path=a b"], "data_fingerprint": "f00"}))
    if status is not None:
        error = "planted" if status == "failed" else None
        Summary(status, 40, (), None, None, Timings(), None, None, error).write(run.summary)
    return run


@pytest.fixture
def job() -> Callable[[str], TrainJob]:
    def made(resume: str) -> TrainJob:
        job = composed("train", [f"train.resume='{resume}'"])
        assert isinstance(job, TrainJob)
        return job

    return made


def test_without_being_asked_nothing_is_resumed(tmp_path: Path, job: Callable[[str], TrainJob]) -> None:
    written(tmp_path / "old")

    assert find(job("none"), RunDirectory(tmp_path / "new"), text()) is None


def test_auto_takes_the_newest_unfinished_run_of_the_same_configuration(
    tmp_path: Path, job: Callable[[str], TrainJob]
) -> None:
    written(tmp_path / "1", status="interrupted")
    killed = written(tmp_path / "2", status=None)
    written(tmp_path / "3", status="interrupted", config=text(train__seed=1))
    written(tmp_path / "4", status="completed")
    written(tmp_path / "5", status="stopped_early")

    assert find(job("auto"), RunDirectory(tmp_path / "6"), text()) == Resumption(killed, None)


def test_auto_begins_a_run_where_there_is_none_to_go_on_with(tmp_path: Path, job: Callable[[str], TrainJob]) -> None:
    written(tmp_path / "4", status="completed")

    assert find(job("auto"), RunDirectory(tmp_path / "6"), text()) is None


def test_auto_takes_the_run_that_lies_in_its_own_directory_first(
    tmp_path: Path, job: Callable[[str], TrainJob]
) -> None:
    own = written(tmp_path / "1", status="failed")
    written(tmp_path / "2", status="interrupted")

    found = find(job("auto"), RunDirectory(tmp_path / "1"), text())

    assert found is not None
    assert found.directory == own
    assert found.earlier is not None
    assert found.earlier.steps == 40


def test_auto_leaves_a_run_alone_that_is_at_work(tmp_path: Path, job: Callable[[str], TrainJob]) -> None:
    run = written(tmp_path / "1", status=None)
    with run.log.open() as stream:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
        assert find(job("auto"), RunDirectory(tmp_path / "2"), text()) is None
        with pytest.raises(InputError, match="another process is working on this run"), run.occupied():
            pass

    assert find(job("auto"), RunDirectory(tmp_path / "2"), text()) is not None


def test_a_directory_with_another_configuration_is_refused_by_what_changed(
    tmp_path: Path, job: Callable[[str], TrainJob]
) -> None:
    run = written(tmp_path / "old", config=text(train__seed=3, pipeline__schedule__base=0.2))

    with pytest.raises(InputError, match="the configuration is not that of the run") as refusal:
        find(job(str(run.path)), RunDirectory(tmp_path / "new"), text())

    assert "train.seed: 3 -> 0" in refusal.value.what
    assert "pipeline.schedule.base: 0.2 -> 0.1" in refusal.value.what
    assert refusal.value.remedy is not None
    command = refusal.value.remedy.partition(": ")[2]
    assert command == f"odrun train train.steps=100 'dataset.path=a b' train.resume={run.path}"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, job: Callable[[str], TrainJob]) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        find(job(str(tmp_path / "absent")), RunDirectory(tmp_path / "new"), text())


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ({"train__steps": 200, "pipeline__schedule__total_steps": 200, "train__warmup_steps": 10}, False),
        ({"train__log_every": 1, "eval__every": 5, "paths__outputs": "elsewhere", "train__resume": "auto"}, False),
        ({"train__seed": 1}, True),
        ({"pipeline__schedule__base": 0.2}, True),
        ({"pipeline__model__ssd__aspect_ratios": [1.0]}, True),
        ({"pipeline__model__ssd__added": 1}, True),
    ],
)
def test_what_does_not_change_a_step_may_change(changed: dict[str, object], matters: bool, tmp_path: Path) -> None:
    assert bool(changes(written(tmp_path / "run"), text(**changed))) == matters


def test_other_data_are_refused(tmp_path: Path) -> None:
    run = written(tmp_path / "run")

    refuse_other_data(run, "f00")
    with pytest.raises(InputError, match="the images or annotations are not those"):
        refuse_other_data(run, "ba5")


def test_steps_that_are_reached_are_told_with_the_remedy() -> None:
    ended, killed = (Summary(status, 3000, (), None, None, Timings(), None, None, None) for status in ENDS)
    refuse_reached(2999, 3000, ended)
    refuse_reached(3000, 3000, killed)
    refuse_reached(3000, 3000, None)
    for step, steps, earlier in ((3000, 3000, ended), (3000, 2000, killed), (3000, 2000, None)):
        with pytest.raises(InputError, match=f"already at {step} of {steps}") as refusal:
            refuse_reached(step, steps, earlier)
        assert refusal.value.remedy == "raise train.steps"


def test_the_newest_step_is_that_of_the_newest_whole_checkpoint(tmp_path: Path) -> None:
    run = written(tmp_path / "run")
    assert newest_step(run) == 0
    run.checkpoints.mkdir()
    for name in ("ckpt-20.index", "ckpt-20.data-00000-of-00001", "ckpt-100.index", "ckpt-100.data-00000-of-00001"):
        (run.checkpoints / name).touch()
    (run.checkpoints / "ckpt-120.index").touch()
    (run.checkpoints / "ckpt-140.data-00000-of-00001").touch()

    assert newest_step(run) == 100
    assert steps_in(run.checkpoints) == [20, 100]


def test_a_trial_is_of_the_sweeps_group_in_wandb_unless_another_was_set(
    tmp_path: Path, job: Callable[[str], TrainJob]
) -> None:
    trial = RunDirectory(tmp_path / "2026-01-01_sweep" / "0_train.seed=1")
    assert of_a_sweep(job("none"), trial, {}).tracking.wandb.group == "2026-01-01_sweep"
    theirs = composed("train", ["tracking.wandb.group=mine"])
    assert isinstance(theirs, TrainJob)
    assert of_a_sweep(theirs, trial, {}).tracking.wandb.group == "mine"


def test_a_trial_has_the_callbacks_of_its_sweep_beside_its_own(job: Callable[..., TrainJob], tmp_path: Path) -> None:
    trial = RunDirectory(tmp_path / "sweep" / "0")
    own = job("none")
    assert of_a_sweep(own, trial, {"pruner": {"_target_": "a.B"}}).train.callbacks == {
        **own.train.callbacks,
        "pruner": {"_target_": "a.B"},
    }
