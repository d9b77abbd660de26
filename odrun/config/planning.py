"""What Hydra is to be given for a command line: what was typed or, of a sweep, what that comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from odrun.config.arguments import key_of, may_sweep, overrides_in, shows
from odrun.errors import InputError
from odrun.runs.collection import resume_collection
from odrun.settings import Job

_RESUME_KEYS = ("sweep.resume", "sweep.retry_failed")


@dataclass(frozen=True)
class Plan:
    """What Hydra is to be given, and the jobs of the trials that will run, by number, as far as they are known."""

    arguments: Sequence[str]
    jobs: Mapping[int, Job] = field(default_factory=dict)


def plan(command: str, arguments: Sequence[str]) -> Plan:
    """The plan; of what may be a sweep, its trials are composed and checked before (`odrun.config.sweep`).

    Raises:
        InputError: trials cannot run, or what is to be gone on with is no sweep or another one.
        hydra.errors.HydraException, omegaconf.errors.OmegaConfBaseException: the sweep itself does not compose.
    """
    resuming = [argument for argument in overrides_in(arguments) if key_of(argument) in _RESUME_KEYS]
    if resuming and command != "train":
        raise InputError("only sweeps of odrun train are gone on with", where=" ".join(resuming))
    if not may_sweep(arguments):
        if resuming and not shows(arguments):
            raise InputError(
                "a single run is no sweep", where=" ".join(resuming), remedy="add -m, or use train.resume for a run"
            )
        return Plan(arguments)
    # Trials are many; and what only sweeps need takes a while to be imported.
    resume_collection()
    from odrun.config.sweep import planned

    return planned(command, arguments)
