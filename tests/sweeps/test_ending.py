"""How a sweep ends: what is written of it and told, whatever became of its trials. The trials are stubs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from odrun.config import application
from odrun.errors import RunFailedError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Best, Summary, Throughput, Timings
from odrun.settings import METRIC_KEYS, Job, TrainJob
from odrun.sweeps.apart import apart

WITHOUT_TENSORFLOW = "hydra.launcher.preload=[]"


def stub(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """A training that ends with its seed in tenths as AP; that of seed 3 fails, that of seed 9 is not done in time."""
    assert isinstance(job, TrainJob)
    value = job.train.seed / 10
    directory.config.write_text(config_text)
    directory.metrics.write_text("".join(json.dumps({"step": n, "eval/AP": value * n / 20}) + "\n" for n in (10, 20)))
    if job.train.seed == 9:
        time.sleep(600)
    if job.train.seed == 3:
        raise RunFailedError("diverged", where="step 3")
    metrics = dict.fromkeys(METRIC_KEYS, value)
    timings, speed = Timings(total_s=20.0), Throughput(4.0, 32.0)
    Summary("completed", 20, (), Best(20, "AP", value), metrics, timings, speed, None, None).write(directory.summary)


def sweep(tmp_path: Path, *arguments: str) -> int:
    given = ["-m", "tracking=none", WITHOUT_TENSORFLOW, f"hydra.sweep.dir={tmp_path}/sweep", *arguments]
    return application.run("train", given, do=stub)


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))


def test_beside_a_trial_that_failed_there_is_the_result_of_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path, "train.seed=1,3,2") == 1
    folder = tmp_path / "sweep"
    assert [(row["train.seed"], row["status"], row["objective (AP)"]) for row in rows(folder)] == [
        ("1", "completed", "0.1"),
        ("3", "failed", "0.3"),
        ("2", "completed", "0.2"),
    ]
    assert sorted(path.name for path in (folder / "plots").iterdir()) == ["curves.png", "parameters.png", "time.png"]
    assert (folder / "best").resolve().name == "2_train.seed=2"
    assert json.loads((folder / "sweep.json").read_text())["best"] == 2
    told = capfd.readouterr()
    assert "best is trial 2, AP 0.2\n" in told.out
    assert told.err.startswith("odrun: 1 of 3 trials failed\n  1 tracking=none train.seed=3: diverged\n")
    assert "sweep.retry_failed=true" in told.err


def test_a_result_that_cannot_be_written_takes_nothing_from_the_trials(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sweep" / "sweep.csv").mkdir(parents=True)
    assert sweep(tmp_path, "train.seed=1,2") == 1
    told = capfd.readouterr()
    assert "odrun: the result of the sweep cannot be written: is a directory\n" in told.err
    assert f"the same command and sweep.resume={tmp_path}/sweep\n" in told.err
    assert "Traceback" not in told.err + told.out
    lines = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["trials"]
    assert [line["status"] for line in lines] == ["completed", "completed"]
    (tmp_path / "sweep" / "sweep.csv").rmdir()
    assert sweep(tmp_path, "train.seed=1,2", f"sweep.resume={tmp_path}/sweep") == 0
    assert [row["AP"] for row in rows(tmp_path / "sweep")] == ["0.1", "0.2"]


def test_beside_it_the_trials_that_failed_are_named_all_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sweep" / "sweep.csv").mkdir(parents=True)
    assert sweep(tmp_path, "train.seed=1,3") == 1
    told = capfd.readouterr().err
    assert told.startswith("odrun: 1 of 2 trials failed\n  1 tracking=none train.seed=3: diverged\n")
    assert "the result of the sweep cannot be written: is a directory: " in told


def test_of_a_sweep_that_was_stopped_there_is_the_result_of_what_has_ended(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{STOPPED}", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(application.__file__).parents[2])},
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("sweep/1_*/metrics.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert [(row["train.seed"], row["AP"]) for row in rows(tmp_path / "sweep")] == [("1", "0.1"), ("9", "")]
    assert "sweep: 1 of 2 trials ended" in out
    assert "odrun: the sweep was stopped by SIGINT" in err
    assert "Traceback" not in out + err


STOPPED = """
from pathlib import Path
import test_ending
sys.exit(test_ending.sweep(Path(sys.argv[1]), "train.seed=1,9", "hydra.launcher.grace_s=1"))
"""


def test_a_process_that_is_killed_is_told() -> None:
    with pytest.raises(RunFailedError, match="a process of the sweep was killed"):
        apart(_die)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
