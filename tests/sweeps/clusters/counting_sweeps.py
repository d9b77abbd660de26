"""Sweeps whose trials only count, as quick stand-ins of trainings, started as a user starts them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odrun.runs.summary import Status, Summary, Timings

COUNTING = '''
import os, signal, sys, time
from odrun.config import application
from odrun.errors import InputError, InterruptedRunError, RunFailedError
from odrun.runs.directory import RunDirectory
from odrun.runs.signals import StopRequests
from odrun.runs.summary import Summary, Timings

def count(job, *, directory, overrides, config_text):
    """Counts to train.steps, a step each 20 ms, in counted.txt; saves where it is when a signal comes."""
    if job.train.seed == 13:
        raise RunFailedError("diverged")
    if job.train.seed == 14:
        raise InputError("no data", where="a.jpg")
    if job.train.seed == 99:
        os._exit(9)
    begun = job.train.resume != "none"
    run = RunDirectory(job.train.resume if begun else directory.path)
    if not begun:
        run.create()
    for path in (run.config, run.pipeline_config, run.label_map):
        path.write_text(config_text)
    with (run.path / "pids.txt").open("a") as stream:
        stream.write(f"{os.getpid()}\\n")
    counted = run.path / "counted.txt"
    step = int((run.path / "saved.txt").read_text()) if begun else 0
    with StopRequests() as stop:
        while step < job.train.steps and stop.requested is None:
            step += 1
            with counted.open("a") as stream:
                stream.write(f"{step}\\n")
            time.sleep(0.02)
        (run.path / "saved.txt").write_text(str(step))
    status = "completed" if step == job.train.steps else "interrupted"
    Summary(status=status, steps=step, resumed_from=(), best=None, metrics=None, timings=Timings(), throughput=None,
            peak_memory_mb=None, error=None).write(run.summary)
    if status == "interrupted":
        raise InterruptedRunError("stopped", signal_number=stop.requested)

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(application.run("train", sys.argv[1:], do=count))
'''
START = "import counting; counting.main()"


@dataclass(frozen=True)
class Sweep:
    """A sweep of counting trials in `folder`, its process running."""

    folder: Path
    process: subprocess.Popen[str]

    def record(self) -> dict[str, Any]:
        """What `sweep.json` says."""
        return dict(json.loads((self.folder / "sweep" / "sweep.json").read_text()))

    def statuses(self) -> list[str]:
        return [trial["status"] for trial in self.record()["trials"]]

    def trial(self, number: int) -> Path:
        return self.folder / "sweep" / str(self.record()["trials"][number]["dir"])

    def counted(self, number: int) -> list[int]:
        """The steps that a trial has counted; none as long as it has not begun."""
        files = list((self.folder / "sweep").glob(f"{number}*/counted.txt"))
        return [int(line) for line in files[0].read_text().split()] if files else []

    def pids(self, number: int) -> list[int]:
        """The processes that a trial has run in, one after another."""
        return [int(line) for line in (self.trial(number) / "pids.txt").read_text().split()]

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_so():
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def end(self) -> str:
        """Wait for the end; what it printed."""
        return self.process.communicate(timeout=120)[0]


Start = Callable[..., Sweep]


def summary(status: Status, *, steps: int) -> Summary:
    """What a run says of itself that is here after `steps`."""
    return Summary(
        status=status,
        steps=steps,
        resumed_from=(),
        best=None,
        metrics=None,
        timings=Timings(),
        throughput=None,
        peak_memory_mb=None,
        error="it diverged" if status == "failed" else None,
    )
