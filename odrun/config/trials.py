"""The trials of a sweep, composed and checked; nothing is run, and no directory is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from odrun.config import composition, jobs
from odrun.config.arguments import added_folders, config_name, overrides_in
from odrun.config.bases import fetch_base
from odrun.config.location import conf_dir
from odrun.errors import InputError
from odrun.settings import Job

FAULTS_TOLD = 20


@dataclass(frozen=True)
class Trial:
    """A trial that can run: its overrides, its job, and the resolved YAML of that."""

    overrides: list[str]
    job: Job
    text: str


@contextmanager
def composed_sweep(command: str, arguments: Sequence[str], mode: RunMode) -> Iterator[DictConfig]:
    """What the arguments compose to, Hydra's own node included; within it, Hydra's loader can be asked."""
    with initialize_config_dir(str(conf_dir()), version_base=jobs.HYDRA_VERSION_BASE):
        searched = [f'hydra.searchpath=["file://{folder}"]' for folder in added_folders(arguments)]
        yield (
            GlobalHydra.instance()
            .config_loader()
            .load_configuration(config_name(arguments) or command, [*overrides_in(arguments), *searched], run_mode=mode)
        )


def given_overrides(master: DictConfig) -> list[Override]:
    """The sweeper's parameters and the overrides of the command line."""
    params = OmegaConf.to_container(master.hydra.sweeper.params or OmegaConf.create({}))
    assert isinstance(params, dict)
    lines = [*(f"{key!s}={value}" for key, value in params.items()), *jobs.texts(master.hydra.overrides.task)]
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()).parse_overrides(lines)


def checked(master: DictConfig, command: str, given: Sequence[list[str]]) -> list[Trial]:
    """Every trial, composed; `InputError` that names those that cannot run."""
    trials, faults = [], []
    for number, overrides in enumerate(given):
        found = _trial(master, overrides, command)
        if isinstance(found, Trial):
            trials.append(found)
        else:
            faults.append((number, overrides, found))
    if faults:
        told = "\n".join(
            f"trial {number}: {' '.join(overrides)}\n{error}" for number, overrides, error in faults[:FAULTS_TOLD]
        )
        if len(faults) > FAULTS_TOLD:
            told += f"\nand {len(faults) - FAULTS_TOLD} more"
        what = f"{len(faults)} of the sweep's {len(given)} trials cannot run, so none was started\n{told}"
        raise InputError(what)
    return trials


def without_hydra(config: DictConfig) -> DictConfig:
    """The same config, Hydra's own node taken out of it."""
    with read_write(config), open_dict(config):
        del config["hydra"]
    return config


def _trial(master: DictConfig, overrides: list[str], command: str) -> Trial | InputError:
    """The trial of these overrides, or why it cannot run."""
    loader = GlobalHydra.instance().config_loader()
    try:
        config = without_hydra(loader.load_sweep_config(master, overrides))
        fetch_base(config)
        return Trial(overrides, jobs.settings(config), jobs.config_text(config))
    except InputError as error:
        return jobs.with_argument(error, overrides)
    except composition.REFUSALS as error:
        return composition.explain(error, command, overrides)
