"""The clock counts from the start of the process, not from an import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from odrun.runs import clock


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems count from the import")
def test_time_before_the_import_is_counted() -> None:
    program = (
        "import time; time.sleep(0.3)\n"
        "from odrun.runs.clock import seconds_since_process_start\n"
        "print(seconds_since_process_start())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert 0.3 < float(done.stdout) < 60


def test_where_the_system_does_not_say_the_import_is_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock.sys, "platform", "plan9")
    monkeypatch.setattr(clock, "_imported_at_s", clock.time.monotonic() - 5)
    assert 5 <= clock.seconds_since_process_start() < 60


def test_memory_that_was_used_is_in_the_peak_and_not_that_of_whoever_started_the_process() -> None:
    own = (
        "from odrun.runs.clock import peak_memory_mb\n"
        "before = peak_memory_mb()\n"
        "held = b'x' * 200_000_000\n"
        "print(before, peak_memory_mb())"
    )
    starting = f"import subprocess, sys; held = b'x' * 400_000_000; subprocess.run([sys.executable, '-c', {own!r}])"
    done = subprocess.run([sys.executable, "-c", starting], capture_output=True, check=True, text=True)
    before, after = map(float, done.stdout.split())
    assert 5 < before < 100
    assert 200 < after < 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_counts_from_its_own_start() -> None:
    program = (
        "import os, time\n"
        "from odrun.runs.clock import seconds_since_process_start\n"
        "time.sleep(0.5)\n"
        "if os.fork():\n"
        "    os.wait()\n"
        "else:\n"
        "    print(seconds_since_process_start())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert float(done.stdout) < 0.5
