from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.settings import ModelSettings, OfficialSettings, ZooSettings
from odrun.zoo.start import starting_checkpoint


def model(checkpoint: str, archive: Path | None = None) -> ModelSettings:
    official = OfficialSettings(batch_size=8, steps=100, learning_rate=0.1, warmup_learning_rate=0.01, warmup_steps=10)
    return ModelSettings(
        name="ssd",
        base=None,
        file=None,
        family="ssd",
        backbone="mobilenet_v2",
        outputs=["boxes"],
        input_px=[320, 320],
        checkpoint=checkpoint,
        archive=None if archive is None else str(archive),
        zoo=ZooSettings(archive=None, speed_ms=None, coco_map={}),
        official=official,
    )


def checkpoint(folder: Path, *numbers: int, state: int | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"ckpt-{number}.index").write_text("index")
        (folder / f"ckpt-{number}.data-00000-of-00001").write_text("data")
    if state is not None:
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-{state}"\n')
    return folder


def refused(settings: ModelSettings, cache: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        starting_checkpoint(settings, cache)
    return caught.value


def test_random_weights_start_from_no_checkpoint(tmp_path: Path) -> None:
    assert starting_checkpoint(model("none"), tmp_path) is None


def test_a_zoo_entry_starts_from_its_archive(tmp_path: Path) -> None:
    path = tmp_path / "ssd.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in ("ssd/checkpoint/ckpt-0.index", "ssd/checkpoint/ckpt-0.data-00000-of-00001"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    prefix = starting_checkpoint(model("zoo", path), tmp_path / "cache")
    assert prefix is not None
    assert Path(prefix).relative_to(tmp_path / "cache" / "zoo").parts[1:] == ("ssd", "checkpoint", "ckpt-0")
    assert Path(f"{prefix}.index").is_file()


def test_a_zoo_entry_without_archive_says_what_to_type(tmp_path: Path) -> None:
    assert refused(model("zoo"), tmp_path).remedy == (
        "model.archive=FILE.tar.gz, or model.checkpoint=none to start from random weights"
    )


@pytest.mark.parametrize("given", ["none", "/some/ckpt-3"])
def test_an_archive_that_would_be_ignored_is_refused(given: str, tmp_path: Path) -> None:
    error = refused(model(given, tmp_path / "a.tar.gz"), tmp_path)
    assert error.what == f"model.archive is given, but model.checkpoint is {given}, so it would not be used"
    assert error.remedy == "add model.checkpoint=zoo, or leave out model.archive"


@pytest.mark.parametrize("given", ["ckpt-7", "ckpt-7.index", "ckpt-7.data-00000-of-00001"])
def test_a_checkpoint_is_named_by_its_prefix_or_one_of_its_files(given: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 7)
    assert starting_checkpoint(model(str(folder / given)), tmp_path) == str(folder / "ckpt-7")


def test_of_a_folder_the_checkpoint_it_names_is_taken_else_the_highest_number(tmp_path: Path) -> None:
    named = checkpoint(tmp_path / "named", 9, 10, state=9)
    assert starting_checkpoint(model(str(named)), tmp_path) == str(named / "ckpt-9")
    stale = checkpoint(tmp_path / "stale", 9, 10, state=8)
    assert starting_checkpoint(model(str(stale)), tmp_path) == str(stale / "ckpt-10")
    exported = checkpoint(tmp_path / "export" / "checkpoint", 0).parent
    assert starting_checkpoint(model(str(exported)), tmp_path) == str(exported / "checkpoint" / "ckpt-0")


def test_of_a_run_the_best_checkpoint_is_taken_else_its_newest(tmp_path: Path) -> None:
    run = tmp_path / "run"
    checkpoint(run / "checkpoints", 9, 10, state=10)
    (run / "checkpoints" / "best").mkdir()
    assert starting_checkpoint(model(str(run)), tmp_path) == str(run / "checkpoints" / "ckpt-10")
    checkpoint(run / "checkpoints" / "best", 5, state=5)
    assert starting_checkpoint(model(str(run)), tmp_path) == str(run / "checkpoints" / "best" / "ckpt-5")
    assert starting_checkpoint(model(str(run / "checkpoints")), tmp_path) == str(run / "checkpoints" / "ckpt-10")


def test_the_only_checkpoint_of_a_folder_needs_no_number(tmp_path: Path) -> None:
    for name in ("model.ckpt.index", "model.ckpt.data-00000-of-00001"):
        (tmp_path / name).write_text("x")
    assert starting_checkpoint(model(str(tmp_path)), tmp_path) == str(tmp_path / "model.ckpt")


def test_a_run_that_saved_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    assert refused(model(str(tmp_path / "run")), tmp_path).what == f"{tmp_path / 'run'} holds no checkpoint"


def test_an_absent_checkpoint_is_refused_with_what_lies_there(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "run", 5)
    error = refused(model(str(folder / "ckpt-6")), tmp_path)
    assert error.what == (f"{folder / 'ckpt-6'} is not a complete TensorFlow 2 checkpoint: ckpt-6.index is missing")
    assert error.remedy == f"there is {folder / 'ckpt-5'}"


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("ckpt-5.data-00000-of-00001", None, "ckpt-5.data-00000-of-00001 is missing"),
        ("ckpt-5.data-00000-of-00001", "", "ckpt-5.data-00000-of-00001 is empty"),
        ("ckpt-5.index", "", "ckpt-5.index is empty"),
    ],
)
@pytest.mark.parametrize("by", ["prefix", "folder"])
def test_half_a_checkpoint_is_refused(by: str, name: str, content: str | None, fault: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "run", 5, 4)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    error = refused(model(str(folder / "ckpt-5" if by == "prefix" else folder)), tmp_path)
    assert error.what == f"{folder / 'ckpt-5'} is not a complete TensorFlow 2 checkpoint: {fault}"
    assert error.remedy == f"there is {folder / 'ckpt-4'}"


def test_all_shards_of_a_checkpoint_have_to_be_there(tmp_path: Path) -> None:
    for name in ("ckpt-5.index", "ckpt-5.data-00001-of-00002"):
        (tmp_path / name).write_text("x")
    assert refused(model(str(tmp_path)), tmp_path).what.endswith(": ckpt-5.data-00000-of-00002 is missing")
    (tmp_path / "ckpt-5.data-00000-of-00002").write_text("x")
    assert starting_checkpoint(model(str(tmp_path)), tmp_path) == str(tmp_path / "ckpt-5")


def test_a_checkpoint_of_tensorflow_1_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "old", 5)
    (folder / "ckpt-5.meta").write_text("graph")
    assert refused(model(str(folder)), tmp_path).what == (
        f"{folder / 'ckpt-5'} is a TensorFlow 1 checkpoint (ckpt-5.meta is part of it); a TensorFlow 2 one is needed"
    )


def test_an_archive_and_a_saved_model_in_the_place_of_a_checkpoint_are_refused_with_the_right_key(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "ssd.tar.gz"
    archive.write_text("archive")
    assert refused(model(str(archive)), tmp_path).remedy == (
        f"an archive of the zoo: model.checkpoint=zoo model.archive={archive}"
    )
    saved_model = tmp_path / "export" / "saved_model"
    saved_model.mkdir(parents=True)
    (saved_model / "saved_model.pb").write_text("graph")
    remedy = refused(model(str(saved_model)), tmp_path).remedy
    assert remedy is not None
    assert remedy.endswith(f"the checkpoint of an export lies beside it: {tmp_path / 'export'}")
