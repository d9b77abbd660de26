from __future__ import annotations

from pathlib import Path

import pytest

from odrun.annotations.files import Listing
from odrun.annotations.image_paths import ImagePaths


def listed(*names: str) -> Listing:
    return Listing.of(Path(), names)


def found(images: list[str], annotation: str, stated: str, *others: str) -> str | None:
    image = ImagePaths(listed(*images), listed(annotation, *others)).find(*listed(annotation), stated)
    return None if image is None else image.name


BOTH = ["train2017/1.jpg", "val2017/1.jpg"]


@pytest.mark.parametrize(
    ("images", "annotation", "stated", "wanted"),
    [
        (["a.jpg"], "a.json", "a.jpg", "a.jpg"),
        (["images/a.jpg"], "annotations/x.json", "a.jpg", "images/a.jpg"),
        (["raw/a.jpg"], "labels/x.json", "a.jpg", "raw/a.jpg"),
        (BOTH, "annotations/instances_train2017.json", "1.jpg", "train2017/1.jpg"),
        (BOTH, "annotations/instances_val2017.json", "1.jpg", "val2017/1.jpg"),
        (BOTH, "lvis_v1_train.json", "http://images.cocodataset.org/val2017/1.jpg", "val2017/1.jpg"),
        (["train/1.jpg", "valid/1.jpg"], "valid/_annotations.coco.json", "1.jpg", "valid/1.jpg"),
        (["images/train/1.jpg", "images/test/1.jpg"], "test.json", "1.jpg", "images/test/1.jpg"),
        (["val/cam1/1.jpg", "train/cam1/1.jpg"], "train.json", "cam1/1.jpg", "train/cam1/1.jpg"),
        (["cam1/1.jpg", "cam2/1.jpg"], "a.json", "cam2/1.jpg", "cam2/1.jpg"),
        (["images/cam1/1.jpg", "images/cam2/1.jpg"], "a.json", "cam2\\1.jpg", "images/cam2/1.jpg"),
        (["cam1/1.jpg", "cam2/1.jpg"], "a.json", "C:\\Users\\me\\cam2\\1.jpg", "cam2/1.jpg"),
        (["cam1/1.jpg"], "a.json", "./cam1/../cam1/1.jpg", "cam1/1.jpg"),
        (["a/images/1.jpg", "b/images/1.jpg"], "b/annotations/x.json", "1.jpg", "b/images/1.jpg"),
        (["images/1.jpg", "old/1.jpg"], "x.json", "1.jpg", "images/1.jpg"),
        (["test tubes/1.jpg"], "train.json", "1.jpg", "test tubes/1.jpg"),
        (["B.JPG", "b.jpg"], "x.json", "b.jpg", "b.jpg"),
        (["B.JPG"], "x.json", "b.jpg", "B.JPG"),
        (["a\u0308.jpg"], "x.json", "\u00e4.jpg", "a\u0308.jpg"),
    ],
)
def test_the_image_whose_path_agrees_and_that_lies_nearest_is_found(images, annotation, stated, wanted):
    assert found(images, annotation, stated) == wanted


@pytest.mark.parametrize(
    ("images", "annotation", "stated", "others"),
    [
        (["a.jpg"], "x.json", "b.jpg", ()),
        (["a.jpg"], "x.json", "", ()),
        (["a.jpg"], "x.json", "a.jpg/", ()),
        (["a.jpg"], "x.json", "a.jpg\0", ()),
        (["val2017/1.jpg"], "annotations/instances_train2017.json", "1.jpg", ()),
        (["val/cam1/1.jpg"], "train.json", "cam1/1.jpg", ()),
        (["b/1.jpg"], "a/x.json", "1.jpg", ("b/x.json",)),
        (["cam1/1.jpg", "cam2/1.jpg"], "x.json", "1.jpg", ()),
    ],
)
def test_an_image_of_another_file_and_one_of_two_that_are_as_near_is_not_taken(images, annotation, stated, others):
    assert found(images, annotation, stated, *others) is None
