"""Zoo entries whose configuration is in their archive, fetched from a folder that stands for the zoo."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from odrun.config.application import run
from odrun.config.jobs import composed
from odrun.config.location import conf_dir
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.text import to_text
from odrun.settings import Job, TrainJob
from odrun.zoo.catalog import find

ENTRY = "centernet_resnet50_v1_fpn_512x512"
TWIN = "centernet_resnet101_v1_fpn_512x512"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with the archive of `ENTRY`, in which the configuration of `TWIN` is."""
    twin = composed("train", [f"model={TWIN}"])
    assert isinstance(twin, TrainJob)
    content = tmp_path / "content"
    (content / "checkpoint").mkdir(parents=True)
    for name in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
        (content / "checkpoint" / name).write_bytes(b"x")
    (content / "pipeline.config").write_text(to_text(build(twin.pipeline, twin.augmentation)), encoding="utf-8")
    published = find(ENTRY, conf_dir() / "model").archive
    archive = tmp_path / "mirror" / f"{published}.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(content, arcname="model")
    shutil.rmtree(content)
    return tmp_path / "mirror"


@pytest.fixture
def done() -> tuple[list[int], Callable[..., None]]:
    batch_sizes: list[int] = []

    def do(job: Job, **_: Any) -> None:
        assert isinstance(job, TrainJob)
        batch_sizes.append(job.model.official.batch_size)

    return batch_sizes, do


def given(folder: Path, mirror: Path) -> list[str]:
    return [f"model={ENTRY}", f"zoo.mirror={mirror}", f"paths.cache={folder / 'cache'}", f"paths.outputs={folder}"]


def test_a_run_fetches_the_configuration_of_its_entry(
    tmp_path: Path, mirror: Path, done: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_sizes, do = done

    assert run("train", given(tmp_path, mirror), do=do) == 0, capsys.readouterr().err

    assert batch_sizes == [128]


def test_a_sweep_fetches_it_before_its_trials_are_checked(tmp_path: Path, mirror: Path, done: Any) -> None:
    batch_sizes, do = done

    assert run("train", ["-m", *given(tmp_path, mirror), "hydra/launcher=basic", "train.steps=10,20"], do=do) == 0

    assert batch_sizes == [128, 128]


def test_looking_at_a_config_asks_no_server(
    tmp_path: Path, serving: Callable[..., AbstractContextManager[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(content=b"") as server:
        given_address = [f"zoo.mirror={server.address('/zoo')}", f"paths.cache={tmp_path / 'cache'}"]
        status = run("train", [f"model={ENTRY}", *given_address, "--cfg=job"])
        assert server.ranges == []

    assert status == InputError.exit_status
    assert f"odrun zoo fetch {ENTRY}" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_an_archive_that_cannot_be_fetched_is_told_without_a_run_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    assert run("train", given(tmp_path, empty)) == InputError.exit_status

    assert "zoo.mirror" in capsys.readouterr().err
    assert not (tmp_path / "train").exists()
