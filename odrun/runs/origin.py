"""`origin.json`: what a run stands on, so that it can be told apart and done again.

Kept out on purpose: the environment's variables, the host's and the user's name, the repository's remote addresses.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from odrun.runs.files import write_whole
from odrun.runs.machine import usable_cores

PACKAGES = (
    "odrun",
    "tensorflow",
    "tf-keras",
    "tf-models-official",
    "tf-models-research-object-detection",
    "hydra-core",
    "lxml",
    "numpy",
    "omegaconf",
    "pillow",
    "protobuf",
    "pycocotools",
    "scikit-learn",
    "tensorboard",
    "wandb",
)
_MOST_DIFF_CHARACTERS = 1_000_000
_GIT_PATIENCE_S = 20


@dataclass(frozen=True)
class GitState:
    """The working directory's repository: its commit (`None` before the first) and the changes of tracked files.

    `diff_left_out` counts the characters beyond the first million, which are not kept.
    """

    commit: str | None
    diff: str
    diff_left_out: int


@dataclass(frozen=True)
class Host:
    """The machine, without its name: `usable_cpus` are those this process may run on."""

    platform: str
    machine: str
    cpus: int
    usable_cpus: int


@dataclass(frozen=True)
class Origin:
    """The content of `origin.json`; `versions` holds `None` for a package that is not installed."""

    command: tuple[str, ...]
    overrides: tuple[str, ...]
    seeds: Mapping[str, int]
    data_fingerprint: str | None
    git: GitState | None
    versions: Mapping[str, str | None]
    host: Host

    def to_json(self) -> str:
        """The text of `origin.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def write(self, path: Path) -> None:
        """Write `path` as a whole."""
        write_whole(path, self.to_json())


def collect(
    *,
    command: Sequence[str],
    overrides: Sequence[str],
    seeds: Mapping[str, int],
    data_fingerprint: str | None,
    working_directory: Path,
) -> Origin:
    """The origin of a run started by `command` (an argv) in `working_directory`.

    `seeds` are by the key that sets them, such as `train.seed`. Versions are read from the packages' metadata, nothing
    is imported. Without git, or outside of a repository, `git` is `None`.
    """
    return Origin(
        command=(Path(command[0]).name, *command[1:]) if command else (),
        overrides=tuple(overrides),
        seeds=dict(seeds),
        data_fingerprint=data_fingerprint,
        git=git_state(working_directory),
        versions={"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        host=_host(),
    )


def git_state(folder: Path) -> GitState | None:
    """Commit and uncommitted changes of the repository that `folder` lies in; `None` without git or a repository."""
    if _git(folder, "rev-parse", "--is-inside-work-tree") is None:
        return None
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    against = () if commit is None else ("HEAD",)
    diff = _git(folder, "diff", "--no-ext-diff", "--no-textconv", "--no-color", *against) or ""
    return GitState(
        commit=None if commit is None else commit.strip(),
        diff=diff[:_MOST_DIFF_CHARACTERS],
        diff_left_out=max(0, len(diff) - _MOST_DIFF_CHARACTERS),
    )


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the program is git, the arguments are written above
            [program, "-C", str(folder), *arguments],
            capture_output=True,
            check=False,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
            timeout=_GIT_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode(errors="replace") if answer.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _host() -> Host:
    return Host(
        platform=platform.platform(),
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        usable_cpus=usable_cores(),
    )
