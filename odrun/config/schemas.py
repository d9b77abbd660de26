"""The shapes of the jobs, told to Hydra: a key they do not have and a value of the wrong type are refused."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from odrun.settings import CheckJob, PredictJob, PrepareJob, TrainJob
from odrun.sweeps import plugins

JOBS: dict[str, type] = {"train": TrainJob, "check": CheckJob, "prepare": PrepareJob, "predict": PredictJob}


def register(command: str) -> None:
    """Store each job's dataclass as `schema/<command>`, and what `command` runs its sweeps by; to be called at will."""
    store = ConfigStore.instance()
    for name, job in JOBS.items():
        store.store(group="schema", name=name, node=job, provider="odrun")
    plugins.register(command)
