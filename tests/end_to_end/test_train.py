"""The console script, as a user runs it: `odrun train` on a small folder of images, and what follows from its run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from odrun.runs.steps import steps_in
from odrun.settings import METRIC_KEYS

ODRUN = str(Path(sys.executable).with_name("odrun"))
SMALL = (
    "dataset=voc",
    "dataset.name=shapes",
    "train.batch_size=2",
    "train.warmup_steps=1",
    "eval.batch_size=2",
    "eval.pictures=2",
)
NOISE = ("TF_ENABLE_ONEDNN", "cuda", "oneDNN", "WARNING", "Warning", "Traceback", "INFO")


@dataclass(frozen=True)
class Ended:
    """A command that ended; `run` is the newest directory below its `outputs/`."""

    status: int
    stdout: str
    stderr: str
    run: Path


def environment() -> dict[str, str]:
    """The user's environment, with no W&B key and no settings of the test runner."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "TF_", "ODRUN"))}


def odrun(folder: Path, *arguments: str, command: Sequence[str] = (ODRUN,)) -> Ended:
    ended = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, env=environment(), check=False
    )
    runs = sorted(folder.glob("outputs/*/*"), key=lambda run: run.stat().st_mtime)
    return Ended(ended.returncode, ended.stdout, ended.stderr, runs[-1] if runs else folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def trained(place: Path, shapes: Path) -> Ended:
    return odrun(place, "train", *SMALL, f"dataset.path={shapes}", "paths.cache=cache", "train.steps=5", "eval.every=2")


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_ends_well_and_says_what_to_type_next(trained: Ended) -> None:
    assert trained.status == 0, trained.stderr
    assert trained.stderr == ""
    assert f"odrun predict run=outputs/train/{trained.run.name} source=" in trained.stdout
    assert not [word for word in NOISE if word in trained.stdout]
    assert "\x1b" not in trained.stdout


def test_a_run_leaves_every_file_of_the_interface(trained: Ended) -> None:
    expected = [
        "pipeline.config",
        "label_map.pbtxt",
        "config.yaml",
        "origin.json",
        "metrics.jsonl",
        "summary.json",
        "log.txt",
        "checkpoints/checkpoint",
        "checkpoints/ckpt-2.index",
        "checkpoints/ckpt-4.index",
        "checkpoints/ckpt-5.index",
        "checkpoints/best/checkpoint",
        "eval/2/metrics.json",
        "eval/4/metrics.json",
        "eval/5/metrics.json",
        "eval/5/detections.json",
        "export/saved_model/saved_model.pb",
        "export/checkpoint/ckpt-0.index",
        "export/pipeline.config",
        "export/label_map.pbtxt",
        "plots/losses.png",
        "plots/average_precision.png",
        "predictions/sheet.jpg",
    ]

    assert [name for name in expected if not (trained.run / name).is_file()] == []
    assert list((trained.run / "tensorboard").iterdir())
    assert list((trained.run / "wandb").glob("offline-run-*"))
    assert [path.name for path in trained.run.iterdir() if path.name.startswith(".")] == []


def test_the_summary_tells_steps_metrics_and_times(trained: Ended) -> None:
    summary = json.loads((trained.run / "summary.json").read_text())

    assert (summary["status"], summary["steps"], summary["error"], summary["resumed_from"]) == (
        "completed",
        5,
        None,
        [],
    )
    assert tuple(summary["metrics"]) == METRIC_KEYS
    assert summary["best"]["step"] in (2, 4, 5)
    assert summary["best"]["value"] == summary["metrics"]["AP"]
    timings = summary["timings"]
    assert set(timings) == {"import_s", "prepare_s", "build_s", "first_step_s", "train_s", "eval_s", "total_s"}
    assert 0 < timings["first_step_s"] < timings["total_s"]
    assert summary["throughput"]["images_per_s"] == pytest.approx(2 * summary["throughput"]["steps_per_s"])


def test_the_ledger_tells_of_every_image_and_box_how_far_it_came(trained: Ended) -> None:
    ledger = json.loads((trained.run / "summary.json").read_text())["ledger"]
    stations = ledger["stations"]
    assert [*stations] == ["files", "read", "kept", "written", "decoded", "evaluated"]
    assert 0 < stations["evaluated"]["images_left_out"]["trained_on"] <= 5 * 2
    for before, after in pairwise(stations.values()):
        for unit in ("images", "boxes"):
            assert before[unit] - after[unit] == sum(after[f"{unit}_left_out"].values())


def test_the_metrics_of_each_logged_step_stand_once_in_order(trained: Ended) -> None:
    assert [row["step"] for row in rows(trained.run)] == [1, 2, 4, 5]
    assert {"train/loss/total", "train/learning_rate", "time"} <= set(rows(trained.run)[0])
    assert "eval/AP" in rows(trained.run)[1]


def test_the_origin_tells_overrides_versions_and_data(trained: Ended) -> None:
    origin = json.loads((trained.run / "origin.json").read_text())

    assert "train.steps=5" in origin["overrides"]
    assert origin["versions"]["tensorflow"].startswith("2.20")
    assert origin["seeds"] == {"train.seed": 0, "dataset.split.seed": 0}
    assert len(origin["data_fingerprint"]) == 64


def test_what_tensorflow_says_goes_to_the_log(trained: Ended) -> None:
    assert "tensorflow" in (trained.run / "log.txt").read_text()


def test_detections_of_a_run_are_drawn_and_told_as_coco_results(trained: Ended, place: Path, shapes: Path) -> None:
    predicted = odrun(place, "predict", f"run={trained.run}", f"source={shapes / 'val'}", "paths.cache=cache")

    assert predicted.status == 0, predicted.stderr
    assert sorted(path.name for path in (predicted.run / "images").iterdir()) == [f"00{n}.jpg" for n in range(4)]
    detections = json.loads((predicted.run / "detections.json").read_text())
    assert {entry["image_id"] for entry in detections} == {1, 2, 3, 4}
    assert {entry["category_id"] for entry in detections} <= {1, 2}
    assert {entry["file_name"] for entry in detections} == {f"00{n}.jpg" for n in range(4)}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_a_checkpoint_and_ends_with_its_status(
    trained: Ended, place: Path, shapes: Path, number: signal.Signals, status: int
) -> None:
    folder = place / number.name
    folder.mkdir()
    command = [ODRUN, "train", *SMALL, f"dataset.path={shapes}", f"paths.cache={place / 'cache'}", "train.steps=100000"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        wait_for_first_step(process, folder)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=120)

    (run,) = (folder / "outputs" / "train").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert process.returncode == status, stderr
    assert "records found in" in stdout
    assert f"stopped by {number.name} after step {summary['steps']} of 100000" in stderr
    assert "Traceback" not in stderr
    assert (summary["status"], summary["error"]) == ("interrupted", None)
    assert (run / "checkpoints" / f"ckpt-{summary['steps']}.index").is_file()
    assert rows(run)[-1]["step"] <= summary["steps"]


@pytest.mark.slow
def test_a_killed_run_goes_on_in_its_own_directory_and_one_that_is_done_says_so(place: Path, shapes: Path) -> None:
    folder = place / "killed"
    folder.mkdir()
    job = ("train", *SMALL, f"dataset.path={shapes}", f"paths.cache={place / 'cache'}", "train.checkpoint.every=5")
    with subprocess.Popen(
        [ODRUN, *job, "train.steps=100000"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        wait_for_checkpoint(process, folder)
        process.kill()
    (run,) = (folder / "outputs" / "train").iterdir()
    saved = max(steps_in(run / "checkpoints"))
    wandb_id = (run / "wandb" / "run-id.txt").read_text()

    ended = odrun(folder, *job, f"train.steps={saved + 5}", "train.resume=auto")

    assert ended.status == 0, ended.stderr
    assert [path.name for path in (folder / "outputs" / "train").iterdir()] == [run.name]
    assert f"after step {saved} of {saved + 5}" in ended.stdout
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["steps"], summary["resumed_from"]) == ("completed", saved + 5, [saved])
    steps = [row["step"] for row in rows(run)]
    assert steps == sorted(set(steps))
    assert steps[-1] == saved + 5
    assert (run / "wandb" / "run-id.txt").read_text() == wandb_id

    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    again = odrun(folder, *job, f"train.steps={saved + 5}", f"train.resume={run}")
    assert again.status == 2
    assert f"already at {saved + 5} of {saved + 5} steps" in again.stderr
    assert "raise train.steps" in again.stderr
    changed = [path.name for path, time_ns in before.items() if path.stat().st_mtime_ns != time_ns]
    assert set(changed) <= {"log.txt"}

    other = odrun(folder, *job, f"train.steps={saved + 9}", "train.seed=1", f"train.resume={run}")
    assert other.status == 2
    assert "train.seed: 0 -> 1" in other.stderr
    assert [path.name for path in (folder / "outputs" / "train").iterdir()] == [run.name]


def wait_for_checkpoint(process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(1200):
        if any(steps_in(path) for path in folder.glob("outputs/train/*/checkpoints")):
            return
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.1)
    raise AssertionError("no checkpoint within two minutes")


def wait_for_first_step(process: subprocess.Popen[str], folder: Path) -> None:
    for _ in range(1200):
        if any(path.stat().st_size for path in folder.glob("outputs/train/*/metrics.jsonl")):
            return
        assert process.poll() is None, "the run ended before its first step"
        time.sleep(0.1)
    raise AssertionError("no first step within two minutes")


@pytest.mark.slow
def test_a_sweep_trains_each_combination_in_a_directory_of_its_own(place: Path, shapes: Path) -> None:
    swept = odrun(
        place, "train", "-m", *SMALL, f"dataset.path={shapes}", "paths.cache=cache", "tracking.wandb.mode=disabled",
        "train.batch_size=2,3", "train.steps=1,2",
    )  # fmt: skip

    assert swept.status == 0, swept.stderr
    trials = sorted((place / "outputs" / "sweeps").glob("*/*_*"))
    steps = [json.loads((trial / "summary.json").read_text())["steps"] for trial in trials]
    assert [trial.name.partition("_")[0] for trial in trials] == ["0", "1", "2", "3"]
    assert steps == [1, 2, 1, 2]


@pytest.mark.slow
def test_a_zoo_entry_trains_from_random_weights_and_from_a_local_archive(place: Path, shapes: Path) -> None:
    entry = ("model=ssd_mobilenet_v2_fpnlite_320x320", "train.steps=1", "train.learning_rate=0.001")
    common = ("train", *SMALL, f"dataset.path={shapes}", "paths.cache=cache", *entry)

    fresh = odrun(place, *common, "model.checkpoint=none")
    assert fresh.status == 0, fresh.stderr
    archive = place / "entry.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", fresh.run / "export", "checkpoint", "pipeline.config"], check=True)
    started = odrun(place, *common, f"model.archive={archive}")

    assert started.status == 0, started.stderr
    assert "variables restored" in started.stdout
    assert 'fine_tune_checkpoint_type: "full"' in (started.run / "pipeline.config").read_text()


@pytest.mark.slow
def test_the_pipeline_config_trains_unchanged_under_the_engines_own_program(trained: Ended, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "odrun.compat", "object_detection.model_main_tf2")
    ended = odrun(
        tmp_path, f"--pipeline_config_path={trained.run / 'pipeline.config'}", f"--model_dir={tmp_path}/engine",
        "--num_train_steps=100", "--checkpoint_every_n=100", command=command,
    )  # fmt: skip

    assert ended.status == 0, ended.stderr[-2000:]
    assert (tmp_path / "engine" / "ckpt-2.index").is_file()
