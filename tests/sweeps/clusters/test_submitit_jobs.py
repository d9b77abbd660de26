"""Sweeps through submitit: as processes of this machine, and as jobs of a Slurm that is played by a few scripts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import played_slurm
import pytest
from counting_sweeps import Start, Sweep

from odrun.runs.summary import Summary
from odrun.sweeps import clusters

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("submitit") is None, reason="pip install 'odrun[submitit]' is needed"),
]
LOCAL = "hydra/launcher=submitit_local"


def task_of(sweep: Path) -> int:
    """The process that runs the only trial: the child of the process that leads it, by whose id its files are named."""
    leader = next((sweep / ".submitit").glob("*_submitted.pkl")).name.partition("_")[0]
    (child,) = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
    return int(child)


def test_trials_run_in_processes_of_their_own_and_one_that_fails_or_is_lost_ends_no_other(
    start: Start,
) -> None:
    sweep = start(LOCAL, "train.steps=3", "train.seed=1,13,99,2")
    told = sweep.end()
    assert sweep.process.returncode == 1, told
    assert sweep.statuses() == ["completed", "failed", "failed", "completed"]
    errors = [trial["error"] for trial in sweep.record()["trials"]]
    assert errors[1] == "diverged"
    assert re.fullmatch(r"job \d+ ended as FINISHED without a result", errors[2])
    assert sweep.counted(0) == sweep.counted(3) == [1, 2, 3]
    assert len({*sweep.pids(0), *sweep.pids(3), sweep.process.pid}) == 3
    assert "odrun: 2 of 4 trials failed" in told
    assert "Traceback" not in told


def test_a_sweep_whose_trials_all_refuse_their_input_ends_with_2_and_leaves_nothing(start: Start) -> None:
    sweep = start(LOCAL, "train.seed=14,14")
    told = sweep.end()
    assert sweep.process.returncode == 2, told
    assert "odrun: 2 of 2 trials failed\n" in told
    assert not (sweep.folder / "sweep").exists()


def test_a_preempted_trial_saves_is_started_again_and_counts_every_step_once(start: Start) -> None:
    sweep = start(LOCAL, "train.steps=200", "train.seed=1")
    sweep.wait_for(lambda: len(sweep.counted(0)) > 5)
    os.kill(task_of(sweep.folder / "sweep"), signal.SIGUSR2)
    told = sweep.end()
    assert sweep.process.returncode == 0, told
    assert sweep.statuses() == ["completed"]
    assert sweep.counted(0) == list(range(1, 201))
    assert len(set(sweep.pids(0))) == 2


def test_a_trial_that_is_killed_and_not_started_again_can_be_gone_on_with(start: Start) -> None:
    sweep = start(LOCAL, "train.steps=200", "train.seed=1")
    sweep.wait_for(lambda: len(sweep.counted(0)) > 5)
    os.kill(task_of(sweep.folder / "sweep"), signal.SIGTERM)
    told = sweep.end()
    assert sweep.process.returncode == 1, told
    (trial,) = sweep.record()["trials"]
    assert trial["status"] == "interrupted"
    step = len(sweep.counted(0))
    assert trial["error"].startswith(f"the cluster stopped it after step {step}, and did not start it again: job ")
    assert trial["error"].endswith(" ended as FINISHED without a result")
    assert "remedy: run them again: the same command and sweep.resume=sweep sweep.retry_failed=true\n" in told
    again = start(LOCAL, "train.steps=200", "train.seed=1", "sweep.resume=sweep")
    assert again.end()
    assert again.statuses() == ["completed"]
    assert again.counted(0) == list(range(1, 201))


def test_a_trial_whose_time_is_over_for_the_last_time_is_not_started_again(start: Start) -> None:
    # Of so short a time submitit takes every warning for the end.
    limits = ("hydra.launcher.timeout_min=5", "hydra.launcher.max_num_timeout=0")
    sweep = start(LOCAL, "train.steps=100000", "train.seed=1", *limits)
    sweep.wait_for(lambda: len(sweep.counted(0)) > 5)
    os.kill(task_of(sweep.folder / "sweep"), signal.SIGUSR2)
    told = sweep.end()
    assert sweep.process.returncode == 1, told
    assert sweep.statuses() == ["interrupted"]
    assert ": its 1 x 5 minutes are over (hydra.launcher.max_num_timeout + 1, timeout_min)\n" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_trials_in_order(number: signal.Signals, start: Start) -> None:
    sweep = start(LOCAL, "train.steps=100000", "train.seed=1,2")
    sweep.wait_for(lambda: min(len(sweep.counted(0)), len(sweep.counted(1))) > 5)
    sweep.process.send_signal(number)
    told = sweep.end()
    assert sweep.process.returncode == 128 + number, told
    assert sweep.statuses() == ["interrupted", "interrupted"]
    for trial in (0, 1):
        assert (sweep.trial(trial) / "saved.txt").read_text() == str(len(sweep.counted(trial)))
    assert f"odrun: the sweep was stopped by {number.name}; what its trials saved is there" in told


def test_ctrl_c_in_a_terminal_lets_the_trials_save(start: Start) -> None:
    sweep = start(LOCAL, "train.steps=100000", "train.seed=1", own_group=True)
    sweep.wait_for(lambda: len(sweep.counted(0)) > 5)
    os.killpg(sweep.process.pid, signal.SIGINT)
    assert sweep.process.wait(60) == 130
    assert (sweep.trial(0) / "saved.txt").read_text() == str(len(sweep.counted(0)))


def test_a_search_keeps_as_many_trials_going_as_it_was_told(start: Start) -> None:
    search = ("hydra/sweeper=search", "hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=5")
    sweep = start(LOCAL, *search, "train.steps=20", "train.seed=int(interval(1,9))")
    most = 0

    def has_begun_all() -> bool:
        nonlocal most
        statuses = sweep.statuses() if (sweep.folder / "sweep" / "sweep.json").is_file() else []
        most = max(most, sum(status in ("pending", "running") for status in statuses))
        return len(statuses) == 5

    sweep.wait_for(has_begun_all)
    told = sweep.end()
    # A trial that only counts has no value of the objective, which a search takes for a failure of its own.
    assert sweep.process.returncode == 0, told
    assert sweep.statuses() == ["completed"] * 5
    assert most == 2


def test_a_batch_at_a_time_is_one_sweep(start: Start) -> None:
    sweep = start(LOCAL, "train.steps=2", "train.seed=1,2,3", "hydra.sweeper.max_batch_size=2")
    assert sweep.end()
    assert [trial["number"] for trial in sweep.record()["trials"]] == [0, 1, 2]
    assert sweep.statuses() == ["completed"] * 3
    assert [path.name for path in (sweep.folder / "sweep").glob(".*")] == [".lock"]


def test_slurm_is_asked_for_a_gpu_a_warning_and_another_turn_and_preempted_tasks_go_on(
    start: Start, tmp_path: Path
) -> None:
    environment = played_slurm.install(tmp_path / "slurm")
    sweep = start("hydra/launcher=submitit_slurm", "train.steps=200", "train.seed=1,2", environment=environment)
    sweep.wait_for(lambda: min(len(sweep.counted(0)), len(sweep.counted(1))) > 5)
    state = tmp_path / "slurm" / "state"
    # As Slurm preempts where its PreemptMode is REQUEUE, and as it warns of the end of the time.
    (state / "100_0.requeue").touch()
    os.kill(int((state / "100_0.pid").read_text()), signal.SIGTERM)
    os.kill(int((state / "100_1.pid").read_text()), signal.SIGUSR2)
    told = sweep.end()
    assert sweep.process.returncode == 0, told
    assert sweep.statuses() == ["completed", "completed"]
    assert sweep.counted(0) == sweep.counted(1) == list(range(1, 201))
    assert len({*sweep.pids(0), *sweep.pids(1)}) == 4
    asked = [line for line in (state / "script.sh").read_text().splitlines() if line.startswith("#SBATCH")]
    for option in ("array=0-1%2", "gpus-per-node=1", "cpus-per-task=4", "time=240", "signal=USR2@120", "requeue"):
        assert f"#SBATCH --{option}" in asked


def test_ctrl_c_cancels_the_jobs_of_slurm_after_they_have_saved(start: Start, tmp_path: Path) -> None:
    environment = played_slurm.install(tmp_path / "slurm")
    sweep = start("hydra/launcher=submitit_slurm", "train.steps=100000", "train.seed=1,2", environment=environment)
    sweep.wait_for(lambda: min(len(sweep.counted(0)), len(sweep.counted(1))) > 5)
    sweep.process.send_signal(signal.SIGINT)
    assert sweep.process.wait(60) == 130
    assert sweep.statuses() == ["interrupted", "interrupted"]
    assert {path.read_text() for path in (tmp_path / "slurm" / "state").glob("*.state")} == {"CANCELLED"}
    for trial in (0, 1):
        assert (sweep.trial(trial) / "saved.txt").read_text() == str(len(sweep.counted(trial)))


def test_what_sbatch_refuses_is_told(start: Start, tmp_path: Path) -> None:
    environment = played_slurm.install(tmp_path / "slurm")
    sbatch = tmp_path / "slurm" / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpus' >&2\nexit 1\n")
    sweep = start("hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpus", environment=environment)
    told = sweep.end()
    assert sweep.process.returncode == 1
    assert "odrun: the cluster did not take the trials: sbatch: error: invalid partition specified: gpus\n" in told
    assert "Traceback" not in told


def test_a_preempted_training_goes_on_from_its_checkpoint_and_logs_each_step_once(shapes: Path, tmp_path: Path) -> None:
    small = ("dataset=voc", "dataset.name=shapes", "train.batch_size=2", "train.warmup_steps=1", "eval.batch_size=2")
    places = (f"dataset.path={shapes}", f"paths.cache={tmp_path}/cache", f"hydra.sweep.dir={tmp_path}/sweep")
    length = ("train.steps=60", "train.log_every=1", "tracking=none", "train.seed=1")
    process = subprocess.Popen(
        [sys.executable, "-m", "odrun", "train", "-m", LOCAL, *small, *places, *length],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(clusters.__file__).parents[3])},
    )
    sweep = Sweep(tmp_path, process)
    sweep.wait_for(lambda: any(path.stat().st_size for path in tmp_path.glob("sweep/0*/metrics.jsonl")))
    os.kill(task_of(tmp_path / "sweep"), signal.SIGUSR2)
    told = sweep.end()
    assert process.returncode == 0, told
    rows = [json.loads(line) for line in (sweep.trial(0) / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 61))
    ended = Summary.read(sweep.trial(0) / "summary.json")
    assert (ended.status, ended.steps, len(ended.resumed_from)) == ("completed", 60, 1)
    assert 0 < ended.resumed_from[0] < 60
    (trial,) = sweep.record()["trials"]
    assert (trial["status"], trial["metric"]) == ("completed", ended.best.value if ended.best else None)
