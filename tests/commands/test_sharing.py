"""What the trials of a sweep share is made before them, once, and not in the process that waits for them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from odrun.commands import sharing
from odrun.config import application
from odrun.config.jobs import composed
from odrun.errors import InputError
from odrun.settings import TrainJob


def job(cache: Path, *overrides: str) -> TrainJob:
    made = composed("train", [f"paths.cache={cache}", *overrides])
    assert isinstance(made, TrainJob)
    return made


def test_each_distinct_data_set_is_made_once(
    tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ("dataset=voc", f"dataset.path={shapes}")
    one = job(tmp_path, *given)
    sharing.share({0: one, 1: replace(one), 2: job(tmp_path, *given, "dataset.split.seed=5")})
    told = capfd.readouterr().out
    assert told.count("data  ") == 2
    assert len([path for path in (tmp_path / "records").iterdir() if path.is_dir()]) == 2


def test_it_is_made_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "prepare", lambda *_, **__: (tmp_path / "pid").write_text(str(os.getpid())))
    sharing.share({0: job(tmp_path)})
    assert int((tmp_path / "pid").read_text()) != os.getpid()


@pytest.mark.parametrize(
    ("paths", "told"), [(["none", "none"], "this stops every trial"), ([None, "none", "none"], "this stops trial 1, 2")]
)
def test_what_is_refused_names_its_trials(paths: list[str | None], told: str, tmp_path: Path, shapes: Path) -> None:
    given = {
        number: job(tmp_path, "dataset=voc", f"dataset.path={shapes if path is None else tmp_path / path}")
        for number, path in enumerate(paths)
    }
    with pytest.raises(InputError, match="The data set's folder is not there") as refused:
        sharing.share(given)
    assert f"{told}, so none was started" in refused.value.what
    assert refused.value.where == "dataset.path"


def test_a_sweep_whose_data_are_refused_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("dataset=voc", f"dataset.path={tmp_path}/none", "train.seed=1,2")
    assert application.run("train", ["-m", *given, f"paths.outputs={tmp_path}/out", f"paths.cache={tmp_path}/c"]) == 2
    assert "this stops every trial, so none was started" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
