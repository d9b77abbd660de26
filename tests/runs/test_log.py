"""The terminal is odrun's alone; all other output, from Python or below, is in the log file."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from odrun.runs.log import logger, quiet_terminal

NOISE = """
import logging, os, subprocess, sys, warnings
from pathlib import Path
from odrun.runs.log import logger, quiet_terminal

early = logging.StreamHandler(sys.stderr)
try:
    with quiet_terminal(Path(sys.argv[1]), verbose=sys.argv[2] == "verbose") as terminal:
        print("from print")
        os.write(1, b"from descriptor 1\\n")
        os.write(2, b"from descriptor 2\\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"])
        warnings.warn("from warnings")
        early.emit(logging.makeLogRecord({"msg": "from an early handler"}))
        print("odrun's own, zwölf", terminal.isatty(), file=terminal)
        if sys.argv[3] == "fail":
            raise RuntimeError("planted")
except RuntimeError:
    pass
print("afterwards")
print("afterwards, error", file=sys.stderr)
"""
SOURCES = ("print", "descriptor 1", "descriptor 2", "a child", "warnings", "an early handler")


def run_noise(log: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", NOISE, str(log), *arguments], check=False, **options)


@pytest.mark.parametrize("ending", ["pass", "fail"])
def test_the_terminal_shows_odrun_alone_and_the_log_all_else(tmp_path: Path, ending: str) -> None:
    done = run_noise(tmp_path / "log.txt", "quiet", ending, capture_output=True)
    assert done.stdout.decode() == "odrun's own, zwölf False\nafterwards\n"
    assert done.stderr.decode() == "afterwards, error\n"
    log = (tmp_path / "log.txt").read_text()
    assert [source for source in SOURCES if f"from {source}\n" not in log] == []
    assert "odrun's own" not in log


def test_verbose_shows_what_the_log_gets_on_standard_error(tmp_path: Path) -> None:
    done = run_noise(tmp_path / "log.txt", "verbose", "pass", capture_output=True)
    assert done.stdout.decode() == "odrun's own, zwölf False\nafterwards\n"
    assert done.stderr.decode() == (tmp_path / "log.txt").read_text() + "afterwards, error\n"


def test_verbose_does_not_show_what_an_earlier_command_logged(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("of an earlier command\n")
    done = run_noise(tmp_path / "log.txt", "verbose", "pass", capture_output=True)
    assert b"of an earlier command" not in done.stderr
    assert (tmp_path / "log.txt").read_text().startswith("of an earlier command\n")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix thing")
def test_on_a_terminal_the_stream_is_one(tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    done = run_noise(tmp_path / "log.txt", "quiet", "pass", stdout=slave, stderr=slave)
    os.close(slave)
    shown = os.read(master, 65536).decode().splitlines()
    os.close(master)
    assert (done.returncode, shown) == (0, ["odrun's own, zwölf True", "afterwards", "afterwards, error"])


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are closed by a shell")
def test_closed_standard_streams_cost_neither_the_run_nor_the_log(tmp_path: Path) -> None:
    command = 'exec "$0" -c "$1" "$2" quiet pass >&- 2>&- <&-'
    done = subprocess.run(["sh", "-c", command, sys.executable, NOISE, str(tmp_path / "log.txt")], check=False)
    log = (tmp_path / "log.txt").read_text()
    assert done.returncode == 0
    assert [source for source in SOURCES if source != "an early handler" and f"from {source}\n" not in log] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_terminal_that_takes_no_more_is_noted_and_the_run_goes_on(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run_noise(tmp_path / "log.txt", "quiet", "pass", stdout=full)
    assert done.returncode == 0
    assert "the terminal is gone (No space left on device); the run goes on" in (tmp_path / "log.txt").read_text()


def test_a_reader_that_hung_up_does_not_stop_the_run(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run_noise(tmp_path / "log.txt", "quiet", "pass", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"afterwards, error\n")


def test_under_a_test_runner_the_stream_is_pythons_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = sys.stdout, sys.stderr
    with quiet_terminal(tmp_path / "log.txt", verbose=False) as terminal:
        print("noise")
        print("shown", file=terminal)
    assert (sys.stdout, sys.stderr) == kept
    assert capsys.readouterr().out == "shown\n"
    assert (tmp_path / "log.txt").read_text() == "noise\n"


def test_facts_are_logged_with_their_time_and_only_within(tmp_path: Path) -> None:
    with quiet_terminal(tmp_path / "log.txt", verbose=False):
        logger.info("%d images", 600)
        logging.getLogger("odrun.tracking").warning("a part's own")
    logger.info("too late")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    stamp = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} odrun ")
    assert [stamp.sub("", line) for line in lines] == ["INFO 600 images", "WARNING a part's own"]
    assert all(stamp.match(line) for line in lines)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def opened() -> int:
        folder = Path("/proc/self/fd")
        return len(list(folder.iterdir())) if folder.exists() else 0

    before = opened()
    with quiet_terminal(tmp_path / "log.txt", verbose=True):
        pass
    assert opened() == before
