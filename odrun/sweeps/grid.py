"""What can be set of the sweeper that tries every combination, as `hydra.sweeper.NAME=VALUE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

PLUGIN_MODULE = "hydra_plugins.odrun_sweeper"
TARGET = f"{PLUGIN_MODULE}.GridSweeper"


@dataclass
class GridSweeperConf:
    """The settings, those of Hydra's basic sweeper."""

    _target_: str = TARGET
    max_batch_size: Optional[int] = None  # noqa: UP045 - OmegaConf 2.3 on Python 3.10
    params: Optional[dict[str, str]] = None  # noqa: UP045
