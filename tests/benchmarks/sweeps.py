"""What a sweep costs beside its steps: `python tests/benchmarks/sweeps.py [PART ...]`.

    added     an added trial, its start to the end of its first step, against the first step of model_main_tf2
    eight     eight 60-step trials by the warm launcher, by Hydra's basic one and by its submitit one on this machine
    leak      memory of the launcher's process after 2 and after 20 trials
    equal     two equal trials in one sweep, two at a time: their metrics

The sides take turns; what is printed are medians and their ratios. `eight` needs
`pip install hydra-submitit-launcher` for its third side and leaves it out otherwise.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts import ODRUN, run_parts
from training import ours, theirs

TURNS = 3
TRIALS = 8
CONF = Path(__file__).parent / "conf"
LAUNCHERS = {
    "warm": (("hydra/launcher=warm", "hydra.launcher.n_jobs=2"), 2),
    "basic": (("hydra/launcher=basic",), 1),
    "hydras_submitit": ((f"--config-dir={CONF}", "hydra/launcher=hydras_submitit"), TRIALS),
}
"""The arguments that choose a launcher, and how many trials it runs at a time."""
PLAIN = ("eval.every=null", "eval.pictures=0", "tracking=none")
_OF_THE_MACHINE = ("time", "train/step_s", "train/input_wait_s", "train/images_per_s", "system/peak_memory_mb")
_WATCH_S = 0.2


@dataclass(frozen=True)
class Swept:
    """One sweep: seconds in all, seconds of its steps if they had run without a pause, its trials' directories."""

    wall_s: float
    steps_s: float
    trials: tuple[Path, ...]

    @property
    def beside_s(self) -> float:
        """What is not steps."""
        return self.wall_s - self.steps_s


def swept(folder: Path, at_a_time: int, *arguments: str) -> Swept:
    """Run a sweep of which `at_a_time` trials share the machine: the seconds of its steps count so much less."""
    shutil.rmtree(folder / "outputs", ignore_errors=True)
    started = time.perf_counter()
    with (folder / "output.txt").open("w") as output:
        subprocess.run(
            [ODRUN, "train", "-m", *PLAIN, *arguments], cwd=folder, check=True, stdout=output, stderr=subprocess.STDOUT
        )
    wall_s = time.perf_counter() - started
    (record,) = folder.glob("outputs/sweeps/*/sweep.json")
    trials = tuple(record.parent / trial["dir"] for trial in json.loads(record.read_text())["trials"])
    steps_s = sum(row["train/step_s"] * steps for trial in trials for row, steps in logged(trial))
    return Swept(wall_s, steps_s / at_a_time, trials)


def logged(run: Path) -> list[tuple[Mapping[str, Any], int]]:
    """The logged rows of a run, and how many steps each tells of."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "train/step_s" in row]
    before = [0, *(row["step"] for row in rows)]
    return [(row, row["step"] - earlier) for row, earlier in zip(rows, before, strict=False)]


def added(folder: Path) -> None:
    """Trials after the first, each against a training by the OD API's own program."""
    own, other = [], []
    for turn in range(TURNS):
        sweep = swept(folder, 1, "train.seed=1,2,3", "train.steps=10")
        own += [
            json.loads((trial / "summary.json").read_text())["timings"]["first_step_s"] for trial in sweep.trials[1:]
        ]
        run, _ = ours(folder)
        other.append(theirs(run / "pipeline.config", folder / f"engine-{turn}").first_step_s)
        print(f"  added trial {own[-2]:.1f} s and {own[-1]:.1f} s, model_main_tf2 {other[-1]:.1f} s", flush=True)
    ratio = statistics.median(own) / statistics.median(other)
    print(f"added trial {statistics.median(own):.1f} s, model_main_tf2 {statistics.median(other):.1f} s: {ratio:.3f}")


def eight(folder: Path) -> None:
    """The same trials by each launcher."""
    names = [name for name in LAUNCHERS if "submitit" not in name or has_hydras_submitit()]
    seeds = f"train.seed={','.join(map(str, range(TRIALS)))}"
    subprocess.run([ODRUN, "prepare"], cwd=folder, check=True, capture_output=True)
    found: dict[str, list[Swept]] = {name: [] for name in names}
    for _ in range(TURNS):
        for name in names:
            arguments, at_a_time = LAUNCHERS[name]
            done = swept(folder, at_a_time, seeds, "train.steps=60", "train.log_every=1", *arguments)
            found[name].append(done)
            print(f"  {name}: {done.wall_s:.0f} s, {done.beside_s:.0f} s of them beside the steps", flush=True)
    beside = {name: statistics.median(each.beside_s for each in found[name]) for name in names}
    wall = {name: statistics.median(each.wall_s for each in found[name]) for name in names}
    for name in names[1:]:
        ratio, whole = beside["warm"] / beside[name], wall["warm"] / wall[name]
        print(f"warm against {name}: beside the steps {ratio:.2f}, in all {whole:.2f}")


def has_hydras_submitit() -> bool:
    """Whether Hydra's own launcher on submitit is installed."""
    try:
        importlib.metadata.version("hydra-submitit-launcher")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def leak(folder: Path) -> None:
    """The launcher's resident memory when its last trial ends."""
    held = {}
    for count in (2, 20):
        seeds = f"train.seed={','.join(map(str, range(count)))}"
        process = subprocess.Popen(
            [ODRUN, "train", "-m", "debug=two_steps", seeds, *PLAIN],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            held[count] = resident_mb(process.pid) or held.get(count, 0.0)
            time.sleep(_WATCH_S)
    print(f"launcher after 2 trials {held[2]:.1f} MB, after 20 {held[20]:.1f} MB: {held[20] / held[2]:.3f}")


def resident_mb(pid: int) -> float | None:
    """The memory of a process in 10^6 bytes; `None` once it has ended."""
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024 / 1e6


def equal(folder: Path) -> None:
    """Whether two equal trials log the same."""
    sweep = swept(folder, 2, "train.seed=1,1", "train.steps=60", *LAUNCHERS["warm"][0])
    one, other = ([steady(row) for row, _ in logged(trial)] for trial in sweep.trials)
    print(f"{sum(mine == its for mine, its in zip(one, other, strict=True))} of {len(one)} logged rows are equal")


def steady(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what differs between equal runs."""
    return {key: value for key, value in row.items() if key not in _OF_THE_MACHINE}


PARTS: dict[str, Callable[[Path], None]] = {"added": added, "eight": eight, "leak": leak, "equal": equal}


if __name__ == "__main__":
    run_parts(PARTS, sys.argv[1:])
