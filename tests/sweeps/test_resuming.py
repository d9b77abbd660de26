"""Going on with a sweep: stub trials, real processes, real signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odrun.config import application
from odrun.errors import InputError, RunFailedError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Summary, Timings
from odrun.settings import Job, TrainJob
from odrun.sweeps.record import TrialLine, write_sweep
from odrun.sweeps.resuming import held, is_held, reconciled, refuse_taken

HOLDER = """
import sys, time
from pathlib import Path
from odrun.sweeps.resuming import held
with held(Path(sys.argv[1]), waiting=lambda: None):
    print("held", flush=True)
    {then}
"""
ORPHANED = "import os; child = os.fork(); time.sleep(2 if child == 0 else 0); os._exit(0)"


def summary_of(status: str) -> Summary:
    return Summary(
        status=status,  # type: ignore[arg-type]
        steps=2,
        resumed_from=(),
        best=None,
        metrics=None,
        timings=Timings(),
        throughput=None,
        peak_memory_mb=None,
        error="diverged" if status == "failed" else None,
    )


def holder(sweep: Path, then: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(then=then), str(sweep)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(application.__file__).parents[2])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_two_sweeps_do_not_share_a_directory(tmp_path: Path) -> None:
    refuse_taken(tmp_path / "sweep")
    write_sweep(tmp_path, [], None)
    with pytest.raises(InputError, match="already holds a sweep") as told:
        refuse_taken(tmp_path)
    assert told.value.remedy == f"go on with it: sweep.resume={tmp_path}; or choose another with hydra.sweep.dir=DIR"
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file stands where"), held(tmp_path / "file", waiting=lambda: None):
        pass


def test_a_directory_where_a_sweep_is_at_work_is_refused(tmp_path: Path) -> None:
    process = holder(tmp_path, "time.sleep(60)")
    try:
        assert is_held(tmp_path)
        with (
            pytest.raises(InputError, match="another sweep is at work") as told,
            held(tmp_path, waiting=lambda: pytest.fail("its process is alive")),
        ):
            pass
        assert told.value.remedy == f"wait for it or stop it (process {process.pid})"
    finally:
        process.kill()
        process.wait()


def test_trials_of_a_launcher_that_was_killed_are_waited_for(tmp_path: Path) -> None:
    process = holder(tmp_path, ORPHANED)
    process.wait()
    assert not is_held(tmp_path)
    waited = []
    with held(tmp_path, waiting=lambda: waited.append(time.monotonic())):
        assert len(waited) == 1


@pytest.mark.parametrize(
    ("status", "summary", "pid", "expected"),
    [
        ("running", "completed", 7, "completed"),
        ("running", "stopped_early", 7, "stopped_early"),
        ("pending", "failed", 7, "failed"),
        ("running", "interrupted", 7, "interrupted"),
        ("running", None, 7, "interrupted"),
        ("pending", None, None, "pending"),
        ("failed", "completed", 7, "failed"),
        ("completed", None, 7, "completed"),
    ],
)
def test_a_trials_own_directory_says_what_became_of_it(
    status: str, summary: str | None, pid: int | None, expected: str, tmp_path: Path
) -> None:
    write_sweep(tmp_path, [TrialLine(0, "0_a", (), status, pid, None, None)], None)
    (tmp_path / "0_a").mkdir()
    if summary is not None:
        summary_of(summary).write(tmp_path / "0_a" / "summary.json")
    assert [line.status for line in reconciled(tmp_path)[1]] == [expected]


def command(fail: Callable[[TrainJob, int], BaseException | None]) -> application.Command:
    """A stub of a training: it counts its starts, writes what a run has, and ends as `fail` says at that start."""

    def do(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
        assert isinstance(job, TrainJob)
        directory.path.mkdir(parents=True, exist_ok=True)
        starts = directory.path / "starts"
        with starts.open("a") as stream:
            stream.write(f"{job.train.resume}\n")
        for path in (directory.log, directory.pipeline_config, directory.label_map):
            path.touch()
        directory.config.write_text(config_text)
        error = fail(job, len(starts.read_text().splitlines()))
        if error is not None:
            raise error
        summary_of("completed").write(directory.summary)

    return do


def run(
    tmp_path: Path, fail: Callable[[TrainJob, int], BaseException | None], *arguments: str, launcher: str = "warm"
) -> int:
    given = [f"paths.outputs={tmp_path}", "-m", *arguments]
    if launcher == "warm":
        given.append("hydra.launcher.preload=[]")
    return application.run("train", given, do=command(fail))


def sweep_of(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    (found,) = tmp_path.glob("sweeps/*/sweep.json")
    return found.parent, json.loads(found.read_text())["trials"]


def starts_of(folder: Path, line: dict[str, Any]) -> list[str]:
    return (folder / line["dir"] / "starts").read_text().splitlines()


def killed_at_first(seed: int) -> Callable[[TrainJob, int], BaseException | None]:
    def fail(job: TrainJob, start: int) -> BaseException | None:
        if job.train.seed == seed and start == 1:
            os._exit(3)
        return None

    return fail


def none(job: TrainJob, start: int) -> None:
    return None


def interrupted(tmp_path: Path) -> Path:
    """A sweep of three trials, the second of which was running and the third pending when all was killed."""
    assert run(tmp_path, none, "train.seed=1,2,3") == 0
    folder, lines = sweep_of(tmp_path)
    (folder / lines[1]["dir"] / "summary.json").unlink()
    for path in (folder / lines[2]["dir"]).iterdir():
        path.unlink()
    content = json.loads((folder / "sweep.json").read_text())
    content["trials"][1]["status"] = "running"
    content["trials"][2].update(status="pending", pid=None)
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("launcher", ["warm", "basic"])
@pytest.mark.parametrize("by", ["directory", "auto"])
def test_only_what_is_left_of_a_sweep_is_run_where_it_was(launcher: str, by: str, tmp_path: Path) -> None:
    folder = interrupted(tmp_path)
    before = {line["dir"] for line in sweep_of(tmp_path)[1]}
    given = [f"sweep.resume={folder if by == 'directory' else 'auto'}", f"hydra/launcher={launcher}"]
    assert run(tmp_path, none, "train.seed=1,2,3", *given, launcher=launcher) == 0
    folder, lines = sweep_of(tmp_path)
    assert [line["status"] for line in lines] == ["completed"] * 3
    assert {line["dir"] for line in lines} == before
    gone_on = str(folder / lines[1]["dir"])
    assert [starts_of(folder, line) for line in lines] == [["none"], ["none", gone_on], ["none"]]


def test_failed_trials_are_run_again_only_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(job: TrainJob, start: int) -> BaseException | None:
        return RunFailedError("diverged", where="step 3") if job.train.seed == 2 and start == 1 else None

    assert run(tmp_path, fail, "train.seed=1,2") == 1
    folder, lines = sweep_of(tmp_path)
    assert f"sweep.resume={folder} sweep.retry_failed=true" in capsys.readouterr().err
    assert run(tmp_path, fail, "train.seed=1,2", f"sweep.resume={folder}") == 1
    assert "1 of 2 trials failed\n  1 train.seed=2: diverged\n" in capsys.readouterr().err.replace(
        f"paths.outputs={tmp_path} ", ""
    )
    assert len(starts_of(folder, lines[1])) == 1
    assert run(tmp_path, fail, "train.seed=1,2", f"sweep.resume={folder}", "sweep.retry_failed=true") == 0
    assert len(starts_of(folder, lines[1])) == 2
    assert len(starts_of(folder, lines[0])) == 1


def test_a_trial_whose_process_was_killed_goes_on(tmp_path: Path) -> None:
    assert run(tmp_path, killed_at_first(2), "train.seed=1,2") == 1
    folder, lines = sweep_of(tmp_path)
    given = ("train.seed=1,2", f"sweep.resume={folder}", "sweep.retry_failed=true")
    assert run(tmp_path, killed_at_first(2), *given) == 0
    assert starts_of(folder, lines[1]) == ["none", str(folder / lines[1]["dir"])]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train.seed=1,2"], "3 trials -> 2"),
        (["train.seed=1,2,4"], "trial 2: train.seed=3 -> train.seed=4"),
        (["train.seed=1,2,3", "train.steps=7"], "train.steps not given -> train.steps=7"),
    ],
)
def test_another_sweep_is_not_gone_on_with(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = interrupted(tmp_path)
    before = (folder / "sweep.json").read_bytes()
    assert run(tmp_path, none, *arguments, f"sweep.resume={folder}") == 2
    captured = capsys.readouterr().err
    assert "this is not the sweep that was begun: " in captured
    assert told in captured
    assert (folder / "sweep.json").read_bytes() == before


def test_a_file_that_says_something_else_by_now_makes_it_another_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own" / "experiment" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\ntrain: {steps: 5}\n")
    given = ("train.seed=1,2", "experiment=mine", "--config-dir", str(tmp_path / "own"))
    assert run(tmp_path, killed_at_first(2), *given) == 1
    own.write_text("# @package _global_\ntrain: {steps: 7}\n")
    folder, _ = sweep_of(tmp_path)
    assert run(tmp_path, none, *given, f"sweep.resume={folder}", "sweep.retry_failed=true") == 2
    assert "this is not the sweep that was begun: train.steps: 5 -> 7\n" in capsys.readouterr().err


def test_places_and_tracking_may_be_others(tmp_path: Path) -> None:
    folder = interrupted(tmp_path)
    given = ("train.seed=1,2,3", "tracking.tensorboard=false", f"paths.cache={tmp_path}/elsewhere", "verbose=true")
    assert run(tmp_path, none, *given, f"sweep.resume={folder}") == 0
    assert {line["status"] for line in sweep_of(tmp_path)[1]} == {"completed"}


def test_without_an_unfinished_sweep_auto_begins_one(tmp_path: Path) -> None:
    assert run(tmp_path, none, "train.seed=1,2", "sweep.resume=auto") == 0
    assert [line["status"] for line in sweep_of(tmp_path)[1]] == ["completed"] * 2


@pytest.mark.parametrize(
    ("command_name", "arguments", "told"),
    [
        ("train", ["sweep.resume=auto"], "a single run is no sweep"),
        ("check", ["-m", "train.seed=1,2", "sweep.resume=auto"], "only sweeps of odrun train are gone on with"),
        ("train", ["-m", "train.seed=1,2", "sweep.resume=nowhere"], "there is no sweep: sweep.json is missing"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(
    command_name: str, arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert application.run(command_name, [*arguments, f"paths.outputs={tmp_path}"], do=command(none)) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
