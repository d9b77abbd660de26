"""One composition for a run, where Hydra makes two: one to learn whether the config asks for a sweep, one to run it.

Hydra's own way through a command line stays as it is. Within `composing_once` its loader gives the config of a single
run that it composed to learn the mode a second time, instead of composing it again; whatever else it is asked for it
composes as ever.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig

_SINGLE = "hydra.mode=RUN"
"""What Hydra adds to the overrides of a run whose config does not say what it is."""


@contextmanager
def composing_once(*, before_sweep: Callable[[], None], keeps: bool = False) -> Iterator[Composed]:
    """Within it `hydra.main` composes a single run once; with `keeps` the config is to be had from what this yields.

    `before_sweep` is called when Hydra composes a sweep, before it makes a sweeper and a launcher.
    """
    before, announcing = GlobalHydra.instance(), _Announcing()
    announcing.composed = Composed(before_sweep, keeps)
    GlobalHydra.set_instance(announcing)
    try:
        yield announcing.composed
    finally:
        # There is one of its kind, as of Hydra's own, for the next time as well.
        announcing.clear()
        GlobalHydra.set_instance(before)


@dataclass
class Composed:
    """What is done on the way, and what was composed: with `keeps` a copy of the last config is `kept`."""

    before_sweep: Callable[[], None]
    keeps: bool
    kept: DictConfig | None = None


class OnceLoader(ConfigLoader):
    """Hydra's loader `loader`, which composes a single run once."""

    def __init__(self, loader: ConfigLoader, composed: Composed) -> None:
        self._loader = loader
        self._composed = composed
        self._first: _First | None = None

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """What Hydra's loader composes, or has composed; of all that asks, only the mode leaves sweeps unvalidated."""
        if not validate_sweep_overrides:
            return self._composed_for_its_mode(config_name, overrides, run_mode, from_shell)
        first, self._first = self._first, None
        if first is not None and first.fits(config_name, overrides, run_mode):
            return first.as_run(overrides)
        if run_mode == RunMode.MULTIRUN:
            self._composed.before_sweep()
        config = self._loader.load_configuration(config_name, overrides, run_mode, from_shell)
        if self._composed.keeps:
            self._composed.kept = copy.deepcopy(config)
        return config

    def _composed_for_its_mode(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, from_shell: bool
    ) -> DictConfig:
        """The config as a single run has it, remembered for that; one that cannot be had so, as it was asked for."""
        try:
            config = self._loader.load_configuration(config_name, overrides, RunMode.RUN, from_shell)
        except ConfigCompositionException as error:
            self._first = _First(config_name, tuple(overrides), error)
            return self._loader.load_configuration(config_name, overrides, run_mode, from_shell, False)
        if config.hydra.mode != RunMode.MULTIRUN:
            self._first = _First(config_name, tuple(overrides), config)
        return config

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """As Hydra has it."""
        return self._loader.load_sweep_config(master_config, sweep_overrides)

    def get_search_path(self) -> ConfigSearchPath:
        """As Hydra has it."""
        return self._loader.get_search_path()

    def get_sources(self) -> list[ConfigSource]:
        """As Hydra has it."""
        return self._loader.get_sources()

    def list_groups(self, parent_name: str) -> list[str]:
        """As Hydra has it."""
        return self._loader.list_groups(parent_name)

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """As Hydra has it."""
        return self._loader.get_group_options(group_name, results_filter, config_name, overrides)

    def compute_defaults_list(self, config_name: str | None, overrides: list[str], run_mode: RunMode) -> Any:
        """As Hydra has it."""
        return self._loader.compute_defaults_list(config_name, overrides, run_mode)


class _Announcing(GlobalHydra):
    """Hydra's global, by which each Hydra that is made is given a loader that composes once."""

    composed: Composed

    def initialize(self, hydra: Any) -> None:
        """Take a Hydra that has just been made."""
        super().initialize(hydra)
        hydra.config_loader = OnceLoader(hydra.config_loader, self.composed)


@dataclass(frozen=True)
class _First:
    """What was composed for the mode: the name and the overrides, and the config or the fault that came of them."""

    config_name: str | None
    overrides: tuple[str, ...]
    found: DictConfig | ConfigCompositionException

    def fits(self, config_name: str | None, overrides: Sequence[str], run_mode: RunMode) -> bool:
        """Whether this is what would be composed now."""
        same = (self.overrides, (*self.overrides, _SINGLE))
        return run_mode == RunMode.RUN and config_name == self.config_name and tuple(overrides) in same

    def as_run(self, overrides: Sequence[str]) -> DictConfig:
        """The config as it is composed with `_SINGLE`, if the overrides have it; raises what fault there is."""
        if isinstance(self.found, ConfigCompositionException):
            raise self.found
        if len(overrides) > len(self.overrides):
            self.found.hydra.mode = RunMode.RUN
            self.found.hydra.overrides.hydra.append(_SINGLE)
        return self.found
