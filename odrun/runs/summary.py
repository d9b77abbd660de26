"""`summary.json`: how a run ended, in one value that is checked when made and when read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast, get_args

from odrun.errors import InputError, nearest
from odrun.runs.files import write_whole
from odrun.settings import METRIC_KEYS, VALIDATION_LOSS

Status = Literal["completed", "stopped_early", "interrupted", "failed"]
STATUSES: tuple[Status, ...] = ("completed", "stopped_early", "interrupted", "failed")
StoppedBy = Literal["early_stopping", "max_minutes", "pruning", "callback"]
EARLY_STOPPING: StoppedBy = "early_stopping"
MAX_MINUTES: StoppedBy = "max_minutes"
PRUNING: StoppedBy = "pruning"
CALLBACK: StoppedBy = "callback"


@dataclass(frozen=True)
class Best:
    """The best checkpoint: its step, the metric it was chosen by, and its value (`None`: not a number)."""

    step: int
    metric: str
    value: float | None

    def __post_init__(self) -> None:
        if self.step < 0:
            raise ValueError(f"best.step is {self.step}; it has to be 0 or more")
        if self.metric not in METRIC_KEYS and not self.metric.startswith(VALIDATION_LOSS):
            raise ValueError(f"best.metric is {self.metric!r}; {nearest(self.metric, METRIC_KEYS)}")


@dataclass(frozen=True)
class Timings:
    """Seconds of each part of a run; `None` for a part that was not reached.

    `first_step_s` and `total_s` count from the start of the process.
    """

    import_s: float | None = None
    prepare_s: float | None = None
    build_s: float | None = None
    first_step_s: float | None = None
    train_s: float | None = None
    eval_s: float | None = None
    total_s: float | None = None


@dataclass(frozen=True)
class Throughput:
    """Speed of training after its first step, evaluations and checkpoints left out."""

    steps_per_s: float | None
    images_per_s: float | None


@dataclass(frozen=True)
class Exported:
    """The exported model: milliseconds for an image on the machine of the run, size of its SavedModel (10^6 bytes)."""

    latency_ms: float | None
    size_mb: float | None


@dataclass(frozen=True)
class Summary:
    """The content of `summary.json`.

    `steps` is the last step reached, `resumed_from` the step of each resume in their order, `metrics` the 12 COCO
    metrics of the best checkpoint, `error` the message of a failed run, `stopped_by` what ended one before its last
    step. `ledger` says how many images and boxes came
    how far (`odrun.records.manifest.Ledger`), as far as the run has got. What cannot be together is a `ValueError`.
    """

    status: Status
    steps: int
    resumed_from: tuple[int, ...]
    best: Best | None
    metrics: Mapping[str, float | None] | None
    timings: Timings
    throughput: Throughput | None
    peak_memory_mb: float | None
    error: str | None
    ledger: Mapping[str, object] | None = None
    exported: Exported | None = None
    stopped_by: StoppedBy | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}; {nearest(self.status, STATUSES)}")
        if self.steps < 0 or any(step < 0 for step in self.resumed_from):
            raise ValueError(f"a step below 0: steps {self.steps}, resumed_from {list(self.resumed_from)}")
        if (self.error is not None) != (self.status == "failed"):
            raise ValueError(
                f"status is {self.status!r} and error is {self.error!r}; a failed run, and no other, has one"
            )
        if self.stopped_by is not None and self.status != "stopped_early":
            raise ValueError(f"status is {self.status!r} and stopped_by is {self.stopped_by!r}")
        if self.stopped_by is not None and self.stopped_by not in get_args(StoppedBy):
            raise ValueError(f"stopped_by is {self.stopped_by!r}; {nearest(self.stopped_by, get_args(StoppedBy))}")
        if (self.best is None) != (self.metrics is None):
            raise ValueError("best and metrics belong together: both or none")
        if self.metrics is not None:
            odd = sorted(set(self.metrics) ^ set(METRIC_KEYS))
            if odd:
                raise ValueError(f"metrics has to hold the 12 COCO metrics; missing or unknown: {', '.join(odd)}")
            object.__setattr__(self, "metrics", {key: self.metrics[key] for key in METRIC_KEYS})

    def to_json(self) -> str:
        """The text of `summary.json`; values that are no finite numbers become `null`."""
        return json.dumps(_plain(self), indent=2, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write `path` as a whole."""
        write_whole(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Summary:
        """The value in `path`; `InputError` if the file is absent, no JSON, or not a summary."""
        try:
            return _summary(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise InputError("the run has no summary: it never ended", where=str(path)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"this is not a summary of a run: {error}", where=str(path)) from error


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Best | Timings | Throughput | Exported | Summary):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _summary(content: object) -> Summary:
    if isinstance(content, dict):
        # The first versions wrote none.
        for name in ("ledger", "exported", "stopped_by"):
            content.setdefault(name, None)
    node = _node(content, "the file", tuple(field.name for field in fields(Summary)))
    best, throughput = node["best"], node["throughput"]
    resumed_from = node["resumed_from"]
    if not isinstance(resumed_from, list):
        raise TypeError("resumed_from is not a list")
    return Summary(
        status=cast(Status, node["status"]),
        steps=_integer(node["steps"], "steps"),
        resumed_from=tuple(_integer(step, "resumed_from") for step in resumed_from),
        best=None if best is None else _best(best),
        metrics=None if node["metrics"] is None else _numbers(node["metrics"], "metrics", METRIC_KEYS),
        timings=Timings(**_numbers(node["timings"], "timings", tuple(field.name for field in fields(Timings)))),
        throughput=None
        if throughput is None
        else Throughput(**_numbers(throughput, "throughput", ("steps_per_s", "images_per_s"))),
        peak_memory_mb=_number(node["peak_memory_mb"], "peak_memory_mb"),
        error=None if node["error"] is None else str(node["error"]),
        ledger=None if node["ledger"] is None else _mapping(node["ledger"], "ledger"),
        exported=None
        if node["exported"] is None
        else Exported(**_numbers(node["exported"], "exported", ("latency_ms", "size_mb"))),
        stopped_by=cast("StoppedBy | None", node["stopped_by"]),
    )


def _best(content: object) -> Best:
    node = _node(content, "best", ("step", "metric", "value"))
    return Best(
        step=_integer(node["step"], "best.step"),
        metric=str(node["metric"]),
        value=_number(node["value"], "best.value"),
    )


def _numbers(content: object, name: str, keys: tuple[str, ...]) -> dict[str, float | None]:
    return {key: _number(value, f"{name}.{key}") for key, value in _node(content, name, keys).items()}


def _mapping(content: object, name: str) -> dict[str, object]:
    if not isinstance(content, dict):
        raise TypeError(f"{name} is not a JSON object")
    return content


def _node(content: object, name: str, keys: tuple[str, ...]) -> dict[str, object]:
    node = _mapping(content, name)
    odd = sorted(set(node) ^ set(keys))
    if odd:
        raise ValueError(f"{name}: missing or unknown {', '.join(odd)}")
    return node


def _integer(content: object, name: str) -> int:
    if not isinstance(content, int) or isinstance(content, bool):
        raise TypeError(f"{name} is {content!r}, not a whole number")
    return content


def _number(content: object, name: str) -> float | None:
    if content is None:
        return None
    if not isinstance(content, int | float) or isinstance(content, bool):
        raise TypeError(f"{name} is {content!r}, not a number")
    return float(content)
