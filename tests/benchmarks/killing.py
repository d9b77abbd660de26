"""A training killed again and again: `python tests/benchmarks/killing.py [KILLS]`, 20 without an argument.

Each process is killed with SIGKILL at a random moment: while it starts, in a step, in a checkpoint, in an evaluation.
The next one goes on with `train.resume=auto`. In the end the losses are compared with those of a training that was
never killed.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from parts import ODRUN

from odrun.compat.tensorflow import tf
from odrun.runs.steps import steps_in

EVERY = 25
STEPS = 4000
JOB = (
    "train",
    f"train.steps={STEPS}",
    f"train.checkpoint.every={EVERY}",
    "eval.every=100",
    "train.log_every=5",
    "eval.pictures=0",
    "tracking=none",
    "train.resume=auto",
)
CHANGING = ("time", "train/step_s", "train/input_wait_s", "train/images_per_s", "system/peak_memory_mb")
EARLIEST_S, LATEST_S = 3.0, 30.0


def main(kills: int) -> None:
    """Kill, resume, compare, and print what was lost."""
    generator = random.Random(0)
    lost = []
    with tempfile.TemporaryDirectory() as name:
        killed, whole = Path(name) / "killed", Path(name) / "whole"
        killed.mkdir()
        whole.mkdir()
        for number in range(1, kills + 1):
            try:
                subprocess.run(
                    [ODRUN, *JOB], cwd=killed, capture_output=True, timeout=generator.uniform(EARLIEST_S, LATEST_S)
                )
                print(f"the run ended before kill {number}")
                break
            except subprocess.TimeoutExpired:
                # The time limit of `subprocess.run` kills with SIGKILL.
                reached, saved = last_step(killed), newest_whole_checkpoint(killed)
                lost.append(reached - saved)
                print(f"kill {number}: last logged step {reached}, newest checkpoint {saved}", flush=True)
        for folder in (killed, whole):
            subprocess.run([ODRUN, *JOB], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        equal = sum(one == other for one, other in zip(told(killed), told(whole), strict=True))
        resumed = json.loads(next(killed.glob("outputs/train/*/summary.json")).read_text())["resumed_from"]
        print(f"{len(lost)} kills, resumed at {resumed}")
        print(f"most steps lost: {max(lost)} of a checkpoint interval of {EVERY}")
        print(f"{equal} of {len(told(whole))} logged steps equal to those of a training that was never killed")


def newest_whole_checkpoint(folder: Path) -> int:
    """The newest checkpoint, every tensor of which is read; 0 if there is none."""
    place = next(iter(folder.glob("outputs/train/*/checkpoints")), None)
    if place is None:
        return 0
    for step in steps_in(place):
        reader = tf.train.load_checkpoint(str(place / f"ckpt-{step}"))
        for tensor in reader.get_variable_to_shape_map():
            reader.get_tensor(tensor)
    return max(steps_in(place), default=0)


def told(folder: Path) -> list[dict[str, float]]:
    """The whole lines of metrics.jsonl, without what differs from run to run."""
    file = next(iter(folder.glob("outputs/train/*/metrics.jsonl")), None)
    lines = [] if file is None else file.read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return [{key: value for key, value in row.items() if key not in CHANGING} for row in rows if row["step"] % 5 == 0]


def last_step(folder: Path) -> int:
    """The last logged step, 0 before the first."""
    rows = told(folder)
    return int(rows[-1]["step"]) if rows else 0


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 20)
