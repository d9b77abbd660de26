"""`sweep.json`: the trials of a sweep and the best of them, rewritten whole each time that one moves on.

    {"objective": "AP", "best": 1, "trials": [{"number": 0, "dir": "0_train.seed=1", "overrides": ["train.seed=1"],
     "status": "completed", "pid": 4711, "metric": 0.41, "error": null}, ...]}

`best` is the number of the best trial, `dir` lies below the sweep's directory (empty: not known yet), `metric` is the
trial's value of the objective (the best one until now while it runs), `status` is pending, running, completed,
stopped_early, pruned (by a search), interrupted or failed. All trials that are known beforehand are in it before the
first one starts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import yaml

from odrun.errors import InputError, OdrunError
from odrun.runs.directory import RunDirectory
from odrun.runs.files import write_whole
from odrun.runs.summary import PRUNING, Summary
from odrun.settings import VALIDATION_LOSS
from odrun.sweeps.warm.hooks import Progress
from odrun.sweeps.warm.trials import Trial

SWEEP_NAME = "sweep.json"
_EVALUATED = "eval/"
_TAIL_BYTES = 65536


@dataclass(frozen=True)
class TrialLine:
    """A trial in `sweep.json`."""

    number: int
    dir: str
    overrides: tuple[str, ...]
    status: str
    pid: int | None
    metric: float | None
    error: str | None

    @property
    def is_left(self) -> bool:
        """Whether a sweep that is gone on with has it still to run, or to end."""
        return self.status in ("pending", "running", "interrupted")


@dataclass(frozen=True)
class Objective:
    """The metric that trials are judged by."""

    name: str

    @property
    def higher_is_better(self) -> bool:
        """Whether the best value is the highest."""
        return not self.name.startswith(VALIDATION_LOSS)

    def error(self, value: float) -> float:
        """How far a value is from the best there could be: 1 for a precision or a recall, 0 for a loss."""
        return 1.0 - value if self.higher_is_better else value

    def best_of(self, values: Sequence[float]) -> float | None:
        """The best of the values, if there is one."""
        return (max if self.higher_is_better else min)(values, default=None)

    def best_trial(self, trials: Sequence[TrialLine]) -> TrialLine | None:
        """The first of the best trials; one that failed only where no other has a value."""
        judged = [trial for trial in trials if trial.metric is not None]
        sound = [trial for trial in judged if trial.status != "failed"]
        trial_of = {trial.metric: trial for trial in reversed(sound or judged) if trial.metric is not None}
        best = self.best_of(list(trial_of))
        return None if best is None else trial_of[best]


@dataclass(frozen=True)
class _Plan:
    """What a run's config.yaml says of its length and its objective."""

    steps: int
    objective: Objective


