from __future__ import annotations

import os
import subprocess
import sys

import pytest

from odrun.runs.machine import usable_cores, user_cache


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not bind processes to cores")
def test_cores_that_a_process_is_kept_off_do_not_count() -> None:
    core = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, [{core}]); from odrun.runs.machine import *; print(usable_cores())"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout == b"1\n"
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("given", "cache"), [("/var/cache", "/var/cache"), ("", "~/.cache"), ("relative", "~/.cache"), (None, "~/.cache")]
)
def test_the_cache_follows_xdg(given: str | None, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert user_cache() == cache
