"""A command line → one run of a command, or one run for each trial of a sweep, and the exit status.

Hydra reads the arguments, composes the config and, for a sweep, makes the trials; every error is told in odrun's way:
what, where and the remedy on standard error, no traceback, no empty run directory left behind.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from odrun.config import composition, jobs, resolvers, schemas
from odrun.config.arguments import (
    asks_for_completion,
    asks_for_config,
    asks_for_info,
    overrides_first,
    overrides_in,
    refuse_unreadable_flags,
)
from odrun.config.bases import fetch_base
from odrun.config.composing import composing_once
from odrun.config.location import conf_dir
from odrun.config.planning import Plan, plan
from odrun.config.trials import without_hydra
from odrun.errors import InputError, InterruptedRunError, OdrunError, RunFailedError
from odrun.runs.collection import resume_collection
from odrun.runs.directory import RunDirectory
from odrun.settings import CheckJob, Job, PrepareJob, TrainJob
from odrun.sweeps import plugins
from odrun.sweeps.search.settings import callbacks_of


class Command(Protocol):
    """What does the work of a job; errors it raises end this job only."""

    def __call__(self, job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
        """Do `job` in `directory`; `config_text` is the resolved YAML it was made from."""


@dataclass
class _Session:
    """What Hydra runs for each job of a command; `error` is what ended a run in this process, if anything did."""

    command: str
    do: Command
    error: OdrunError | None = None

    def __setstate__(self, state: dict[str, object]) -> None:
        """A launcher may have taken it to another process, where Hydra knows nothing of odrun."""
        self.__dict__.update(state)
        _register(self.command)
        plugins.register_classes()

    def run(self, config: DictConfig) -> None:
        """Run one job that Hydra composed; the error of a single run is kept, that of a trial is its result."""
        resume_collection()
        facts = HydraConfig.get()
        number = facts.job.num if facts.mode == RunMode.MULTIRUN else None
        directory = RunDirectory(Path(facts.runtime.output_dir))
        overrides = jobs.texts(facts.overrides.task)
        if number is not None:
            _say(f"trial {number}: {' '.join(overrides)}", sys.stdout)
        error = self._attempt(config, directory, overrides, number)
        _remove_empty(directory.path)
        if number is None or isinstance(error, InterruptedRunError):
            self.error = error
        if number is None or error is None:
            return
        _say(f"odrun: trial {number} failed: {error}", sys.stderr)
        if isinstance(error, InterruptedRunError):
            raise KeyboardInterrupt from error
        raise error

    def _attempt(
        self, config: DictConfig, directory: RunDirectory, overrides: tuple[str, ...], number: int | None
    ) -> OdrunError | None:
        try:
            fetch_base(config)
            job = jobs.settings(config)
            if number is not None and isinstance(job, TrainJob):
                from odrun.commands.resuming import of_a_sweep

                hydra = HydraConfig.get()
                callbacks = callbacks_of(hydra.sweeper, Path(hydra.sweep.dir).absolute(), number, job.eval.metric)
                job = of_a_sweep(job, directory, callbacks)
            self.do(job, directory=directory, overrides=overrides, config_text=jobs.config_text(config))
        except InputError as error:
            return jobs.with_argument(error, overrides)
        except OdrunError as error:
            return error
        except OmegaConfBaseException as error:
            return composition.explain(error, str(HydraConfig.get().job.config_name), overrides)
        except Exception as error:  # noqa: BLE001 - the outermost border: a bug is kept in the log, ends this run only
            return _logged(error, directory)
        return None


def run(command: str, arguments: Sequence[str], *, do: Command | None = None) -> int:
    """Run `odrun <command> <arguments>` and return the exit status: 0, 1, 2 or 128 + a signal's number.

    `do` does the work of each job; it is `do_job` unless a test or another program brings its own.
    """
    _register(command)
    session = _Session(command, do_job if do is None else do)
    try:
        refuse_unreadable_flags(command, arguments)
        _run_planned(plan(command, arguments), arguments, session)
    except OdrunError as error:
        return _tell(error)
    except composition.REFUSALS as error:
        return _tell(composition.explain(error, command, arguments))
    except ValueError as error:
        if not composition.raised_by_hydra(error):
            raise
        return _tell(composition.explain(error, command, arguments))
    except OSError as error:
        if error.filename is None:
            raise
        return _tell(_unusable_path(error))
    except KeyboardInterrupt:
        if session.error is not None:
            return _tell(session.error)
        raise
    return 0 if session.error is None else _tell(session.error)


def _run_planned(planned: Plan, given: Sequence[str], session: _Session) -> None:
    """Have Hydra do what was planned for the arguments that were given; a config that is shown is checked as well."""
    if session.do is do_job and planned.jobs:
        # The readers of all formats take a quarter of the time to start, which completion and --cfg need not wait for.
        from odrun.commands.sharing import share

        share(planned.jobs)
    if asks_for_info(given):
        # Hydra lists the plugins that it knows.
        plugins.register_classes()
    with (
        _arguments_of(session.command, planned.arguments),
        composing_once(before_sweep=_before_sweep, keeps=asks_for_config(given)) as composed,
    ):
        hydra.main(config_path=str(conf_dir()), config_name=session.command, version_base=jobs.HYDRA_VERSION_BASE)(
            session.run
        )()
    if composed.kept is not None:
        _check_shown(composed.kept, given)


def _before_sweep() -> None:
    """Make ready for what Hydra sweeps with, and for trials without number."""
    resume_collection()
    plugins.register_classes()


def _check_shown(config: DictConfig, arguments: Sequence[str]) -> None:
    """Refuse a config that `--cfg` has shown and that could not run, unless a value in it is still to be given."""
    try:
        jobs.refuse_out_of_limits(without_hydra(config))
    except InputError as error:
        raise jobs.with_argument(error, overrides_in(arguments)) from error


def _register(command: str) -> None:
    schemas.register(command)
    resolvers.register()


def do_job(job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Do the job by its command, which is imported only now."""
    if isinstance(job, CheckJob):
        from odrun.commands.check import check
        from odrun.config.origins import origins

        made = origins()
        check(
            job,
            directory=directory,
            overrides=overrides,
            config_text=config_text,
            official=made.official,
            source_of=made.source_of,
        )
    elif isinstance(job, TrainJob):
        from odrun.commands.train import train

        train(job, directory=directory, overrides=overrides, config_text=config_text)
    elif isinstance(job, PrepareJob):
        from odrun.commands.prepare import prepare_data

        prepare_data(job, directory=directory, overrides=overrides, config_text=config_text)
    else:
        from odrun.commands.predict import predict

        predict(job, directory=directory, overrides=overrides, config_text=config_text)


