"""Sweeps whose trials only count, started as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from counting_sweeps import COUNTING, START, Start, Sweep

from odrun.sweeps import clusters


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a sweep with the arguments given, and the environment that is to be added."""
    (tmp_path / "counting.py").write_text(COUNTING)
    started: list[Sweep] = []

    def start_sweep(*arguments: str, environment: Mapping[str, str] | None = None, own_group: bool = False) -> Sweep:
        paths = os.pathsep.join([str(tmp_path), str(Path(clusters.__file__).parents[3])])
        process = subprocess.Popen(
            [sys.executable, "-c", START, "-m", "hydra.sweep.dir=sweep", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=own_group,
            env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
        )
        started.append(Sweep(tmp_path, process))
        return started[-1]

    yield start_sweep
    for sweep in started:
        # Its trials have their ends of the pipe, too, so they have to end with it.
        sweep.process.terminate()
        sweep.process.communicate(timeout=60)
