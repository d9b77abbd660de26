from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from odrun.errors import InputError, RunFailedError
from odrun.runs.summary import Best, Summary, Timings
from odrun.settings import METRIC_KEYS
from odrun.sweeps.record import Objective, SweepRecord, TrialLine, read_sweep, write_sweep
from odrun.sweeps.warm.hooks import Progress
from odrun.sweeps.warm.trials import Trial


def write_run(folder: Path, *rows: dict[str, float | None], metric: str = "AP") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(f"train: {{steps: 40}}\neval: {{metric: {metric}}}\n")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def end_run(folder: Path, value: float, *, status: str = "completed") -> None:
    Summary(
        status=status,  # type: ignore[arg-type]
        steps=40,
        resumed_from=(),
        best=Best(30, "AP", value),
        metrics=dict.fromkeys(METRIC_KEYS, value),
        timings=Timings(),
        throughput=None,
        peak_memory_mb=None,
        error=None,
    ).write(folder / "summary.json")


def read(sweep: Path) -> dict[str, Any]:
    return dict(json.loads((sweep / "sweep.json").read_text()))


def test_progress_is_the_last_step_and_the_best_value_until_now(tmp_path: Path) -> None:
    record = SweepRecord()
    rows = [{"step": 1, "eval/AP": 0.5}, {"step": 2, "eval/AP": 0.4}, {"step": 3, "train/loss/total": 1.0}]
    assert record.progress(tmp_path) == Progress()
    assert record.progress(write_run(tmp_path, *rows)) == Progress(3, 40, "AP", 0.5)
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "eval/A')
    assert record.progress(tmp_path) == Progress(3, 40, "AP", 0.5)


def test_the_best_value_of_a_long_run_is_remembered(tmp_path: Path) -> None:
    record = SweepRecord()
    record.progress(write_run(tmp_path, {"step": 1, "eval/AP": 0.5}))
    rows: list[dict[str, float | None]] = [{"step": step, "train/loss/total": 1.0} for step in range(2, 4000)]
    assert record.progress(write_run(tmp_path, {"step": 1, "eval/AP": 0.5}, *rows)) == Progress(3999, 40, "AP", 0.5)


def test_of_a_loss_the_lowest_value_is_the_best(tmp_path: Path) -> None:
    rows = [{"step": 1, "eval/loss/total": 0.5}, {"step": 2, "eval/loss/total": 0.7}]
    assert SweepRecord().progress(write_run(tmp_path, *rows, metric="loss/total")).value == 0.5


def test_the_sweep_is_written_each_time_that_a_trial_moves_on(tmp_path: Path) -> None:
    record = SweepRecord()
    trials = [Trial(0, ("train.seed=1",), tmp_path / "0_a"), Trial(1, (), tmp_path / "1_b")]
    record.changed(tmp_path, trials)
    assert read(tmp_path)["objective"] is None
    assert [line["status"] for line in read(tmp_path)["trials"]] == ["pending", "pending"]
    write_run(tmp_path / "0_a", {"step": 1, "eval/AP": 0.25})
    record.changed(tmp_path, [Trial(0, ("train.seed=1",), tmp_path / "0_a", status="running", pid=7), trials[1]])
    assert read(tmp_path) == {
        "objective": "AP",
        "best": 0,
        "trials": [
            {
                "number": 0,
                "dir": "0_a",
                "overrides": ["train.seed=1"],
                "status": "running",
                "pid": 7,
                "metric": 0.25,
                "error": None,
            },
            {
                "number": 1,
                "dir": "1_b",
                "overrides": [],
                "status": "pending",
                "pid": None,
                "metric": None,
                "error": None,
            },
        ],
    }


def test_an_ended_trial_is_told_as_its_summary_has_it(tmp_path: Path) -> None:
    end_run(write_run(tmp_path / "0"), 0.75, status="stopped_early")
    write_run(tmp_path / "1", {"step": 1, "eval/AP": 0.9})
    trials = [
        Trial(0, (), tmp_path / "0", status="completed"),
        Trial(1, (), tmp_path / "1", status="failed", reason="diverged"),
    ]
    SweepRecord().changed(tmp_path, trials)
    lines = read(tmp_path)["trials"]
    assert [(line["status"], line["metric"], line["error"]) for line in lines] == [
        ("stopped_early", 0.75, None),
        ("failed", 0.9, "diverged"),
    ]


def line(number: int, metric: float | None) -> TrialLine:
    return TrialLine(number, str(number), (), "completed", None, metric, None)


@pytest.mark.parametrize(
    ("objective", "values", "best"),
    [("AP", [0.1, 0.3, 0.2], 1), ("loss/total", [0.1, 0.3, 0.2], 0), ("AP", [0.3, 0.3], 0), ("AP", [None], None)],
)
def test_the_best_trial_is_the_first_with_the_best_value(
    objective: str, values: list[float | None], best: int | None, tmp_path: Path
) -> None:
    write_sweep(tmp_path, [line(number, value) for number, value in enumerate(values)], Objective(objective))
    assert read(tmp_path)["best"] == best


def test_an_error_of_odrun_is_told_as_it_is_and_another_with_its_kind() -> None:
    assert SweepRecord().told(RunFailedError("diverged", where="step 3")) == "diverged\n  where:  step 3"
    assert SweepRecord().told(KeyError("a")) == "KeyError: 'a'"


def test_lines_of_other_trials_stay_as_they_are(tmp_path: Path) -> None:
    kept = TrialLine(0, "0_a", ("train.seed=1",), "completed", 5, 0.5, None)
    write_sweep(tmp_path, [kept], Objective("AP"))
    record = SweepRecord()
    record.changed(tmp_path, [Trial(1, (), tmp_path / "1_b")])
    objective, lines = read_sweep(tmp_path)
    assert (objective, lines[0]) == (Objective("AP"), kept)
    assert [line.status for line in lines] == ["completed", "pending"]
    assert read(tmp_path)["best"] == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"objective": null, "best": null, "trials": [{"number": 1}]}'])
def test_a_damaged_record_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(InputError, match="the record of the sweep cannot be read"):
        read_sweep(tmp_path)


def test_a_folder_without_a_record_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no sweep: sweep\.json is missing"):
        read_sweep(tmp_path)


def test_the_best_trial_is_a_failed_one_only_where_no_other_has_a_value() -> None:
    def line(number: int, status: str, metric: float | None) -> TrialLine:
        return TrialLine(number, str(number), (), status, 7, metric, None)

    def best(*lines: TrialLine, objective: str = "AP") -> int | None:
        found = Objective(objective).best_trial(lines)
        return None if found is None else found.number

    assert best(line(0, "failed", 0.9), line(1, "completed", 0.2), line(2, "running", 0.2)) == 1
    assert best(line(0, "failed", 0.1), line(1, "failed", 0.9), line(2, "pending", None)) == 1
    assert best(line(0, "completed", 0.9), line(1, "completed", 0.2), objective="loss/total") == 1
    assert best(line(0, "failed", None)) is None
