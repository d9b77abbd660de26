"""The shapes of the jobs, told to Hydra: a key they do not have and a value of the wrong type are refused."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from odrun.settings import CheckJob, PredictJob, PrepareJob, TrainJob

JOBS: dict[str, type] = {"train": TrainJob, "check": CheckJob, "prepare": PrepareJob, "predict": PredictJob}


def register() -> None:
    """Store each job's dataclass as `schema/<command>`; calling it again changes nothing."""
    store = ConfigStore.instance()
    for command, job in JOBS.items():
        store.store(group="schema", name=command, node=job, provider="odrun")
