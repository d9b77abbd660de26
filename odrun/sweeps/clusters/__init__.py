"""Hydra launchers whose trials run on the machines of a Slurm or Ray cluster, each in a process of its own.

`store()` and `register_classes()` make them known to Hydra as `hydra/launcher=submitit_slurm`, `submitit_local` and
`ray`, in the place of the plugins of these names, whose settings they take. A trial that the cluster takes its machine
from saves, is queued again and goes on from its checkpoint; `sweep.json` is written while the trials run; one that is
lost ends no other.
"""

from __future__ import annotations

from odrun.sweeps.clusters.settings import TARGETS, RayLauncherConf, SlurmConf, SubmititConf, refuse_unusable

__all__ = ["TARGETS", "refuse_unusable", "register_classes", "store"]


def store() -> None:
    """Store the launchers' settings; calling it again changes nothing."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    # Hydra stores those of the installed plugins when it is first asked for them, and the last one stored counts.
    Plugins.instance()
    settings = ConfigStore.instance()
    for name, node in {"submitit_slurm": SlurmConf, "submitit_local": SubmititConf, "ray": RayLauncherConf}.items():
        settings.store(group="hydra/launcher", name=name, node=node, provider="odrun")


def register_classes() -> None:
    """Register the classes that launch; calling it again changes nothing."""
    from odrun.sweeps.clusters.launchers import RayLauncher, SubmititLauncher
    from odrun.sweeps.warm.plugin import register_plugin

    register_plugin(SubmititLauncher)
    register_plugin(RayLauncher)
