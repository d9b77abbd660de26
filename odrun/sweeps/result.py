"""What came of a sweep: a row per trial, in `sweep.csv`, in the closing table, in plots and in W&B.

Comes in: the lines of `sweep.json` and the files of the trials' runs. Goes out: files beside `sweep.json`.

    sweep.csv    one row per trial, in their order: number, directory, status, what differs, objective, metrics, speed
    plots/       see `odrun.report.sweep_plots`
    reading.txt  of trainings on parts of the data: whether more data or more steps would help more
    best         a link to the directory of the best trial, a file that names it where there are no links
"""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from odrun.errors import InputError
from odrun.report.closing import Closing, override
from odrun.report.pace import duration
from odrun.report.parameter_axes import short_keys, shown_value
from odrun.report.sweep_plots import TrialPoint, write_sweep_plots
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path, write_whole
from odrun.runs.summary import Exported, Summary
from odrun.settings import METRIC_KEYS, WandbSettings
from odrun.sweeps.learning_curve import gain_of_doubling, gain_of_steps, reading
from odrun.sweeps.record import Objective, TrialLine, read_sweep
from odrun.tracking.jsonl import read_metrics
from odrun.tracking.tracker import Trackers
from odrun.tracking.wandb import open_wandb

CSV_NAME = "sweep.csv"
PLOTS_NAME = "plots"
BEST_NAME = "best"
READING_NAME = "reading.txt"
FRACTION, SEED = "train.fraction", "train.seed"
_STATES = ("completed", "stopped_early", "pruned", "interrupted", "running", "failed", "pending")


@dataclass(frozen=True)
class Row:
    """A trial and what its run says of itself; `parameters` are those that differ between trials, as text."""

    line: TrialLine
    parameters: Mapping[str, str]
    summary: Summary | None

    @property
    def error(self) -> str:
        """What went wrong, in one line."""
        return (self.line.error or "").partition("\n")[0]

    @property
    def exported(self) -> Exported:
        """The trial's export, as far as it is known."""
        found = None if self.summary is None else self.summary.exported
        return Exported(None, None) if found is None else found

    @property
    def total_s(self) -> float | None:
        """Seconds that the trial's process took, of its last start if it was gone on with."""
        return None if self.summary is None else self.summary.timings.total_s


