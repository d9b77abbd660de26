"""What Hydra is told of odrun's launchers and sweeper."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from odrun.sweeps import clusters, warm
from odrun.sweeps.search.settings import SearchSweeperConf
from odrun.sweeps.search.sweeper import SearchSweeper
from odrun.sweeps.sweeper import GridSweeper, GridSweeperConf
from odrun.sweeps.warm.plugin import register_plugin

PRELOAD = {
    "train": ("odrun.commands.train", "odrun.commands.fitting"),
    "check": ("odrun.commands.check",),
    "prepare": ("odrun.commands.prepare",),
    "predict": ("odrun.commands.predict", "odrun.inference.detector"),
}
"""What the trials of a command import: TensorFlow and the engine, but for `prepare`; none of it starts a runtime."""
_HOOK = "odrun.sweeps.record.SweepRecord"


def register(command: str) -> None:
    """Make odrun's launchers and `hydra/sweeper=grid` known; calling it again replaces the defaults."""
    warm.register(preload=PRELOAD[command], hook=_HOOK)
    ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConf, provider="odrun")
    register_plugin(GridSweeper)
    ConfigStore.instance().store(group="hydra/sweeper", name="search", node=SearchSweeperConf, provider="odrun")
    register_plugin(SearchSweeper)
    clusters.register()
