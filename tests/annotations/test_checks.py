from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from odrun.annotations.checks import Checked, Loss, check_image
from odrun.annotations.classes import class_map
from odrun.annotations.digests import FileContent
from odrun.annotations.model import AnnotatedImage, Box, BoxAsRead, ImageAsRead, Polygons
from odrun.annotations.problems import Policies


def box(*corners: float, name: str = "cat") -> BoxAsRead:
    return BoxAsRead(name, *corners, difficult=True, truncated=True, is_crowd=True, line=7)


def read(tmp_path: Path, *boxes: BoxAsRead, name: str = "a.jpg", size: tuple[int, int] = (400, 300), **stated):
    if not (tmp_path / name).exists():
        Image.new("RGB", size).save(tmp_path / name, "JPEG")
    stated = {"width_px": None, "height_px": None, "annotation_path": tmp_path / "a.xml"} | stated
    return ImageAsRead(name=name, image_path=tmp_path / name, boxes=boxes, split=None, **stated)


def checked(image: ImageAsRead, classes: list[str] | None = None, **policies: str) -> Checked:
    content = image.image_path.read_bytes()
    listed = FileContent(hashlib.sha256(content).hexdigest(), len(content))
    return check_image(image, listed, class_map(classes), Policies(policies))


def faults(found: Checked) -> list[str]:
    return [problem.fault for problem in found.problems]


def kept(found: Checked) -> AnnotatedImage:
    assert found.image is not None
    return found.image


def test_a_sound_image_is_kept_whole(tmp_path):
    found = checked(read(tmp_path, box(1, 2, 400, 300), width_px=400, height_px=300))
    content = (tmp_path / "a.jpg").read_bytes()
    whole = AnnotatedImage(
        name="a.jpg",
        image_path=tmp_path / "a.jpg",
        annotation_path=tmp_path / "a.xml",
        width_px=400,
        height_px=300,
        stored_format="jpeg",
        re_encoded=False,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        look=0,
        boxes=(Box("cat", 1, 2, 400, 300, difficult=True, truncated=True, is_crowd=True),),
        split=None,
    )
    assert found == Checked(whole, (), ())


@pytest.mark.parametrize(
    ("corners", "stated_px", "taken_px", "told"),
    [
        ((1, 2, 30, 20), 99.5, 99.5, []),
        ((1, 2, 30, 20), None, None, []),
        ((1, 2, 30, 20), 120_000, 120_000, []),
        ((1, 2, 30, 20), 120_001, None, ["bad_area"]),
        ((1, 2, 30, 20), -1, None, ["bad_area"]),
        ((1, 2, 30, 20), math.nan, None, ["bad_area"]),
        ((1, 2, 30, 20), math.inf, None, ["bad_area"]),
        ((-1, 2, 30, 20), 99.5, None, ["clipped_box"]),
    ],
)
def test_a_stated_area_is_that_of_the_box_as_it_was_stated(tmp_path, corners, stated_px, taken_px, told):
    found = checked(read(tmp_path, replace(box(*corners), area_px=stated_px)))
    assert ([each.stated_area_px for each in kept(found).boxes], faults(found)) == ([taken_px], told)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
def test_fractions_are_those_of_the_upright_image(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 300)).save(tmp_path / f"a.{suffix}", exif=exif)
    mask = Polygons(((0.25, 0.5, 0.5, 0.5, 0.5, 1.0),))
    boxes = (box(0.25, 0.5, 0.5, 1.0), replace(box(0.25, 0.5, 0.5, 1.0, name="dog"), mask=mask))
    image = kept(checked(read(tmp_path, *boxes, name=f"a.{suffix}", in_fractions=True)))
    assert (image.width_px, image.height_px) == (300, 400)
    corners = {(each.xmin_px, each.ymin_px, each.xmax_px, each.ymax_px) for each in image.boxes}
    assert corners == {(75.0, 200.0, 150.0, 400.0)}
    assert image.boxes[1].mask == Polygons(((75.0, 200.0, 150.0, 200.0, 150.0, 400.0),))


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
    found = checked(read(tmp_path, box(*corners), box(1, 2, 3, 4)))
    assert len(kept(found).boxes) == 1
    places = [(problem.fault, problem.file, problem.line) for problem in found.problems]
    assert places == [(fault, tmp_path / "a.xml", 7)]
    assert found.losses == (Loss(fault, 0, 1),)


