"""Searches with the real Optuna, whose trials are stubs with a known best."""

from __future__ import annotations

import json
import math
import os
import time
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


def value_of(job: TrainJob) -> float:
    """Highest, 1, at a learning rate of 0.01 and a batch size of 8."""
    return 1 - 0.2 * abs(math.log10(job.train.learning_rate / 0.01)) - 0.01 * abs(job.train.batch_size - 8)


def do(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Stands for a training."""
    assert isinstance(job, TrainJob)
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.config.write_text(config_text)
    cache = Path(job.paths.cache)
    if (cache / "killed").exists():
        os._exit(9)
    if (cache / "meeting").exists():
        _meet(cache / "meeting", int(directory.path.name.partition("_")[0]))
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


def _meet(folder: Path, number: int) -> None:
    """The first trial waits until the third has begun: it never does while the second's place is not taken again."""
    (folder / str(number)).touch()
    deadline = time.monotonic() + 60
    while number == 0 and not (folder / "2").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


SPACE = ("train.learning_rate=tag(log,interval(1e-4,1))", "train.batch_size=int(interval(1,16))", "train.steps=5")


def search(tmp_path: Path, *arguments: str, space: tuple[str, ...] = SPACE, command: Callable[..., Any] = do) -> int:
    given = [f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}", "-m", "hydra/sweeper=search"]
    if "hydra/launcher=basic" not in arguments:
        given.append("hydra.launcher.preload=[]")
    given += [*space, *arguments]
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


def test_a_trial_is_asked_for_as_soon_as_there_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "meeting").mkdir()
    assert search(tmp_path, "hydra.sweeper.n_trials=3", "hydra.launcher.n_jobs=2") == 0
    assert [trial["status"] for trial in trials_of(tmp_path)[1]] == ["completed"] * 3


def test_with_another_launcher_trials_are_asked_for_in_batches(tmp_path: Path) -> None:
    assert search(tmp_path, "hydra.sweeper.n_trials=3", "hydra/launcher=basic") == 0
    assert [trial["number"] for trial in trials_of(tmp_path)[1]] == [0, 1, 2]


def test_a_search_that_has_used_its_minutes_begins_no_trial_when_it_is_gone_on_with(tmp_path: Path) -> None:
    given = ("hydra.sweeper.n_trials=null", "hydra.sweeper.minutes=0.01")
    assert search(tmp_path, *given) == 0
    folder, trials = trials_of(tmp_path)
    assert search(tmp_path, *given, f"sweep.resume={folder}") == 0
    assert len(trials_of(tmp_path)[1]) == len(trials)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "killed").touch()
    assert search(tmp_path, "hydra.sweeper.n_trials=2") == 1
    (tmp_path / "killed").unlink()
    assert "hydra.sweeper.n_trials=MORE" in capsys.readouterr().err
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
        (("hydra.sweeper.pruner=mean",), SPACE, "did you mean median"),
        (("hydra.sweeper.warmup_steps=-1",), SPACE, "hydra.sweeper.warmup_steps"),
        (("hydra.sweeper.pruner=median", "eval.every=null"), SPACE, "no trial is evaluated before its last step"),
        (("hydra.sweeper.pruner=median", "eval.every=5"), SPACE, "no trial is evaluated before its last step"),
        (("hydra.sweeper.pruner=median", "hydra.sweeper.objectives=[AP,AP50]"), SPACE, "and there are 2"),
        (("hydra.sweeper.pruner=median", "hydra.sweeper.objectives=[size_mb]"), SPACE, "size_mb is not known before"),
        ((), ("train.learning_rate=tag(lgo,interval(0.1,1))",), "a tag that means nothing here: lgo"),
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
