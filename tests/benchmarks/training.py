"""odrun against the OD API's own program on the same pipeline.config: `python tests/benchmarks/training.py [PART ...]`.

The other side is `object_detection.model_main_tf2` as published, with the shims alone. The two take turns; what is
printed are medians and their ratios, ours to theirs; of steps per second also the ratio of the fastest turns, which
other work on the machine disturbs least.

    digits    the default model: time to the first step, steps per second, peak memory, at batch 8 and 16
    zoo       ssd_mobilenet_v2_fpnlite_320x320 from random weights at batch 8: the same
    whole     100 steps and one evaluation of the default model: wall time of everything
"""

from __future__ import annotations

import json
import math
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parts import ODRUN, run_parts

ENGINE = [sys.executable, "-m", "odrun.compat", "object_detection.model_main_tf2"]
TURNS = 5
STEPS = 200
"""Two of the blocks of 100 steps that the OD API's program trains in; it says nothing within one."""


@dataclass(frozen=True)
class Measured:
    """One training: seconds to the end of the first step, steps per second of the last 100, peak memory in MB."""

    first_step_s: float
    steps_per_s: float
    peak_mb: float


def ours(folder: Path, *overrides: str) -> tuple[Path, Measured]:
    """Train by odrun; its run directory and figures."""
    command = [
        ODRUN,
        "train",
        f"train.steps={STEPS}",
        "eval.every=null",
        "eval.pictures=0",
        "tracking=none",
        *overrides,
    ]
    with (folder / "output.txt").open("w") as output:
        subprocess.run(command, cwd=folder, check=True, stdout=output, stderr=subprocess.STDOUT)
    run = max((folder / "outputs" / "train").iterdir())
    summary = json.loads((run / "summary.json").read_text())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    peak = max(row["system/peak_memory_mb"] for row in rows if "system/peak_memory_mb" in row)
    # Both sides are slower at first, and the other tells of the second 100 steps by themselves.
    later = [row["train/step_s"] for row in rows if "train/step_s" in row and row["step"] > STEPS - 100]
    return run, Measured(summary["timings"]["first_step_s"], 1 / statistics.mean(later or [math.nan]), peak)


def theirs(pipeline: Path, model_dir: Path) -> Measured:
    """Train by `model_main_tf2`, and stop it when it has told of the second block.

    The first block's end less 99 steps, each as long as one of the second block, is the end of the first step.
    """
    flags = [f"--pipeline_config_path={pipeline}", f"--model_dir={model_dir}", f"--num_train_steps={STEPS}"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*ENGINE, *flags, "--alsologtostderr"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    first_block_s = 0.0
    for line in process.stderr:
        logged = re.search(r"Step (\d+) per-step time ([0-9.]+)s", line)
        if logged and logged[1] == "100":
            first_block_s = time.perf_counter() - started
        elif logged:
            peak_mb = peak_memory_mb(process.pid)
            process.kill()
            process.wait()
            step_s = float(logged[2])
            return Measured(first_block_s - 99 * step_s, 1 / step_s, peak_mb)
    raise RuntimeError(f"model_main_tf2 ended with {process.wait()} before {STEPS} steps")


def peak_memory_mb(pid: int) -> float:
    """The most memory (10^6 bytes) a process has had, as the kernel counts it."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    return int(peak[1]) * 1024 / 1e6


def compare(name: str, folder: Path, *overrides: str) -> None:
    """Let both sides train in turns, and print medians and ratios."""
    pairs = []
    for turn in range(TURNS):
        run, own = ours(folder, *overrides)
        other = theirs(run / "pipeline.config", folder / f"engine-{turn}")
        shutil.rmtree(folder / f"engine-{turn}")
        pairs.append((own, other))
        print(f"  {name}: odrun {own}, model_main_tf2 {other}", flush=True)
    for figure in ("first_step_s", "steps_per_s", "peak_mb"):
        own, other = (statistics.median(getattr(pair[side], figure) for pair in pairs) for side in (0, 1))
        print(f"{name} {figure}: odrun {own:.2f}, model_main_tf2 {other:.2f}, ratio {own / other:.2f}", flush=True)
    own, other = (max(pair[side].steps_per_s for pair in pairs) for side in (0, 1))
    print(
        f"{name} steps_per_s, fastest: odrun {own:.2f}, model_main_tf2 {other:.2f}, ratio {own / other:.2f}", flush=True
    )


def digits(folder: Path) -> None:
    """The default model at two batch sizes."""
    for batch_size in (8, 16):
        compare(f"digits, batch {batch_size}", folder, f"train.batch_size={batch_size}")


def zoo(folder: Path) -> None:
    """An entry of the zoo."""
    compare(
        "ssd_mobilenet_v2_fpnlite_320x320, batch 8",
        folder,
        "model=ssd_mobilenet_v2_fpnlite_320x320",
        "model.checkpoint=none",
        "train.batch_size=8",
    )


def whole(folder: Path) -> None:
    """A short run with everything that belongs to it, against the train program followed by the eval program."""
    pairs = []
    for turn in range(TURNS):
        started = time.perf_counter()
        run, _ = ours(folder, "train.steps=100")
        own = time.perf_counter() - started
        model_dir = folder / f"engine-{turn}"
        flags = [f"--pipeline_config_path={run / 'pipeline.config'}", f"--model_dir={model_dir}"]
        started = time.perf_counter()
        for more in (["--num_train_steps=100", "--checkpoint_every_n=100"], [f"--checkpoint_dir={model_dir}"]):
            subprocess.run([*ENGINE, *flags, *more], check=True, capture_output=True)
        pairs.append((own, time.perf_counter() - started))
        print(f"  whole: odrun {pairs[-1][0]:.1f} s, model_main_tf2 {pairs[-1][1]:.1f} s", flush=True)
    own, other = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    print(f"100 steps and one evaluation: odrun {own:.1f} s, model_main_tf2 {other:.1f} s, ratio {own / other:.2f}")


PARTS: dict[str, Callable[[Path], None]] = {"digits": digits, "zoo": zoo, "whole": whole}


if __name__ == "__main__":
    run_parts(PARTS, sys.argv[1:])
