"""Searches with the real Optuna, whose trials are stubs with a known best."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from odrun.config import application
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Best, Exported, Summary, Timings
from odrun.settings import METRIC_KEYS, Job, TrainJob
from odrun.sweeps.search.space import Choice, Span
from odrun.sweeps.search.study import Study


def value_of(job: TrainJob) -> float:
    """Highest, 1, at a learning rate of 0.01 and a batch size of 8."""
    return 1 - 0.2 * abs(math.log10(job.train.learning_rate / 0.01)) - 0.01 * abs(job.train.batch_size - 8)


def do(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Stands for a training."""
    assert isinstance(job, TrainJob)
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.config.write_text(config_text)
    if (Path(job.paths.cache) / "killed").exists():
        os._exit(9)
    value = value_of(job)
    Summary(
        status="completed",
        steps=2,
        resumed_from=(),
        best=Best(2, "AP", value),
        metrics=dict.fromkeys(METRIC_KEYS, value),
        timings=Timings(total_s=1.0),
        throughput=None,
        peak_memory_mb=None,
        error=None,
        exported=Exported(float(job.train.batch_size), 1.0),
    ).write(directory.summary)


SPACE = ("train.learning_rate=tag(log,interval(1e-4,1))", "train.batch_size=int(interval(1,16))", "train.steps=5")


def search(tmp_path: Path, *arguments: str, space: tuple[str, ...] = SPACE, command: Callable[..., Any] = do) -> int:
    given = [f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}", "-m", "hydra/sweeper=search"]
    given += ["hydra.launcher.preload=[]", *space, *arguments]
    return application.run("train", given, do=command)


def trials_of(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    (found,) = tmp_path.glob("sweeps/*/sweep.json")
    return found.parent, json.loads(found.read_text())["trials"]


@pytest.mark.slow
def test_a_search_finds_what_is_best(tmp_path: Path) -> None:
    assert search(tmp_path, "hydra.sweeper.n_trials=24", "hydra.launcher.n_jobs=4") == 0
    folder, trials = trials_of(tmp_path)
    assert [trial["number"] for trial in trials] == list(range(24))
    later = [trial["metric"] for trial in trials[12:]]
    assert max(trial["metric"] for trial in trials) > 0.85
    assert sum(later) > sum(trial["metric"] for trial in trials[:12])
    assert (folder / "best").exists()
    assert (folder / "study.journal").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "sobol", "grid"])
def test_each_sampler_makes_trials_within_the_space(sampler: str, tmp_path: Path) -> None:
    space = ("train.learning_rate=0.001,0.01", "train.batch_size=range(2,9,2)")
    assert search(tmp_path, f"hydra.sweeper.sampler={sampler}", "hydra.sweeper.n_trials=8", space=space) == 0
    _, trials = trials_of(tmp_path)
    tried = [tuple(trial["overrides"][-2:]) for trial in trials]
    assert len(tried) == 8
    assert {text for pair in tried for text in pair} <= {
        *(f"train.learning_rate={rate}" for rate in (0.001, 0.01)),
        *(f"train.batch_size={size}" for size in (2, 4, 6, 8)),
    }
    if sampler == "grid":
        assert len(set(tried)) == 8


def test_a_grid_ends_when_all_has_been_tried(tmp_path: Path) -> None:
    given = ("hydra.sweeper.sampler=grid", "hydra.sweeper.n_trials=50")
    assert search(tmp_path, *given, space=("train.batch_size=2,4,8",)) == 0
    assert len(trials_of(tmp_path)[1]) == 3


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    (tmp_path / "killed").touch()
    assert search(tmp_path, "hydra.sweeper.n_trials=2") == 1
    (tmp_path / "killed").unlink()
    folder, _ = trials_of(tmp_path)
    assert search(tmp_path, "hydra.sweeper.n_trials=5", f"sweep.resume={folder}") == 1
    _, trials = trials_of(tmp_path)
    assert [trial["status"] for trial in trials] == ["failed"] * 2 + ["completed"] * 3


def test_another_space_is_not_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(tmp_path, "hydra.sweeper.n_trials=1") == 0
    folder, _ = trials_of(tmp_path)
    space = ("train.learning_rate=tag(log,interval(1e-3,1))", *SPACE[1:])
    assert search(tmp_path, "hydra.sweeper.n_trials=2", f"sweep.resume={folder}", space=space) == 2
    assert "the search that was begun here has other values: train.learning_rate" in capsys.readouterr().err
    assert len(trials_of(tmp_path)[1]) == 1


def test_several_objectives_are_told(tmp_path: Path) -> None:
    assert search(tmp_path, "hydra.sweeper.n_trials=4", "hydra.sweeper.objectives=[AP,latency_ms]") == 0
    folder, _ = trials_of(tmp_path)
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    study = optuna.load_study(study_name=folder.name, storage=storage)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(trial.values[1] == trial.params["train.batch_size"] for trial in study.trials)


@pytest.mark.parametrize(
    ("arguments", "space", "told"),
    [
        ((), ("train.steps=5",), "there is nothing to search"),
        ((), ("train.batch_size=int(interval(-4,8))",), "train.batch_size"),
        ((), ("train.batch_size=int(interval(8,4))",), "has to be not above the second"),
        (("hydra.sweeper.sampler=grid",), SPACE, "is an interval, which has no grid"),
        (("hydra.sweeper.sampler=tpee",), SPACE, "did you mean tpe"),
        (("hydra.sweeper.objectives=[AQ]",), SPACE, "hydra.sweeper.objectives"),
        (("hydra.sweeper.n_trials=0",), SPACE, "hydra.sweeper.n_trials"),
        (("sweep.resume=nowhere",), SPACE, "a search is gone on with by its directory"),
        ((), ("train.bach_size=1,2",), "train.bach_size"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_made(
    arguments: tuple[str, ...], space: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(tmp_path, *arguments, space=space) == 2
    captured = capsys.readouterr().err
    assert told in captured
    assert "Traceback" not in captured
    assert list(tmp_path.iterdir()) == []


def test_what_was_asked_for_and_not_told_is_known_again(tmp_path: Path) -> None:
    space = {"train.batch_size": Span(1, 16, None, is_log=False), "augmentation": Choice(("none", "flip"))}

    def study() -> Study:
        return Study(tmp_path, space, sampler="tpe", seed=0, objectives=["AP"], maximized=[True])

    begun = study()
    asked = dict(begun.ask() for _ in range(3))
    begun.tell(1, [0.5])
    again = study()
    assert again.untold() == {number: asked[number] for number in (0, 2)}
    assert again.count == 3
    again.tell(0, None)
    assert list(study().untold()) == [2]
