"""A sweep killed again and again: `python tests/benchmarks/killing_sweeps.py [KILLS]`, 10 without an argument.

The whole process group of the launcher is killed with SIGKILL at a random moment, the same command goes on with
`sweep.resume=auto`, and in the end every trial has to have one result, equal to that of a sweep never killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parts import ODRUN

STEPS = 120
SEEDS = 8
LOG_EVERY = 5
JOB = (
    "train",
    "-m",
    f"train.seed={','.join(map(str, range(SEEDS)))}",
    f"train.steps={STEPS}",
    "train.checkpoint.every=20",
    f"train.log_every={LOG_EVERY}",
    "eval.every=60",
    "eval.pictures=0",
    "tracking=none",
    "hydra.launcher.n_jobs=2",
    "sweep.resume=auto",
)
EARLIEST_S, LATEST_S = 2.0, 30.0
_OF_THE_MACHINE = ("time", "train/step_s", "train/input_wait_s", "train/images_per_s", "system/peak_memory_mb")


def main(kills: int) -> None:
    """Kill, resume, compare, and print what was lost or doubled."""
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        killed, whole = Path(name) / "killed", Path(name) / "whole"
        killed.mkdir()
        whole.mkdir()
        done, unfinished = 0, [killed, whole]
        for number in range(1, kills + 1):
            if not killed_after(killed, generator.uniform(EARLIEST_S, LATEST_S)):
                print(f"the sweep ended before kill {number}")
                unfinished.remove(killed)
                break
            done += 1
            print(f"kill {number}: {', '.join(states(killed))}", flush=True)
        for folder in unfinished:
            subprocess.run([ODRUN, *JOB], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        sweeps = list(killed.glob("outputs/sweeps/*/sweep.json"))
        results = [trial["dir"] for file in sweeps for trial in json.loads(file.read_text())["trials"]]
        summaries = list(killed.glob("outputs/sweeps/*/[0-9]*/summary.json"))
        equal = sum(rows_of(killed, seed) == rows_of(whole, seed) for seed in range(SEEDS))
        print(f"{done} kills, {len(sweeps)} sweep directory, {len(results)} trials, {len(summaries)} results")
        print(f"states: {', '.join(states(killed))}")
        print(f"{equal} of {SEEDS} trials have the metrics of one that was never killed, each step once")


def killed_after(folder: Path, seconds: float) -> bool:
    """Start the sweep and kill its process group after so long; False if it ended before."""
    process = subprocess.Popen(
        [ODRUN, *JOB], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    if process.returncode:
        raise SystemExit(f"the sweep ended with status {process.returncode}")
    return False


def states(folder: Path) -> list[str]:
    """The status of each trial and its last logged step."""
    found = []
    for file in folder.glob("outputs/sweeps/*/sweep.json"):
        for trial in json.loads(file.read_text())["trials"]:
            rows = whole_rows(file.parent / trial["dir"]) if trial["dir"] else []
            found.append(f"{trial['status']} {rows[-1]['step'] if rows else 0}")
    return found


def rows_of(folder: Path, seed: int) -> list[Mapping[str, Any]]:
    """What the trial of this seed logged, without what differs between equal runs.

    A run that goes on logs its first step too, whatever its number.
    """
    (run,) = folder.glob(f"outputs/sweeps/*/[0-9]*train.seed={seed}")
    rows = [row for row in whole_rows(run) if row["step"] % LOG_EVERY == 0]
    return [{key: value for key, value in row.items() if key not in _OF_THE_MACHINE} for row in rows]


def whole_rows(run: Path) -> list[dict[str, Any]]:
    """The whole lines of metrics.jsonl."""
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10)
