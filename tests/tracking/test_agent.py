"""A run that an agent of a W&B sweep started: by the real client and by what the real agent makes of a sweep."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb import wandb_agent
from wandb_files import offline_records
from wandb_server import KEY, WandbServer, wandb_server

from odrun.errors import InputError
from odrun.settings import WandbSettings
from odrun.tracking.agent import AgentRun, agent_run, refuse_sweep_of_agent, refuse_unheard
from odrun.tracking.wandb import open_wandb
from odrun.tracking.wandb_access import kept_run_id

CONFIG = {"train": {"batch_size": 8, "ema_decay": None}, "augmentation": {"steps": {"flip": {"probability": 0.5}}}}
PARAMETERS = {"train.batch_size": 8, "train.ema_decay": "null", "augmentation": "flip"}
COMMAND = ["odrun", "train", "tracking.wandb.project=conf", "${args_no_hyphens}"]


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings, keys or proxies of whoever runs the tests, and nothing left of what an agent sets."""
    for name in list(os.environ):
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("WANDB_DIR", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield
    wandb.teardown()


@dataclass
class Started:
    """What the agent would run."""

    command: list[str]
    env: dict[str, str]

    @property
    def overrides(self) -> list[str]:
        return self.command[2:]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """A trial of the sweep s as the real agent starts it, in this environment, too; no process is begun."""
    found: list[Started] = []

    class Process:
        last_sigterm_time: float | None = None

        def __init__(self, *, command: list[str], env: dict[str, str], **_: object) -> None:
            found.append(Started(command, env))

    monkeypatch.setattr(wandb_agent, "AgentProcess", Process)
    for name, value in (("SWEEP_ID", "s"), ("PROJECT", "project"), ("ENTITY", "team")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    agent = wandb_agent.Agent(None, None, sweep_id="s")
    agent._sweep_command = list(COMMAND)
    agent._command_run(
        {"run_id": "r1", "program": "odrun", "args": {key: {"value": value} for key, value in PARAMETERS.items()}}
    )
    return found[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def logged(folder: Path, *, status: str = "completed") -> list[str]:
    lines: list[str] = []
    settings = WandbSettings(mode="auto", project="conf", entity="other", group=None, tags=[])
    tracker = open_wandb(settings, folder=folder, name="run", job_type="train", config=CONFIG, report=lines.append)
    tracker.metrics(1, {"eval/AP": 0.25})
    tracker.close(status)
    return lines


def online(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)


def config_of(server: WandbServer, run: str) -> dict[str, Any]:
    config = json.loads(str(server.runs[run]["config"]))
    return {key: entry["value"] for key, entry in config.items()}


def test_the_agents_environment_is_read_as_the_agent_writes_it(started: Started) -> None:
    assert agent_run(started.env) == AgentRun("s", "r1", PARAMETERS)
    assert started.command == [
        "odrun",
        "train",
        "tracking.wandb.project=conf",
        "train.batch_size=8",
        "train.ema_decay=null",
        "augmentation=flip",
    ]


def test_the_run_is_the_agents_run_of_its_sweep_in_its_project(
    started: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wandb_server() as server:
        online(server, monkeypatch)
        lines = logged(folder)
        (name,) = server.runs
        run = server.runs[name]
    assert (name, run["sweep"], run["project"], run["entity"]) == ("r1", "s", "project", "team")
    assert lines == [f"W&B: online, {server.url}/team/project/runs/r1, a run of the sweep s"]
    assert (kept_run_id(folder), server.exits) == ("r1", {"r1": 0})
    assert [row["eval/AP"] for row in server.histories["r1"]] == [0.25]


def test_the_sweeps_parameters_lie_beside_the_settings_they_are_equal_to(
    started: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wandb_server() as server:
        online(server, monkeypatch)
        logged(folder)
        config = config_of(server, "r1")
    assert {key: config[key] for key in PARAMETERS} == PARAMETERS
    assert config["train"] == CONFIG["train"]
    assert config["composed"] == {"augmentation": CONFIG["augmentation"]}


def test_a_trial_that_fails_is_told_to_have_failed(
    started: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wandb_server() as server:
        online(server, monkeypatch)
        logged(folder, status="failed")
    assert server.exits == {"r1": 1}


def test_the_agents_run_wins_over_the_one_the_directory_had(
    started: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "wandb").mkdir()
    (folder / "wandb" / "run-id.txt").write_text("earlier\n")
    with wandb_server() as server:
        online(server, monkeypatch)
        logged(folder)
        assert list(server.runs) == ["r1"]
    assert kept_run_id(folder) == "r1"


def test_a_later_resume_without_the_agent_goes_on_with_its_run(
    started: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wandb_server() as server:
        online(server, monkeypatch)
        logged(folder, status="interrupted")
        for name in ("SWEEP_ID", "RUN_ID", "SWEEP_PARAM_PATH"):
            monkeypatch.delenv(f"WANDB_{name}")
        wandb.teardown()
        assert "RunResumeStatus" not in server.operations
        logged(folder)
        assert list(server.runs) == ["r1"]
        assert "RunResumeStatus" in server.operations


def test_where_the_server_is_gone_the_run_goes_on_and_says_that_the_sweep_does_not_hear_it(
    started: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wandb_server(accepts_key=False) as server:
        online(server, monkeypatch)
        (line,) = logged(folder)
    assert line.startswith("W&B: offline (")
    assert line.endswith("; the sweep s hears nothing of it until then")
    (run,) = [record.run for record in offline_records(folder) if record.WhichOneof("record_type") == "run"]
    assert (run.run_id, run.sweep_id, run.project) == ("r1", "s", "project")


def test_a_trial_as_the_agent_starts_it_is_let_pass(started: Started) -> None:
    refuse_unheard("auto", started.overrides, started.env)
    refuse_unheard("auto", [f"++{text}" for text in started.overrides], started.env)


@pytest.mark.parametrize(
    ("mode", "variables", "where"),
    [
        ("disabled", {}, "tracking.wandb.mode=disabled"),
        ("offline", {}, "tracking.wandb.mode=offline"),
        ("auto", {"WANDB_MODE": "offline"}, "WANDB_MODE=offline"),
        ("auto", {"WANDB_DISABLED": "true"}, "WANDB_DISABLED=true"),
    ],
)
def test_a_trial_that_the_sweep_would_not_hear_of_is_refused(
    mode: str, variables: dict[str, str], where: str, started: Started
) -> None:
    with pytest.raises(InputError, match="a sweep of W&B hears nothing of a run") as refused:
        refuse_unheard(mode, started.overrides, started.env | variables)
    assert refused.value.where == where
    refuse_unheard(mode, started.overrides, variables)


@pytest.mark.parametrize(
    ("dropped", "added", "told"),
    [
        ("augmentation=flip", [], "the sweep's augmentation=flip is not on the command line"),
        ("augmentation=flip", ["augmentation=none"], "the sweep has augmentation=flip, and the command line augmen"),
        ("", ["train.batch_size=4"], "the sweep has train.batch_size=8, and the command line train.batch_size=4"),
    ],
)
def test_a_trial_that_is_not_what_its_sweep_believes_is_refused(
    dropped: str, added: list[str], told: str, started: Started
) -> None:
    with pytest.raises(InputError, match=told) as refused:
        refuse_unheard("auto", [*(text for text in started.overrides if text != dropped), *added], started.env)
    assert refused.value.remedy is not None
    assert "${args_no_hyphens}" in refused.value.remedy


@pytest.mark.parametrize("content", ["- 1", "a: 1", "a: [", "", None])
def test_parameters_that_cannot_be_read_are_refused(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    if content is not None:
        file.write_text(content)
    environment = {"WANDB_SWEEP_ID": "s", "WANDB_SWEEP_PARAM_PATH": str(file)}
    with pytest.raises(InputError, match="the sweep's parameters cannot be read") as refused:
        agent_run(environment)
    assert refused.value.where == f"WANDB_SWEEP_PARAM_PATH={file}"


def test_a_trial_without_the_client_is_refused(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odrun.tracking.agent.find_spec", lambda name: None)
    with pytest.raises(InputError, match="the package wandb is not installed"):
        refuse_unheard("auto", started.overrides, started.env)


def test_a_trial_is_no_sweep_itself(started: Started) -> None:
    refuse_sweep_of_agent({})
    with pytest.raises(InputError, match="a trial is no sweep itself"):
        refuse_sweep_of_agent(started.env)


def test_without_an_agent_there_is_nothing_to_refuse() -> None:
    assert agent_run({"WANDB_RUN_ID": "r1"}) is None
    refuse_unheard("disabled", ["train.batch_size=4"], {})
