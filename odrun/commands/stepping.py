"""The steps of `odrun train` and what happens on the way: metrics, checkpoints, evaluations, callbacks, its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from odrun.commands.course import Course
from odrun.commands.evaluating import Evaluations
from odrun.commands.resuming import command_of
from odrun.compat.devices import gpu_peak_memory_mb
from odrun.compat.inputs import Features, Labels
from odrun.errors import InterruptedRunError, RunFailedError
from odrun.report.terminal import Terminal
from odrun.runs.clock import peak_memory_mb, seconds_since_process_start
from odrun.runs.collection import resume_collection
from odrun.runs.signals import StopRequests
from odrun.runs.summary import MAX_MINUTES, Throughput
from odrun.settings import TrainSettings
from odrun.tracking.tracker import Tracker
from odrun.training.callbacks import Callback, Training, tell_all
from odrun.training.checkpoints import Checkpoints
from odrun.training.inputs import TrainingInput
from odrun.training.loop import Loop, StepReport
from odrun.training.step import Trainer

STOPPING = "stopping after this step; press Ctrl-C once more to stop without saving"
HALVINGS_MAX = 10


@dataclass
class Stepping:
    """Trains to the last step, to a reason to stop, or to a signal."""

    settings: TrainSettings
    trainer: Trainer
    checkpoints: Checkpoints
    evaluations: Evaluations
    callbacks: Sequence[Callback]
    training_input: TrainingInput
    tracker: Tracker
    course: Course
    terminal: Terminal
    _halvings: int = 0

    def train(self, batches: Iterator[tuple[Features, Labels]]) -> None:
        """Train on `batches`, which begin with that of the step after the trainer's.

        Raises:
            RunFailedError: a loss is no finite number and `train.on_nan` has no other answer.
            InterruptedRunError: a signal stopped training; a checkpoint of its last step has been saved.
        """
        started = time.monotonic()
        first_step = int(self.trainer.step) + 1
        with (
            StopRequests(lambda _: self.terminal.warning(STOPPING)) as stop,
            self.terminal.training(self.settings.steps, first_step=first_step) as show,
        ):
            loop = Loop(
                self.trainer,
                batches,
                steps=self.settings.steps,
                batch_size=self.settings.batch_size,
                log_every=self.settings.log_every,
                after_step=(
                    lambda report: self._end_in_time(report, started),
                    *(callback.after_step for callback in self.callbacks),
                    lambda report: self._note(report, is_first=report.step == first_step),
                    lambda report: show(report.step, report.metrics),
                    self._save,
                    self.evaluations.after_step,
                    # The evaluation may have made this step the last one.
                    self._save,
                ),
                on_nan=self._answer_nan,
            )
            training = Training(self.evaluations.directory.path, self.settings.steps, self.trainer, loop.control)
            tell_all(self.callbacks, "on_start", training)
            try:
                if first_step > 1:
                    done = first_step - 1
                    self.evaluations.catch_up(done, loop.control, is_last=done == self.settings.steps)
                loop.run(interrupted=lambda: stop.requested is not None)
            finally:
                spent = loop.time()
                self.course.add_seconds("train_s", spent.first_step_s + spent.steps_s)
                self.course.throughput = Throughput(spent.steps_per_s, spent.images_per_s)
                tell_all(self.callbacks, "on_end")
            if loop.control.reason is None and stop.requested is not None and self.course.steps < self.settings.steps:
                # A second SIGTERM must not end the process while the checkpoint is being written.
                self._interrupt(signal.Signals(stop.requested))
        if loop.control.reason is not None and self.course.steps < self.settings.steps:
            self.course.stopped_by = loop.control.by
            self.terminal.stage("stopped", f"after step {self.course.steps}: {loop.control.reason}")

    def _end_in_time(self, report: StepReport, started: float) -> None:
        minutes = self.settings.max_minutes
        if minutes is not None and time.monotonic() - started >= 60 * minutes and not report.is_last:
            report.control.stop(f"{minutes:g} minutes are over (train.max_minutes)", by=MAX_MINUTES)

    def _note(self, report: StepReport, *, is_first: bool) -> None:
        if is_first:
            self.course.add_seconds("first_step_s", seconds_since_process_start())
            resume_collection()
        self.course.steps = report.step
        if report.metrics:
            peaks = {"system/peak_memory_mb": peak_memory_mb(), "system/gpu_peak_memory_mb": gpu_peak_memory_mb()}
            known = {name: value for name, value in peaks.items() if value is not None}
            self.tracker.metrics(report.step, {**report.metrics, **known})

    def _save(self, report: StepReport) -> None:
        every = self.settings.checkpoint.every or self.evaluations.settings.every
        if report.is_last or (every is not None and report.step % every == 0):
            self.checkpoints.save(report.step)

    def _interrupt(self, number: signal.Signals) -> None:
        self.checkpoints.save(self.course.steps)
        raise InterruptedRunError(
            f"stopped by {number.name} after step {self.course.steps} of {self.settings.steps}; "
            "a checkpoint of it has been saved",
            signal_number=number,
            where=str(self.checkpoints.folder),
            remedy=f"to go on: {command_of(self.evaluations.directory)}",
        )

    def _answer_nan(self, step: int) -> None:
        """The step has left the weights as they were."""
        self.course.steps = step
        fault = f"the loss of step {step} is no finite number; its images: {self.training_input.images(step)}"
        best = self.checkpoints.best_step
        if self.settings.on_nan == "continue":
            self.terminal.warning(f"{fault}; the step is left out")
        elif self.settings.on_nan == "restore" and self._halvings < HALVINGS_MAX:
            self._halvings += 1
            self.trainer.halve_learning_rate()
            if best is not None:
                self.checkpoints.restore_best()
            back = "the weights stay" if best is None else f"back to the weights of step {best}"
            self.terminal.warning(f"{fault}; {back}, and the learning rate is halved")
        else:
            self.checkpoints.save(step)
            raise RunFailedError(
                fault,
                where=f"step {step}",
                remedy="lower train.learning_rate, or lengthen train.warmup_steps, or set train.on_nan=continue",
            )
