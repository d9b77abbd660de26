from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from odrun.config.jobs import composed
from odrun.config.location import conf_dir
from odrun.errors import InputError
from odrun.settings import OfficialSettings, TrainJob
from odrun.zoo.catalog import Entry, chosen, entries, find

FOLDER = conf_dir() / "model"
ZOO_ROWS = 43
OFFICIAL_CONFIGS = 36


def test_the_whole_zoo_is_there() -> None:
    known = entries(FOLDER)
    archives = {entry.archive for entry in known if entry.archive is not None}
    assert len(archives) == ZOO_ROWS
    assert {entry.name for entry in known if entry.archive is None} == {
        "faster_rcnn_resnet50_v1_fpn_640x640",
        "ssd_mobilenet_v2_fpnlite_digits",
    }
    # Without those with a recipe in the archive alone, and with the one that is not in the zoo.
    assert len([entry for entry in known if entry.recipe is not None]) == OFFICIAL_CONFIGS + 1


def test_an_entry_is_known_by_the_name_of_its_file() -> None:
    assert [entry.name for entry in entries(FOLDER)] == sorted(
        path.stem for path in FOLDER.glob("*.yaml") if path.stem != "from_file"
    )
    assert all(entry.about for entry in entries(FOLDER))


def test_an_entry_holds_what_is_published() -> None:
    assert find("centernet_hourglass104_512x512_kpts", FOLDER) == Entry(
        name="centernet_hourglass104_512x512_kpts",
        about="CenterNet HourGlass104 with people's joints at 512x512.",
        family="centernet",
        backbone="hourglass_104",
        outputs=("boxes", "keypoints"),
        input_px=(512, 512),
        coco_map={"boxes": 40.0, "keypoints": 61.4},
        speed_ms=76,
        archive="20200711/centernet_hg104_512x512_kpts_coco17_tpu-32",
        restore="detection",
        recipe=OfficialSettings(128, 250000, 0.001, 0.00025, 5000),
    )


@pytest.mark.parametrize(
    "name",
    ["ssd_efficientdet_d6_1408x1408", "faster_rcnn_resnet101_v1_800x1333", "mask_rcnn_inception_resnet_v2_1024x1024"],
)
def test_what_is_read_without_hydra_is_what_hydra_composes(name: str) -> None:
    job, entry = composed("train", [f"model={name}"]), find(name, FOLDER)
    assert isinstance(job, TrainJob)
    model = job.model
    assert entry.recipe is not None
    assert (asdict(entry.recipe), list(entry.outputs)) == (asdict(model.official), model.outputs)
    assert (entry.family, entry.backbone, list(entry.input_px or ())) == (model.family, model.backbone, model.input_px)
    assert (dict(entry.coco_map), entry.speed_ms) == (model.zoo.coco_map, model.zoo.speed_ms)
    assert entry.restore == job.pipeline["train_config"]["fine_tune_checkpoint_type"]


def names(family: str | None = None, max_ms: float | None = None, min_map: float | None = None) -> set[str]:
    return {entry.name for entry in chosen(entries(FOLDER), family=family, max_ms=max_ms, min_map=min_map)}


def test_limits_are_met_by_what_is_published_alone() -> None:
    assert names(max_ms=22, min_map=20.2) == {
        "ssd_mobilenet_v2_320x320",
        "ssd_mobilenet_v2_fpnlite_320x320",
        "centernet_mobilenet_v2_fpn_512x512",
    }
    assert names(family="extremenet") == {"extremenet", "extremenet_2020"}
    assert names(family="extremenet", min_map=0.0) == names(family="extremenet", max_ms=1e9) == set()


def test_an_unknown_name_or_family_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        find("ssd_mobilenet_v2_fpnlite_320", FOLDER)
    assert caught.value.remedy is not None
    assert "ssd_mobilenet_v2_fpnlite_320x320" in caught.value.remedy
    with pytest.raises(InputError) as caught:
        names(family="efficientnet")
    assert caught.value.remedy == "did you mean efficientdet or centernet"


def test_what_two_models_share_is_written_once() -> None:
    """All entries with what they share, augmentation included, in a third of the lines of the official configs."""
    files = [*FOLDER.rglob("*.yaml"), *(conf_dir() / "augmentation").glob("*.yaml")]
    lines = [line.strip() for path in files for line in Path(path).read_text(encoding="utf-8").splitlines()]
    official_lines = 7269
    assert len([line for line in lines if line and not line.startswith("#")]) <= official_lines / 3
