"""`odrun doctor [--json]`: what is installed, what is not, and the one command that mends it.

It works where odrun itself does not: nothing but the standard library is needed to say what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, NoReturn

from odrun.errors import InputError
from odrun.model_settings import ZOO_ADDRESS
from odrun.runs.installation import installer, packages, python_needed
from odrun.runs.machine import usable_cores, user_cache
from odrun.tracking.tracker import TrackingError
from odrun.tracking.wandb_access import key_is_stored, require_server

PROGRAM = "odrun doctor"
ENGINE_LIMIT_S = 120.0
ROOM_NEEDED_BYTES = 5_000_000_000
"""What an archive of the zoo, the records of a small data set and a few runs take."""
WANDB_ADDRESS = "https://api.wandb.ai"
OK, WARNING, ERROR = "ok", "warning", "error"
_NAME_COLUMNS = 34
_MARKS = {OK: "ok", WARNING: "--", ERROR: "NO"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `state` is `ok`, `warning` (odrun works without) or `error` (it does not train).

    `remedy` is the command that mends it, or what to do; None where nothing is to be mended.
    """

    area: str
    name: str
    state: str
    found: str
    remedy: str | None = None


def main(arguments: Sequence[str]) -> int:
    """Look at everything and print it; 0 if odrun can train here, 1 if not."""
    given = _parser().parse_args(list(arguments))
    told = (lambda _: None) if given.json else _Page().add
    findings = list(_findings(given.cache, given.mirror, told=told))
    can_train = all(finding.state != ERROR for finding in findings)
    if given.json:
        rows = [asdict(finding) for finding in findings]
        sys.stdout.write(f"{json.dumps({'can_train': can_train, 'findings': rows}, indent=2)}\n")
    else:
        sys.stdout.write(_conclusion(findings, can_train=can_train))
    return 0 if can_train else 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, where=PROGRAM, remedy=f"{PROGRAM} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="What is installed, what is not, and the one command that mends it.")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.add_argument("--cache", metavar="DIR", help="as paths.cache; the default one without it")
    parser.add_argument("--mirror", metavar="ADDRESS", help="asked instead of the zoo's server, as zoo.mirror is")
    return parser


def _findings(cache: str | None, mirror: str | None, *, told: Callable[[Finding], None]) -> Iterator[Finding]:
    """Every finding, told as soon as it is made."""
    for part in (_python(), _packages(), _engine(), _cache(cache), _network(mirror)):
        for finding in part:
            told(finding)
            yield finding


def _python() -> Iterator[Finding]:
    machine = f"{platform.system()} {platform.machine()}, {usable_cores()} cores"
    try:
        needed, fits = python_needed()
    except PackageNotFoundError:
        remedy = f"{installer()} odrun, or in a checkout: uv sync"
        yield Finding("environment", "odrun", ERROR, "is not installed", remedy)
        return
    yield Finding(
        "environment",
        "Python",
        OK if fits else ERROR,
        f"{platform.python_version()} (needs {needed}), {machine}",
        None if fits else "uv venv --python 3.12",
    )


def _packages() -> Iterator[Finding]:
    try:
        needed = packages()
    except PackageNotFoundError:
        return
    for package in needed:
        if package.extra is None:
            versions = f" (needs {package.needed})" if package.needed else ""
            state = OK if package.fits else ERROR
            found = f"{package.found or 'is not installed'}{versions}"
            yield Finding("packages", package.name, state, found, None if package.fits else package.remedy)
    extras = dict.fromkeys(package.extra for package in needed if package.extra is not None)
    for extra in extras:
        missing = [package.name for package in needed if package.extra == extra and not package.fits]
        found = f"not installed: {', '.join(missing)}" if missing else "installed"
        remedy = f'{installer()} "odrun[{extra}]", if you want it' if missing else None
        yield Finding("extras", extra, WARNING if missing else OK, found, remedy)


