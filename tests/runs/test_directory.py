"""The run directory names every file, is claimed once, and refuses what is not a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.runs import directory
from odrun.runs.directory import RunDirectory


def make_run(path: Path) -> RunDirectory:
    run = RunDirectory(path).create()
    for file in (run.config, run.pipeline_config, run.label_map):
        file.write_text("")
    return run


def test_every_file_of_the_interface_has_its_name(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    named = {
        "pipeline.config": run.pipeline_config,
        "label_map.pbtxt": run.label_map,
        "config.yaml": run.config,
        "origin.json": run.origin,
        "checkpoints": run.checkpoints,
        "checkpoints/ckpt-100": run.checkpoint(100),
        "checkpoints/best": run.best,
        "checkpoints/best/ckpt-100": run.best_checkpoint(100),
        "metrics.jsonl": run.metrics,
        "eval": run.evaluations,
        "eval/100": run.eval(100).path,
        "eval/100/metrics.json": run.eval(100).metrics,
        "eval/100/detections.json": run.eval(100).detections,
        "plots": run.plots,
        "predictions": run.predictions,
        "report.html": run.report,
        "tensorboard": run.tensorboard,
        "wandb": run.wandb,
        "export": run.export,
        "log.txt": run.log,
        "summary.json": run.summary,
        "detections.json": run.detections,
        "images": run.images,
    }
    assert {path: tmp_path / path for path in named} == named


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunDirectory(Path("a")).path == tmp_path / "a"


def test_naming_files_creates_nothing(tmp_path: Path) -> None:
    RunDirectory(tmp_path / "run").eval(3)
    assert list(tmp_path.iterdir()) == []


def test_creating_makes_the_folder_with_an_empty_log(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "outputs" / "run").create()
    assert [(file.name, file.read_bytes()) for file in run.path.iterdir()] == [("log.txt", b"")]


def test_an_empty_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert RunDirectory(tmp_path / "run").create().log.exists()


@pytest.mark.parametrize("witness", ["log.txt", "config.yaml", "checkpoints", "summary.json"])
def test_a_directory_that_holds_a_run_is_refused_and_left_alone(tmp_path: Path, witness: str) -> None:
    (tmp_path / witness).write_text("of the old run")
    with pytest.raises(InputError, match="already holds a run") as caught:
        RunDirectory(tmp_path).create()
    assert (caught.value.where, witness in caught.value.what) == (str(tmp_path), True)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(witness, "of the old run")]


def test_of_many_processes_exactly_one_gets_the_directory(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from odrun.errors import InputError\n"
        "from odrun.runs.directory import RunDirectory\n"
        "sys.stdin.read(1)\n"
        "try: RunDirectory(Path(sys.argv[1])).create()\n"
        "except InputError: sys.exit(2)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert sorted(process.wait() for process in processes) == [0, 2, 2, 2]


def test_a_directory_taken_after_the_look_into_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_OWN_NAMES", ())
    (tmp_path / "log.txt").write_text("of the other process")
    with pytest.raises(InputError, match="already holds a run"):
        RunDirectory(tmp_path).create()
    assert (tmp_path / "log.txt").read_text() == "of the other process"


def test_a_file_in_the_way_is_an_unwritable_directory(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("")
    with pytest.raises(InputError, match="cannot be written") as caught:
        RunDirectory(tmp_path / "outputs" / "run").create()
    assert caught.value.where == str(tmp_path / "outputs" / "run")
    assert "paths.outputs=DIR" in str(caught.value)


def test_a_file_where_the_directory_should_be_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="a file stands where the folder should be"):
        RunDirectory(tmp_path / "run").create()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a file system that nobody can write to")
def test_a_file_system_that_takes_no_folders_is_named() -> None:
    with pytest.raises(InputError, match="cannot be written") as caught:
        RunDirectory(Path("/proc/outputs")).create()
    assert caught.value.where == "/proc/outputs"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="permission denied"):
        RunDirectory(tmp_path / "run").create()


def test_too_little_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.require_free(1)
    with pytest.raises(InputError, match="the run needs 1,000,000,000,000 MB"):
        run.require_free(10**18)
    assert not run.path.exists()


def test_a_discarded_run_is_gone_with_its_directory_but_for_what_is_not_its_own(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create()
    (run.path / "export").mkdir()
    run.discard()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("")
    run.create().discard()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]


def test_discarding_a_run_keeps_the_folder_that_the_user_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RunDirectory(tmp_path).create().discard()
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_opened_from_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert RunDirectory.open(str(run.path)) == run


def test_a_folder_that_is_no_run_says_what_is_missing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.label_map.unlink()
    with pytest.raises(InputError, match=r"not a run of odrun train: label_map\.pbtxt missing"):
        RunDirectory.open(run.path)


def test_the_folder_above_runs_is_answered_with_the_newest_run(tmp_path: Path) -> None:
    for name in ("2026-01-01_b", "2026-03-01_a", "2026-02-01_c"):
        make_run(tmp_path / "train" / name)
    for above in (tmp_path, tmp_path / "train"):
        with pytest.raises(InputError) as caught:
            RunDirectory.open(above)
        assert caught.value.remedy == f"run={tmp_path / 'train' / '2026-03-01_a'}"


def test_a_path_inside_a_run_is_answered_with_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for inside in (run.pipeline_config, run.checkpoints / "best"):
        with pytest.raises(InputError) as caught:
            RunDirectory.open(inside)
        assert caught.value.remedy == f"run={run.path}"


def test_an_absent_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        RunDirectory.open(tmp_path / "nowhere")
