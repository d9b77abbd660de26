"""Which run a training goes on with, if any, and whether it is still the same training."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from odrun.errors import InputError
from odrun.report.closing import override
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path
from odrun.runs.steps import steps_in
from odrun.runs.summary import Summary
from odrun.settings import RESUME_AUTO, RESUME_NONE, TrainJob

_FREE = (
    "eval",
    "paths",
    "sweep",
    "tracking",
    "verbose",
    "zoo",
    "train.callbacks",
    "train.checkpoint",
    "train.early_stopping",
    "train.log_every",
    "train.max_minutes",
    "train.on_nan",
    "train.resume",
    "train.steps",
)
"""What a resumed run may have otherwise: it does not change what a step is."""
_FOLLOW_STEPS = (
    "burnin_steps",
    "decay_steps",
    "hold_base_rate_steps",
    "num_steps",
    "step",
    "total_steps",
    "warmup_steps",
)
_SHOWN_CHANGES = 8


@dataclass(frozen=True)
class Resumption:
    """The run to go on with; `earlier` is its summary, `None` if it was killed."""

    directory: RunDirectory
    earlier: Summary | None


def find(job: TrainJob, fresh: RunDirectory, config_text: str) -> Resumption | None:
    """The run that `train.resume` asks for; `None` to begin in the `fresh` directory.

    Raises:
        InputError: the directory holds no run, or its configuration is another one.
    """
    if job.train.resume == RESUME_NONE:
        return None
    if job.train.resume == RESUME_AUTO:
        return next((found for found in _unfinished(fresh) if not changes(found.directory, config_text)), None)
    directory = RunDirectory.open(job.train.resume)
    changed = changes(directory, config_text)
    if changed:
        more = f" and {len(changed) - _SHOWN_CHANGES} more" if len(changed) > _SHOWN_CHANGES else ""
        raise InputError(
            f"the configuration is not that of the run: {'; '.join(changed[:_SHOWN_CHANGES])}{more}",
            where=f"train.resume={job.train.resume}",
            remedy=f"give what the run was given: {command_of(directory)}",
        )
    return Resumption(directory, _summary(directory))


def of_a_sweep(job: TrainJob, directory: RunDirectory, callbacks: Mapping[str, Any]) -> TrainJob:
    """The job of a sweep's trial: one of the sweep's group in W&B, and going on with the run that lies in `directory`.

    `callbacks` are those of the sweep, beside the job's own. What was stopped there before it was a run is cleared
    away.
    """
    if job.tracking.wandb.group is None:
        wandb = replace(job.tracking.wandb, group=directory.path.parent.name)
        job = replace(job, tracking=replace(job.tracking, wandb=wandb))
    job = replace(job, train=replace(job.train, callbacks={**job.train.callbacks, **callbacks}))
    if job.train.resume != RESUME_NONE or not directory.log.is_file():
        return job
    if not directory.is_run:
        if not directory.is_occupied:
            directory.discard()
        return job
    return replace(job, train=replace(job.train, resume=str(directory.path)))


def command_of(directory: RunDirectory) -> str:
    """The command that goes on with a run."""
    try:
        overrides = json.loads(directory.origin.read_text(encoding="utf-8"))["overrides"]
    except (OSError, ValueError, KeyError):
        overrides = []
    # A trial of a sweep is gone on with as a run.
    dropped = ("train.resume=", "sweep=", "sweep.")
    kept = [text for text in map(str, overrides) if not text.lstrip("+").startswith(dropped)]
    return " ".join(["odrun train", *map(shlex.quote, kept), override("train.resume", shown_path(directory.path))])


def newest_step(directory: RunDirectory) -> int:
    """The step of the newest whole checkpoint of a run, 0 if it has none."""
    return max(steps_in(directory.checkpoints), default=0)


def refuse_other_data(directory: RunDirectory, fingerprint: str) -> None:
    """Raise `InputError` if the run was trained on other data than that with this fingerprint."""
    try:
        before = json.loads(directory.origin.read_text(encoding="utf-8"))["data_fingerprint"]
    except (OSError, ValueError, KeyError):
        return
    if before != fingerprint:
        raise InputError(
            "the images or annotations are not those that the run was begun with",
            where=str(directory.path),
            remedy="train.resume=none begins a new run",
        )


def refuse_reached(step: int, steps: int, earlier: Summary | None) -> None:
    """Raise `InputError` if there is nothing left to do; a run that was killed at its end is still to be concluded."""
    is_concluded = earlier is not None and earlier.status in ("completed", "stopped_early")
    if step > steps or (step == steps and is_concluded):
        raise InputError(
            f"the run is already at {step} of {steps} steps", where="train.steps", remedy="raise train.steps"
        )


def changes(directory: RunDirectory, config_text: str, *, free: Sequence[str] = _FREE) -> list[str]:
    """What matters and differs between the run's config.yaml and this one: `train.seed: 0 -> 1`.

    The keys in `free`, and those below them, may have any values.
    """
    try:
        before = dict(_flat(yaml.safe_load(directory.config.read_text(encoding="utf-8"))))
    except (OSError, ValueError, yaml.YAMLError) as error:
        return [f"config.yaml cannot be read ({error})"]
    now = dict(_flat(yaml.safe_load(config_text)))
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key) and _matters(key, free)]
    return [f"{key}: {_shown(before.get(key))} -> {_shown(now.get(key))}" for key in keys]


def _unfinished(fresh: RunDirectory) -> Iterator[Resumption]:
    """The directory itself if it holds a run, then its neighbours, newest first; none that ended or is at work."""
    neighbours = sorted(fresh.path.parent.glob("*/config.yaml"), reverse=True)
    for folder in (fresh.path, *(config.parent for config in neighbours if config.parent != fresh.path)):
        directory = RunDirectory(folder)
        if directory.config.is_file() and not directory.is_occupied:
            summary = _summary(directory)
            if summary is None or summary.status in ("interrupted", "failed"):
                yield Resumption(directory, summary)


def _summary(directory: RunDirectory) -> Summary | None:
    return Summary.read(directory.summary) if directory.summary.is_file() else None


def _matters(key: str, free_keys: Sequence[str]) -> bool:
    is_free = any(key == free or key.startswith(f"{free}.") for free in free_keys)
    return not is_free and key.rpartition(".")[2] not in _FOLLOW_STEPS


def _flat(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and node:
        for number, value in enumerate(node):
            yield from _flat(value, f"{path}.{number}")
    else:
        yield path, node


def _shown(value: object) -> str:
    return "not set" if value is None else Path(value).name if isinstance(value, str) and "/" in value else str(value)
