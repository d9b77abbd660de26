"""What can be set of the launcher, as `hydra.launcher.NAME=VALUE`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

PLUGIN_MODULE = "hydra_plugins.warm_launcher"
"""Hydra 1.3 makes no plugin whose class is not said to be of such a module, even if it has been registered."""
TARGET = f"{PLUGIN_MODULE}.WarmLauncher"
AUTO, FORK, FRESH = "auto", "fork", "fresh"


class SettingError(ValueError):
    """A setting of the launcher is out of its limits; `key` is its name."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


# OmegaConf reads the types of a structured config on Python 3.10 in this spelling only where no schema is frozen.
@dataclass
class WarmLauncherConf:
    """The settings.

    `n_jobs` trials run at a time. `preload` are modules that are imported once, before the first trial.
    `threads_per_trial` is the number of CPU threads that each trial is told to use (null: the cores divided by
    `n_jobs`; nothing is told when that is 1). `gpus_per_trial` GPUs are handed to each trial (null: one each, or all
    when `n_jobs` is 1; 0: none is handed out, every trial sees all). `timeout_s` seconds and `memory_mb` megabytes
    (10^6 bytes resident, shared modules included) are the most that a trial may take; the former ends it with SIGTERM
    and, `grace_s` seconds later, with SIGKILL. `start` is `fork`, `fresh` (a new interpreter for each trial) or `auto`.
    `hook` is the dotted name of a class that says how trials come along (`warm.hooks.Hook`).
    """

    _target_: str = TARGET
    n_jobs: int = 1
    preload: list[str] = field(default_factory=list)
    threads_per_trial: Optional[int] = None  # noqa: UP045 - OmegaConf 2.3 on Python 3.10
    gpus_per_trial: Optional[int] = None  # noqa: UP045
    timeout_s: Optional[float] = None  # noqa: UP045
    memory_mb: Optional[int] = None  # noqa: UP045
    grace_s: float = 60.0
    start: str = AUTO
    hook: Optional[str] = None  # noqa: UP045

    def __post_init__(self) -> None:
        _at_least("n_jobs", self.n_jobs, 1)
        _at_least("threads_per_trial", self.threads_per_trial, 1)
        _at_least("gpus_per_trial", self.gpus_per_trial, 0)
        _at_least("memory_mb", self.memory_mb, 1)
        _at_least("grace_s", self.grace_s, 0)
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise SettingError("timeout_s", f"timeout_s is {self.timeout_s}; it has to be above 0")
        if self.start not in (AUTO, FORK, FRESH):
            raise SettingError("start", f"start is {self.start!r}; it has to be {AUTO}, {FORK} or {FRESH}")


def _at_least(key: str, value: float | None, least: int) -> None:
    if value is not None and value < least:
        raise SettingError(key, f"{key} is {value}; it has to be {least} or more")