def _engine() -> Iterator[Finding]:
    """What a process of its own says of TensorFlow, its devices and the Object Detection API."""
    started = time.monotonic()
    command = [sys.executable, "-m", "odrun.compat.probe"]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and a module of odrun
            command, capture_output=True, text=True, timeout=ENGINE_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        found = f"TensorFlow did not answer within {ENGINE_LIMIT_S:.0f} s"
        yield Finding("engine", "TensorFlow", ERROR, found, f"{' '.join(command)} shows where it hangs")
        return
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        yield Finding("engine", "TensorFlow", ERROR, said[-1].strip(), f"{' '.join(command)} shows all of it")
        return
    yield from _engine_findings(json.loads(lines[-1]), time.monotonic() - started)


def _engine_findings(told: Mapping[str, Any], spent_s: float) -> Iterator[Finding]:
    loaded = f"{told['tensorflow']}, loaded in {told['tensorflow_s']:.1f} s"
    yield Finding("engine", "TensorFlow", OK, loaded)
    mended = f"importable with {told['shims']} mends, loaded in {told['object_detection_s']:.1f} s"
    yield Finding("engine", "Object Detection API", OK, mended)
    asked = f"asked in {spent_s:.1f} s"
    if told["gpus"]:
        yield Finding("engine", "accelerators", OK, f"{', '.join(told['gpus'])}; {asked}")
    elif shutil.which("nvidia-smi"):
        remedy = f'{installer()} "odrun[gpu]"; then nvidia-smi shows whether the driver is new enough'
        found = f"there is an NVIDIA driver, and TensorFlow sees no GPU; {asked}"
        yield Finding("engine", "accelerators", WARNING, found, remedy)
    else:
        yield Finding("engine", "accelerators", OK, f"no GPU, so {usable_cores()} CPU cores; {asked}")


def _cache(given: str | None) -> Iterator[Finding]:
    folder = Path(given or f"{user_cache()}/odrun").expanduser().absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    size = sum(_size(path) for path in folder.rglob("*")) if folder.is_dir() else 0
    free = shutil.disk_usage(existing).free
    found = f"{folder}: {size / 1e6:,.0f} MB used, {free / 1e9:,.1f} GB free"
    if not os.access(existing, os.W_OK):
        yield Finding("cache", "folder", ERROR, f"{found}; it cannot be written", "paths.cache=DIR, another folder")
    elif free < ROOM_NEEDED_BYTES:
        yield Finding("cache", "folder", WARNING, found, "paths.cache=DIR on a disk with more room")
    else:
        yield Finding("cache", "folder", OK, found)


def _size(path: Path) -> int:
    try:
        return 0 if path.is_symlink() or not path.is_file() else path.stat().st_size
    except OSError:
        return 0


def _network(mirror: str | None) -> Iterator[Finding]:
    remedy = "fetch archives where there is a network: model.archive=FILE, or zoo.mirror=DIR"
    yield _reached("model zoo", mirror or ZOO_ADDRESS, remedy)
    wandb = os.environ.get("WANDB_BASE_URL", WANDB_ADDRESS)
    yield _reached("W&B", wandb, "runs are kept offline; wandb sync uploads them later")
    stored = key_is_stored(os.environ, wandb)
    yield Finding(
        "network",
        "W&B key",
        OK if stored else WARNING,
        "is stored" if stored else "none is stored, so runs are kept offline",
        None if stored else "wandb login",
    )


def _reached(name: str, address: str, remedy: str) -> Finding:
    try:
        require_server(address)
    except TrackingError as error:
        return Finding("network", name, WARNING, error.what, remedy)
    return Finding("network", name, OK, f"{address} answers")


class _Page:
    """Findings as lines, the areas as headings."""

    def __init__(self) -> None:
        self._area = ""

    def add(self, finding: Finding) -> None:
        lines = [] if finding.area == self._area else [finding.area]
        self._area = finding.area
        lines.append(f"  {_MARKS[finding.state]}  {finding.name:<{_NAME_COLUMNS}}  {finding.found}")
        if finding.remedy is not None:
            lines.append(f"      {'':<{_NAME_COLUMNS}}  > {finding.remedy}")
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


def _conclusion(findings: Sequence[Finding], *, can_train: bool) -> str:
    errors = [finding for finding in findings if finding.state == ERROR]
    if can_train:
        return "\nodrun can train here: odrun train\n"
    return (
        f"\nodrun cannot train here: {', '.join(finding.name for finding in errors)}; what to type stands beside each\n"
    )
