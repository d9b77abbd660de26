"""`hydra/sweeper=grid`: every combination of the values, as Hydra's basic sweeper makes them.

A trial that failed stops no other one, whatever the launcher; when all have run the sweep fails, and names those. With
`sweep.resume=DIR` only what is left of the sweep in DIR is run, in the directories of its trials.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from odrun.errors import InputError, InterruptedRunError, RunFailedError
from odrun.report.closing import override
from odrun.runs.files import shown_path
from odrun.settings import RESUME_NONE
from odrun.sweeps import clusters, record, warm
from odrun.sweeps.apart import apart
from odrun.sweeps.grid import PLUGIN_MODULE
from odrun.sweeps.resuming import LOCK_NAME, held, reconciled, refuse_taken
from odrun.sweeps.search.settings import JOURNAL_NAME
from odrun.sweeps.warm.jobs import Jobs
from odrun.sweeps.warm.trials import LOG_NAME, RECORD_NAME

_RECORDING = (warm.TARGET, *clusters.TARGETS)
"""The launchers that write `sweep.json` themselves."""
_NOTES = (record.SWEEP_NAME, LOCK_NAME, JOURNAL_NAME, "multirun.yaml")
_TRIAL_NOTES = (RECORD_NAME, LOG_NAME)


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
        folder = Path(str(self.config.hydra.sweep.dir)).absolute()
        is_resumed = OmegaConf.select(self.config, "sweep.resume", default=RESUME_NONE) != RESUME_NONE
        with held(folder, waiting=lambda: _say("the trials of a sweep that was killed are still ending: waiting")):
            if is_resumed:
                record.SweepRecord().write(folder, reconciled(folder)[1])
            else:
                refuse_taken(folder)
                OmegaConf.save(self.config, folder / "multirun.yaml")
            try:
                returns = self._results(arguments, folder, is_resumed=is_resumed)
            except InterruptedRunError:
                _write_what_there_is(folder)
                raise
            lines = record.read_sweep(folder)[1]
            _refuse_all(returns, lines, folder)
            unwritten = _write_result(folder, is_over=True)
            _tell_failed(lines, folder, unwritten, remedy=self._remedy_of_failed(folder))
        return [list(returns.values())]

    def _results(self, arguments: Sequence[str], folder: Path, *, is_resumed: bool) -> dict[int, JobReturn]:
        """Run the trials that the arguments stand for, or what is left of them; what each returned, by its number."""
        if is_resumed:
            return self._run(record.read_sweep(folder)[1], folder)
        overrides = self._parsed(arguments)
        trials = [trial for batch in BasicSweeper.split_arguments(overrides, None) for trial in batch]
        return self._run([self._begun_line(number, trial) for number, trial in enumerate(trials)], folder)

    def _remedy_of_failed(self, folder: Path) -> str:
        """What can be done about trials that failed."""
        resume = override("sweep.resume", shown_path(folder))
        return f"run them again: the same command and {resume} sweep.retry_failed=true"

    def _parsed(self, arguments: Sequence[str]) -> list[Override]:
        """The sweeper's own parameters and the arguments."""
        assert self.hydra_context is not None
        given = [*(f"{key}={value}" for key, value in self._params.items()), *arguments]
        return OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(given)

    def _begun_line(self, number: int, overrides: Sequence[str]) -> record.TrialLine:
        """The line of a trial that has not started; odrun's launchers say where it is before it starts."""
        assert self.hydra_context is not None
        assert self.config is not None
        directory = ""
        if not self._is_recorded:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with read_write(config), open_dict(config):
                config.hydra.job.num = number
            directory = str(config.hydra.sweep.subdir)
        return record.TrialLine(number, directory, tuple(overrides), "pending", None, None, None)

    @property
    def _is_recorded(self) -> bool:
        assert self.config is not None
        return self.config.hydra.launcher["_target_"] in _RECORDING

    def _run(self, lines: Sequence[record.TrialLine], folder: Path) -> dict[int, JobReturn]:
        """Run what is left of the trials, a batch at a time, and return what each returned, by its number."""
        assert self.config is not None
        left = [line for line in lines if self._is_to_run(line)]
        writer = self._write_waiting(lines, folder)
        returns: dict[int, JobReturn] = {}
        size = self._max_batch_size or max(len(left), 1)
        for start in range(0, len(left), size):
            batch = left[start : start + size]
            done = self._launched(batch, folder)
            returns |= done
            if not self._is_recorded:
                writer.write(folder, [_line(writer, number, each, folder) for number, each in done.items()])
        return returns

    def _is_to_run(self, line: record.TrialLine) -> bool:
        assert self.config is not None
        retried = bool(OmegaConf.select(self.config, "sweep.retry_failed", default=False))
        return line.is_left or (retried and line.status == "failed")

    def _write_waiting(self, lines: Sequence[record.TrialLine], folder: Path) -> record.SweepRecord:
        """Write the record of the sweep, in which the trials that are to run wait."""
        writer = record.SweepRecord()
        waiting = {line.number: replace(line, status="pending", error=None) for line in lines if self._is_to_run(line)}
        writer.write(folder, [waiting.get(line.number, line) for line in lines])
        return writer

    def _launched(
        self, batch: Sequence[record.TrialLine], folder: Path, jobs: Callable[..., Jobs] = Jobs
    ) -> dict[int, JobReturn]:
        """Have the launcher run a batch; what each trial returned, by its number."""
        from odrun.sweeps.clusters.launchers import ClusterLauncher
        from odrun.sweeps.warm.client import LaunchError
        from odrun.sweeps.warm.launcher import WarmLauncher
        from odrun.sweeps.warm.stopping import SweepStoppedError

        assert self.launcher is not None
        known = {line.number: _placed(line) for line in batch}
        try:
            if isinstance(self.launcher, (WarmLauncher, ClusterLauncher)):
                return self.launcher.launch_jobs(jobs(known))
            returned = self.launcher.launch(list(known.values()), initial_job_idx=batch[0].number)
            return dict(zip(known, returned, strict=True))
        except SweepStoppedError as error:
            raise InterruptedRunError(
                f"the sweep was {error}; what its trials saved is there",
                signal_number=error.signal_number,
                where=str(folder),
                remedy=f"go on with it: the same command and {override('sweep.resume', shown_path(folder))}",
            ) from error
        except warm.SettingError as error:
            _forget(folder, [])
            raise InputError(str(error), where=f"hydra.launcher.{error.key}") from error
        except LaunchError as error:
            raise RunFailedError(
                str(error), where=str(folder), remedy="hydra/launcher=basic runs without it"
            ) from error


