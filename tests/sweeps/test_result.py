"""What came of a sweep, out of real files that stand for trials."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image

from odrun.runs.summary import Best, Exported, Summary, Throughput, Timings
from odrun.settings import METRIC_KEYS
from odrun.sweeps.record import Objective, TrialLine, read_sweep, write_sweep
from odrun.sweeps.result import SweepResult, conclude, parameters

BATCH_SIZES, RATES, MODELS = (4, 8, 16), (0.0005, 0.005, 0.05), ("digits", "efficientdet_d0")


def write_trial(
    folder: Path, number: int, overrides: tuple[str, ...], value: float | None, seconds: float
) -> TrialLine:
    """A trial that ended with this AP, or failed without one."""
    directory = folder / f"{number}_trial"
    directory.mkdir(parents=True)
    config = {"tracking": {"wandb": {"mode": "disabled", "project": "p", "entity": None, "group": None, "tags": []}}}
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    rows = [{"step": step, "eval/AP": (value or 0.1) * step / 40} for step in (10, 20, 30, 40)]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Summary(
        status="failed" if value is None else "completed",
        steps=40,
        resumed_from=(),
        best=None if value is None else Best(30, "AP", value),
        metrics=None if value is None else dict.fromkeys(METRIC_KEYS, value),
        timings=Timings(total_s=seconds),
        throughput=Throughput(4.0, 32.0),
        peak_memory_mb=None,
        error="diverged\n  where:  step 3" if value is None else None,
        exported=Exported(12.0, 9.5),
    ).write(directory / "summary.json")
    error = "diverged\n  where:  step 3" if value is None else None
    status = "failed" if value is None else "completed"
    return TrialLine(number, directory.name, ("dataset=digits", *overrides), status, 7, value, error)


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Eighteen trials, the last of which failed."""
    folder = tmp_path / "2026-01-01_grid"
    lines = []
    for batch_size in BATCH_SIZES:
        for rate in RATES:
            for model in MODELS:
                value = 0.5 - 0.1 * abs(math.log10(rate / 0.005)) + 0.01 * batch_size / 4 + 0.05 * (model != "digits")
                number = len(lines)
                given = (f"train.batch_size={batch_size}", f"train.learning_rate={rate}", f"model={model}")
                failed = number == len(BATCH_SIZES) * len(RATES) * len(MODELS) - 1
                seconds = 20 + 3 * batch_size + 15 * (model != "digits")
                lines.append(write_trial(folder, number, given, None if failed else value, seconds))
    write_sweep(folder, lines, Objective("AP"))
    return folder


def test_the_parameters_are_what_differs() -> None:
    given = [("dataset=voc", "train.steps=5", "+a.b=1"), ("dataset=voc", "train.steps=6"), ("dataset=voc",)]
    assert parameters(given) == [{"train.steps": "5", "a.b": "1"}, {"train.steps": "6"}, {}]
    assert parameters([("a=1",)]) == [{}]
    assert parameters([]) == []


def test_the_table_begins_with_the_best_and_ends_with_what_failed(grid: Path) -> None:
    heading, rows = SweepResult.read(grid).table()
    assert heading == (
        "trial",
        "AP",
        "batch_size",
        "learning_rate",
        "model",
        "status",
        "steps/s",
        "time",
        "ms/image",
        "MB",
    )
    assert rows[0] == ("15", "0.59", "16", "0.005", "efficientdet_d0", "completed", "4", "1:23", "12", "9.5")
    assert rows[-1][:2] == ("17", "-")
    assert rows[-1][5] == "failed"
    values = [float(row[1]) for row in rows[:-1]]
    assert values == sorted(values, reverse=True)


def test_of_a_loss_the_lowest_is_the_best(grid: Path) -> None:
    result = SweepResult.read(grid)
    lowest = replace(result, objective=Objective("loss/total")).best
    assert lowest is not None
    assert lowest.line.metric == min(row.line.metric for row in result.rows if row.line.metric is not None)


def test_sweep_csv_has_a_row_per_trial_in_their_order(grid: Path) -> None:
    conclude(grid)
    rows = list(csv.DictReader((grid / "sweep.csv").read_text().splitlines()))
    assert [int(row["trial"]) for row in rows] == list(range(18))
    assert rows[3]["train.learning_rate"] == "0.005"
    assert float(rows[3]["objective (AP)"]) == float(rows[3]["AP50"]) == pytest.approx(0.56)
    assert (rows[3]["steps_per_s"], rows[3]["best_step"], rows[3]["error"]) == ("4", "30", "")
    assert (rows[3]["latency_ms"], rows[3]["size_mb"]) == ("12", "9.5")
    assert (rows[17]["status"], rows[17]["AP"], rows[17]["error"]) == ("failed", "", "diverged")


