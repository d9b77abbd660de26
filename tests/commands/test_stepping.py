"""What is answered to a loss that is no number and to the end of the time; the rest are stand-ins."""

from __future__ import annotations

import io
import itertools
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from odrun.commands.course import Course
from odrun.commands.stepping import HALVINGS_MAX, Stepping
from odrun.config.jobs import composed
from odrun.errors import InterruptedRunError, RunFailedError
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import MAX_MINUTES, Summary
from odrun.settings import TrainJob
from odrun.tracking.tracker import NullTracker
from odrun.training.callbacks import Callback


@dataclass
class FakeTrainer:
    """Steps whose losses are 1, but for those of `bad`, which are no numbers."""

    bad: tuple[int, ...] = ()
    pause_s: float = 0.0
    step: int = 0
    halvings: int = 0

    def learning_rate(self) -> float:
        return 0.1 / 2**self.halvings

    def halve_learning_rate(self) -> None:
        self.halvings += 1

    def train(self, features: object, labels: object) -> SimpleNamespace:
        self.step += 1
        time.sleep(self.pause_s)
        loss = math.nan if self.step in self.bad else 1.0
        return SimpleNamespace(losses={"Loss/total_loss": loss}, gradient_norm=1.0, is_applied=math.isfinite(loss))


@dataclass
class FakeCheckpoints:
    folder: Path
    best_step: int | None = None
    done: list[str] = field(default_factory=list)

    def save(self, step: int) -> None:
        if f"save {step}" not in self.done:
            self.done.append(f"save {step}")

    def restore_best(self) -> None:
        self.done.append("restore best")


@dataclass
class FakeEvaluations:
    settings: Any
    directory: RunDirectory
    evaluated: list[int] = field(default_factory=list)

    def after_step(self, report: Any) -> None:
        if report.is_last:
            self.evaluated.append(report.step)

    def catch_up(self, step: int, control: object, *, is_last: bool) -> None:
        self.evaluated.append(step)


class FakeInput:
    def images(self, step: int) -> str:
        return f"{step}1 (a.jpg), {step}2 (b.jpg)"


def stepping(path: Path, trainer: FakeTrainer, *overrides: str, best_step: int | None = None) -> Stepping:
    job = composed("train", ["train.log_every=1", "train.steps=6", "eval.every=null", *overrides])
    assert isinstance(job, TrainJob)
    directory = RunDirectory(path)
    return Stepping(
        job.train,
        trainer,
        FakeCheckpoints(directory.checkpoints, best_step),
        FakeEvaluations(job.eval, directory),
        [Callback()],
        FakeInput(),
        NullTracker(),
        Course(directory),
        Terminal(io.StringIO()),
    )


def batches() -> Iterator[tuple[Any, Any]]:
    return zip(itertools.count(), itertools.count())


def shown(subject: Stepping) -> str:
    stream = subject.terminal._console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_training_that_goes_well_saves_and_evaluates_its_last_step(tmp_path: Path) -> None:
    subject = stepping(tmp_path, FakeTrainer(), "train.checkpoint.every=4")

    subject.train(batches())

    assert subject.checkpoints.done == ["save 4", "save 6"]
    assert subject.evaluations.evaluated == [6]
    assert (subject.course.steps, subject.course.stopped_by) == (6, None)


def test_a_resumed_training_catches_up_before_it_goes_on(tmp_path: Path) -> None:
    subject = stepping(tmp_path, FakeTrainer(step=6))

    subject.train(batches())

    assert subject.evaluations.evaluated == [6]
    assert subject.trainer.step == 6


def test_a_loss_that_is_no_number_stops_with_images_and_remedy_and_what_was_reached_is_saved(tmp_path: Path) -> None:
    subject = stepping(tmp_path, FakeTrainer(bad=(3,)))

    with pytest.raises(RunFailedError, match=r"the loss of step 3 .*; its images: 31 \(a.jpg\), 32") as failure:
        subject.train(batches())

    assert failure.value.remedy is not None
    assert "train.on_nan=continue" in failure.value.remedy
    assert subject.checkpoints.done == ["save 3"]
    assert subject.course.summary(error="told").timings.train_s is not None


def test_continue_leaves_the_batch_out_and_names_it(tmp_path: Path) -> None:
    subject = stepping(tmp_path, FakeTrainer(bad=(3, 4)), "train.on_nan=continue")

    subject.train(batches())

    assert subject.course.steps == 6
    assert shown(subject).count("the step is left out") == 2
    assert "31 (a.jpg)" in shown(subject)
    assert subject.trainer.halvings == 0


@pytest.mark.parametrize(("best_step", "done"), [(2, ["restore best", "save 6"]), (None, ["save 6"])])
def test_restore_goes_back_to_the_best_weights_at_half_the_rate(
    best_step: int | None, done: list[str], tmp_path: Path
) -> None:
    subject = stepping(tmp_path, FakeTrainer(bad=(3,)), "train.on_nan=restore", best_step=best_step)

    subject.train(batches())

    assert subject.checkpoints.done == done
    assert subject.trainer.halvings == 1
    assert subject.course.steps == 6
    assert "the learning rate is halved" in shown(subject)


def test_restore_gives_up_in_the_end(tmp_path: Path) -> None:
    subject = stepping(tmp_path, FakeTrainer(bad=tuple(range(1, 100))), "train.on_nan=restore", "train.steps=99")

    with pytest.raises(RunFailedError, match=f"the loss of step {HALVINGS_MAX + 1} "):
        subject.train(batches())


def test_the_end_of_the_time_ends_training_as_if_it_were_done(tmp_path: Path) -> None:
    subject = stepping(tmp_path, FakeTrainer(pause_s=0.05), "train.max_minutes=0.002", "train.steps=1000")

    subject.train(batches())

    last = subject.trainer.step
    assert 2 <= last < 100
    assert subject.evaluations.evaluated == [last]
    assert subject.checkpoints.done == [f"save {last}"]
    assert subject.course.stopped_by == MAX_MINUTES
    assert "0.002 minutes are over (train.max_minutes)" in shown(subject)
    with subject.course:
        pass
    assert Summary.read(tmp_path / "summary.json").status == "stopped_early"


@dataclass
class PreemptedTrainer(FakeTrainer):
    """Is told to stop during its second step."""

    def train(self, features: object, labels: object) -> SimpleNamespace:
        if self.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().train(features, labels)


@dataclass
class PreemptedCheckpoints(FakeCheckpoints):
    """Are told to stop while they save."""

    def save(self, step: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        super().save(step)


def test_a_second_sigterm_does_not_end_a_run_that_is_saving(tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        subject = replace(stepping(tmp_path, PreemptedTrainer()), checkpoints=PreemptedCheckpoints(tmp_path))
        with pytest.raises(InterruptedRunError, match="stopped by SIGTERM after step 2 of 6"):
            subject.train(batches())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert subject.checkpoints.done == ["save 2"]
    assert heard == []
