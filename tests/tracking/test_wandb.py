"""The real W&B client: online against a stand-in server, offline otherwise, and never a failed run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from PIL import Image
from wandb_files import offline_records
from wandb_server import KEY, wandb_server

from odrun.settings import WandbSettings
from odrun.tracking.tracker import NullTracker, Picture, PictureBox, Tracker, Trackers
from odrun.tracking.wandb import open_wandb


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings, keys or proxies of whoever runs the tests, and a client that starts anew."""
    for name in list(os.environ):
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def opened(folder: Path, *, mode: str = "auto") -> tuple[Tracker, list[str]]:
    lines: list[str] = []
    settings = WandbSettings(mode=mode, project="project", entity=None, group="sweep-1", tags=["digits"])
    tracker = open_wandb(
        settings, folder=folder, name="run-1", job_type="train", config={"steps": 5}, report=lines.append
    )
    return tracker, lines


def log_all(tracker: Tracker) -> None:
    tracker.metrics(1, {"train/loss/total": 2.5})
    tracker.metrics(5, {"eval/AP": 0.25})
    tracker.summary({"AP": 0.5})
    tracker.close("completed")


def offline_history(folder: Path) -> list[dict[str, object]]:
    rows = []
    for record in offline_records(folder):
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            rows.append({key: value for key, value in items.items() if not key.startswith("_")})
    return rows


def test_without_a_key_the_run_is_logged_offline_and_says_so_in_one_line(folder: Path) -> None:
    tracker, lines = opened(folder)
    log_all(tracker)
    assert offline_history(folder) == [{"step": 1, "train/loss/total": 2.5}, {"step": 5, "eval/AP": 0.25}]
    (line,) = lines
    (run,) = folder.glob("wandb/offline-run-*")
    assert line == f"W&B: offline (no API key is configured); to upload it later: wandb sync {run}"


