"""What a newcomer waits for, measured: `python tests/benchmarks/first_run.py [PART ...]`, all parts without arguments.

Each part runs real processes and prints what it took; medians of several runs where they are short.

    startup     odrun --help, odrun train --cfg job
    first_step  process start to the end of the first step: odrun against object_detection.model_main_tf2
    default     the default run: seconds in all, COCO AP
    quick       experiment=digits_quick: seconds in all
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ODRUN = str(Path(sys.executable).with_name("odrun"))
REPEATS = 5
FIRST_STEPS = 3


def seconds(command: list[str], *, folder: Path) -> float:
    """Wall seconds of a command that has to succeed; its output goes to a file in `folder`."""
    started = time.perf_counter()
    with (folder / "output.txt").open("w") as output:
        subprocess.run(command, cwd=folder, check=True, stdout=output, stderr=subprocess.STDOUT)
    return time.perf_counter() - started


def startup(folder: Path) -> None:
    """The commands that only tell something."""
    for command in (["--help"], ["train", "--cfg", "job"]):
        times = [seconds([ODRUN, *command], folder=folder) for _ in range(REPEATS)]
        print(f"odrun {' '.join(command)}: median {statistics.median(times):.2f} s, best {min(times):.2f} s")


def trained(folder: Path, *overrides: str) -> tuple[Path, dict[str, object]]:
    """Run `odrun train` with overrides; its run directory and summary."""
    seconds([ODRUN, "train", "tracking.wandb.mode=offline", *overrides], folder=folder)
    run = max((folder / "outputs" / "train").iterdir())
    return run, json.loads((run / "summary.json").read_text())


def first_step(folder: Path) -> None:
    """odrun and the OD API's own program in turns, on the same pipeline.config."""
    ours, theirs = [], []
    for number in range(FIRST_STEPS):
        run, summary = trained(folder, "train.steps=200", "train.log_every=100", "eval.pictures=0")
        timings = summary["timings"]
        assert isinstance(timings, dict)
        ours.append(float(timings["first_step_s"]))
        theirs.append(engine_first_step(run / "pipeline.config", folder / f"engine-{number}"))
        print(f"  first step after: odrun {ours[-1]:.1f} s, model_main_tf2 {theirs[-1]:.1f} s")
    our_s, their_s = statistics.median(ours), statistics.median(theirs)
    print(f"first step: odrun {our_s:.1f} s, model_main_tf2 {their_s:.1f} s, ratio {our_s / their_s:.2f}")


def engine_first_step(pipeline: Path, model_dir: Path) -> float:
    """Seconds until `model_main_tf2` has done one step; it is stopped after 200.

    The program trains in blocks of 100 steps and says nothing within one. The first block's end less 99 steps, each as
    long as one of the second block, is the end of the first step.
    """
    command = [sys.executable, "-m", "odrun.compat", "object_detection.model_main_tf2"]
    flags = [f"--pipeline_config_path={pipeline}", f"--model_dir={model_dir}", "--num_train_steps=200"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *flags, "--alsologtostderr"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    first_block_s = 0.0
    for line in process.stderr:
        logged = re.search(r"Step (\d+) per-step time ([0-9.]+)s", line)
        if logged and logged[1] == "100":
            first_block_s = time.perf_counter() - started
        elif logged:
            process.kill()
            process.wait()
            return first_block_s - 99 * float(logged[2])
    raise RuntimeError(f"model_main_tf2 ended with {process.wait()} before 200 steps")


def default(folder: Path) -> None:
    """The default run."""
    report("default run", *trained(folder))


def quick(folder: Path) -> None:
    """The quick experiment."""
    report("experiment=digits_quick", *trained(folder, "experiment=digits_quick"))


def report(name: str, run: Path, summary: dict[str, object]) -> None:
    """Print what a summary says of time and metrics."""
    timings, metrics, throughput = summary["timings"], summary["metrics"], summary["throughput"]
    assert isinstance(timings, dict)
    assert isinstance(metrics, dict)
    assert isinstance(throughput, dict)
    parts = ", ".join(f"{key} {value:.1f}" for key, value in timings.items() if value is not None)
    print(
        f"{name}: AP {metrics['AP']:.3f}, AP50 {metrics['AP50']:.3f}; {parts}; {throughput['steps_per_s']:.2f} steps/s"
    )


PARTS: dict[str, Callable[[Path], None]] = {
    "startup": startup,
    "first_step": first_step,
    "default": default,
    "quick": quick,
}


def main(names: list[str]) -> None:
    """Run the named parts, each in a folder of its own."""
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    for name in names or list(PARTS):
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
