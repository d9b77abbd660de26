from __future__ import annotations

import math
from pathlib import Path

import pytest

from odrun.annotations.model import AnnotatedImage, Box


def image(name: str, *boxes: Box, width_px: int = 40) -> AnnotatedImage:
    return AnnotatedImage(name, Path(name), Path(name), width_px, 30, "jpeg", False, "00", 10, 0, boxes, None)


def test_the_area_of_a_box_is_width_times_height():
    assert Box("cat", 1, 2, 4, 12).area_px == 30


@pytest.mark.parametrize(
    "corners",
    [
        (5, 2, 4, 12),
        (1, 12, 4, 2),
        (1, 2, 1, 12),
        (1, 2, 4, 2),
        (-1, 2, 4, 12),
        (math.nan, 2, 4, 5),
        (1, 2, math.inf, 5),
    ],
)
def test_a_box_that_cannot_be_does_not_exist(corners):
    with pytest.raises(ValueError, match=r"box|corners"):
        Box("cat", *corners)


def test_a_box_has_a_class():
    with pytest.raises(ValueError, match="class"):
        Box("", 1, 2, 3, 4)


def test_a_box_may_end_at_the_image_s_border_and_not_beyond():
    assert image("a.jpg", Box("cat", 0, 0, 40, 30)).class_names == {"cat"}
    with pytest.raises(ValueError, match=r"a\.jpg: a box leaves"):
        image("a.jpg", Box("cat", 0, 0, 40.5, 30))


def test_an_image_has_pixels_and_a_format_that_is_stored():
    with pytest.raises(ValueError, match="0x30"):
        image("a.jpg", width_px=0)
    with pytest.raises(ValueError, match="webp is not stored"):
        AnnotatedImage("a", Path("a"), Path("a"), 1, 1, "webp", False, "00", 10, 0, (), None)