def test_an_offline_run_carries_what_tells_it_from_others(folder: Path) -> None:
    tracker, _ = opened(folder, mode="offline")
    print("what is printed is no business of the tracker")
    log_all(tracker)
    records = offline_records(folder)
    assert {"output", "output_raw"} & {record.WhichOneof("record_type") for record in records} == set()
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    metrics = [record.metric for record in records if record.WhichOneof("record_type") == "metric"]
    (exit_code,) = [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"]
    assert (run.project, run.run_group, run.job_type, list(run.tags), run.display_name, exit_code) == (
        "project",
        "sweep-1",
        "train",
        ["digits"],
        "run-1",
        0,
    )
    assert run.run_id == (folder / "wandb" / "run-id.txt").read_text().strip()
    assert {update.key: update.value_json for update in run.config.update}["steps"] == "5"
    assert any(metric.glob_name == "*" and metric.step_metric == "step" for metric in metrics)


def test_pictures_go_with_their_boxes(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "image.png")
    truth = PictureBox(1, 2, 11, 22, label_id=1)
    found = PictureBox(3, 4, 13, 24, label_id=2, score=0.75)
    picture = Picture("one", tmp_path / "image.png", tmp_path / "drawn.png", {1: "cat", 2: "dog"}, (truth,), (found,))
    tracker, _ = opened(folder)
    tracker.pictures(5, [picture])
    tracker.close("completed")
    (row,) = offline_history(folder)
    (files,) = folder.glob("wandb/offline-run-*/files")
    paths = {key: str(row[f"pictures/one/boxes/{key}/path"]) for key in ("predictions", "ground_truth")}
    boxes = {key: json.loads((files / path).read_text())["box_data"] for key, path in paths.items()}
    assert (row["step"], row["pictures/one/width"], row["pictures/one/height"]) == (5, 40, 30)
    assert boxes == {
        "predictions": [
            {
                "position": {"minX": 3, "maxX": 13, "minY": 4, "maxY": 24},
                "class_id": 2,
                "domain": "pixel",
                "box_caption": "dog 0.75",
                "scores": {"score": 0.75},
            }
        ],
        "ground_truth": [
            {
                "position": {"minX": 1, "maxX": 11, "minY": 2, "maxY": 22},
                "class_id": 1,
                "domain": "pixel",
                "box_caption": "cat",
            }
        ],
    }


def test_with_a_key_the_run_is_logged_online(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        tracker, lines = opened(folder)
        log_all(tracker)
        run_id = (folder / "wandb" / "run-id.txt").read_text().strip()
        history = [{key: row[key] for key in row if not key.startswith("_")} for row in server.history]
        names = ("name", "project", "groupName", "jobType", "tags", "displayName")
        attributes = {name: server.run[name] for name in names}
    assert history == [{"step": 1, "train/loss/total": 2.5}, {"step": 5, "eval/AP": 0.25}]
    assert attributes == {
        "name": run_id,
        "project": "project",
        "groupName": "sweep-1",
        "jobType": "train",
        "tags": ["digits"],
        "displayName": "run-1",
    }
    assert (lines, server.exit_codes) == ([f"W&B: online, {server.url}/team/project/runs/{run_id}"], [0])


def test_a_refused_key_makes_it_an_offline_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with wandb_server(accepts_key=False) as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        tracker, lines = opened(folder)
        log_all(tracker)
    assert len(offline_history(folder)) == 2
    assert [line.startswith("W&B: offline (") and "401" in line for line in lines] == [True]


def test_a_malformed_key_makes_it_an_offline_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        tracker, lines = opened(folder, mode="online")
        log_all(tracker)
    assert len(offline_history(folder)) == 2
    assert [line.startswith("W&B: offline (") for line in lines] == [True]


def test_an_unreachable_server_makes_it_an_offline_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://{address}")
    tracker, lines = opened(folder)
    log_all(tracker)
    assert len(offline_history(folder)) == 2
    assert lines[0].startswith(f"W&B: offline ({address} cannot be reached: Connection refused); to upload")


@pytest.mark.parametrize(
    ("variable", "value"), [("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true"), ("WANDB_MODE", "onlin")]
)
def test_switched_off_by_the_environment_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    tracker, lines = opened(folder)
    log_all(tracker)
    assert (type(tracker), list(folder.iterdir()), len(lines)) == (NullTracker, [], 1)
    assert f"{variable}={value}" in lines[0]


def test_a_run_directory_keeps_its_id_over_resumes(folder: Path) -> None:
    opened(folder)[0].close("interrupted")
    first = (folder / "wandb" / "run-id.txt").read_text()
    opened(folder)[0].close("completed")
    assert (folder / "wandb" / "run-id.txt").read_text() == first


def test_the_service_killed_under_way_costs_the_run_one_line(folder: Path) -> None:
    tracker, _ = opened(folder)
    reported: list[str] = []
    trackers = Trackers([tracker], report=reported.append)
    trackers.metrics(1, {"a": 1.0})
    columns = ["ps", "-ww", "-eo", "pid=,ppid=,comm="]
    processes = subprocess.run(columns, capture_output=True, check=True, text=True).stdout
    services = [line.split() for line in processes.splitlines() if line.endswith("wandb-core")]
    (service,) = [int(pid) for pid, parent, *_ in services if int(parent) == os.getpid()]
    os.kill(service, signal.SIGKILL)
    os.waitpid(service, 0)
    for step in range(2, 50):
        trackers.metrics(step, {"a": 1.0})
    trackers.close("completed")
    (line,) = reported
    assert line.startswith("W&B is switched off, the run goes on: ")


def test_a_folder_that_cannot_be_written_leaves_the_run_untracked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tracker, lines = opened(tmp_path / "file")
    log_all(tracker)
    assert (type(tracker), len(lines)) == (NullTracker, 1)
    assert lines[0].startswith("W&B: off (")
    assert "Not a directory" in lines[0]


def test_a_client_that_does_not_import_leaves_the_run_untracked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    tracker, lines = opened(folder)
    log_all(tracker)
    assert type(tracker) is NullTracker
    assert lines[0].startswith("W&B: off (the wandb package cannot be imported")


def test_the_client_is_not_imported_where_it_is_not_used(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from odrun.settings import WandbSettings\n"
        "from odrun.tracking.wandb import open_wandb\n"
        "settings = WandbSettings('disabled', 'p', None, None, [])\n"
        "open_wandb(settings, folder=Path(), name='', job_type='train', config={}, report=print)\n"
        "assert not {'wandb', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "W&B: off (tracking.wandb.mode=disabled)\n"


def test_an_unfinished_run_leaves_no_noise_at_the_exit(folder: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from odrun.settings import WandbSettings\n"
        "from odrun.runs.log import quiet_terminal; from odrun.tracking.wandb import open_wandb\n"
        "folder = Path(sys.argv[1]); settings = WandbSettings('offline', 'p', None, None, [])\n"
        "with quiet_terminal(folder / 'log.txt', verbose=False):\n"
        "    open_wandb(settings, folder=folder, name='', job_type='train', config={}, report=print)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
