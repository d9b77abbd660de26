from __future__ import annotations

from pathlib import Path

import pytest

from odrun.config import location
from odrun.errors import InputError


def place(root: Path, *parts: str) -> Path:
    folder = root.joinpath(*parts)
    folder.mkdir(parents=True)
    (folder / "train.yaml").write_text("defaults: []\n")
    return folder


def test_the_shipped_configuration_is_found() -> None:
    folder = location.conf_dir()
    assert {path.name for path in folder.iterdir()} >= {"train.yaml", "predict.yaml", "dataset", "model"}


def test_a_wheels_configuration_inside_the_package_comes_before_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "_PACKAGE", tmp_path / "odrun")
    beside = place(tmp_path, "conf")
    assert location.conf_dir() == beside
    inside = place(tmp_path, "odrun", "conf")
    assert location.conf_dir() == inside


def test_an_installation_without_configuration_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "_PACKAGE", tmp_path / "odrun")
    with pytest.raises(InputError) as caught:
        location.conf_dir()
    assert caught.value.where == str(tmp_path / "odrun" / "conf")
    assert caught.value.remedy == "pip install --force-reinstall odrun"


def test_every_configuration_file_tells_its_reader_what_it_is_for() -> None:
    files = sorted(location.conf_dir().rglob("*.yaml"))
    silent = [
        file
        for file in files
        if not any(
            line.startswith("# ") and not line.startswith("# @package")
            for line in file.read_text(encoding="utf-8").splitlines()[:2]
        )
    ]
    assert files
    assert silent == []
