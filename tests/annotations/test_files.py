from __future__ import annotations

import os
from pathlib import Path

import pytest

from odrun.annotations.digests import KnownDigests, read_contents
from odrun.annotations.files import ListedFile, beginning, list_files, read_bounded
from odrun.annotations.problems import ProblemLog


def made(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode("utf-8", "surrogateescape"))


def names_in(root: Path) -> list[str]:
    return [file.name for file in list_files(root, ProblemLog())]


def test_the_listing_is_recursive_and_sorted(tmp_path):
    made(tmp_path, "b/c.XML", "a.jpg", "b.xml", "b/notes.md", "b/d e%ä.Jpg")
    assert names_in(tmp_path) == ["a.jpg", "b.xml", "b/c.XML", "b/d e%ä.Jpg", "b/notes.md"]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    made(tmp_path, ".idea/workspace.xml", "a/.hidden.jpg", "a/b.jpg", "a/._b.jpg")
    assert names_in(tmp_path) == ["a/b.jpg"]


def test_a_loop_of_links_is_walked_once(tmp_path):
    made(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert names_in(tmp_path) == ["a/b.jpg"]


def test_links_to_nothing_and_to_themselves_are_listed_and_cannot_be_read(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    assert names_in(tmp_path) == ["gone.jpg", "self.jpg"]
    log = ProblemLog()
    contents = read_contents(list_files(tmp_path, log), log, KnownDigests(tmp_path / "none"), workers=1)
    assert ([problem.fault for problem in log.problems], len(contents)) == (["unreadable_file"] * 2, 0)


def test_what_is_no_file_is_named_and_not_listed_since_it_may_have_no_end(tmp_path):
    (tmp_path / "a.jpg").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").symlink_to("b.jpg")
    (tmp_path / "d.jpg").mkdir()
    log = ProblemLog()
    assert list(list_files(tmp_path, log)) == []
    assert [(problem.fault, problem.file.name) for problem in log.problems] == [
        ("unused_file", "a.jpg"),
        ("unused_file", "b.jpg"),
        ("unused_file", "c.jpg"),
    ]


def test_a_file_name_that_is_not_utf_8_is_listed(tmp_path):
    name = os.fsdecode(b"\xff.jpg")
    made(tmp_path, name)
    assert names_in(tmp_path) == [name]


def test_a_listed_file_knows_its_ending():
    assert ListedFile("a.JPG", Path()).is_image
    assert not ListedFile("a.xml", Path()).is_image


def test_the_beginning_of_a_file_is_cut_and_of_an_unreadable_one_empty(tmp_path):
    made(tmp_path, "abc.xml")
    assert beginning(ListedFile("abc.xml", tmp_path), size_bytes=2) == b"ab"
    assert beginning(ListedFile("gone.xml", tmp_path)) == b""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_without_permission_is_a_problem_with_its_name(tmp_path):
    made(tmp_path, "closed/a.jpg")
    (tmp_path / "closed").chmod(0)
    log = ProblemLog()
    list_files(tmp_path, log)
    (tmp_path / "closed").chmod(0o700)
    assert [(problem.fault, problem.file) for problem in log.problems] == [("unreadable_file", tmp_path / "closed")]


def test_of_a_large_file_no_more_is_read_than_tells_that(tmp_path):
    made(tmp_path, "abcd")
    assert [read_bounded(tmp_path / "abcd", most) for most in (2, 3, 4, 1 << 40)] == [b"abc", b"abcd", b"abcd", b"abcd"]
    with pytest.raises(OSError, match="none"):
        read_bounded(tmp_path / "none", 4)
