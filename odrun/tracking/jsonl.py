"""`metrics.jsonl`: one JSON object per logged step, each step once, ascending, whatever the run went through.

    {"step": 100, "time": 1760000000.123, "train/loss/total": 0.71, "eval/AP": 0.42}

A value that is no finite number becomes `null`, because JSON has no other word for it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from odrun.errors import InputError
from odrun.tracking.tracker import Picture, TrackingError

MetricsRow: TypeAlias = dict[str, float | None]

_RESERVED = ("step", "time")


class JsonlTracker:
    """Writes `path`; every call is handed to the operating system before it returns.

    Lines after `resumed_at` (the step a run goes on from; 0 for a new run) and a torn last line are cut off first.
    Values told later for the step of the last line are merged into that line, which keeps its time.
    """

    name = "metrics.jsonl"

    def __init__(self, path: Path, *, resumed_at: int = 0, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            rows, self._end = _whole_rows(self._file.read(), last_step=resumed_at)
            self._file.truncate(self._end)
        except OSError as error:
            raise self._fault(error) from error
        self._row: MetricsRow = rows[-1][1] if rows else {}
        self._start = rows[-1][0] if rows else 0

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write, or merge into, the line of `step`; `ValueError` for a step before the last one or a reserved key."""
        reserved = [key for key in _RESERVED if key in values]
        if reserved:
            raise ValueError(f"the keys {', '.join(reserved)} are the line's own")
        last_step = self._row.get("step")
        if last_step is not None and step < last_step:
            raise ValueError(f"step {step} after step {last_step:.0f}; steps go up")
        numbers = {key: _finite(value) for key, value in values.items()}
        if step != last_step:
            self._start = self._end
            self._row = {"step": step, "time": round(self._clock(), 3)}
        self._row |= numbers
        self._write_row()

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        """Nothing: the pictures are files of the run already."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Nothing: the result is in `summary.json`."""

    def close(self, status: str) -> None:
        """Close the file; what was written stays."""
        del status
        self._file.close()

    def _write_row(self) -> None:
        line = (json.dumps(self._row, allow_nan=False) + "\n").encode()
        try:
            self._file.seek(self._start)
            self._file.write(line)
            self._file.truncate()
            self._file.flush()
        except OSError as error:
            raise self._fault(error) from error
        self._end = self._start + len(line)

    def _fault(self, error: OSError) -> TrackingError:
        return TrackingError(f"the metrics cannot be written: {error.strerror}", where=str(self._path))


def read_metrics(path: Path) -> list[MetricsRow]:
    """The rows of `path` in their order, a torn last line left out; `InputError` if there is no such file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"the metrics cannot be read: {error.strerror}", where=str(path)) from error
    return [row for _, row in _whole_rows(content, last_step=None)[0]]


def _whole_rows(content: bytes, *, last_step: int | None) -> tuple[list[tuple[int, MetricsRow]], int]:
    """The rows with the offset of each, up to the first that is torn, out of order or after `last_step`; their end."""
    rows: list[tuple[int, MetricsRow]] = []
    end = 0
    for line in content.splitlines(keepends=True):
        row = _row(line)
        if row is None or (rows and not _step(row) > _step(rows[-1][1])):
            break
        if last_step is not None and _step(row) > last_step:
            break
        rows.append((end, row))
        end += len(line)
    return rows, end


def _row(line: bytes) -> MetricsRow | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def _step(row: MetricsRow) -> float:
    step = row["step"]
    return -1 if step is None else step


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
