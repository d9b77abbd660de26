"""A trial as it travels to the machine that runs it, and what it does there.

It is refused there if that machine does not see the sweep's directory, or the folder that the sweep was started in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from odrun.errors import InputError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import Summary
from odrun.sweeps.clusters.preemption import WARNING, Preemption
from odrun.sweeps.record import SWEEP_NAME
from odrun.sweeps.warm.child import Order, read_work, run_trial
from odrun.sweeps.warm.output import redirect

STOPPED_STATUS = 143
"""How a process ends that SIGTERM stopped: 128 + 15."""


@dataclass(frozen=True)
class Errand:
    """Runs a trial, and goes on with it when the cluster runs it again; submitit and Ray call it.

    `directory` is the trial's, `sweep` that of the sweep; relative paths begin at `working_directory`. `payload` is
    what `warm.child.pickled_work` wrote.
    """

    order: Order
    directory: Path
    sweep: Path
    working_directory: Path
    payload: bytes

    def __call__(self) -> None:
        """Run the trial; its result lies in `order.result`. A trial that is stopped leaves none, and the process.

        Raises:
            InputError: the machine does not see the sweep's directory, so that no result can be left there.
        """
        with Preemption() as preemption:
            try:
                self._run()
                return
            except KeyboardInterrupt:
                # Only a cluster that warns has an answer to its warning: it queues this errand again, and leaves.
                if preemption.is_warned and callable(preemption.answer_before):
                    preemption.answer_before(WARNING, None)
        sys.exit(STOPPED_STATUS)

    def checkpoint(self) -> Any:
        """What submitit is to run when it queues this errand again (its protocol for preempted jobs)."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _run(self) -> None:
        self._enter()
        with _printed_to(self.order.log):
            self._go_on()

    def _enter(self) -> None:
        """Make the directory of the trial, where the machine sees that of the sweep."""
        if not (self.sweep / SWEEP_NAME).is_file():
            raise InputError(
                f"the machine that ran the trial does not see the sweep's directory ({SWEEP_NAME} is not there)",
                where=str(self.sweep),
                remedy="choose a place that the machines of the cluster share, with paths.outputs=DIR",
            )
        self.directory.mkdir(parents=True, exist_ok=True)

    def _go_on(self) -> None:
        """Run the trial, from where it is."""
        work = read_work(self.payload)
        run = RunDirectory(self.directory)
        try:
            os.chdir(self.working_directory)
        except OSError:
            work = replace(work, task_function=self._refuse)
        if _is_concluded(run):
            work = replace(work, task_function=_nothing)
        elif not run.is_run and not run.is_occupied:
            # What is left of one that was lost before there was anything to go on with.
            run.discard()
            run.path.mkdir(parents=True, exist_ok=True)
        run_trial(self.order, work)

    def _refuse(self, config: DictConfig) -> None:
        del config
        raise InputError(
            "the machine that ran the trial does not see the folder that the sweep was started in",
            where=str(self.working_directory),
            remedy="start it in a folder that the machines of the cluster share",
        )


@contextmanager
def _printed_to(log: Path) -> Iterator[None]:
    """Within it all that this process prints goes to `log`; the cluster's own streams are put back."""
    descriptors, streams = [os.dup(number) for number in range(3)], (sys.stdin, sys.stdout, sys.stderr)
    redirect(log)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _is_concluded(run: RunDirectory) -> bool:
    """Whether a run has ended well: its machine was lost in the instant in which its result was to be told."""
    return run.summary.is_file() and Summary.read(run.summary).status in ("completed", "stopped_early")


def _nothing(config: DictConfig) -> None:
    del config
