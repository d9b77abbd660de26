"""A sweep by the programs themselves: `odrun wandb-sweep`, `wandb sweep` and `wandb agent`, against a stand-in server.

The agent is told to give up after one failure, as long as it has had nothing else: it must not take for one what its
sweep has stopped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb_server import KEY, Sweep, WandbServer, wandb_server

SMALL = (
    "dataset=voc",
    "dataset.name=shapes",
    "train.batch_size=2",
    "train.warmup_steps=1",
    "train.log_every=1",
    "eval.batch_size=2",
    "eval.pictures=2",
    "paths.cache=cache",
    "model.checkpoint=none",
    "tracking.wandb.project=conf",
)
SPACE = ("train.steps=3,4000", "train.ema_decay=null,0.9", "augmentation=none,flip", "train.seed=int(interval(0,9))")
TRIALS: dict[str, dict[str, object]] = {
    "stopped1": {"train.steps": 4000, "train.ema_decay": 0.9, "augmentation": "none", "train.seed": 1},
    "whole222": {"train.steps": 3, "train.ema_decay": "null", "augmentation": "flip", "train.seed": 2},
    "faulty33": {"train.steps": 3, "train.ema_decay": 0.9, "augmentation": "none", "train.seed": 0.5},
}


@dataclass(frozen=True)
class Swept:
    """What is left when the agent has ended."""

    folder: Path
    written: dict[str, Any]
    server: WandbServer
    told: str

    def run(self, name: str) -> Path:
        (found,) = self.folder.glob(f"outputs/train/*_{name}")
        return found

    def summary(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run(name) / "summary.json").read_text())
        return found

    def config(self, name: str) -> dict[str, Any]:
        config = json.loads(str(self.server.runs[name]["config"]))
        return {key: entry["value"] for key, entry in config.items()}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Iterator[Swept]:
    folder = tmp_path_factory.mktemp("swept")
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "TF_", "ODRUN"))}
    environment |= {
        "PATH": f"{programs}{os.pathsep}{environment['PATH']}",
        "HOME": str(folder / "home"),
        "NO_PROXY": "127.0.0.1",
        "WANDB_API_KEY": KEY,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_AGENT_MAX_INITIAL_FAILURES": "1",
    }

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=400
        )

    written = typed("odrun", "wandb-sweep", "hydra/sweeper=search", *SMALL, f"dataset.path={shapes}", *SPACE).stdout
    (folder / "sweep.yaml").write_text(written)
    with wandb_server() as server:
        environment["WANDB_BASE_URL"] = server.url
        server.sweep = Sweep(TRIALS, stopped=frozenset({"stopped1"}))
        typed("wandb", "sweep", "--project", "agents", "sweep.yaml")
        agent = typed("wandb", "agent", "team/agents/s")
        yield Swept(folder, yaml.safe_load(written), server, agent.stdout + agent.stderr)


@pytest.mark.slow
def test_wandb_registers_the_sweep_that_odrun_wrote(swept: Swept) -> None:
    assert swept.server.sweep is not None
    assert yaml.safe_load(swept.server.sweep.config) == swept.written


@pytest.mark.slow
def test_the_agent_runs_all_trials_and_takes_none_that_it_stopped_for_a_failure(swept: Swept) -> None:
    assert swept.server.sweep is not None
    assert swept.server.sweep.begun == list(TRIALS), swept.told
    assert swept.server.exits == {"stopped1": 130, "whole222": 0}
    assert "train.seed is 0.5, where a whole number is meant" in swept.told
    assert len(list(swept.folder.glob("outputs/train/*"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stopped1", "whole222"])
def test_each_run_is_one_of_the_sweep_where_the_agent_says(name: str, swept: Swept) -> None:
    run = swept.server.runs[name]
    assert (run["sweep"], run["project"], run["entity"]) == ("s", "agents", "team")
    assert (swept.run(name) / "wandb" / "run-id.txt").read_text() == f"{name}\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stopped1", "whole222"])
def test_each_run_has_the_parameters_under_their_names_and_was_trained_with_them(name: str, swept: Swept) -> None:
    config = swept.config(name)
    assert {key: config[key] for key in TRIALS[name]} == TRIALS[name]
    used = yaml.safe_load((swept.run(name) / "config.yaml").read_text())
    for key in ("steps", "seed", "ema_decay"):
        parameter = TRIALS[name][f"train.{key}"]
        assert config["train"][key] == used["train"][key] == (None if parameter == "null" else parameter)
    assert list(used["augmentation"]["steps"]) == (["random_horizontal_flip"] if name == "whole222" else [])


@pytest.mark.slow
def test_the_metric_of_the_sweep_is_in_the_history_of_a_run(swept: Swept) -> None:
    values = [row[swept.written["metric"]["name"]] for row in swept.server.histories["whole222"] if "eval/AP" in row]
    assert values == [swept.summary("whole222")["metrics"]["AP"]]


@pytest.mark.slow
def test_a_run_that_the_sweep_stops_has_saved_itself(swept: Swept) -> None:
    summary = swept.summary("stopped1")
    assert summary["status"] == "interrupted"
    assert 1 <= summary["steps"] < 4000
    assert (swept.run("stopped1") / "checkpoints" / f"ckpt-{summary['steps']}.index").is_file()
