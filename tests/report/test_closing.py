"""The closing table says where everything is, with commands that can be typed as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from odrun.report.closing import Closing, closing_of_run, override
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Best, Summary, Timings
from odrun.settings import METRIC_KEYS

METRICS = dict.fromkeys(METRIC_KEYS, 0.5) | {"AP": 0.7523, "AP_large": -1.0, "AR_large": None}
SUMMARY = Summary(
    status="completed",
    steps=1300,
    resumed_from=(),
    best=Best(1200, "AP", 0.7523),
    metrics=METRICS,
    timings=Timings(total_s=252.0),
    throughput=None,
    peak_memory_mb=None,
    error=None,
)


def texts(closing: Closing) -> list[str]:
    return [line.text for line in closing.lines()]


def test_the_table_of_a_completed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDirectory(tmp_path / "outputs" / "run").create()
    (run.export / "saved_model").mkdir(parents=True)
    run.tensorboard.mkdir()
    assert texts(closing_of_run(run, SUMMARY, source="images/a b")) == [
        "done: 1300 steps in 4:12; best checkpoint at step 1200, AP 0.752",
        "",
        "  AP         AP50       AP75       AP_small   AP_medium  AP_large",
        "  0.752      0.500      0.500      0.500      0.500      -",
        "  AR_1       AR_10      AR_100     AR_small   AR_medium  AR_large",
        "  0.500      0.500      0.500      0.500      0.500      -",
        "",
        "where",
        "  run             outputs/run",
        "  exported model  outputs/run/export",
        "  log             outputs/run/log.txt",
        "",
        "next",
        "  detect  odrun predict run=outputs/run 'source=\"images/a b\"'",
        "  curves  tensorboard --logdir outputs/run/tensorboard",
    ]


def test_nothing_is_named_that_is_not_there(tmp_path: Path) -> None:
    failed = Summary("failed", 7, (), None, None, Timings(), None, None, "boom")
    run = RunDirectory(tmp_path)
    assert texts(closing_of_run(run, failed, source=None)) == [
        "failed: 7 steps",
        "",
        "where",
        f"  run  {tmp_path}",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "outputs/train/2026-01-01_10-00-00_digits-ssd",
        "a b",
        "a=b,c",
        "[x]{y}",
        "it's",
        'say "hi"',
        "back\\slash",
        "ends in \\",
        'mixed \\" both',
        "1e3",
        "2026",
        "TRUE",
        "${x}",
        "~/x",
        "null",
    ],
)
def test_an_override_arrives_as_it_was_through_the_shell_and_hydra(value: str) -> None:
    (argument,) = shlex.split(override("run", value))
    parsed = OverridesParser.create().parse_override(argument).value()
    assert str(parsed) == value
    assert isinstance(parsed, str | QuotedString)