@dataclass(frozen=True)
class SweepResult:
    """All trials of a sweep, in the order of their numbers."""

    folder: Path
    objective: Objective | None
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, folder: Path) -> SweepResult:
        """What lies in the folder; `InputError` if that is no sweep."""
        objective, lines = read_sweep(folder)
        given = parameters([line.overrides for line in lines])
        rows = [
            Row(line, values, _summary(folder / line.dir) if line.dir else None)
            for line, values in zip(lines, given, strict=True)
        ]
        return cls(folder, objective, tuple(rows))

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the parameters that differ."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.parameters))

    @property
    def ranked(self) -> list[Row]:
        """The best trial first, then the others that have a value, those that failed last, then those without one."""
        higher = self.objective is None or self.objective.higher_is_better
        sign = -1.0 if higher else 1.0
        return sorted(
            self.rows,
            key=lambda row: (
                row.line.metric is None,
                row.line.status == "failed",
                0.0 if row.line.metric is None else sign * row.line.metric,
                _STATES.index(row.line.status) if row.line.status in _STATES else len(_STATES),
                row.line.number,
            ),
        )

    @property
    def best(self) -> Row | None:
        """The best trial; none without a value of the objective."""
        best = None if self.objective is None else self.objective.best_trial([row.line for row in self.rows])
        return next((row for row in self.rows if row.line is best), None)

    def csv_text(self) -> str:
        """The content of `sweep.csv`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        name = "objective" if self.objective is None else f"objective ({self.objective.name})"
        last = ("steps", "best_step", "steps_per_s", "total_s", "latency_ms", "size_mb", "error")
        writer.writerow(["trial", "dir", "status", *self.names, name, *METRIC_KEYS, *last])
        for row in self.rows:
            metrics = (row.summary.metrics if row.summary else None) or {}
            writer.writerow(
                [
                    row.line.number,
                    row.line.dir,
                    row.line.status,
                    *(row.parameters.get(name, "") for name in self.names),
                    _plain(row.line.metric),
                    *(_plain(metrics.get(key)) for key in METRIC_KEYS),
                    *_course(row.summary),
                    _plain(row.exported.latency_ms),
                    _plain(row.exported.size_mb),
                    row.error,
                ]
            )
        return text.getvalue()

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The heading and the rows of the closing table, the best trial first."""
        names = short_keys(self.names)
        objective = [] if self.objective is None else [self.objective.name]
        heading = ("trial", *objective, *names, "status", "steps/s", "time", "ms/image", "MB")
        rows = []
        for row in self.ranked:
            value = [] if self.objective is None else ["-" if row.line.metric is None else f"{row.line.metric:.4g}"]
            speed = row.summary.throughput.steps_per_s if row.summary and row.summary.throughput else None
            exported = row.exported
            rows.append(
                (
                    str(row.line.number),
                    *value,
                    *(shown_value(row.parameters.get(name, "")) for name in self.names),
                    row.line.status,
                    _rounded(speed),
                    "-" if row.total_s is None else duration(row.total_s),
                    _rounded(exported.latency_ms),
                    _rounded(exported.size_mb),
                )
            )
        return heading, rows

    def closing(self) -> Closing:
        """What is said after the table."""
        ended = sum(not row.line.is_left for row in self.rows)
        counts = Counter(row.line.status for row in self.rows)
        told = " and ".join(f"{counts[status]} of them {status}" for status in ("pruned", "failed") if counts[status])
        headline = f"sweep: {ended} of {len(self.rows)} trials ended" + (f", {told}" if told else "")
        best = self.best
        if best is not None and self.objective is not None:
            headline += f"; best is trial {best.line.number}, {self.objective.name} {best.line.metric:.4g}"
        names = (("sweep", ""), ("table", CSV_NAME), ("plots", PLOTS_NAME), ("best trial", BEST_NAME))
        places = [(name, self.folder / part) for name, part in names if (self.folder / part).exists()]
        commands = []
        if best is not None and (self.folder / best.line.dir / "export" / "saved_model").is_dir():
            link = self.folder / BEST_NAME
            run = shown_path(link if link.is_symlink() else self.folder / best.line.dir)
            commands.append(("detect", f"odrun predict {override('run', run)} source=DIR"))
        return Closing(
            headline=headline,
            metrics=None if best is None or best.summary is None else best.summary.metrics,
            places=tuple((name, shown_path(path)) for name, path in places),
            commands=tuple(commands),
        )


def conclude(folder: Path, *, is_over: bool = True) -> None:
    """Write what came of the sweep in the folder, and tell it on standard output; W&B is told of one that is over."""
    result = SweepResult.read(folder)
    write_whole(folder / CSV_NAME, result.csv_text())
    point_to_best(result)
    if result.objective is not None:
        write_sweep_plots(
            [_point(folder, row, result.objective) for row in result.rows],
            folder / PLOTS_NAME,
            title=folder.name,
            objective=result.objective.name,
            higher_is_better=result.objective.higher_is_better,
        )
    terminal = Terminal(sys.stdout)
    if is_over:
        tell_wandb(result, terminal)
    terminal.table(*result.table())
    told = data_reading(result)
    if told:
        write_whole(folder / READING_NAME, "".join(f"{line}\n" for line in told))
    for line in told:
        terminal.stage("reading", line)
    terminal.closing(result.closing())


def data_reading(result: SweepResult) -> list[str]:
    """Of a sweep of trainings on parts of the data, what it says on more data and more steps; of others nothing."""
    if result.objective is None or FRACTION not in result.names or not set(result.names) <= {FRACTION, SEED}:
        return []
    ended = [
        (float(row.parameters[FRACTION]), result.objective.error(row.line.metric), row)
        for row in result.rows
        if row.line.metric is not None and row.line.status in ("completed", "stopped_early")
    ]
    most = max((amount for amount, _, _ in ended), default=1.0)
    data = gain_of_doubling([amount for amount, _, _ in ended], [error for _, error, _ in ended], now=most)
    curves = [
        [(step, result.objective.error(value)) for step, value in _point(result.folder, row, result.objective).curve]
        for amount, _, row in ended
        if amount == most
    ]
    return reading(data, gain_of_steps(curves), objective=result.objective.name)


