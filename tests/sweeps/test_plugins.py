from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from odrun.config.schemas import JOBS
from odrun.sweeps import plugins, warm

PROBE = """
import sys
from importlib import import_module
from pathlib import Path

def threads():
    return len(list(Path("/proc/self/task").iterdir()))

import numpy
before = threads()
for name in sys.argv[1:]:
    import_module(name)
started = threads() - before
context = sys.modules.get("tensorflow.python.eager.context")
print(started, context is not None, context is None or context._context is None)
"""


@pytest.mark.parametrize(("command", "has_tensorflow"), [("train", True), ("prepare", False), ("predict", True)])
def test_what_is_preloaded_starts_no_thread_and_no_runtime(command: str, has_tensorflow: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *plugins.PRELOAD[command]],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(warm.__file__).parents[3])},
    )
    assert done.stdout.split() == ["0", str(has_tensorflow), "True"]


def test_every_command_that_sweeps_has_something_to_preload() -> None:
    assert set(plugins.PRELOAD) == set(JOBS)


def test_the_hook_is_where_the_launcher_looks_for_it() -> None:
    module, _, name = plugins._HOOK.rpartition(".")
    assert hasattr(import_module(module), name)
