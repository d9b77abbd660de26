"""`hydra/sweeper=grid`: every combination of the values, as Hydra's basic sweeper makes them.

A trial that failed stops no other one, whatever the launcher; when all have run the sweep fails, and names those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from odrun.errors import InputError, InterruptedRunError, OdrunError, RunFailedError
from odrun.sweeps import clusters, record, warm
from odrun.sweeps.warm.trials import LOG_NAME, RECORD_NAME

PLUGIN_MODULE = "hydra_plugins.odrun_sweeper"
TARGET = f"{PLUGIN_MODULE}.GridSweeper"
_RECORDING = (warm.TARGET, *clusters.TARGETS)
"""The launchers that write `sweep.json` themselves."""
_NOTES = (record.SWEEP_NAME, "multirun.yaml")
_TRIAL_NOTES = (RECORD_NAME, LOG_NAME)


@dataclass
class GridSweeperConf:
    """The settings, those of Hydra's basic sweeper."""

    _target_: str = TARGET
    max_batch_size: Optional[int] = None  # noqa: UP045 - OmegaConf 2.3 on Python 3.10
    params: Optional[dict[str, str]] = None  # noqa: UP045


# Not a subclass of BasicSweeper: Hydra executes the modules of its own plugins again when it lists them.
class GridSweeper(Sweeper):
    """Every combination of the values, each a trial."""

    __module__ = PLUGIN_MODULE

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None) -> None:
        self._max_batch_size = max_batch_size
        self._params = {} if params is None else params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run all trials and return what each returned, in batches.

        Raises:
            InputError: every trial refused its input, and nothing is left; or the directory holds another sweep.
            RunFailedError: a trial failed; each that did is named.
            InterruptedRunError: a signal stopped the sweep.
        """
        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        if self._max_batch_size is not None and self._max_batch_size < 1:
            raise InputError(
                f"max_batch_size is {self._max_batch_size}; it has to be null or 1 or more",
                where="hydra.sweeper.max_batch_size",
            )
        given = [*(f"{key}={value}" for key, value in self._params.items()), *arguments]
        overrides = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(given)
        batches = BasicSweeper.split_arguments(overrides, self._max_batch_size)
        folder = Path(str(self.config.hydra.sweep.dir)).absolute()
        record.claim(folder)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        returns: list[Sequence[JobReturn]] = []
        for batch in batches:
            returns.append(self._launched(batch, sum(map(len, returns)), folder))
            if self.config.hydra.launcher["_target_"] not in _RECORDING:
                _write(folder, [each for done in returns for each in done])
        _conclude([each for done in returns for each in done], folder)
        return returns

    def _launched(self, batch: Sequence[Sequence[str]], first: int, folder: Path) -> Sequence[JobReturn]:
        from odrun.sweeps.warm.client import LaunchError
        from odrun.sweeps.warm.stopping import SweepStoppedError

        assert self.launcher is not None
        try:
            return self.launcher.launch(batch, initial_job_idx=first)
        except SweepStoppedError as error:
            raise InterruptedRunError(
                f"the sweep was {error}; what its trials saved is there",
                signal_number=error.signal_number,
                where=str(folder),
            ) from error
        except warm.SettingError as error:
            _forget(folder, [])
            raise InputError(str(error), where=f"hydra.launcher.{error.key}") from error
        except LaunchError as error:
            raise RunFailedError(
                str(error), where=str(folder), remedy="hydra/launcher=basic runs without it"
            ) from error


def _write(folder: Path, returns: Sequence[JobReturn]) -> None:
    """Write `sweep.json` for a launcher that does not write it itself."""
    hook, lines = record.SweepRecord(), []
    for number, returned in enumerate(returns):
        directory = _directory(returned, folder)
        error = returned._return_value if returned.status == JobStatus.FAILED else None
        lines.append(hook.line_of(folder, number, directory, _overrides(returned), error))
    record.write_sweep(folder, lines, hook.objective)


def _conclude(returns: Sequence[JobReturn], folder: Path) -> None:
    """Raise what is to be said of the trials that failed, if any did."""
    failed = [(number, each) for number, each in enumerate(returns) if each.status == JobStatus.FAILED]
    if not failed:
        return
    is_refused = len(failed) == len(returns) and all(isinstance(each._return_value, InputError) for _, each in failed)
    lines = [f"{len(failed)} of {len(returns)} trials failed"]
    for number, each in failed:
        error = each._return_value
        what = error.what if isinstance(error, OdrunError) else str(error)
        lines.append(f"  {number} {' '.join(_overrides(each))}: {what}")
        if not is_refused:
            lines.append(f"    {_directory(each, folder)}")
    if is_refused:
        _forget(folder, [_directory(each, folder) for _, each in failed])
        raise InputError("\n".join(lines))
    raise RunFailedError("\n".join(lines))


def _overrides(returned: JobReturn) -> tuple[str, ...]:
    return tuple(map(str, returned.overrides or ()))


def _directory(returned: JobReturn, folder: Path) -> Path:
    assert returned.hydra_cfg is not None
    return Path(str(OmegaConf.select(returned.hydra_cfg, "hydra.runtime.output_dir") or folder))


def _forget(folder: Path, trials: Sequence[Path]) -> None:
    """Remove a sweep that was refused as a whole, as far as nothing but its own notes is left of it."""
    for place, names in [*((trial, _TRIAL_NOTES) for trial in trials), (folder, _NOTES)]:
        if not place.is_dir():
            continue
        if {path.name for path in place.iterdir()} <= set(names):
            for path in place.iterdir():
                path.unlink()
            place.rmdir()
    if folder.parent.is_dir() and not any(folder.parent.iterdir()) and not Path.cwd().is_relative_to(folder.parent):
        folder.parent.rmdir()
