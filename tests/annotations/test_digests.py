from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from struct import Struct

import pytest

from odrun.annotations.digests import Contents, FileContent, KnownDigests, read_contents
from odrun.annotations.files import Listing, list_files
from odrun.annotations.problems import ProblemLog
from odrun.annotations.rows import Rows


def contents(folder: Path, known: KnownDigests) -> tuple[Contents, ProblemLog]:
    log = ProblemLog()
    return read_contents(list_files(folder, log), log, known, workers=2), log


def written(folder: Path, content: bytes, *, age_s: float = 100) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "a.jpg"
    path.write_bytes(content)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_contents_are_digests_and_sizes(tmp_path):
    written(tmp_path / "data", b"one")
    found, log = contents(tmp_path / "data", KnownDigests(tmp_path / "known"))
    assert (found, log.problems) == ({"a.jpg": FileContent(hashlib.sha256(b"one").hexdigest(), 3)}, [])


def test_a_broken_link_is_a_problem_with_its_name(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    found, log = contents(tmp_path, KnownDigests(tmp_path / "known"))
    assert found == {}
    assert [(problem.fault, problem.file) for problem in log.problems] == [("unreadable_file", tmp_path / "gone.jpg")]


def test_a_file_that_has_not_changed_is_not_read_again_and_a_changed_one_is(tmp_path, monkeypatch):
    store, folder = tmp_path / "known", tmp_path / "data"
    # The time of the last change of a file's entry cannot be set back: the clock is set forward instead.
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("odrun.annotations.digests.time.time_ns", lambda: later)
    path = written(folder, b"one")
    first = KnownDigests(store)
    before, _ = contents(folder, first)
    first.keep()

    known = KnownDigests(store)
    monkeypatch.setattr("odrun.annotations.digests.hashlib.sha256", lambda: (_ for _ in ()).throw(AssertionError))
    assert contents(folder, known)[0] == before
    monkeypatch.undo()
    path.write_bytes(b"two")
    assert contents(folder, KnownDigests(store))[0]["a.jpg"].sha256 == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_was_written_just_now_is_not_remembered(tmp_path):
    written(tmp_path / "data", b"one", age_s=0)
    known = KnownDigests(tmp_path / "known")
    contents(tmp_path / "data", known)
    known.keep()
    assert not (tmp_path / "known").exists()


def stored(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> Path:
    """What is remembered of files of these names, with the clock set forward."""
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("odrun.annotations.digests.time.time_ns", lambda: later)
    known = KnownDigests(folder / "known")
    for name in names:
        known.note(name, (3, 1, 2, 7), FileContent(hashlib.sha256(os.fsencode(name)).hexdigest(), 3))
    known.keep()
    return folder / "known"


def test_any_names_are_remembered(tmp_path, monkeypatch):
    names = ("a b.jpg", "b\nc.jpg", "ä/ö.jpg", "\udcff.jpg")
    known = KnownDigests(stored(tmp_path, monkeypatch, *names))
    assert [known.find(name, (3, 1, 2, 7)) for name in names] == [
        FileContent(hashlib.sha256(os.fsencode(name)).hexdigest(), 3) for name in names
    ]


def test_a_name_that_is_not_known_and_another_stamp_are_not_found_and_what_follows_is(tmp_path, monkeypatch):
    known = KnownDigests(stored(tmp_path, monkeypatch, "a", "c", "d"))
    asked = (("a", (3, 1, 2, 8)), ("b", (3, 1, 2, 7)), ("d", (3, 1, 2, 7)), ("e", (3, 1, 2, 7)))
    assert [known.find(*each) is not None for each in asked] == [False, False, True, False]


def test_names_out_of_their_order_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="'a' comes after 'b'"):
        stored(tmp_path, monkeypatch, "b", "a")


def test_what_is_no_longer_there_is_forgotten_and_what_is_the_same_not_written_again(tmp_path, monkeypatch):
    path = stored(tmp_path, monkeypatch, "a", "b")
    before = path.stat()
    assert stored(tmp_path, monkeypatch, "a", "b").stat() == before
    known = KnownDigests(stored(tmp_path, monkeypatch, "b"))
    assert [known.find(name, (3, 1, 2, 7)) is not None for name in ("a", "b")] == [False, True]


@pytest.mark.parametrize("cut", [0, 10, 27, 28, 60, -1])
def test_a_damaged_store_is_as_none(cut, tmp_path, monkeypatch):
    path = stored(tmp_path, monkeypatch, "a", "b")
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    assert KnownDigests(path).is_empty
    path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut:][1:])
    assert KnownDigests(path).is_empty


def test_contents_are_found_by_name(tmp_path):
    rows = Rows((tmp_path / "rows").open("w+b"), Struct("<32sQ"))
    rows.append(bytes([1]) * 32, 1 << 40)
    rows.append(bytes([2]) * 32, 2)
    contents = Contents(Listing.of(tmp_path, ("b", "a")), rows)
    assert dict(contents) == {"a": FileContent("01" * 32, 1 << 40), "b": FileContent("02" * 32, 2)}
    assert [name in contents for name in ("a", "aa", "c")] == [True, False, False]
    with pytest.raises(KeyError, match="aa"):
        contents["aa"]