class SweepRecord:
    """What the warm launcher is told of odrun's trials, and where it leaves what it knows (`warm.hooks.Hook`)."""

    def __init__(self) -> None:
        self._plans: dict[Path, _Plan] = {}
        self._best: dict[Path, float] = {}
        self._ended: dict[int, TrialLine] = {}
        self._kept: dict[int, TrialLine] = {}
        self._objective: Objective | None = None
        self._read: Path | None = None

    def progress(self, directory: Path) -> Progress:
        """The last logged step of the run in `directory`, and the best value of its objective until now."""
        plan = self._plan(directory)
        if plan is None:
            return Progress()
        summary = _summary(directory)
        if summary is not None and summary.best is not None:
            return Progress(summary.steps, plan.steps, plan.objective.name, summary.best.value)
        rows = _last_rows(RunDirectory(directory).metrics)
        values = [row.get(f"{_EVALUATED}{plan.objective.name}") for row in rows]
        known = [value for value in (*values, self._best.get(directory)) if isinstance(value, (int, float))]
        best = plan.objective.best_of(known)
        if best is not None:
            self._best[directory] = best
        step = rows[-1].get("step") if rows else None
        return Progress(step if isinstance(step, int) else None, plan.steps, plan.objective.name, best)

    def changed(self, sweep: Path, trials: Sequence[Trial]) -> None:
        """Write `sweep.json`: these trials' lines anew, those of others as they are in it."""
        self.write(sweep, [self._line(sweep, trial) for trial in trials])

    def write(self, sweep: Path, lines: Sequence[TrialLine]) -> None:
        """Write `sweep.json` with these lines instead of those of the same numbers."""
        if self._read != sweep and (sweep / SWEEP_NAME).exists():
            self._objective, kept = read_sweep(sweep)
            self._kept = {line.number: line for line in kept}
            self._read = sweep
        lines_now = self._kept | {line.number: line for line in lines}
        write_sweep(sweep, [lines_now[number] for number in sorted(lines_now)], self.objective)

    @property
    def objective(self) -> Objective | None:
        """What the trials are judged by, once one of them has said it."""
        return next((plan.objective for plan in self._plans.values()), self._objective)

    def told(self, error: BaseException) -> str:
        """odrun's own errors as they are, of others the kind as well."""
        return str(error) if isinstance(error, OdrunError) else f"{type(error).__name__}: {error}"

    def line_of(
        self, sweep: Path, number: int, directory: Path, overrides: tuple[str, ...], error: BaseException | None
    ) -> TrialLine:
        """The line of a trial that has ended, of which only Hydra's own account is known."""
        trial = Trial(number, overrides, directory, status="completed" if error is None else "failed")
        line = self._line(sweep, trial)
        return line if error is None else replace(line, error=self.told(error))

    def _line(self, sweep: Path, trial: Trial) -> TrialLine:
        """The trial's line; one that has ended is looked at once."""
        if trial.number not in self._ended:
            line = self._looked_at(sweep, trial)
            if not trial.has_ended:
                return line
            self._ended[trial.number] = line
        return self._ended[trial.number]

    def _looked_at(self, sweep: Path, trial: Trial) -> TrialLine:
        metric, status = None, str(trial.status)
        if trial.status != "pending":
            metric = self.progress(trial.directory).value
        if trial.status == "completed" and (summary := _summary(trial.directory)) is not None:
            status = status_of(summary)
        place = os.path.relpath(trial.directory, sweep)
        return TrialLine(trial.number, place, trial.overrides, status, trial.pid, metric, trial.reason)

    def _plan(self, directory: Path) -> _Plan | None:
        """Read once, as soon as it is there: only `odrun train` writes a config with an objective."""
        if directory not in self._plans:
            try:
                config = yaml.safe_load(RunDirectory(directory).config.read_text(encoding="utf-8"))
                self._plans[directory] = _Plan(config["train"]["steps"], Objective(config["eval"]["metric"]))
            except (OSError, yaml.YAMLError, KeyError, TypeError):
                return None
        return self._plans[directory]


def status_of(summary: Summary) -> str:
    """How the run of a trial ended."""
    return "pruned" if summary.stopped_by == PRUNING else summary.status


def read_sweep(sweep: Path) -> tuple[Objective | None, list[TrialLine]]:
    """What `sweep.json` in the folder `sweep` says; `InputError` if there is none or it is damaged."""
    path = sweep / SWEEP_NAME
    names = [field.name for field in fields(TrialLine)]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lines = [TrialLine(**{name: trial[name] for name in names}) for trial in content["trials"]]
        objective = content["objective"]
    except FileNotFoundError as error:
        raise InputError(
            f"there is no sweep: {SWEEP_NAME} is missing",
            where=str(sweep),
            remedy="give the directory of a sweep, outputs/sweeps/NAME",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the record of the sweep cannot be read: {error}", where=str(path)) from error
    return (
        None if objective is None else Objective(objective),
        [replace(line, overrides=tuple(line.overrides)) for line in lines],
    )


def write_sweep(sweep: Path, trials: Sequence[TrialLine], objective: Objective | None) -> None:
    """Write `sweep.json` in the folder `sweep`, whole."""
    best = None if objective is None else objective.best_trial(trials)
    content = {
        "objective": None if objective is None else objective.name,
        "best": None if best is None else best.number,
        "trials": [asdict(trial) for trial in trials],
    }
    write_whole(sweep / SWEEP_NAME, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _summary(directory: Path) -> Summary | None:
    try:
        return Summary.read(RunDirectory(directory).summary)
    except (InputError, OSError):
        return None


def _last_rows(metrics: Path) -> list[dict[str, object]]:
    """The rows in the last part of a `metrics.jsonl`, torn lines left out."""
    try:
        with metrics.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - _TAIL_BYTES))
            lines = stream.read().splitlines()
    except OSError:
        return []
    rows = []
    for line in lines if end <= _TAIL_BYTES else lines[1:]:
        with suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]
