from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import pytest

from odrun.commands.course import Course
from odrun.errors import InputError, InterruptedRunError, RunFailedError
from odrun.runs.directory import RunDirectory
from odrun.runs.summary import EARLY_STOPPING, Best, Summary, Throughput
from odrun.settings import METRIC_KEYS

METRICS = {key: number / 100 for number, key in enumerate(METRIC_KEYS)}


def raised_within(path: Path, error: BaseException) -> BaseException:
    """The error that a course is left with after `error` was raised at step 7 of it."""
    with pytest.raises(BaseException) as left, Course(RunDirectory(path)) as course:  # noqa: PT011, PT012  any kind is meant
        course.steps = 7
        raise error
    return left.value


def summary(path: Path) -> Summary:
    return Summary.read(path / "summary.json")


def test_a_run_that_ends_well_is_completed(tmp_path: Path) -> None:
    with Course(RunDirectory(tmp_path)) as course:
        course.steps = 7
        course.best, course.metrics = Best(5, "AP", METRICS["AP"]), METRICS
        course.throughput = Throughput(2.5, 40.0)

    told = summary(tmp_path)
    assert (told.status, told.steps, told.resumed_from, told.error) == ("completed", 7, (), None)
    assert (told.best, told.metrics) == (Best(5, "AP", 0.0), METRICS)
    assert told.throughput == Throughput(2.5, 40.0)
    assert told.peak_memory_mb is not None
    assert told.peak_memory_mb > 1


def test_the_file_has_the_keys_of_the_interface(tmp_path: Path) -> None:
    with Course(RunDirectory(tmp_path)):
        pass

    content = json.loads((tmp_path / "summary.json").read_text())
    assert list(content) == [
        "status",
        "steps",
        "resumed_from",
        "best",
        "metrics",
        "timings",
        "throughput",
        "peak_memory_mb",
        "error",
        "ledger",
        "exported",
        "stopped_by",
    ]
    assert list(content["timings"]) == [
        "import_s",
        "prepare_s",
        "build_s",
        "first_step_s",
        "train_s",
        "eval_s",
        "total_s",
    ]


def test_what_is_refused_is_no_run_and_leaves_an_older_summary_alone(tmp_path: Path) -> None:
    error = InputError("already at 7 of 7 steps")

    assert raised_within(tmp_path, error) is error
    assert list(tmp_path.iterdir()) == []


def test_a_resume_is_in_the_summary_before_the_run_ends_and_after_it(tmp_path: Path) -> None:
    for step in (5, 9):
        earlier = summary(tmp_path) if step == 9 else None
        Course(RunDirectory(tmp_path)).begin_again(step, earlier)

    told = summary(tmp_path)
    assert (told.status, told.steps, told.resumed_from) == ("interrupted", 9, (5, 9))


def test_a_run_that_ended_before_its_last_step_says_so(tmp_path: Path) -> None:
    with Course(RunDirectory(tmp_path)) as course:
        course.stopped_by = EARLY_STOPPING

    told = summary(tmp_path)
    assert (told.status, told.stopped_by) == ("stopped_early", "early_stopping")


def test_a_run_that_fails_says_so_in_the_words_of_its_error(tmp_path: Path) -> None:
    error = RunFailedError("the loss is nan", where="step 7", remedy="lower train.learning_rate")

    assert raised_within(tmp_path, error) is error
    told = summary(tmp_path)
    assert (told.status, told.steps) == ("failed", 7)
    assert told.error == "the loss is nan\n  where:  step 7\n  remedy: lower train.learning_rate"


def test_an_unforeseen_error_fails_the_run_and_points_to_the_traceback(tmp_path: Path) -> None:
    error = ZeroDivisionError("planted")

    assert raised_within(tmp_path, error) is error
    told = summary(tmp_path)
    assert (told.status, told.steps) == ("failed", 7)
    assert told.error == "an unforeseen error; log.txt has the traceback"


def test_a_signal_that_training_has_saved_after_interrupts_the_run(tmp_path: Path) -> None:
    error = InterruptedRunError("stopped by SIGTERM after step 7", signal_number=signal.SIGTERM)

    assert raised_within(tmp_path, error) is error
    told = summary(tmp_path)
    assert (told.status, told.steps, told.error) == ("interrupted", 7, None)


