"""A Hydra launcher whose trials start at once and leak nothing: fresh children of a process that has imported all.

`register()` makes it known to Hydra as `hydra/launcher=warm`; `store()` alone its settings, which takes less to import.
Nothing in this package knows the program that uses it: what the program's trials say of themselves comes in by way of a
`Hook`.
"""

from __future__ import annotations

from collections.abc import Sequence

from odrun.sweeps.warm.settings import TARGET, SettingError, WarmLauncherConf

__all__ = ["TARGET", "SettingError", "WarmLauncherConf", "register", "register_class", "store"]


def register(*, preload: Sequence[str] = (), hook: str | None = None) -> None:
    """Store `hydra/launcher=warm` and register its class; calling it again replaces the two defaults.

    `preload` names the modules that the trials need; they are imported once. Importing them must start no thread that
    they wait for, and must not touch a GPU. `hook` is the dotted name of a class that is a `warm.hooks.Hook`.
    """
    store(preload=preload, hook=hook)
    register_class()


def store(*, preload: Sequence[str] = (), hook: str | None = None) -> None:
    """Store the settings alone, as `register` does: enough to compose a config that nothing is launched of."""
    from hydra.core.config_store import ConfigStore

    defaults = WarmLauncherConf(preload=list(preload), hook=hook)
    ConfigStore.instance().store(group="hydra/launcher", name="warm", node=defaults, provider="warm_launcher")


def register_class() -> None:
    """Register the class alone; calling it again changes nothing."""
    from odrun.sweeps.warm.launcher import WarmLauncher
    from odrun.sweeps.warm.plugin import register_plugin

    register_plugin(WarmLauncher)
