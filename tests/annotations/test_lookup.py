from __future__ import annotations

from pathlib import Path

import pytest

from odrun.annotations.files import Listing
from odrun.annotations.lookup import ImageIndex, given_split


def listed(*names: str) -> Listing:
    return Listing.of(Path(), names)


def found(images: list[str], annotation: str, stated: str, others: tuple[str, ...] = ()) -> str | None:
    image = ImageIndex(listed(*images), listed(annotation, *others)).find(*listed(annotation), stated)
    return None if image is None else image.name


@pytest.mark.parametrize(
    ("annotation", "image"),
    [
        ("a.xml", "a.jpg"),
        ("train/a.xml", "train/a.jpg"),
        ("Annotations/a.xml", "JPEGImages/a.jpg"),
        ("VOC2007/Annotations/a.xml", "VOC2007/JPEGImages/a.jpg"),
        ("annotations/train/a.xml", "images/train/a.jpg"),
        ("train/annotations/a.xml", "train/images/a.jpg"),
        ("a.xml", "images/a.jpg"),
        ("labels/a.xml", "a.jpg"),
    ],
)
def test_an_image_is_found_beside_its_annotation_or_in_a_sibling_folder(annotation, image):
    assert found([image, f"elsewhere/{image}"], annotation, "a.jpg") == image


def test_an_image_of_the_other_part_is_not_taken():
    assert found(["val/a.jpg"], "train/a.xml", "a.jpg", ("val/a.xml",)) is None


def test_a_name_that_is_unique_where_no_annotations_lie_is_taken():
    assert found(["raw/a.jpg"], "xml_files/a.xml", "a.jpg") == "raw/a.jpg"
    assert found(["raw/a.jpg", "more/a.jpg"], "xml_files/a.xml", "a.jpg") is None


def test_the_stated_name_goes_before_the_annotation_s_own():
    assert found(["a.jpg", "b.jpg"], "a.xml", "b.jpg") == "b.jpg"
    assert found(["a.jpg"], "a.xml", "gone.jpg") == "a.jpg"
    assert found(["a.jpg"], "a.xml", "") == "a.jpg"


@pytest.mark.parametrize("stated", ["C:\\photos\\b.jpg", "/home/me/b.jpg", "../../b.jpg", "b", "B.JPG"])
def test_only_the_last_part_of_a_stated_name_counts(stated):
    assert found(["b.jpg"], "a.xml", stated) == "b.jpg"


def test_the_very_name_goes_before_one_that_differs_in_case():
    assert found(["B.jpg", "b.jpg"], "a.xml", "b.jpg") == "b.jpg"


def test_composed_and_decomposed_letters_are_one_name():
    assert found(["a\u0308.jpg"], "x.xml", "\u00e4.jpg") == "a\u0308.jpg"


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["train/a.xml", "val/b.xml"], {"train/a.xml": "train", "val/b.xml": "validation"}),
        (["Train/a.xml", "x/VALID/b.xml"], {"Train/a.xml": "train", "x/VALID/b.xml": "validation"}),
        (["train/a.xml", "test/b.xml"], {"train/a.xml": "train", "test/b.xml": "validation"}),
        (["train/a.xml", "valid/b.xml", "test/c.xml"], {"train/a.xml": "train", "valid/b.xml": "validation"}),
        (["labels/train/a.xml", "labels/val/b.xml"], {"labels/train/a.xml": "train", "labels/val/b.xml": "validation"}),
        (["train/a.xml", "b.xml"], None),
        (["a.xml", "test/b.xml"], None),
        (["train.xml", "val.xml"], None),
    ],
)
def test_folders_named_as_parts_are_the_split(names, parts):
    assert given_split(listed(*names)) == parts