def test_best_leads_to_the_best_trial_and_follows_it(grid: Path) -> None:
    conclude(grid)
    assert (grid / "best").resolve().name == "15_trial"
    lines = [replace(row.line, metric=0.9) if row.line.number == 2 else row.line for row in SweepResult.read(grid).rows]
    write_sweep(grid, lines, Objective("AP"))
    conclude(grid)
    assert (grid / "best").resolve().name == "2_trial"


def test_without_links_a_file_names_the_best(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refused)
    conclude(grid)
    assert (grid / "best").read_text() == "15_trial\n"


def test_the_plots_are_pictures(grid: Path) -> None:
    conclude(grid)
    for name in ("parameters", "parallel", "curves", "time"):
        with Image.open(grid / "plots" / f"{name}.png") as picture:
            assert picture.width > 400


def test_what_is_told_names_the_best_and_what_to_type(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (grid / "15_trial" / "export" / "saved_model").mkdir(parents=True)
    conclude(grid)
    told = capsys.readouterr().out
    assert "sweep: 18 of 18 trials ended, 1 of them failed; best is trial 15, AP 0.59\n" in told
    assert f"  detect  odrun predict run={grid}/best source=DIR\n" in told


def test_trials_that_a_search_ended_early_are_counted_and_stand_by_what_they_reached(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objective, lines = read_sweep(grid)
    write_sweep(grid, [replace(line, status="pruned") if line.number < 2 else line for line in lines], objective)
    conclude(grid)
    assert "sweep: 18 of 18 trials ended, 2 of them pruned and 1 of them failed; best is trial 15" in (
        capsys.readouterr().out
    )
    ranked = SweepResult.read(grid).ranked
    assert [row.line.status for row in ranked].count("pruned") == 2
    assert ranked[-1].line.status == "failed"


def test_a_sweep_without_an_objective_has_a_table_and_no_plots(tmp_path: Path) -> None:
    lines = [TrialLine(n, f"{n}", (f"dataset=d{n}",), "completed", 7, None, None) for n in range(2)]
    write_sweep(tmp_path, lines, None)
    conclude(tmp_path)
    assert (tmp_path / "sweep.csv").read_text().startswith("trial,dir,status,dataset,objective,AP,")
    assert not (tmp_path / "plots").exists()
    assert not (tmp_path / "best").exists()


def fractions(folder: Path, points: dict[float, float], *, evaluations: int = 8) -> Path:
    """A sweep over the fraction of the data, with curves that rise by a power law."""
    lines = []
    for number, (fraction, value) in enumerate(points.items()):
        line = write_trial(folder, number, (f"train.fraction={fraction}",), value, 20.0)
        steps = [400 * (place + 1) // evaluations for place in range(evaluations)]
        rows = [{"step": step, "eval/AP": 1 - (1 - value) * (step / 400) ** -0.1} for step in steps]
        (folder / line.dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        lines.append(line)
    write_sweep(folder, lines, Objective("AP"))
    return folder


def test_parts_of_the_data_say_what_more_of_it_would_bring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = {fraction: 1 - 0.3 * fraction**-0.4 for fraction in (0.1, 0.25, 0.5, 1.0)}
    conclude(fractions(tmp_path / "sweep", points))
    told = capsys.readouterr().out
    gain = 0.3 - 0.3 * 2**-0.4
    assert f"reading    twice the data would improve AP by +{gain:.3f} (+{gain:.3f} to +{gain:.3f}), 95 %" in told
    assert "more data would help more than more steps" in told
    assert "more data would help more" in (tmp_path / "sweep" / "reading.txt").read_text()


def test_of_three_fractions_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conclude(fractions(tmp_path / "sweep", {0.25: 0.4, 0.5: 0.5, 1.0: 0.6}))
    assert "reading    what more data would bring cannot be told: it takes 4 or more" in capsys.readouterr().out


def test_another_sweep_has_no_such_reading(grid: Path) -> None:
    conclude(grid)
    assert not (grid / "reading.txt").exists()


def test_numbers_of_a_search_are_short_in_the_table_and_whole_in_the_file(tmp_path: Path) -> None:
    rates = ("0.00023049944255391574", "0.0711")
    lines = [write_trial(tmp_path, n, (f"train.learning_rate={rate}",), 0.5, 9) for n, rate in enumerate(rates)]
    write_sweep(tmp_path, lines, Objective("AP"))
    result = SweepResult.read(tmp_path)
    assert [row[2] for row in result.table()[1]] == ["0.00023", "0.0711"]
    assert [row["train.learning_rate"] for row in csv.DictReader(result.csv_text().splitlines())] == list(rates)
