"""Trainings as trials of a sweep, as a user starts them; they train for two steps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from odrun.sweeps import plugins, warm

pytestmark = pytest.mark.slow

SMALL = ("dataset=voc", "dataset.name=shapes", "train.batch_size=2", "train.warmup_steps=1", "eval.batch_size=2")
START = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from odrun import cli; cli.main()"


def started(folder: Path, shapes: Path, *arguments: str) -> subprocess.Popen[str]:
    places = (f"dataset.path={shapes}", f"paths.cache={folder}/cache", f"hydra.sweep.dir={folder}/sweep")
    return subprocess.Popen(
        [sys.executable, "-c", START, "train", "-m", *SMALL, *places, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(warm.__file__).parents[3])},
    )


def sweep_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "sweep" / "sweep.json").read_text()))


def rows_of(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not is_of_the_machine(name)} for row in rows]


def is_of_the_machine(name: str) -> bool:
    """Times and memory differ between equal runs."""
    return name == "time" or name.endswith("_s") or name.startswith("system/")


def test_equal_trials_in_forked_children_train_at_a_time_with_identical_metrics(tmp_path: Path, shapes: Path) -> None:
    process = started(tmp_path, shapes, "debug=two_steps", "train.seed=1,1", "hydra.launcher.n_jobs=2")
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    sweep = sweep_of(tmp_path)
    assert sweep["objective"] == "AP"
    assert sweep["best"] == 0
    assert [trial["status"] for trial in sweep["trials"]] == ["completed", "completed"]
    one, other = (tmp_path / "sweep" / trial["dir"] for trial in sweep["trials"])
    assert [row["step"] for row in rows_of(one)] == [1, 2]
    assert rows_of(one) == rows_of(other)
    launcher = OmegaConf.load(tmp_path / "sweep" / "multirun.yaml").hydra.launcher
    assert tuple(launcher.preload) == plugins.PRELOAD["train"]


def test_a_signal_lets_the_running_training_save_and_ends_the_sweep_with_its_status(
    tmp_path: Path, shapes: Path
) -> None:
    process = started(tmp_path, shapes, "train.steps=100000", "train.log_every=1", "tracking=none", "train.seed=1,2")
    deadline = time.monotonic() + 300
    while not any(path.stat().st_size for path in tmp_path.glob("sweep/0_*/metrics.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert sweep_of(tmp_path)["trials"][0]["status"] == "running"
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 130, told
    assert [trial["status"] for trial in sweep_of(tmp_path)["trials"]] == ["interrupted", "pending"]
    (run,) = tmp_path.glob("sweep/0_*")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert (run / "checkpoints" / f"ckpt-{summary['steps']}.index").is_file()
    assert "odrun: the sweep was stopped by SIGINT; what its trials saved is there\n" in told


def test_a_search_ends_a_training_that_promises_less_and_tells_it_as_pruned(tmp_path: Path, shapes: Path) -> None:
    space = ("train.learning_rate=0.01,1e-9", "hydra/sweeper=search", "hydra.sweeper.sampler=grid")
    rule = ("hydra.sweeper.pruner=hyperband", "hydra.sweeper.objectives=[loss/total]", "eval.metric=loss/total")
    process = started(tmp_path, shapes, *space, *rule, "train.steps=8", "eval.every=4", "tracking=none")
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    trials = sweep_of(tmp_path)["trials"]
    assert [trial["status"] for trial in trials] == ["completed", "pruned"], told
    summaries = [json.loads((tmp_path / "sweep" / trial["dir"] / "summary.json").read_text()) for trial in trials]
    assert [(summary["steps"], summary["stopped_by"]) for summary in summaries] == [(8, None), (4, "pruning")]
    assert (
        "promises less than what the search has seen"
        in (tmp_path / "sweep" / trials[1]["dir"] / "output.log").read_text()
    )
