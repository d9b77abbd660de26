from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from odrun.annotations.checks import check_classes, check_images
from odrun.annotations.files import FileContent
from odrun.annotations.model import AnnotatedImage, Box, BoxAsRead, ImageAsRead
from odrun.annotations.problems import ProblemLog

CONTENT = FileContent("ab", 12)


def box(*corners: float, name: str = "cat") -> BoxAsRead:
    return BoxAsRead(name, *corners, difficult=True, truncated=True, is_crowd=True, line=7)


def read(tmp_path: Path, *boxes: BoxAsRead, name: str = "a.jpg", size: tuple[int, int] = (400, 300), **stated):
    if not (tmp_path / name).exists():
        Image.new("RGB", size).save(tmp_path / name, "JPEG")
    stated = {"width_px": None, "height_px": None, "annotation_path": tmp_path / "a.xml"} | stated
    return ImageAsRead(name=name, image_path=tmp_path / name, boxes=boxes, split=None, **stated)


def checked(*images: ImageAsRead, classes: list[str] | None = None) -> tuple[list[AnnotatedImage], ProblemLog]:
    log = ProblemLog()
    contents = {image.name: CONTENT for image in images}
    kept = check_images(images, contents, classes, log, workers=2, progress=lambda *_: None)
    return kept, log


def faults(log: ProblemLog) -> list[str]:
    return [problem.fault for problem in log.problems]


def test_a_sound_image_is_kept_whole(tmp_path):
    kept, log = checked(read(tmp_path, box(1, 2, 400, 300), width_px=400, height_px=300))
    assert log.problems == []
    assert kept == [
        AnnotatedImage(
            name="a.jpg",
            image_path=tmp_path / "a.jpg",
            annotation_path=tmp_path / "a.xml",
            width_px=400,
            height_px=300,
            stored_format="jpeg",
            re_encoded=False,
            sha256="ab",
            size_bytes=12,
            look=0,
            boxes=(Box("cat", 1, 2, 400, 300, difficult=True, truncated=True, is_crowd=True),),
            split=None,
        )
    ]


@pytest.mark.parametrize(
    ("corners", "fault"),
    [
        ((math.nan, 2, 3, 4), "bad_number"),
        ((1, 2, math.inf, 4), "bad_number"),
        ((3, 2, 1, 4), "inverted_box"),
        ((1, 4, 3, 2), "inverted_box"),
        ((1, 2, 1, 4), "empty_box"),
        ((1, 2, 3, 2), "empty_box"),
        ((1, 2, 1.009, 4), "empty_box"),
        ((1, 2, 404.1, 4), "outside_box"),
        ((-4.1, 2, 30, 4), "outside_box"),
        ((1, 2, 3, 303.1), "outside_box"),
        ((400, 2, 402, 4), "outside_box"),
        ((399.995, 2, 402, 4), "outside_box"),
        ((500, 2, 600, 4), "outside_box"),
    ],
)
def test_a_faulty_box_is_told_with_file_and_line_and_left_out(tmp_path, corners, fault):
    kept, log = checked(read(tmp_path, box(*corners), box(1, 2, 3, 4)))
    assert [len(image.boxes) for image in kept] == [1]
    assert [(problem.fault, problem.file, problem.line) for problem in log.problems] == [(fault, tmp_path / "a.xml", 7)]


@pytest.mark.parametrize(
    ("corners", "kept_corners"),
    [
        ((-2, -2, 402, 302), (0, 0, 400, 300)),
        ((-4, 5, 404, 20), (0, 5, 400, 20)),
        ((5, -3, 6, 303), (5, 0, 6, 300)),
    ],
)
def test_a_box_that_leaves_by_two_pixels_or_one_percent_is_cut_and_counted(tmp_path, corners, kept_corners):
    kept, log = checked(read(tmp_path, box(*corners)))
    only = kept[0].boxes[0]
    assert (only.xmin_px, only.ymin_px, only.xmax_px, only.ymax_px) == kept_corners
    assert faults(log) == ["clipped_box"]


def test_in_a_small_image_two_pixels_are_allowed(tmp_path):
    assert faults(checked(read(tmp_path, box(1, 1, 42, 30), size=(40, 30)))[1]) == ["clipped_box"]
    assert faults(checked(read(tmp_path, box(1, 1, 42.1, 30)))[1]) == ["outside_box"]