def _placed(line: record.TrialLine) -> list[str]:
    """The overrides of a trial; where it was, it is again, whatever names trials today."""
    return [*line.overrides, *([f'hydra.sweep.subdir="{line.dir}"'] if line.dir else [])]


def _line(writer: record.SweepRecord, number: int, returned: JobReturn, folder: Path) -> record.TrialLine:
    """The line of a trial that ran by a launcher that does not write it itself."""
    error = returned._return_value if returned.status == JobStatus.FAILED else None
    return writer.line_of(folder, number, _directory(returned, folder), _overrides(returned), error)


def _write_what_there_is(folder: Path) -> None:
    """Of a sweep that was stopped, the result of the trials that have ended, if any have."""
    if all(line.is_left for line in record.read_sweep(folder)[1]):
        return
    unwritten = _write_result(folder, is_over=False)
    if unwritten is not None:
        _say(str(unwritten))


def _write_result(folder: Path, *, is_over: bool) -> RunFailedError | None:
    """Write what came of the sweep; what kept it from being written, which takes nothing from the trials."""
    try:
        apart(_conclude, folder, is_over)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            "the sweep was stopped while its result was being written; its trials are whole",
            signal_number=signal.SIGINT,
            where=str(folder),
            remedy=_written_again_by(folder),
        ) from error
    except OSError as error:
        return _unwritten(folder, (error.strerror or str(error)).lower(), str(error.filename or folder))
    except RunFailedError as error:
        return _unwritten(folder, error.what, str(folder))
    return None


def _conclude(folder: Path, is_over: bool) -> None:
    from odrun.sweeps.result import conclude

    conclude(folder, is_over=is_over)


def _unwritten(folder: Path, reason: str, where: str) -> RunFailedError:
    return RunFailedError(
        f"the result of the sweep cannot be written: {reason}", where=where, remedy=_written_again_by(folder)
    )


def _written_again_by(folder: Path) -> str:
    return f"it is written again by the same command and {override('sweep.resume', shown_path(folder))}"


def _refuse_all(returns: Mapping[int, JobReturn], lines: Sequence[record.TrialLine], folder: Path) -> None:
    """Remove the sweep and raise `InputError` if every trial has refused its input."""
    if lines and all(
        line.number in returns and isinstance(returns[line.number]._return_value, InputError) for line in lines
    ):
        _forget(folder, [folder / line.dir for line in lines])
        raise InputError("\n".join([f"{len(lines)} of {len(lines)} trials failed", *map(_fault, lines)]))


def _fault(line: record.TrialLine) -> str:
    """A failed trial in one line."""
    what = (line.error or "").partition("\n  where: ")[0].partition("\n  remedy: ")[0]
    return f"  {line.number} {' '.join(line.overrides)}: {what}"


def _tell_failed(
    lines: Sequence[record.TrialLine], folder: Path, unwritten: RunFailedError | None, *, remedy: str
) -> None:
    """Raise what is to be said of the trials that failed, if any did, now or before the sweep was gone on with.

    Without one, `unwritten` is raised if there is such a fault; beside one it is said in a line.
    """
    failed = [line for line in lines if line.status in ("failed", "interrupted")]
    if not failed:
        if unwritten is not None:
            raise unwritten
        return
    told = [f"{len(failed)} of {len(lines)} trials failed"]
    for line in failed:
        told += [_fault(line), f"    {folder / line.dir}"]
    if unwritten is not None:
        told.append(f"{unwritten.what}: {unwritten.where}")
    raise RunFailedError("\n".join(told), remedy=remedy)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
