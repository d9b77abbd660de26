"""A Hydra application of a few lines that knows nothing of odrun, run as a program through the launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from odrun.sweeps import warm

PROGRAM = """\
import os, signal, sys, time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig
from odrun.sweeps import warm

count = 0

@hydra.main(version_base="1.3", config_path=None)
def task(config):
    global count
    count += 1
    number = HydraConfig.get().job.num
    here = Path(HydraConfig.get().runtime.output_dir)
    sweep = here.parent
    def wait_for(name):
        while not (sweep / name).exists():
            time.sleep(0.01)
{body}

if __name__ == "__main__":
    # A test runner in the background of a shell has its children ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warm.register(preload={preload})
    task()
"""


@dataclass(frozen=True)
class Program:
    """The application; its trials are numbered by `+a=0,1,...` and lie in `sweep`."""

    path: Path

    @property
    def sweep(self) -> Path:
        return self.path.parent / "sweep"

    def start(
        self, trials: int, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        values = ",".join(map(str, range(trials)))
        places = (f"hydra.sweep.dir={self.sweep}", "hydra.sweep.subdir=${hydra.job.num}")
        return subprocess.Popen(
            [sys.executable, str(self.path), "-m", f"+a={values}", "hydra/launcher=warm", *arguments, *places],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(warm.__file__).parents[3]), **(environment or {})},
            cwd=self.path.parent,
        )

    def run(self, trials: int, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
        """The exit status and all that was printed."""
        process = self.start(trials, *arguments, environment=environment)
        told, _ = process.communicate(timeout=60)
        return process.returncode, told

    def trial(self, number: int) -> dict[str, Any]:
        return dict(json.loads((self.sweep / str(number) / "trial.json").read_text()))

    def statuses(self) -> list[str]:
        return [self.trial(int(folder.name))["status"] for folder in sorted(self.sweep.glob("[0-9]*"))]

    def text(self, number: int, name: str = "output.log") -> str:
        return (self.sweep / str(number) / name).read_text()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """Makes the application from the lines of its task."""

    def write(*lines: str, preload: list[str] | None = None) -> Program:
        path = tmp_path / "program.py"
        body = "\n".join(f"    {line}" for line in lines)
        path.write_text(PROGRAM.format(body=body, preload=preload or []))
        return Program(path)

    return write


def wait_until(claim: Callable[[], bool], *, most_s: float = 30.0) -> None:
    """Wait until `claim` holds; fail if it does not come to hold."""
    deadline = time.monotonic() + most_s
    while not claim():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.fixture
def waiting() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture
def send() -> Callable[[int, signal.Signals], None]:
    return os.kill
