"""The run of a sweep in W&B, offline, by the real client."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
import yaml
from wandb_files import offline_records

from odrun.runs.summary import Best, Summary, Throughput, Timings
from odrun.settings import METRIC_KEYS
from odrun.sweeps.record import Objective, TrialLine, write_sweep
from odrun.sweeps.result import conclude


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings or keys of whoever runs the tests, and a client that starts anew."""
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    wandb.teardown()
    yield
    wandb.teardown()


def sweep(folder: Path, values: list[float | None], *, mode: str, group: str | None = None) -> Path:
    """A sweep over the seed; a trial without a value failed."""
    lines = []
    for number, value in enumerate(values):
        directory = folder / f"{number}_trial"
        directory.mkdir(parents=True)
        wandb_settings = {"mode": mode, "project": "project", "entity": None, "group": group, "tags": ["digits"]}
        (directory / "config.yaml").write_text(yaml.safe_dump({"tracking": {"wandb": wandb_settings}}))
        status = "failed" if value is None else "completed"
        error = "diverged" if value is None else None
        if value is not None:
            Summary(
                status="completed",
                steps=40,
                resumed_from=(),
                best=Best(40, "AP", value),
                metrics=dict.fromkeys(METRIC_KEYS, value),
                timings=Timings(total_s=20.0),
                throughput=Throughput(4.0, 32.0),
                peak_memory_mb=None,
                error=None,
            ).write(directory / "summary.json")
        lines.append(TrialLine(number, directory.name, (f"train.seed={number}",), status, 7, value, error))
    write_sweep(folder, lines, Objective("AP"))
    return folder


def test_the_sweep_is_a_run_of_the_trials_group_and_its_summary_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conclude(sweep(tmp_path / "seeds", [0.25, 0.5, None], mode="offline"))
    records = offline_records(tmp_path / "seeds")
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.run_group, run.job_type, list(run.tags), run.display_name) == (
        "project",
        "seeds",
        "sweep",
        ["digits"],
        "seeds",
    )
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["trials"] == {number: {"train.seed": number} for number in ("0", "1", "2")}
    told = {
        "/".join(item.nested_key) or item.key: json.loads(item.value_json)
        for record in records
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    assert {key: value for key, value in told.items() if not key.startswith("_")} == {
        "trial_0/AP": 0.25,
        "trial_1/AP": 0.5,
        "trials/completed": 2.0,
        "trials/failed": 1.0,
        "best/trial": 1.0,
        "best/AP": 0.5,
    }
    (exit_code,) = [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"]
    assert exit_code == 1
    assert "tracking   W&B: offline (tracking.wandb.mode=offline)" in capsys.readouterr().out


def test_a_group_that_was_set_is_kept(tmp_path: Path) -> None:
    conclude(sweep(tmp_path / "seeds", [0.25, 0.5], mode="offline", group="mine"))
    (run,) = [record.run for record in offline_records(tmp_path / "seeds") if record.WhichOneof("record_type") == "run"]
    assert run.run_group == "mine"


def test_where_wandb_is_off_nothing_is_written_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conclude(sweep(tmp_path / "seeds", [0.25, 0.5], mode="disabled"))
    assert not (tmp_path / "seeds" / "wandb").exists()
    assert "W&B" not in capsys.readouterr().out
