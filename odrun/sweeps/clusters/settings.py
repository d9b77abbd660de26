"""What can be set of the launchers, as `hydra.launcher.NAME=VALUE`, named as in Hydra's own plugins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Optional

from odrun.errors import InputError

SUBMITIT_MODULE, RAY_MODULE = "hydra_plugins.odrun_submitit", "hydra_plugins.odrun_ray"
SUBMITIT_TARGET = f"{SUBMITIT_MODULE}.SubmititLauncher"
RAY_TARGET = f"{RAY_MODULE}.RayLauncher"
TARGETS = (SUBMITIT_TARGET, RAY_TARGET)
LOCAL, SLURM = "local", "slurm"
OWN_ADDRESS = "local"
"""What Ray calls one that it starts for this process; without an address it may join one that runs on the machine."""
_EXTRAS = {SUBMITIT_TARGET: "submitit", RAY_TARGET: "ray"}
"""The extra of odrun that brings what a launcher stands on, which is also the name of the package."""


# OmegaConf reads the types of a structured config on Python 3.10 in this spelling only where no schema is frozen.
@dataclass
class SubmititConf:
    """Trials as processes of this machine, all at the same time: Slurm's way of working without Slurm.

    `timeout_min` minutes are what a trial may take; 30 seconds before they are over it is told, saves, is started again
    and goes on. `gpus_per_node` GPUs, the first ones, are seen by every trial (null: none). `setup` are shell commands
    that are run first.
    """

    _target_: str = SUBMITIT_TARGET
    cluster: str = LOCAL
    submitit_folder: str = "${hydra.sweep.dir}/.submitit"
    timeout_min: int = 14400
    max_num_timeout: int = 10
    gpus_per_node: Optional[int] = None  # noqa: UP045 - OmegaConf 2.3 on Python 3.10
    name: str = "odrun"
    setup: Optional[list[str]] = None  # noqa: UP045


@dataclass
class SlurmConf(SubmititConf):
    """Trials as jobs of a Slurm cluster; what is null is left to the cluster. Most are options of `sbatch`.

    A trial may take `timeout_min` minutes at a time. `signal_delay_s` seconds before they are over it is told, saves
    and is queued again, at most `max_num_timeout` times. `array_parallelism` trials run at a time.
    `additional_parameters` are options of `sbatch` that have no name here; its `requeue` lets Slurm queue a trial again
    that it takes the machine from.
    """

    cluster: str = SLURM
    timeout_min: int = 240
    gpus_per_node: Optional[int] = 1  # noqa: UP045
    cpus_per_task: Optional[int] = 4  # noqa: UP045
    mem_gb: Optional[float] = None  # noqa: UP045
    partition: Optional[str] = None  # noqa: UP045
    qos: Optional[str] = None  # noqa: UP045
    account: Optional[str] = None  # noqa: UP045
    comment: Optional[str] = None  # noqa: UP045
    constraint: Optional[str] = None  # noqa: UP045
    exclude: Optional[str] = None  # noqa: UP045
    gres: Optional[str] = None  # noqa: UP045
    cpus_per_gpu: Optional[int] = None  # noqa: UP045
    gpus_per_task: Optional[int] = None  # noqa: UP045
    mem_per_gpu: Optional[str] = None  # noqa: UP045
    mem_per_cpu: Optional[str] = None  # noqa: UP045
    srun_args: Optional[list[str]] = None  # noqa: UP045
    signal_delay_s: int = 120
    array_parallelism: int = 256
    additional_parameters: dict[str, Any] = field(default_factory=lambda: {"requeue": True})


def _init() -> dict[str, Any]:
    given = {"address": None, "num_cpus": None, "num_gpus": None, "object_store_memory": None, "runtime_env": None}
    return {**given, "include_dashboard": False, "log_to_driver": False, "logging_level": "error"}


def _remote() -> dict[str, Any]:
    given = {"num_cpus": 1, "num_gpus": None, "memory": None, "resources": None, "runtime_env": None}
    return {**given, "max_calls": 1, "max_retries": 3}


@dataclass
class RayConf:
    """`init` goes to `ray.init`, `remote` to `ray.remote`, but for what is null; `+` adds what is not named here.

    `init.address` is that of a running Ray (`auto`: the one of this machine); null is that of the environment variable
    RAY_ADDRESS, without which a Ray is started here, for this sweep.
    `remote.num_gpus` null asks for one GPU where the cluster has any. `remote.max_calls=1` gives each trial a process
    of its own; one whose machine is lost is started again `remote.max_retries` times.
    """

    init: dict[str, Any] = field(default_factory=_init)
    remote: dict[str, Any] = field(default_factory=_remote)


@dataclass
class RayLauncherConf:
    """Trials as tasks of a Ray cluster."""

    _target_: str = RAY_TARGET
    ray: RayConf = field(default_factory=RayConf)


def refuse_unusable(launcher: Mapping[str, Any]) -> None:
    """Raise `InputError` if the launcher with these settings needs what is not installed, or Slurm where there is none.

    Launchers of others are left alone.
    """
    extra = _EXTRAS.get(launcher["_target_"])
    if extra is None:
        return
    name = extra if extra == "ray" else f"submitit_{launcher['cluster']}"
    where = f"hydra/launcher={name}"
    if find_spec(extra) is None:
        raise InputError(
            f"the package {extra} is not installed, and this launcher needs it",
            where=where,
            remedy=f"pip install 'odrun[{extra}]'",
        )
    if launcher.get("cluster") == SLURM and any(shutil.which(tool) is None for tool in ("sbatch", "srun")):
        raise InputError(
            "there is no Slurm here: sbatch and srun are not on the PATH",
            where=where,
            remedy="start it on a login node of the cluster; hydra/launcher=warm runs the trials on this machine",
        )


def own_ray(init: Mapping[str, Any]) -> bool:
    """Whether these settings start a Ray of the sweep's own."""
    address = init.get("address")
    return address == OWN_ADDRESS or (address is None and not os.environ.get("RAY_ADDRESS"))
