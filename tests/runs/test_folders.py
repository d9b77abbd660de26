from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from odrun.runs.folders import one_writer, whole_folder

HOLDER = """
import sys, time
from pathlib import Path
from odrun.runs.folders import one_writer, whole_folder
folder = Path(sys.argv[1])
with one_writer(folder, waiting=lambda: None), whole_folder(folder) as temporary:
    (temporary / "half").write_text("written")
    print("holding", flush=True)
    sys.stdin.readline()
    time.sleep(0.3)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def holder_of(folder: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLDER, str(folder)]
    holder = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    return holder


def test_a_folder_appears_whole(tmp_path):
    with whole_folder(tmp_path / "made") as temporary:
        (temporary / "file").write_text("content")
        assert not (tmp_path / "made").exists()
    assert (names_in(tmp_path), (tmp_path / "made" / "file").read_text()) == (["made"], "content")


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "made").mkdir()

    def stopped() -> None:
        with whole_folder(tmp_path / "made") as temporary:
            (temporary / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (names_in(tmp_path), names_in(tmp_path / "made")) == (["made"], [])


def test_a_new_folder_replaces_a_damaged_one(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "old").touch()
    with whole_folder(tmp_path / "made") as temporary:
        (temporary / "new").touch()
    assert names_in(tmp_path / "made") == ["new"]


def test_a_second_writer_waits_and_is_told_so(tmp_path):
    folder = tmp_path / "made"
    holder = holder_of(folder)
    with one_writer(folder, waiting=lambda: holder.stdin.close()):
        assert names_in(folder) == ["half"]
    assert holder.wait(10) == 0


def test_a_killed_writer_frees_the_lock_and_leaves_nothing_that_is_read(tmp_path):
    folder = tmp_path / "made"
    holder = holder_of(folder)
    holder.kill()
    holder.wait(10)
    assert not folder.exists()
    with one_writer(folder, waiting=lambda: pytest.fail("the lock is still held")), whole_folder(folder) as temporary:
        assert names_in(temporary) == []
        (temporary / "whole").touch()
    assert (names_in(tmp_path), names_in(folder)) == (["made"], ["whole"])