def test_ctrl_c_interrupts_the_run_with_130(tmp_path: Path) -> None:
    left = raised_within(tmp_path, KeyboardInterrupt())

    assert isinstance(left, InterruptedRunError)
    assert (left.exit_status, left.what) == (130, "stopped before it was done")
    assert isinstance(left.__cause__, KeyboardInterrupt)
    told = summary(tmp_path)
    assert (told.status, told.steps, told.error) == ("interrupted", 7, None)


def test_a_full_disk_fails_the_run_and_names_the_directory(tmp_path: Path) -> None:
    left = raised_within(tmp_path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    assert isinstance(left, RunFailedError)
    assert (left.what, left.where) == (
        "a file of the run cannot be written: no space left on device",
        str(tmp_path),
    )
    assert summary(tmp_path).error == str(left)


def test_another_fault_of_the_system_is_unforeseen(tmp_path: Path) -> None:
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    assert raised_within(tmp_path, error) is error
    assert summary(tmp_path).error == "an unforeseen error; log.txt has the traceback"


def test_a_summary_that_cannot_be_written_does_not_hide_why_the_run_failed(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    failure = RunFailedError("the loss is nan")
    fault = ZeroDivisionError("planted")

    assert raised_within(tmp_path, failure) is failure
    assert raised_within(tmp_path, fault) is fault
    assert isinstance(raised_within(tmp_path, KeyboardInterrupt()), InterruptedRunError)


def test_a_summary_that_cannot_be_written_fails_a_run_that_ended_well(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()

    with pytest.raises(RunFailedError, match="a file of the run cannot be written"), Course(RunDirectory(tmp_path)):
        pass


def test_what_was_reached_before_a_failure_is_kept(tmp_path: Path) -> None:
    course = Course(RunDirectory(tmp_path))
    course.best, course.metrics = Best(5, "AR_1", METRICS["AR_1"]), METRICS
    course.add_seconds("train_s", 12.0)
    with pytest.raises(RunFailedError), course:
        raise RunFailedError("the disk is gone")

    told = summary(tmp_path)
    assert (told.best, told.metrics, told.timings.train_s) == (Best(5, "AR_1", 0.06), METRICS, 12.0)


def test_a_best_checkpoint_without_its_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="best and metrics belong together"), Course(RunDirectory(tmp_path)) as course:
        course.best = Best(5, "AP", 0.5)

    assert list(tmp_path.iterdir()) == []


def test_timings_of_one_name_add_up_and_those_not_reached_are_none(tmp_path: Path) -> None:
    with Course(RunDirectory(tmp_path)) as course:
        course.add_seconds("eval_s", 1.5)
        course.add_seconds("eval_s", 2.25)
        course.add_seconds("first_step_s", 8.0)

    timings = summary(tmp_path).timings
    assert (timings.eval_s, timings.first_step_s) == (3.75, 8.0)
    assert (timings.import_s, timings.prepare_s, timings.build_s, timings.train_s) == (None, None, None, None)


def test_timed_adds_to_what_was_there_also_when_it_fails(tmp_path: Path) -> None:
    course = Course(RunDirectory(tmp_path))
    course.add_seconds("build_s", 100.0)
    with course.timed("build_s"):
        pass
    before = course.summary(error="none yet").timings.build_s
    with pytest.raises(RunFailedError), course.timed("build_s"):
        raise RunFailedError("planted")

    after = course.summary(error="none yet").timings.build_s
    assert before is not None
    assert after is not None
    assert 100 < before < after


def test_the_total_counts_from_the_start_of_the_process_and_covers_the_parts(tmp_path: Path) -> None:
    with Course(RunDirectory(tmp_path)) as course, course.timed("prepare_s"):
        sum(range(100_000))

    timings = summary(tmp_path).timings
    assert timings.prepare_s is not None
    assert timings.total_s is not None
    assert 0 < timings.prepare_s < timings.total_s


def test_a_misspelt_timing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="trian_s"), Course(RunDirectory(tmp_path)) as course:
        course.add_seconds("trian_s", 1.0)
