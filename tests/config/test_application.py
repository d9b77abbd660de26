from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest

from odrun import cli
from odrun.config import application
from odrun.errors import InputError, InterruptedRunError, OdrunError, RunFailedError
from odrun.runs.directory import RunDirectory
from odrun.settings import Job, TrainJob


@pytest.fixture
def root_logger() -> Iterator[None]:
    """`--info` adds a handler to the root logger, for the life of its process."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


class Recorder:
    """A command that keeps what it is told, writes one file into its run directory, and fails where asked to."""

    def __init__(self, fail: Callable[[TrainJob], BaseException | None] = lambda _: None) -> None:
        self.jobs: list[TrainJob] = []
        self.directories: list[Path] = []
        self.overrides: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self._fail = fail

    def __call__(self, job: Job, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
        assert isinstance(job, TrainJob)
        self.jobs.append(job)
        self.directories.append(directory.path)
        self.overrides.append(overrides)
        self.texts.append(config_text)
        error = self._fail(job)
        if error is not None:
            raise error
        (directory.path / "done").write_text("")


# Trials in this process, where a recorder sees them.
IN_PROCESS = "hydra/launcher=basic"


def run(tmp_path: Path, recorder: Recorder, *arguments: str) -> int:
    return application.run("train", [f"paths.outputs={tmp_path}", *arguments], do=recorder)


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_run_gets_its_settings_overrides_text_and_a_directory_named_after_data_and_model(tmp_path: Path) -> None:
    recorder = Recorder()
    assert run(tmp_path, recorder, "train.steps=${eval.every}", "eval.every=3") == 0
    (directory,) = recorder.directories
    assert directory.parent == tmp_path / "train"
    date_and_time, _, name = directory.name.partition("_digits-")
    assert name == "ssd_mobilenet_v2_fpnlite_digits"
    assert len(date_and_time) == len("2026-01-31_23-59-59")
    assert recorder.jobs[0].train.steps == 3
    assert recorder.overrides == [(f"paths.outputs={tmp_path}", "train.steps=${eval.every}", "eval.every=3")]
    assert "  steps: 3\n" in recorder.texts[0]
    assert contents(directory) == ["done"]


@pytest.mark.parametrize("arguments", [(), (IN_PROCESS, "-m", "train.seed=1,2")], ids=["run", "sweep"])
def test_garbage_is_not_collected_until_a_job_begins(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.setattr(application, "do_job", lambda *_, **__: found.append(gc.isenabled()))
    monkeypatch.setattr("odrun.commands.sharing.share", lambda _: None)
    monkeypatch.setattr(application, "hydra", _Noting(found))
    assert cli.run(["train", f"paths.outputs={tmp_path}", *arguments]) == 0
    assert found == ([True, True, True] if arguments else [False, True])
    assert gc.isenabled()


class _Noting:
    """Hydra, which notes whether garbage is collected when it begins."""

    def __init__(self, found: list[bool]) -> None:
        self._found = found

    def main(self, **named: Any) -> Any:
        self._found.append(gc.isenabled())
        return hydra.main(**named)


def test_an_output_root_in_the_home_folder_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    recorder = Recorder()
    assert application.run("train", ['paths.outputs="~/runs"'], do=recorder) == 0
    assert recorder.directories[0].parent == tmp_path / "runs" / "train"


def test_overrides_may_stand_on_both_sides_of_a_flag(tmp_path: Path) -> None:
    recorder = Recorder()
    assert run(tmp_path, recorder, "train.steps=3", IN_PROCESS, "-m", "train.seed=1,2") == 0
    assert [(job.train.steps, job.train.seed) for job in recorder.jobs] == [(3, 1), (3, 2)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("bad image", where="a.jpg"), 2),
        (RunFailedError("loss is nan", where="a.jpg"), 1),
        (InterruptedRunError("stopped", signal_number=signal.SIGTERM, where="a.jpg"), 143),
    ],
)
def test_an_error_of_the_run_is_told_with_its_exit_status_and_no_traceback(
    error: OdrunError, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, Recorder(lambda _: error)) == status
    assert capsys.readouterr().err == f"odrun: {error.what}\n  where:  a.jpg\n"


def test_an_input_error_of_the_command_names_the_argument_of_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(lambda _: InputError("no archive", where="model.archive"))
    assert run(tmp_path, recorder, "model.archive=x.tar.gz") == 2
    assert "  where:  model.archive (command line: model.archive=x.tar.gz)\n" in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["train.steps=0", "train.stepz=1", "+pipeline.model.ssd.foo=1", "dataset=nope"])
def test_a_refused_run_leaves_no_directory_behind(argument: str, tmp_path: Path) -> None:
    assert run(tmp_path, Recorder(), argument) == 2
    assert contents(tmp_path) == []


def test_a_run_that_removed_its_own_directory_leaves_none_of_its_command_behind(tmp_path: Path) -> None:
    def discarding(job: Job, *, directory: RunDirectory, **_: object) -> None:
        directory.create().discard()
        raise InputError("no data")

    for arguments in ([], [IN_PROCESS, "-m", "train.seed=1,2"]):
        assert application.run("train", [f"paths.outputs={tmp_path}", *arguments], do=discarding) == 2
        assert contents(tmp_path) == []


def test_a_refused_run_never_removes_the_folder_that_the_user_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert application.run("train", ["hydra.run.dir=.", "train.steps=0"], do=Recorder()) == 2
    assert contents(tmp_path) == ["here"]


@pytest.mark.parametrize(
    ("argument", "what"),
    [
        ("train.steps=0", "train.steps is 0; it has to be 1 or more"),
        ("pipeline.model.ssd.num_classes=x", "pipeline.model.ssd.num_classes is the text 'x', where a whole number"),
    ],
)
def test_a_config_that_could_not_run_is_shown_and_refused(
    argument: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert application.run("train", ["--cfg", "job", argument]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("dataset:\n")
    assert captured.err.startswith(f"odrun: {what}")
    assert f"(command line: {argument})" in captured.err


def test_a_config_can_be_looked_at_before_it_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert application.run("train", ["--cfg", "job", "dataset=voc"]) == 0
    assert capsys.readouterr().err == ""


def test_an_error_before_the_first_file_leaves_no_directory_behind(tmp_path: Path) -> None:
    assert run(tmp_path, Recorder(lambda _: InputError("no data"))) == 2
    assert contents(tmp_path) == []


def test_a_bug_is_kept_in_the_log_and_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(job: Job, *, directory: RunDirectory, **_: object) -> None:
        directory.create()
        raise KeyError("missing")

    assert application.run("train", [f"paths.outputs={tmp_path}"], do=broken) == 1
    (log,) = tmp_path.rglob("log.txt")
    assert capsys.readouterr().err == (
        f"odrun: an error in odrun itself stopped the run: KeyError: 'missing'\n  where:  {log} has the traceback\n"
    )
    assert "KeyError: 'missing'" in log.read_text()
    assert "in broken" in log.read_text()


def test_a_bug_before_there_is_a_log_shows_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, Recorder(lambda _: KeyError("missing"))) == 1
    told = capsys.readouterr().err
    assert told.startswith("Traceback (most recent call last):")
    assert "odrun: an error in odrun itself stopped the run: KeyError: 'missing'\n" in told


def test_an_output_root_that_cannot_be_made_is_the_users_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert run(file, Recorder()) == 2
    told = capsys.readouterr().err
    assert told.startswith("odrun: the run directory cannot be made: not a directory\n")
    assert told.endswith("  remedy: paths.outputs=DIR\n")


def test_a_configuration_file_that_cannot_be_read_is_told_from_a_directory_that_cannot_be_made() -> None:
    file = application._unusable_path(PermissionError(13, "Permission denied", "/a/b.yaml"))
    folder = application._unusable_path(PermissionError(13, "Permission denied", "/a/b"))
    assert file.what == "the configuration file cannot be read: permission denied"
    assert folder.what == "the run directory cannot be made: permission denied"


def test_a_sweep_runs_every_combination_in_a_directory_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder()
    assert run(tmp_path, recorder, IN_PROCESS, "-m", "train.batch_size=8,16", "train.steps=100,200") == 0
    assert [(job.train.batch_size, job.train.steps) for job in recorder.jobs] == [
        (8, 100),
        (8, 200),
        (16, 100),
        (16, 200),
    ]
    (sweep,) = (tmp_path / "sweeps").iterdir()
    assert {directory.parent for directory in recorder.directories} == {sweep}
    names = [directory.name for directory in recorder.directories]
    assert [name.partition("_")[0] for name in names] == ["0", "1", "2", "3"]
    assert all(len(name.encode()) <= 120 for name in names)
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_failed_trial_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder(lambda job: RunFailedError("diverged") if job.train.seed == 1 else None)
    assert run(tmp_path, recorder, IN_PROCESS, "-m", "train.seed=1,2,3") == 1
    assert [job.train.seed for job in recorder.jobs] == [1, 2, 3]
    told = capsys.readouterr().err
    assert "odrun: trial 0 failed: diverged\n" in told
    assert "odrun: 1 of 3 trials failed\n" in told


def test_a_sweep_whose_trials_all_refuse_their_input_ends_with_2(tmp_path: Path) -> None:
    assert run(tmp_path, Recorder(lambda _: InputError("no data")), IN_PROCESS, "-m", "train.seed=1,2") == 2


def test_a_signal_ends_the_whole_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder(lambda _: InterruptedRunError("stopped at step 5", signal_number=signal.SIGINT))
    assert run(tmp_path, recorder, IN_PROCESS, "-m", "train.seed=1,2,3") == 130
    assert len(recorder.jobs) == 1
    assert "odrun: stopped at step 5\n" in capsys.readouterr().err


def test_a_sweep_with_a_wrong_trial_starts_none_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder()
    assert run(tmp_path, recorder, IN_PROCESS, "-m", "train.steps=5,0,x") == 2
    assert recorder.jobs == []
    assert contents(tmp_path) == []
    told = capsys.readouterr().err
    assert told.startswith("odrun: 2 of the sweep's 3 trials cannot run, so none was started\n")
    assert "train.steps is 0; it has to be 1 or more" in told
    assert "train.steps is 'x', where a whole number is meant" in told


def test_of_many_wrong_trials_the_first_twenty_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, Recorder(), IN_PROCESS, "-m", "train.seed=range(0,25)", "train.steps=0") == 2
    told = capsys.readouterr().err
    assert told.count("train.steps is 0; it has to be 1 or more") == 20
    assert told.endswith("\nand 5 more\n")


def test_a_sweep_can_be_chosen_as_a_group_option(tmp_path: Path) -> None:
    recorder = Recorder()
    assert run(tmp_path, recorder, IN_PROCESS, "sweep=learning_rate") == 0
    assert [job.train.learning_rate for job in recorder.jobs] == [0.001, 0.002, 0.004]


def test_a_users_own_folder_adds_options_to_runs_and_sweeps(tmp_path: Path) -> None:
    own = tmp_path / "own conf"
    (own / "experiment").mkdir(parents=True)
    (own / "experiment" / "mine.yaml").write_text("# @package _global_\ntrain: {seed: 42}\n")
    recorder = Recorder()
    outputs = tmp_path / "outputs"
    assert run(outputs, recorder, f"--config-dir={own}", "experiment=mine", "train.steps=9") == 0
    assert run(outputs, recorder, f"--config-dir={own}", "experiment=mine", IN_PROCESS, "-m", "train.steps=1,2") == 0
    assert [(job.train.seed, job.train.steps) for job in recorder.jobs] == [(42, 9), (42, 1), (42, 2)]


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("flags", [["--cfg", "job"], ["--info", "defaults"], ["--help"], ["--hydra-help"]])
@pytest.mark.parametrize("command", ["train", "predict"])
def test_hydras_own_flags_work_and_run_nothing(
    command: str, flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    try:
        status: object = application.run(command, flags, do=recorder)
    except SystemExit as exit_:
        status = exit_.code
    assert (status, recorder.jobs, contents(tmp_path)) == (0, [], [])
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) > 5
    assert captured.err == ""


def test_arguments_and_environment_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = sys.argv
    run(tmp_path, Recorder())
    assert sys.argv is before
    assert "HYDRA_FULL_ERROR" not in os.environ
