from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.settings import ModelSettings
from odrun.zoo.start import starting_checkpoint


def model(checkpoint: str, archive: Path | None = None) -> ModelSettings:
    return ModelSettings(name="ssd", checkpoint=checkpoint, archive=None if archive is None else str(archive))


def checkpoint(folder: Path, *numbers: int, state: int | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"ckpt-{number}.index").write_text("")
        (folder / f"ckpt-{number}.data-00000-of-00001").write_text("")
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


def test_an_absent_checkpoint_is_refused_with_what_lies_there(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "run", 5)
    error = refused(model(str(folder / "ckpt-6")), tmp_path)
    assert error.what == (
        f"{folder / 'ckpt-6'} is not a complete TensorFlow 2 checkpoint (PREFIX.index and PREFIX.data-...)"
    )
    assert error.remedy == f"there is {folder / 'ckpt-5'}"


def test_half_a_checkpoint_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "run", 5)
    (folder / "ckpt-5.data-00000-of-00001").unlink()
    assert "is not a complete" in refused(model(str(folder / "ckpt-5")), tmp_path).what
    (folder / "ckpt-5.index").unlink()
    assert "holds no complete checkpoint" in refused(model(str(folder)), tmp_path).what
