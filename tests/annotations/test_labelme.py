from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from odrun.annotations.files import list_files
from odrun.annotations.labelme import read_labelme, recognizes
from odrun.annotations.model import BoxAsRead, ImageAsRead, Polygons
from odrun.annotations.problems import ProblemLog

RECTANGLE = {"label": "cat", "points": [[30, 20], [1, 2]], "shape_type": "rectangle"}
POLYGON = {"label": "dog", "points": [[1, 2], [30, 2], [10.5, 20]], "shape_type": "polygon"}
CIRCLE = {"label": "sun", "points": [[10, 10], [10, 15]], "shape_type": "circle"}


def annotation(*shapes: object, **changes: object) -> str:
    content = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "..\\a.jpg", "imageData": None}
    return json.dumps(content | {"imageHeight": 30, "imageWidth": 40} | changes)


def written(folder: Path, text: str | bytes, *, name: str = "a") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", (40, 30)).save(folder / f"{name}.jpg")
    (folder / f"{name}.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def read(folder: Path) -> tuple[list[ImageAsRead], ProblemLog]:
    log = ProblemLog()
    return list(read_labelme(list_files(folder, log), log)), log


def box(name: str, *corners: float, mask: Polygons | None = None) -> BoxAsRead:
    return BoxAsRead(name, *corners, difficult=False, truncated=False, is_crowd=False, line=None, mask=mask)


def test_rectangles_and_polygons_are_read_whole(tmp_path):
    folder = written(tmp_path / "data", annotation(RECTANGLE, POLYGON))
    (image,), log = read(folder)
    polygon = Polygons(((1.0, 2.0, 30.0, 2.0, 10.5, 20.0),))
    boxes = (box("cat", 1, 2, 30, 20), box("dog", 1, 2, 30, 20, mask=polygon))
    assert image == ImageAsRead("a.jpg", folder / "a.jpg", folder / "a.json", 40, 30, boxes, None)
    assert log.problems == []


def test_a_circle_is_a_box_around_it_and_a_polygon_that_covers_nearly_all_of_it(tmp_path):
    (image,), _ = read(written(tmp_path / "data", annotation(CIRCLE)))
    (only,) = image.boxes
    assert (only.xmin_px, only.ymin_px, only.xmax_px, only.ymax_px) == pytest.approx((5, 5, 15, 15))
    assert isinstance(only.mask, Polygons)
    ring = only.mask.rings_px[0]
    points = list(zip(ring[::2], ring[1::2], strict=True))
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True)) / 2
    assert 0.998 * math.pi * 25 < abs(area) < math.pi * 25


def test_the_split_is_that_of_the_folders(tmp_path):
    written(tmp_path / "train", annotation(RECTANGLE))
    written(tmp_path / "val", annotation(RECTANGLE))
    assert {image.name: image.split for image in read(tmp_path)[0]} == {
        "train/a.jpg": "train",
        "val/a.jpg": "validation",
    }


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"label": "a", "points": [[1, 2]], "shape_type": "point"}, "shape 1 is a 'point' of 1 points"),
        ({"label": "a", "points": [[1, 2], [3, 4]], "shape_type": "polygon"}, "shape 1 is a 'polygon' of 2 points"),
        ({"label": "a", "points": "x", "shape_type": "polygon"}, "shape 1 has no list of points"),
        ({"label": "a", "points": [[1], [2]], "shape_type": "rectangle"}, "shape 1 has a point that is no pair"),
        ("x", "shape 1 is no mapping"),
    ],
)
def test_a_shape_that_cannot_be_read_is_told_and_the_others_are_read(tmp_path, shape, message):
    (image,), log = read(written(tmp_path / "data", annotation(shape, RECTANGLE)))
    assert [each.class_name for each in image.boxes] == ["cat"]
    (problem,) = log.problems
    assert (problem.fault, problem.file.name) == ("malformed_annotation", "a.json")
    assert problem.message.startswith(message)


def test_numbers_that_are_none_are_left_to_the_checks(tmp_path):
    shape = {"label": "a", "points": [[1, None], [3, 4]], "shape_type": "rectangle"}
    (image,), log = read(written(tmp_path / "data", annotation(shape)))
    assert math.isnan(image.boxes[0].xmin_px)
    assert log.problems == []


@pytest.mark.parametrize(
    ("text", "fault", "line"),
    [
        (annotation(RECTANGLE)[:50], "malformed_annotation", 1),
        (b"\xff\xfe\x00", "malformed_annotation", None),
        ("[" * 100_000, "malformed_annotation", None),
        ('{"name": "package"}', "unused_file", None),
        (annotation(RECTANGLE, imagePath="gone.jpg"), None, None),
    ],
)
def test_a_file_that_is_no_annotation_is_told_by_name(tmp_path, text, fault, line):
    _, log = read(written(tmp_path / "data", text))
    found = [(problem.fault, problem.line) for problem in log.problems if problem.file.name == "a.json"]
    assert found == ([] if fault is None else [(fault, line)])


def test_an_annotation_without_its_image_says_that_the_embedded_one_is_not_read(tmp_path):
    folder = written(tmp_path / "data", annotation(RECTANGLE, imageData="AAAA", imagePath="gone.jpg"))
    (folder / "a.jpg").unlink()
    _, log = read(folder)
    assert [problem.fault for problem in log.problems] == ["missing_image"]
    assert "the picture in the JSON is not read" in log.problems[0].message


def test_labelme_is_recognized_by_its_shapes(tmp_path):
    folder = written(tmp_path / "data", annotation(RECTANGLE))
    assert recognizes(list_files(folder, ProblemLog()))
    (folder / "a.json").write_text("{}")
    assert not recognizes(list_files(folder, ProblemLog()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 200), length=st.integers(0, 30), patch=st.binary(max_size=30))
def test_whatever_a_file_holds_is_a_problem_and_no_traceback(tmp_path, start, length, patch):
    content = annotation(RECTANGLE, POLYGON, CIRCLE).encode()
    folder = written(tmp_path / "data", content[:start] + patch + content[start + length :])
    images, log = read(folder)
    assert len(images) <= 1
    assert images or log.problems
