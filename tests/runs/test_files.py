"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from odrun.runs.files import copy_whole, whole_file, write_whole


def test_written_text_is_utf8_with_plain_line_ends(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.txt", "zwölf\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "zwölf\n".encode()


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, "old")
    with pytest.raises(RuntimeError, match="planted"):
        write_half(path)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("kept.json", "old")]


def write_half(path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("planted")


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, "old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_the_temporary_name_keeps_the_extension_that_writers_look_at(tmp_path: Path) -> None:
    with whole_file(tmp_path / "plot.png") as temporary:
        assert (temporary.suffix, temporary.parent) == (".png", tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_permissions_are_those_of_an_ordinary_new_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "whole", b"")
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"bytes")
    copy_whole(tmp_path / "from", tmp_path / "below" / "to")
    assert (tmp_path / "below" / "to").read_bytes() == b"bytes"
    with pytest.raises(FileNotFoundError):
        copy_whole(tmp_path / "gone", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below", "from"]