def _logged(error: Exception, directory: RunDirectory) -> RunFailedError:
    trace = "".join(traceback.format_exception(error))
    what = f"an error in odrun itself stopped the run: {type(error).__name__}: {error}"
    if not directory.log.is_file():
        _say(trace, sys.stderr)
        return RunFailedError(what)
    with directory.log.open("a", encoding="utf-8") as log:
        log.write(trace)
    return RunFailedError(what, where=f"{directory.log} has the traceback")


def _unusable_path(error: OSError) -> InputError:
    """A path that Hydra could not use: a configuration file to read, else the directory to make for the run."""
    reason = (error.strerror or str(error)).lower()
    path = str(error.filename)
    if path.endswith(".yaml"):
        return InputError(f"the configuration file cannot be read: {reason}", where=path)
    return InputError(f"the run directory cannot be made: {reason}", where=path, remedy="paths.outputs=DIR")


def _tell(error: OdrunError) -> int:
    _say(f"odrun: {error}", sys.stderr)
    return error.exit_status


def _say(line: str, stream: TextIO) -> None:
    stream.write(f"{line}\n")
    stream.flush()


def _remove_empty(folder: Path) -> None:
    """Remove `folder`, and the folder of its command above it, as far as they are empty and nobody works in them."""
    for path in (folder, folder.parent):
        if not path.is_dir():
            continue
        if any(path.iterdir()) or Path.cwd().is_relative_to(path):
            return
        path.rmdir()


@contextmanager
def _arguments_of(command: str, arguments: Sequence[str]) -> Iterator[None]:
    """Within it, `hydra.main` reads `arguments` and lets its exceptions through instead of printing them itself."""
    before, full_error, told_of_lost_lines = sys.argv, os.environ.get("HYDRA_FULL_ERROR"), logging.raiseExceptions
    # A shell completes the program, whose first word it looks at, not the command.
    program = "odrun" if asks_for_completion(arguments) else f"odrun {command}"
    sys.argv = [program, *overrides_first(arguments)]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # `--info` is printed by way of logging, which answers a reader that went away with a traceback a line.
    logging.raiseExceptions = False
    try:
        yield
    finally:
        sys.argv = before
        logging.raiseExceptions = told_of_lost_lines
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error
