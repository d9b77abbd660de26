"""A sweep's trials, all composed and checked before the first one starts and before its directory is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from odrun.config import composition, jobs
from odrun.config.arguments import added_folders, asks_for_multirun, config_name, may_sweep, overrides_in
from odrun.config.bases import fetch_base
from odrun.config.location import conf_dir
from odrun.errors import InputError
from odrun.sweeps import clusters, warm
from odrun.sweeps.sweeper import TARGET

FAULTS_TOLD = 20
_GRIDS = (TARGET, f"{BasicSweeper.__module__}.{BasicSweeper.__name__}")


def check(command: str, arguments: Sequence[str]) -> None:
    """Refuse a sweep one of whose trials cannot run; a single run and other sweepers' sweeps are left to Hydra.

    Raises:
        InputError: trials cannot run; each is named with its fault.
        hydra.errors.HydraException, omegaconf.errors.OmegaConfBaseException: the sweep itself does not compose.
    """
    if not may_sweep(arguments):
        return
    with _composed(command, arguments, RunMode.MULTIRUN) as master:
        multirun = asks_for_multirun(arguments) or master.hydra.mode == RunMode.MULTIRUN
        if not multirun or master.hydra.sweeper["_target_"] not in _GRIDS:
            return
        _refuse_launcher(master.hydra.launcher)
        trials = _trials(master)
        faults = [
            (number, overrides, error)
            for number, overrides in enumerate(trials)
            if (error := _fault(master, overrides, command)) is not None
        ]
    if faults:
        told = "\n".join(
            f"trial {number}: {' '.join(overrides)}\n{error}" for number, overrides, error in faults[:FAULTS_TOLD]
        )
        if len(faults) > FAULTS_TOLD:
            told += f"\nand {len(faults) - FAULTS_TOLD} more"
        what = f"{len(faults)} of the sweep's {len(trials)} trials cannot run, so none was started\n{told}"
        raise InputError(what)


def check_shown(command: str, arguments: Sequence[str]) -> None:
    """Refuse a config that `--cfg` has shown and that could not run, unless a value in it is still to be given.

    Raises:
        InputError: a value is out of its limits or does not fit the OD API.
    """
    with _composed(command, arguments, RunMode.RUN) as config:
        try:
            jobs.refuse_out_of_limits(_without_hydra(config))
        except InputError as error:
            raise jobs.with_argument(error, overrides_in(arguments)) from error


@contextmanager
def _composed(command: str, arguments: Sequence[str], mode: RunMode) -> Iterator[DictConfig]:
    """What the arguments compose to, Hydra's own node included; within it, Hydra's loader can be asked."""
    with initialize_config_dir(str(conf_dir()), version_base=jobs.HYDRA_VERSION_BASE):
        searched = [f'hydra.searchpath=["file://{folder}"]' for folder in added_folders(arguments)]
        yield (
            GlobalHydra.instance()
            .config_loader()
            .load_configuration(config_name(arguments) or command, [*overrides_in(arguments), *searched], run_mode=mode)
        )


def _refuse_launcher(launcher: DictConfig) -> None:
    """Refuse settings of the warm launcher that are out of their limits, and clusters that are not to be had."""
    clusters.refuse_unusable(launcher)
    if launcher["_target_"] == warm.TARGET:
        try:
            OmegaConf.to_object(launcher)
        except warm.SettingError as error:
            raise InputError(str(error), where=f"hydra.launcher.{error.key}") from error


def _fault(master: DictConfig, overrides: list[str], command: str) -> InputError | None:
    loader = GlobalHydra.instance().config_loader()
    try:
        trial = _without_hydra(loader.load_sweep_config(master, overrides))
        fetch_base(trial)
        jobs.settings(trial)
    except InputError as error:
        return jobs.with_argument(error, overrides)
    except composition.REFUSALS as error:
        return composition.explain(error, command, overrides)
    return None


def _trials(master: DictConfig) -> list[list[str]]:
    """The overrides of each trial, in the order in which Hydra's basic sweeper runs them."""
    params = OmegaConf.to_container(master.hydra.sweeper.params or OmegaConf.create({}))
    assert isinstance(params, dict)
    lines = [*(f"{key!s}={value}" for key, value in params.items()), *jobs.texts(master.hydra.overrides.task)]
    overrides = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()).parse_overrides(lines)
    return [trial for batch in BasicSweeper.split_arguments(overrides, None) for trial in batch]


def _without_hydra(config: DictConfig) -> DictConfig:
    with read_write(config), open_dict(config):
        del config["hydra"]
    return config