@pytest.mark.parametrize(
    ("name", "classes", "fault", "words"),
    [
        ("", None, "empty_class", "without a class name"),
        ("dgo", ["cat", "dog"], "unknown_class", "'dgo' is not in dataset.classes (did you mean dog)"),
        ("CAT", ["cat", "dog"], "unknown_class", "'CAT' is not in dataset.classes (did you mean cat)"),
        ("zebra", [f"sort {n}" for n in range(99)], "unknown_class", "(none of its 99 names is close)"),
        ("zebra", ["cat", "dog"], "unknown_class", "'zebra' is not in dataset.classes (valid: cat, dog)"),
    ],
)
def test_a_class_that_is_not_known_is_told_with_the_nearest(tmp_path, name, classes, fault, words):
    kept, log = checked(read(tmp_path, box(1, 2, 3, 4, name=name)), classes=classes)
    assert (kept[0].boxes, faults(log)) == ((), [fault])
    assert words in log.problems[0].message


@pytest.mark.parametrize(("width_px", "height_px"), [(300, 400), (400, 301), (401, 300), (None, 400)])
def test_an_image_of_another_size_than_stated_is_told_once_whatever_its_boxes(tmp_path, width_px, height_px):
    _, log = checked(read(tmp_path, box(1, 2, 900, 4), width_px=width_px, height_px=height_px))
    assert faults(log) == ["size_mismatch"]
    assert log.problems[0].message == f"states {width_px or 400}x{height_px} pixels, a.jpg has 400x300"


def test_an_image_that_does_not_decode_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    kept, log = checked(read(tmp_path))
    assert (kept, faults(log), log.problems[0].file) == ([], ["undecodable_image"], tmp_path / "a.jpg")


def test_an_image_just_above_the_pixel_limit_is_refused_too(tmp_path, monkeypatch):
    image = read(tmp_path, box(1, 2, 3, 4))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400 * 300 - 1)
    assert faults(checked(image)[1]) == ["undecodable_image"]


def test_an_image_that_two_annotations_speak_of_is_told_with_both(tmp_path):
    first = read(tmp_path, box(1, 2, 3, 4))
    second = read(tmp_path, box(1, 2, 3, 4), annotation_path=tmp_path / "b.xml")
    kept, log = checked(first, second)
    assert (len(kept), faults(log)) == (1, ["duplicate_image"])
    assert str(log.problems[0]) == f"{tmp_path / 'b.xml'}: speaks of {tmp_path / 'a.jpg'}, as {tmp_path / 'a.xml'} does"


def test_a_wrong_extension_is_mended_and_counted(tmp_path):
    kept, log = checked(read(tmp_path, box(1, 2, 3, 4), name="a.png"))
    assert (kept[0].stored_format, kept[0].re_encoded, faults(log)) == ("jpeg", False, ["wrong_extension"])


def test_what_tensorflow_does_not_take_will_be_stored_as_png(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.webp")
    kept, log = checked(read(tmp_path, box(1, 2, 3, 4), name="a.webp"))
    assert (kept[0].stored_format, kept[0].re_encoded, faults(log)) == ("png", True, ["re_encoded_image"])


def test_an_image_without_boxes_is_kept_with_a_warning(tmp_path):
    kept, log = checked(read(tmp_path))
    assert (kept[0].boxes, faults(log)) == ((), ["image_without_boxes"])


def test_images_come_sorted_and_progress_counts_them_all(tmp_path):
    images = [read(tmp_path, box(1, 2, 3, 4), name=f"{name}.jpg") for name in "cab"]
    steps = []
    contents = {image.name: CONTENT for image in images}
    kept = check_images(images, contents, None, ProblemLog(), workers=2, progress=lambda *step: steps.append(step))
    assert [image.name for image in kept] == ["a.jpg", "b.jpg", "c.jpg"]
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_classes_are_those_given_or_all_sorted(tmp_path):
    kept, _ = checked(read(tmp_path, box(1, 2, 3, 4, name="dog"), box(1, 2, 3, 4)))
    log = ProblemLog()
    assert check_classes(kept, None, tmp_path, log) == ("cat", "dog")
    assert check_classes(kept, ["dog", "cat"], tmp_path, log) == ("dog", "cat")
    assert log.problems == []
    assert check_classes(kept, ["dog", "cat", "zebra"], tmp_path, log) == ("dog", "cat", "zebra")
    assert [str(problem) for problem in log.problems] == [f"{tmp_path}: has no box of the class 'zebra'"]
