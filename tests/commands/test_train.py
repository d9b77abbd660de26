from __future__ import annotations

import io
import logging

import pytest

from odrun.checks.finding import Finding
from odrun.commands.train import judge
from odrun.errors import InputError
from odrun.report.terminal import Terminal


def test_warnings_of_the_cheap_checks_are_shown_and_logged_and_notes_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = io.StringIO()
    findings = [Finding("data", "note", "600 images"), Finding("schedule", "warning", "few steps", "train.steps=75")]
    with caplog.at_level(logging.WARNING, logger="odrun"):
        judge(findings, Terminal(shown))
    assert shown.getvalue() == "warning    schedule: few steps; train.steps=75\n"
    assert [record.getMessage() for record in caplog.records] == ["schedule: few steps; train.steps=75"]


def test_an_error_of_the_cheap_checks_is_refused() -> None:
    with pytest.raises(InputError, match="no images"):
        judge([Finding("data", "error", "no images")], Terminal(io.StringIO()))
