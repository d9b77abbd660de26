"""What Hydra is told of odrun's launchers and sweeper."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from odrun.sweeps import clusters, warm
from odrun.sweeps.grid import GridSweeperConf
from odrun.sweeps.search.settings import SearchSweeperConf

PRELOAD = {
    "train": ("odrun.commands.train", "odrun.commands.fitting"),
    "check": ("odrun.commands.check",),
    "prepare": ("odrun.commands.prepare", "odrun.commands.making"),
    "predict": ("odrun.commands.predict", "odrun.inference.detector"),
}
"""What the trials of a command import: TensorFlow and the engine, but for `prepare`; none of it starts a runtime."""
_HOOK = "odrun.sweeps.record.SweepRecord"


def register(command: str) -> None:
    """Make the settings of odrun's launchers and sweepers known; calling it again replaces the defaults."""
    warm.store(preload=PRELOAD[command], hook=_HOOK)
    clusters.store()
    ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConf, provider="odrun")
    ConfigStore.instance().store(group="hydra/sweeper", name="search", node=SearchSweeperConf, provider="odrun")


def register_classes() -> None:
    """Make the launchers and sweepers themselves known, which Hydra asks for once it sweeps; to be called at will."""
    # A sixth of the time to start, which a single run need not wait for.
    from odrun.sweeps.search.sweeper import SearchSweeper
    from odrun.sweeps.sweeper import GridSweeper
    from odrun.sweeps.warm.plugin import register_plugin

    warm.register_class()
    register_plugin(GridSweeper)
    register_plugin(SearchSweeper)
    clusters.register_classes()
