from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.official import digest
from odrun.pipeline.text import to_text
from odrun.settings import PrepareJob, TrainJob
from odrun.zoo.archived import archived_config
from odrun.zoo.start import starting_checkpoint

TWIN = "centernet_resnet101_v1_fpn_512x512"
ENTRY = "centernet_resnet50_v1_fpn_512x512"


def job_of(*overrides: str) -> TrainJob:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return job


def built(*overrides: str) -> Any:
    job = job_of(*overrides)
    return build(job.pipeline, job.augmentation)


def stand_in(folder: Path) -> Path:
    """A folder as an archive of the zoo unpacks to, with the configuration of another entry."""
    (folder / "checkpoint").mkdir(parents=True)
    for name in ("ckpt-0.index", "ckpt-0.data-00000-of-00001"):
        (folder / "checkpoint" / name).write_bytes(b"x")
    (folder / "pipeline.config").write_text(to_text(built(f"model={TWIN}")), encoding="utf-8")
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = stand_in(tmp_path / "model")
    packed = tmp_path / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, arcname="model")
    return packed


def test_an_entry_without_a_configuration_of_its_own_is_that_of_its_archive(archive: Path, tmp_path: Path) -> None:
    given = [f"model={ENTRY}", f"model.archive={archive}", f"paths.cache={tmp_path / 'cache'}"]
    job = job_of(*given)
    assert digest(build(job.pipeline, job.augmentation)) == digest(built(f"model={TWIN}"))
    assert job.model.official == job_of(f"model={TWIN}").model.official
    assert job.train.batch_size == 128
    prefix = starting_checkpoint(job.model, tmp_path / "cache")
    assert prefix is not None
    assert prefix.endswith("model/checkpoint/ckpt-0")


def test_an_archive_that_was_fetched_is_found(archive: Path, tmp_path: Path) -> None:
    published = job_of(f"model={ENTRY}", f"model.archive={archive}", f"paths.cache={tmp_path}").model.zoo.archive
    fetched = tmp_path / "other" / "zoo" / f"{published}.tar.gz"
    fetched.parent.mkdir(parents=True)
    archive.rename(fetched)
    given = (f"model={ENTRY}", f"paths.cache={tmp_path / 'other'}")
    assert digest(built(*given)) == digest(built(f"model={TWIN}"))


def test_settings_and_overrides_reach_it_as_they_reach_other_entries(tmp_path: Path) -> None:
    folder = stand_in(tmp_path / "model")
    changes = ["train.batch_size=8", "train.steps=1400", "train.freeze=[Conv]", "train.ema_decay=0.9"]
    changes.append("augmentation=flip")
    key = "pipeline.model.center_net.object_center_params.max_box_predictions"
    config = built(f"model={ENTRY}", f"model.archive={folder}", *changes, f"+{key}=7")
    assert config == built(f"model={TWIN}", *changes, f"{key}=7")


def test_a_null_takes_a_value_of_the_archive_out(tmp_path: Path) -> None:
    folder = stand_in(tmp_path / "model")
    config = built(f"model={ENTRY}", f"model.archive={folder}", "+pipeline.train_config.unpad_groundtruth_tensors=null")
    assert not config.train_config.HasField("unpad_groundtruth_tensors")


def test_prepare_knows_the_model_as_well(tmp_path: Path) -> None:
    folder = stand_in(tmp_path / "model")
    job = composed("prepare", [f"model={ENTRY}", f"model.archive={folder}"])
    assert isinstance(job, PrepareJob)
    assert job.pipeline["model"]["center_net"]["num_classes"] == 90


def test_a_size_that_cannot_reach_the_archives_configuration_is_refused(tmp_path: Path) -> None:
    given = [f"model={ENTRY}", f"model.archive={stand_in(tmp_path / 'model')}"]
    with pytest.raises(InputError) as caught:
        job_of(*given, "model.input_px=[256,256]")
    key = "pipeline.model.center_net.image_resizer.keep_aspect_ratio_resizer"
    assert caught.value.what == "model.input_px is [256, 256], and the configuration in the archive has [512, 512]"
    assert caught.value.remedy == (
        f"'model.input_px=[512,512]'; to change the size of images as well: "
        f"+{key}.min_dimension=256 +{key}.max_dimension=256"
    )
    changed = built(*given, f"+{key}.min_dimension=256", f"+{key}.max_dimension=256")
    assert changed.model.center_net.image_resizer.keep_aspect_ratio_resizer.max_dimension == 256


@pytest.mark.parametrize("entry", [ENTRY, "extremenet"])
def test_without_the_archive_the_error_says_how_to_get_it(entry: str) -> None:
    with pytest.raises(InputError) as caught:
        job_of(f"model={entry}")
    error = caught.value
    assert error.what == f"the configuration of {entry} is in its archive, which has not been fetched"
    assert error.where == "model.archive"
    assert error.remedy is not None
    assert ".tar.gz by hand, and then model.archive=FILE.tar.gz" in error.remedy
    assert "http://download.tensorflow.org/models/object_detection/tf2/20" in error.remedy


@pytest.mark.parametrize("count", [0, 2])
def test_an_archive_has_one_configuration(count: int, tmp_path: Path) -> None:
    for number in range(count):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "pipeline.config").touch()
    with pytest.raises(InputError, match=f"holds {count} files pipeline.config"):
        archived_config(tmp_path)
