from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from odrun.errors import InputError
from odrun.transfer.source import local_folder

Serving = Callable[..., AbstractContextManager[Any]]


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []

    def folder(self, source: str, cache: Path) -> Path:
        return local_folder(
            source, cache, report=self.lines.append, progress=lambda stage, done, total: self.stages.append(stage)
        )


def packed(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("top/a.jpg", b"1")
    return path


def test_a_folder_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    assert told.folder(str(tmp_path), tmp_path / "cache") == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert told.folder("~", tmp_path / "cache") == tmp_path
    assert (told.lines, (tmp_path / "cache").exists()) == ([], False)


def test_an_archive_is_unpacked_in_the_cache(tmp_path: Path) -> None:
    told = Told()
    archive = packed(tmp_path / "data.zip")
    folder = told.folder(str(archive), tmp_path / "cache")
    assert folder.parent == tmp_path / "cache" / "archives"
    assert (folder / "top" / "a.jpg").read_bytes() == b"1"
    assert told.lines == [f"{archive} unpacked in {folder}"]
    assert set(told.stages) == {"unpacking"}


def test_an_address_is_fetched_and_unpacked_once(tmp_path: Path, serving: Serving) -> None:
    told = Told()
    with serving(content=packed(tmp_path / "data.zip").read_bytes()) as server:
        folder = told.folder(server.address(), tmp_path / "cache")
        assert told.folder(server.address(), tmp_path / "cache") == folder
    assert len(server.asked) == 1
    assert (folder / "top" / "a.jpg").read_bytes() == b"1"
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["archives", "downloads"]
    assert list(dict.fromkeys(told.stages)) == ["fetching", "unpacking"]


def test_a_web_page_in_the_place_of_an_archive_is_told_with_the_file_to_replace(
    tmp_path: Path, serving: Serving
) -> None:
    with serving(content=b"<!DOCTYPE html><title>Sign in</title>") as server, pytest.raises(InputError) as caught:
        Told().folder(server.address(), tmp_path / "cache")
    assert caught.value.what == "the archive is a web page, and has to be a .zip, .tar or .tar.gz"
    assert caught.value.remedy == f"delete {caught.value.where}, or put the right archive in its place"
    assert Path(str(caught.value.where)).parent == tmp_path / "cache" / "downloads"


@pytest.mark.parametrize("source", ["absent", "", "ftp://a.org/b.zip", "nul\0l", "x" * 5000, "~nobody-there/a"])
def test_what_is_nothing_of_that_is_refused(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        Told().folder(source, tmp_path / "cache")
    assert caught.value.where == "dataset.path"


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(InputError, match="the archive is damaged or not a"):
        Told().folder(str(tmp_path / "labels.json"), tmp_path / "cache")
