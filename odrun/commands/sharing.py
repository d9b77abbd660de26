"""What the trials of a sweep share, made before the first one starts: records of the data, and checkpoints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from odrun import compat
from odrun.commands.preparing import prepare
from odrun.errors import InputError
from odrun.report.megabytes import in_megabytes
from odrun.report.terminal import Terminal
from odrun.settings import Job, TrainJob
from odrun.sweeps.apart import apart
from odrun.zoo.start import starting_checkpoint


def share(jobs: Mapping[int, Job]) -> None:
    """Make what these trainings, by the numbers of their trials, need of the cache; of other jobs nothing.

    Raises:
        InputError: what a trial needs cannot be had; its number is named.
    """
    trainings = {number: job for number, job in jobs.items() if isinstance(job, TrainJob)}
    if trainings:
        apart(make, trainings)


def make(jobs: Mapping[int, TrainJob]) -> None:
    """Make each distinct thing once, in this process; raises what `share` raises."""
    compat.load()
    terminal = Terminal(sys.stdout)
    for numbers in _alike(jobs, lambda job: (asdict(job.model), asdict(job.zoo), asdict(job.paths))):
        _told(numbers, len(jobs), lambda job: _get_checkpoint(job, terminal), jobs)
    for numbers in _alike(jobs, lambda job: (asdict(job.dataset), job.paths.cache)):
        _told(numbers, len(jobs), lambda job: _get_records(job, terminal), jobs)


def _get_checkpoint(job: TrainJob, terminal: Terminal) -> None:
    with terminal.loops() as progress:
        starting_checkpoint(
            job.model,
            job.paths.cache_dir,
            mirror=job.zoo.mirror,
            report=terminal.fact,
            progress=in_megabytes(progress),
        )


def _get_records(job: TrainJob, terminal: Terminal) -> None:
    terminal.stage("data", f"{job.dataset.name} (format {job.dataset.format})")
    with terminal.loops() as progress:
        prepare(job.dataset, job.paths.cache_dir, report=terminal.fact, progress=progress)


def _alike(jobs: Mapping[int, TrainJob], part: Callable[[TrainJob], Any]) -> list[list[int]]:
    """The numbers of the jobs, those with an equal `part` together."""
    found: dict[str, list[int]] = {}
    for number, job in jobs.items():
        found.setdefault(json.dumps(part(job), sort_keys=True, default=str), []).append(number)
    return list(found.values())


def _told(numbers: list[int], count: int, work: Callable[[TrainJob], None], jobs: Mapping[int, TrainJob]) -> None:
    """Do the work for the first of the trials; what it refuses names them all."""
    try:
        work(jobs[numbers[0]])
    except InputError as error:
        whose = "every trial" if len(numbers) == count else f"trial {', '.join(map(str, numbers))}"
        raise InputError(
            f"{error.what}\n  this stops {whose}, so none was started", where=error.where, remedy=error.remedy
        ) from error