def tell_wandb(result: SweepResult, terminal: Terminal) -> None:
    """Add to the group of the trials' W&B runs one of the sweep itself, whose summary is the result.

    As the trials' own runs it is online, offline or not at all.
    """
    settings = next((found for row in result.rows if (found := _wandb_settings(result.folder, row)) is not None), None)
    if settings is None or settings.mode == "disabled" or result.objective is None:
        return
    told = open_wandb(
        replace(settings, group=settings.group or result.folder.name),
        folder=result.folder,
        name=result.folder.name,
        job_type="sweep",
        config={"trials": {str(row.line.number): dict(row.parameters) for row in result.rows}},
        report=lambda fact: terminal.stage("tracking", fact),
    )
    tracker = Trackers([told], report=terminal.warning)
    name = result.objective.name
    values = {f"trial_{row.line.number}/{name}": row.line.metric for row in result.rows}
    counts = Counter(row.line.status for row in result.rows)
    values |= {f"trials/{status}": float(count) for status, count in counts.items()}
    if result.best is not None:
        values |= {"best/trial": float(result.best.line.number), f"best/{name}": result.best.line.metric}
    tracker.summary({key: value for key, value in values.items() if value is not None})
    tracker.close("failed" if counts["failed"] else "completed")


def _wandb_settings(folder: Path, row: Row) -> WandbSettings | None:
    try:
        config = yaml.safe_load(RunDirectory(folder / row.line.dir).config.read_text(encoding="utf-8"))
        return WandbSettings(**config["tracking"]["wandb"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, InputError):
        return None


def point_to_best(result: SweepResult) -> None:
    """Make `best` in the sweep's directory lead to the best trial, or remove it where there is none."""
    link = result.folder / BEST_NAME
    if link.is_symlink() or link.is_file():
        link.unlink()
    if result.best is None or link.exists():
        return
    try:
        link.symlink_to(result.best.line.dir, target_is_directory=True)
    except OSError:
        # Windows grants links to few, and some file systems have none.
        write_whole(link, f"{result.best.line.dir}\n")


def _point(folder: Path, row: Row, objective: Objective) -> TrialPoint:
    curve = []
    if row.line.dir:
        with suppress(InputError, OSError):
            rows = read_metrics(RunDirectory(folder / row.line.dir).metrics)
            key = f"eval/{objective.name}"
            curve = [(step, value) for each in rows if (value := each.get(key)) is not None and (step := each["step"])]
    # What failed may have been good until then; it is not what its parameters come to.
    metric = None if row.line.status == "failed" else row.line.metric
    return TrialPoint(row.line.number, row.parameters, metric, row.total_s, tuple(curve))


def parameters(overrides: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Of each trial the overrides that not all trials have, as value by key."""
    given = [dict(_pair(text) for text in each) for each in overrides]
    keys = dict.fromkeys(key for each in given for key in each)
    differing = [key for key in keys if len({each.get(key) for each in given}) > 1]
    return [{key: each[key] for key in differing if key in each} for each in given]


def _pair(override_text: str) -> tuple[str, str]:
    key, _, value = override_text.partition("=")
    return key.lstrip("+~"), value.strip("'\"")


def _summary(directory: Path) -> Summary | None:
    with suppress(InputError, OSError):
        return Summary.read(RunDirectory(directory).summary)
    return None


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _course(summary: Summary | None) -> list[str]:
    """Steps, step of the best checkpoint, steps per second, seconds in all."""
    if summary is None:
        return [""] * 4
    best = "" if summary.best is None else str(summary.best.step)
    speed = None if summary.throughput is None else summary.throughput.steps_per_s
    return [str(summary.steps), best, _plain(speed), _plain(summary.timings.total_s)]
