from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from odrun.annotations.model import Box, Mask, Polygons, RunLengths
from odrun.records.masks import mask_pixels, mask_png

TRIANGLE = (2.0, 3.0, 30.0, 5.5, 12.0, 25.0)
SQUARE = (20.0, 10.0, 38.0, 10.0, 38.0, 28.0, 20.0, 28.0)


def pixels(mask: Mask | None, *corners: float) -> np.ndarray:
    return mask_pixels(Box("cat", *(corners or (1, 1, 39, 29)), mask=mask), height_px=30, width_px=40)


def test_a_png_has_one_channel_of_zeros_and_ones():
    box = Box("cat", 1, 2, 3, 4)
    image = Image.open(io.BytesIO(mask_png(box, height_px=30, width_px=40)))
    assert (image.format, image.size, image.getbands(), image.mode) == ("PNG", (40, 30), ("1",), "1")
    assert np.array_equal(np.asarray(image), mask_pixels(box, height_px=30, width_px=40))


@pytest.mark.parametrize("rings", [(TRIANGLE,), (SQUARE,), (TRIANGLE, SQUARE), ((-3.0, -3.0, 45.0, 4.0, 10.0, 33.0),)])
def test_polygons_are_filled_as_pycocotools_fills_them(rings):
    encoded = coco_mask.merge(coco_mask.frPyObjects([list(ring) for ring in rings], 30, 40))
    assert np.array_equal(pixels(Polygons(rings)), coco_mask.decode(encoded).astype(bool))
    assert pixels(Polygons(rings)).any()


@pytest.mark.parametrize("kind", ["text", "counts"])
def test_run_lengths_are_the_pixels_that_pycocotools_encoded(kind):
    wanted = np.random.default_rng(1).random((30, 40)) < 0.2
    encoded = coco_mask.encode(np.asfortranarray(wanted.astype(np.uint8)))["counts"].decode()
    runs = np.diff(np.flatnonzero(np.diff(wanted.T.ravel(), prepend=False)), prepend=0, append=1200)
    assert np.array_equal(pixels(RunLengths(30, 40, encoded if kind == "text" else tuple(runs.tolist()))), wanted)


@pytest.mark.parametrize(
    ("corners", "covered"),
    [
        ((1, 2, 3, 5), (slice(2, 5), slice(1, 3))),
        ((0, 0, 40, 30), (slice(0, 30), slice(0, 40))),
        ((1.4, 2.6, 3.4, 5.6), (slice(3, 6), slice(1, 3))),
        ((7.6, 4.6, 7.7, 4.7), (slice(5, 6), slice(8, 9))),
        ((39.98, 29.98, 40, 30), (slice(29, 30), slice(39, 40))),
    ],
)
def test_a_box_without_mask_is_a_rectangle_of_one_pixel_at_least(corners, covered):
    wanted = np.zeros((30, 40), np.bool_)
    wanted[covered] = True
    assert np.array_equal(pixels(None, *corners), wanted)


@pytest.mark.parametrize("far", [1e9, -1e9, 1e300, math.inf, math.nan])
def test_points_far_away_take_no_longer(far):
    assert pixels(Polygons(((far, far, 10.0, 10.0, 30.0, 10.0),))).shape == (30, 40)
    assert pixels(Polygons(((far, 10.0, 10.0, far, 30.0, 10.0),))).shape == (30, 40)


@pytest.mark.parametrize("mask", [RunLengths(40, 30, (1200,)), RunLengths(30, 40, (1199,)), RunLengths(30, 40, "oooo")])
def test_run_lengths_that_do_not_fill_the_image_are_refused(mask):
    with pytest.raises(ValueError, match=r"mask of 30x40 pixels|has runs? "):
        pixels(mask)
