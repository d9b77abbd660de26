from __future__ import annotations

from typing import Any

import pytest

from odrun.annotations.model import TRAIN
from odrun.checks.data import check_batch, check_boxes_of_classes
from odrun.checks.finding import Finding
from odrun.checks.shapes import check_box_sizes, check_image_size
from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.records.statistics import BoxStatistics
from odrun.settings import TrainJob


def pipeline_of(*overrides: str) -> Any:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return build(job.pipeline, job.augmentation)


def of_boxes(*sizes_px: tuple[float, float]) -> BoxStatistics:
    """160x160 images of one box each."""
    statistics = BoxStatistics()
    part = statistics._parts[TRAIN]
    for width, height in sizes_px:
        part.image_sizes_px.extend((160, 160))
        part.boxes_per_image.append(1)
        part.box_classes.append(0)
        part.box_sizes_px.extend((width, height))
    statistics._classes = {"disc": 0}
    return statistics


@pytest.mark.parametrize(
    ("overrides", "remedies"),
    [
        ([], []),
        (["model=ssd_efficientdet_d0_512x512"], []),
        (["model=ssd_resnet50_v1_fpn_640x640", "model.input_px=[128,640]"], ["height=129"]),
        (["model.input_px=[32,32]"], ["height=33", "width=33"]),
    ],
)
def test_sides_that_the_extractor_does_not_take_are_errors(overrides: list[str], remedies: list[str]) -> None:
    found = [*check_image_size(pipeline_of(*overrides))]
    assert [(each.remedy or "").rpartition(".")[2] for each in found] == remedies
    assert {each.severity for each in found} <= {"error"}


def test_a_side_that_the_levels_of_efficientdet_do_not_divide_is_an_error() -> None:
    key = "pipeline.model.ssd.image_resizer.keep_aspect_ratio_resizer.max_dimension"
    (found,) = check_image_size(pipeline_of("model=ssd_efficientdet_d0_512x512", f"{key}=500"))
    assert found.remedy == f"{key}=512"


def test_boxes_of_a_shape_that_no_anchor_has_are_a_warning() -> None:
    found = [*check_box_sizes(pipeline_of(), of_boxes((150, 10), (150, 12)))]
    assert [(each.check, each.severity) for each in found] == [("anchors", "warning")]
    assert found[0].what.startswith("100% of the boxes have no anchor")


def test_boxes_as_the_anchors_have_them_are_no_warning() -> None:
    assert [each.severity for each in check_box_sizes(pipeline_of(), of_boxes((30, 40), (40, 40)))] == ["note"]


def test_boxes_of_a_few_pixels_are_a_warning() -> None:
    assert "image size" in [each.check for each in check_box_sizes(pipeline_of(), of_boxes((5, 5), (4, 40)))]


def test_a_class_without_a_box_is_a_warning_for_each_part() -> None:
    found = [*check_boxes_of_classes(of_boxes((30, 40)), ("disc", "square"))]
    assert [each.what for each in found] == [
        "no train image has a box of square: they are not learnt",
        "no validation image has a box of disc, square: their AP cannot be told",
    ]


def test_images_that_do_not_fill_a_batch_are_an_error() -> None:
    assert [*check_batch(8, of=10, batch_size=8)] == []
    (found,) = check_batch(7, of=10, batch_size=8)
    assert found == Finding(
        "data",
        "error",
        "a batch has 8 images, and 7 of 10 are there to train on",
        "train.batch_size=7 or less, more images, or a larger train.fraction or train.max_images",
    )
