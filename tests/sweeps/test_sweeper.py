"""A sweep by odrun's own sweeper, whose trials run in children of this process unless the launcher is Hydra's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odrun.config import application
from odrun.errors import InputError, RunFailedError
from odrun.runs.directory import RunDirectory
from odrun.settings import Job, TrainJob

LAUNCHERS = pytest.mark.parametrize("launcher", ["warm", "basic"])
# What trials train with is not needed here.
NOTHING_PRELOADED = "hydra.launcher.preload=[]"


def command(fail: Callable[[TrainJob], BaseException | None]) -> application.Command:
    def do(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
        assert isinstance(job, TrainJob)
        error = fail(job)
        if error is not None:
            raise error
        (directory.path / "pid").write_text(str(os.getpid()))

    return do


def run(tmp_path: Path, launcher: str, fail: Callable[[TrainJob], BaseException | None], *arguments: str) -> int:
    chosen = [f"hydra/launcher={launcher}", *([NOTHING_PRELOADED] if launcher == "warm" else [])]
    given = [f"paths.outputs={tmp_path}", "-m", *chosen, f"hydra.sweep.dir={tmp_path}/sweep", *arguments]
    return application.run("train", given, do=command(fail))


def sweep_of(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "sweep" / "sweep.json").read_text()))


def failing(seed: int, error: BaseException) -> Callable[[TrainJob], BaseException | None]:
    return lambda job: error if job.train.seed == seed else None


@LAUNCHERS
def test_a_trial_that_fails_stops_no_other_and_is_named_at_the_end(
    launcher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RunFailedError("diverged", where="step 3", remedy="lower train.learning_rate")
    assert run(tmp_path, launcher, failing(2, error), "train.seed=1,2,3") == 1
    lines = sweep_of(tmp_path)["trials"]
    assert [line["status"] for line in lines] == ["completed", "failed", "completed"]
    assert [line["error"] for line in lines] == [None, str(error), None]
    folder = tmp_path / "sweep" / lines[1]["dir"]
    told = capsys.readouterr().err
    assert told.endswith(
        f"odrun: 1 of 3 trials failed\n  1 {' '.join(lines[1]['overrides'])}: diverged\n    {folder}\n"
        f"  remedy: run them again: the same command and sweep.resume={folder.parent} sweep.retry_failed=true\n"
    )
    assert "Traceback" not in told


@LAUNCHERS
def test_a_sweep_whose_trials_all_refuse_their_input_ends_with_2_and_leaves_nothing(
    launcher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, launcher, lambda _: InputError("no data", where="a.jpg"), "train.seed=1,2") == 2
    assert "odrun: 2 of 2 trials failed\n" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_the_trials_run_in_processes_of_their_own(tmp_path: Path) -> None:
    assert run(tmp_path, "warm", lambda _: None, "train.seed=1,2") == 0
    pids = [int(path.read_text()) for path in tmp_path.rglob("pid")]
    assert len({*pids, os.getpid()}) == 3
    assert sorted(line["pid"] for line in sweep_of(tmp_path)["trials"]) == sorted(pids)


def test_the_directory_of_a_trial_is_named_by_what_differs(tmp_path: Path) -> None:
    assert run(tmp_path, "warm", lambda _: None, "train.seed=1,2", "train.steps=5", "dataset=digits") == 0
    assert [line["dir"] for line in sweep_of(tmp_path)["trials"]] == ["0_train.seed=1", "1_train.seed=2"]


def test_a_bug_of_a_trial_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "warm", failing(1, KeyError("missing")), "train.seed=1,2") == 1
    captured = capsys.readouterr()
    assert "an error in odrun itself stopped the run: KeyError: 'missing'" in captured.err
    assert "Traceback" not in captured.out + captured.err


def test_a_directory_with_a_sweep_is_not_used_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "warm", lambda _: None, "train.seed=1,2") == 0
    before = (tmp_path / "sweep" / "sweep.json").read_text()
    assert run(tmp_path, "warm", lambda _: None, "train.seed=3,4") == 2
    assert "odrun: the directory already holds a sweep (sweep.json is there)\n" in capsys.readouterr().err
    assert (tmp_path / "sweep" / "sweep.json").read_text() == before


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("hydra.launcher.n_jobs=0", "n_jobs is 0; it has to be 1 or more\n  where:  hydra.launcher.n_jobs"),
        ("hydra.launcher.start=spawn", "start is 'spawn'; it has to be auto, fork or fresh"),
        ("hydra.launcher.n_jobz=2", "there is no hydra.launcher.n_jobz"),
        ("hydra.launcher.n_jobs=two", "hydra.launcher.n_jobs is 'two', where a whole number is meant"),
    ],
)
def test_a_wrong_setting_of_the_launcher_is_refused_before_anything_is_made(
    argument: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "warm", lambda _: None, "train.seed=1,2", argument) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_more_gpus_than_there_are_are_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert run(tmp_path, "warm", lambda _: None, "train.seed=1,2", "hydra.launcher.n_jobs=2") == 2
    assert "  where:  hydra.launcher.gpus_per_trial\n" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_trials_in_new_interpreters_know_odrun(tmp_path: Path) -> None:
    checkpoint = "train.resume=/nowhere"
    given = (f"paths.cache={tmp_path}/cache", f"hydra.sweep.dir={tmp_path}/sweep", "train.seed=1,2", checkpoint)
    done = subprocess.run(
        [sys.executable, "-m", "odrun", "train", "-m", "hydra.launcher.start=fresh", *given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(application.__file__).parents[2])},
    )
    assert done.returncode == 2
    assert done.stdout.count("  there is no such folder") == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_batch_of_no_trials_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "warm", lambda _: None, "train.seed=1,2", "hydra.sweeper.max_batch_size=0") == 2
    assert "odrun: max_batch_size is 0; it has to be null or 1 or more\n" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_batch_at_a_time_is_one_sweep(tmp_path: Path) -> None:
    assert run(tmp_path, "warm", lambda _: None, "train.seed=1,2,3", "hydra.sweeper.max_batch_size=2") == 0
    assert [line["number"] for line in sweep_of(tmp_path)["trials"]] == [0, 1, 2]
    assert {line["status"] for line in sweep_of(tmp_path)["trials"]} == {"completed"}