@pytest.mark.parametrize(
    ("corners", "fault", "kept_corners"),
    [((30, 20, 10, 5), "inverted_box", (10, 5, 30, 20)), ((1, 2, 500, 4), "outside_box", (1, 2, 400, 4))],
)
def test_a_box_is_mended_where_that_is_the_policy(tmp_path, corners, fault, kept_corners):
    found = checked(read(tmp_path, box(*corners)), **{fault: "fix"})
    (only,) = kept(found).boxes
    assert (only.xmin_px, only.ymin_px, only.xmax_px, only.ymax_px) == kept_corners
    assert set(faults(found)) == {fault}
    assert found.losses == ()


@pytest.mark.parametrize(
    ("boxes", "fault"),
    [([(1, 2, 2.5, 40)], "tiny_box"), ([(1, 2, 30, 40), (1, 2, 30, 40)], "duplicate_box")],
)
def test_an_odd_box_is_taken_with_a_warning_and_left_out_if_that_is_the_policy(tmp_path, boxes, fault):
    image = read(tmp_path, *(box(*corners) for corners in boxes))
    taken, dropped = checked(image), checked(image, **{fault: "drop"})
    assert (len(kept(taken).boxes), faults(taken), taken.losses) == (len(boxes), [fault], ())
    assert (len(kept(dropped).boxes), dropped.losses) == (len(boxes) - 1, (Loss(fault, 0, 1),))


@pytest.mark.parametrize(
    ("corners", "kept_corners"),
    [
        ((-2, -2, 402, 302), (0, 0, 400, 300)),
        ((-4, 5, 404, 20), (0, 5, 400, 20)),
        ((5, -3, 6, 303), (5, 0, 6, 300)),
    ],
)
def test_a_box_that_leaves_by_two_pixels_or_one_percent_is_cut_and_counted(tmp_path, corners, kept_corners):
    found = checked(read(tmp_path, box(*corners)))
    only = kept(found).boxes[0]
    assert (only.xmin_px, only.ymin_px, only.xmax_px, only.ymax_px) == kept_corners
    assert faults(found)[0] == "clipped_box"


def test_in_a_small_image_two_pixels_are_allowed(tmp_path):
    assert faults(checked(read(tmp_path, box(1, 1, 42, 30), size=(40, 30)))) == ["clipped_box"]
    assert faults(checked(read(tmp_path, box(1, 1, 42.1, 30), name="b.jpg", size=(40, 30)))) == ["outside_box"]


@pytest.mark.parametrize(
    ("name", "classes", "fault", "words"),
    [
        ("", None, "empty_class", "without a class name"),
        ("dgo", ["cat", "dog"], "unknown_class", "'dgo' is not among the classes (did you mean dog)"),
        ("zebra", [f"sort {n}" for n in range(99)], "unknown_class", "(none of its 99 names is close)"),
        ("zebra", ["cat", "dog"], "unknown_class", "'zebra' is not among the classes (valid: cat, dog)"),
    ],
)
def test_a_class_that_is_not_known_is_told_with_the_nearest(tmp_path, name, classes, fault, words):
    found = checked(read(tmp_path, box(1, 2, 30, 40, name=name)), classes)
    assert (kept(found).boxes, faults(found)) == ((), [fault])
    assert words in found.problems[0].message


def test_another_spelling_of_a_class_is_taken_for_it(tmp_path):
    found = checked(read(tmp_path, box(1, 2, 30, 40, name=" CAT")), ["cat", "dog"])
    assert ([each.class_name for each in kept(found).boxes], faults(found)) == (["cat"], ["class_spelling"])


