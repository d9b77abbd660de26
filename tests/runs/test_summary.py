"""summary.json holds exactly the agreed keys, valid JSON, and nothing that cannot be."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.runs.summary import Best, Exported, Summary, Throughput, Timings
from odrun.settings import METRIC_KEYS

COMPLETED = Summary(
    status="completed",
    steps=1300,
    resumed_from=(100, 400),
    best=Best(step=1200, metric="AP", value=0.75),
    metrics=dict.fromkeys(METRIC_KEYS, 0.5),
    timings=Timings(import_s=9.0, total_s=280.5),
    throughput=Throughput(steps_per_s=5.5, images_per_s=88.0),
    peak_memory_mb=1800.0,
    error=None,
    ledger=None,
    exported=Exported(latency_ms=12.5, size_mb=9.75),
)
PARTS = ("import", "prepare", "build", "first_step", "train", "eval", "total")
FAILED = Summary(
    status="failed",
    steps=0,
    resumed_from=(),
    best=None,
    metrics=None,
    timings=Timings(),
    throughput=None,
    peak_memory_mb=None,
    error="the loss is not a number",
)


PRUNED = dataclasses.replace(COMPLETED, status="stopped_early", stopped_by="pruning")


@pytest.mark.parametrize("summary", [COMPLETED, FAILED, PRUNED], ids=["completed", "failed", "pruned"])
def test_what_is_written_is_read_back_equal(tmp_path: Path, summary: Summary) -> None:
    summary.write(tmp_path / "summary.json")
    assert Summary.read(tmp_path / "summary.json") == summary


def test_the_keys_are_those_of_the_interface() -> None:
    node = json.loads(COMPLETED.to_json())
    assert {key: sorted(value) if isinstance(value, dict) else None for key, value in node.items()} == {
        "status": None,
        "steps": None,
        "resumed_from": None,
        "best": ["metric", "step", "value"],
        "metrics": sorted(METRIC_KEYS),
        "timings": sorted(f"{part}_s" for part in PARTS),
        "throughput": ["images_per_s", "steps_per_s"],
        "peak_memory_mb": None,
        "error": None,
        "ledger": None,
        "exported": ["latency_ms", "size_mb"],
        "stopped_by": None,
    }


def test_a_summary_of_the_first_versions_is_read(tmp_path: Path) -> None:
    node = json.loads(dataclasses.replace(COMPLETED, exported=None).to_json())
    del node["ledger"], node["exported"], node["stopped_by"]
    (tmp_path / "summary.json").write_text(json.dumps(node))
    assert Summary.read(tmp_path / "summary.json") == dataclasses.replace(COMPLETED, exported=None)


def test_metrics_stand_in_one_order_whatever_order_they_came_in() -> None:
    backwards = dataclasses.replace(COMPLETED, metrics=dict.fromkeys(reversed(METRIC_KEYS), 0.5))
    assert backwards.to_json() == COMPLETED.to_json()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_written_as_null(tmp_path: Path, value: float) -> None:
    odd = dataclasses.replace(COMPLETED, peak_memory_mb=value, best=Best(step=1, metric="AP", value=value))
    odd.write(tmp_path / "summary.json")
    read = Summary.read(tmp_path / "summary.json")
    assert (read.peak_memory_mb, read.best) == (None, Best(step=1, metric="AP", value=None))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"status": "complete"}, "did you mean completed"),
        ({"steps": -1}, "below 0"),
        ({"resumed_from": (-5,)}, "below 0"),
        ({"error": "boom"}, "a failed run, and no other"),
        ({"status": "failed"}, "a failed run, and no other"),
        ({"stopped_by": "pruning"}, "status is 'completed' and stopped_by is 'pruning'"),
        ({"status": "stopped_early", "stopped_by": "prunning"}, "did you mean pruning"),
        ({"best": None}, "belong together"),
        ({"metrics": {"AP": 0.5}}, "missing or unknown: AP50"),
        ({"metrics": COMPLETED.metrics | {"mAP": 1.0}}, "missing or unknown: mAP"),
    ],
)
def test_a_summary_that_cannot_be_is_refused(change: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        dataclasses.replace(COMPLETED, **change)


@pytest.mark.parametrize("change", [{"step": -1}, {"metric": "map"}])
def test_a_best_checkpoint_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="best"):
        dataclasses.replace(Best(step=1, metric="AP", value=0.1), **change)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "Expecting property name"),
        ("[]", "the file is not a JSON object"),
        ('{"status": "completed"}', "missing or unknown best, error"),
        (COMPLETED.to_json().replace('"steps": 1300', '"steps": "1300"'), "steps is '1300', not a whole number"),
        (COMPLETED.to_json().replace("1800.0", "true"), "peak_memory_mb is True, not a number"),
        (COMPLETED.to_json().replace('"completed"', '"done"'), "status is 'done'"),
    ],
)
def test_a_file_that_is_no_summary_is_refused_with_its_path(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(text)
    with pytest.raises(InputError, match=fault) as caught:
        Summary.read(path)
    assert caught.value.where == str(path)


def test_a_run_without_a_summary_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it never ended"):
        Summary.read(tmp_path / "summary.json")
