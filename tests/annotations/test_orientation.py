from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from odrun.annotations.orientation import upright_box, upright_point, upright_size

WIDTH, HEIGHT = 40, 30
BOX = (4, 6, 15, 11)
ORIENTATIONS = range(1, 9)


def turned_by_pillow(pixels: np.ndarray, orientation: int) -> np.ndarray:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    return np.asarray(ImageOps.exif_transpose(Image.open(stream)))


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_box_stays_on_what_it_surrounds(orientation):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    upright = turned_by_pillow(pixels, orientation)
    assert upright_size(WIDTH, HEIGHT, orientation) == upright.shape[::-1]
    assert upright_box(BOX, orientation, WIDTH, HEIGHT) == extent(upright)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_point_stays_on_its_pixel(orientation):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[7, 33] = 255
    x_px, y_px = upright_point(33.5, 7.5, orientation, WIDTH, HEIGHT)
    assert turned_by_pillow(pixels, orientation)[int(y_px), int(x_px)] == 255
    assert (x_px % 1, y_px % 1) == (0.5, 0.5)


@given(st.sampled_from(ORIENTATIONS), st.tuples(*[st.integers(-5, 50)] * 4))
def test_a_box_s_corners_are_its_points_and_an_inverted_box_stays_inverted(orientation, box):
    xmin, ymin, xmax, ymax = upright_box(box, orientation, WIDTH, HEIGHT)
    points = {upright_point(box[0], box[1], orientation, WIDTH, HEIGHT)}
    points.add(upright_point(box[2], box[3], orientation, WIDTH, HEIGHT))
    assert {x for x, _ in points} == {xmin, xmax}
    assert {y for _, y in points} == {ymin, ymax}
    assert {xmin > xmax, ymin > ymax} == {box[0] > box[2], box[1] > box[3]}


def test_what_is_no_number_stays_none():
    box = upright_box((math.nan, 1, 2, 3), 6, WIDTH, HEIGHT)
    assert [math.isnan(number) for number in box] == [False, True, False, False]


@pytest.mark.parametrize("orientation", [0, 9])
def test_there_are_no_other_orientations(orientation):
    with pytest.raises(KeyError):
        upright_point(1, 2, orientation, WIDTH, HEIGHT)