@pytest.mark.parametrize(("width_px", "height_px"), [(300, 400), (400, 301), (401, 300), (None, 400)])
def test_an_image_of_another_size_than_stated_is_told_once_whatever_its_boxes(tmp_path, width_px, height_px):
    found = checked(read(tmp_path, box(1, 2, 900, 4), width_px=width_px, height_px=height_px))
    assert (found.image, faults(found), found.losses) == (None, ["size_mismatch"], (Loss("size_mismatch", 1, 1),))
    assert found.problems[0].message == f"states {width_px or 400}x{height_px} pixels, a.jpg has 400x300"


def test_a_stated_size_can_be_passed_over(tmp_path):
    found = checked(read(tmp_path, box(1, 2, 90, 40), width_px=10, height_px=10), size_mismatch="warn")
    assert (len(kept(found).boxes), faults(found)) == (1, ["size_mismatch"])


def test_an_image_that_does_not_decode_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    found = checked(read(tmp_path))
    assert (found.image, faults(found), found.problems[0].file) == (None, ["undecodable_image"], tmp_path / "a.jpg")


def test_an_image_that_changed_since_it_was_listed_is_refused_by_name(tmp_path):
    image = read(tmp_path, box(1, 2, 30, 40))
    found = check_image(image, FileContent("0" * 64, 1), class_map(None), Policies())
    assert (found.image, faults(found)) == (None, ["changed_image"])


def test_an_image_that_is_gone_is_named(tmp_path):
    image = read(tmp_path, box(1, 2, 30, 40))
    (tmp_path / "a.jpg").unlink()
    found = check_image(image, FileContent("0" * 64, 1), class_map(None), Policies())
    assert (found.image, faults(found)) == (None, ["undecodable_image"])


def test_a_wrong_extension_is_mended_and_counted(tmp_path):
    found = checked(read(tmp_path, box(1, 2, 3, 4), name="a.png"))
    assert (kept(found).stored_format, kept(found).re_encoded) == ("jpeg", False)
    assert faults(found) == ["wrong_extension"]


def test_what_tensorflow_does_not_take_will_be_stored_as_png(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.webp")
    found = checked(read(tmp_path, box(1, 2, 3, 4), name="a.webp"))
    assert (kept(found).stored_format, kept(found).re_encoded) == ("png", True)
    assert faults(found) == ["re_encoded_image"]


@pytest.mark.parametrize(("policy", "is_kept"), [("warn", True), ("drop", False)])
def test_an_image_without_boxes_is_background_or_left_out(tmp_path, policy, is_kept):
    found = checked(read(tmp_path), image_without_boxes=policy)
    assert ((found.image is not None), faults(found)) == (is_kept, ["image_without_boxes"])


def turned(path: Path, orientation: int) -> None:
    """An image that is 40x30 pixels when it is upright, stored as its EXIF orientation says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 40) if orientation > 4 else (40, 30)).save(path, "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("orientation", "stated", "corners", "kept_corners"),
    [
        (6, (30, 40), (0, 0, 10, 40), (0, 0, 40, 10)),
        (6, (40, 30), (0, 0, 40, 10), (0, 0, 40, 10)),
        (6, (None, None), (0, 0, 40, 10), (0, 0, 40, 10)),
        (3, (40, 30), (0, 0, 40, 10), (0, 0, 40, 10)),
    ],
)
def test_boxes_of_a_turned_image_are_upright(tmp_path, orientation, stated, corners, kept_corners):
    """With orientation 6 the viewer turns the stored picture a quarter clockwise: its left edge is the top."""
    turned(tmp_path / "a.jpg", orientation)
    found = checked(read(tmp_path, box(*corners), width_px=stated[0], height_px=stated[1]))
    image = kept(found)
    (only,) = image.boxes
    assert faults(found) == ["turned_image"]
    assert (image.width_px, image.height_px, image.stored_format) == (40, 30, "jpeg")
    assert (only.xmin_px, only.ymin_px, only.xmax_px, only.ymax_px) == kept_corners
