"""What a job needs before its config can be resolved: the archive that holds the configuration of its zoo entry."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from odrun.model_settings import BASE_ARCHIVE
from odrun.settings import ZooAccessSettings


def fetch_base(config: DictConfig) -> None:
    """Fetch the archive of an entry whose configuration is in it, where it is not in the cache yet.

    Configs of commands that fetch nothing (they have no `zoo` node) are left alone.

    Raises:
        InputError: `zoo.fetch` refuses it.
    """
    if "zoo" not in config or OmegaConf.select(config, "model.base") != BASE_ARCHIVE:
        return
    # What downloads takes a while to be imported.
    from odrun.zoo.catalog import archive_address
    from odrun.zoo.fetch import archive_at_hand

    model, cache = config.model, Path(config.paths.cache).expanduser().absolute()
    access = ZooAccessSettings(config.zoo.mirror)
    if model.archive is None and archive_at_hand(f"{model.zoo.archive}.tar.gz", cache, access.mirror) is None:
        from odrun.commands.zoo_fetch import fetch_entry

        fetch_entry(model.name, archive_address(model.zoo.archive), mirror=access.mirror, cache=cache)
