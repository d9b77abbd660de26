"""A Slurm of one machine: `sbatch`, `srun`, `sacct`, `scancel` and `scontrol requeue`, as far as submitit uses them.

`PLAYED_SLURM` names the folder that holds its state: per task `ID.state`, `ID.pid` and, when asked for, `ID.requeue`
and `ID.cancel`.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

TOOLS = ("sbatch", "srun", "sacct", "scancel", "scontrol")
JOB = "100"


def install(folder: Path) -> dict[str, str]:
    """Put the tools into `folder`; what the environment has to say for them to be found."""
    tools, state = folder / "bin", folder / "state"
    for place in (tools, state):
        place.mkdir(parents=True)
    for name in TOOLS:
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
        tool.chmod(0o755)
    return {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PLAYED_SLURM": str(state)}


def sbatch(state: Path, script: str) -> None:
    """Take a script, and run its tasks at the same time."""
    text = Path(script).read_text()
    (state / "script.sh").write_text(text)
    array = re.search(r"--array=0-(\d+)", text)
    tasks = [JOB] if array is None else [f"{JOB}_{number}" for number in range(int(array[1]) + 1)]
    for task in tasks:
        (state / f"{task}.state").write_text("PENDING")
        subprocess.Popen(
            [sys.executable, __file__, "run", task],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    sys.stdout.write(f"Submitted batch job {JOB}\n")


def run(state: Path, task: str) -> None:
    """Be the machine of a task; run it again as long as that is asked for."""
    job, _, number = task.partition("_")
    names = {"SLURM_JOB_ID": job, "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "PLAYED_TASK": task}
    if number:
        names |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": number}
    while True:
        (state / f"{task}.state").write_text("RUNNING")
        status = subprocess.run(["bash", str(state / "script.sh")], env={**os.environ, **names}, check=False).returncode
        if not (state / f"{task}.requeue").exists():
            break
        (state / f"{task}.requeue").unlink()
    end = "FAILED" if status else "COMPLETED"
    (state / f"{task}.state").write_text("CANCELLED" if (state / f"{task}.cancel").exists() else end)


def srun(state: Path, *arguments: str) -> None:
    """Be the task itself; what it prints goes to the file that `--output` names."""
    words = list(arguments)
    while words[0].startswith("--"):
        option = words.pop(0)
        if option == "--output":
            job, _, number = os.environ["PLAYED_TASK"].partition("_")
            path = words.pop(0)
            for pattern, name in {"%A": job, "%a": number, "%j": job, "%t": "0"}.items():
                path = path.replace(pattern, name)
            descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
    (state / f"{os.environ['PLAYED_TASK']}.pid").write_text(str(os.getpid()))
    os.execvp(words[0], words)


def sacct(state: Path, *_: str) -> None:
    """Say how all tasks are."""
    lines = [f"{path.stem}|{path.read_text()}|here" for path in sorted(state.glob("*.state"))]
    sys.stdout.write("\n".join(["JobID|State|NodeList", *lines]) + "\n")


def scancel(state: Path, task: str) -> None:
    """End a task for good."""
    (state / f"{task}.cancel").touch()
    os.kill(int((state / f"{task}.pid").read_text()), signal.SIGTERM)


def scontrol(state: Path, _: str, task: str) -> None:
    """Have a task run again when it has ended."""
    (state / f"{task}.requeue").touch()


if __name__ == "__main__":
    COMMANDS = {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel, "scontrol": scontrol, "run": run}
    COMMANDS[sys.argv[1]](Path(os.environ["PLAYED_SLURM"]), *sys.argv[2:])
