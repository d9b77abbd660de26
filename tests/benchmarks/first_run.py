"""What a newcomer waits for, measured: `python tests/benchmarks/first_run.py [PART ...]`, all parts without arguments.

Each part runs real processes and prints what it took; medians of several runs where they are short.

    startup     odrun --help, odrun train --cfg job
    default     the default run: seconds in all, COCO AP
    quick       experiment=digits_quick: seconds in all
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from parts import ODRUN, run_parts

REPEATS = 5


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
    "default": default,
    "quick": quick,
}


if __name__ == "__main__":
    run_parts(PARTS, sys.argv[1:])
