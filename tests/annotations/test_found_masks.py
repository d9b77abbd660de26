from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from odrun.annotations.found_masks import encoded_mask, masks_in_image
from odrun.annotations.run_lengths import pixels_of

FULL = np.ones((1, 3, 3), np.float32)


def pasted(mask: npt.NDArray[np.float32], *corners: float, height_px: int, width_px: int) -> npt.NDArray[np.bool_]:
    (found,) = masks_in_image(mask, np.array([corners], np.float32), height_px=height_px, width_px=width_px)
    assert (found.height_px, found.width_px) == (height_px, width_px)
    return pixels_of(found)


def test_a_full_mask_covers_its_box_and_nothing_else() -> None:
    wanted = np.zeros((5, 9), bool)
    wanted[1:4, 2:5] = True

    assert np.array_equal(pasted(FULL, 0.25, 0.25, 0.75, 0.5, height_px=5, width_px=9), wanted)


def test_a_box_that_leaves_the_image_shows_the_part_of_its_mask_that_is_inside() -> None:
    left_half = np.array([[[1, 1, 0, 0]] * 4], np.float32)

    leaves_on_the_left = pasted(left_half, 0.0, -0.5, 1.0, 0.5, height_px=4, width_px=9)
    leaves_on_the_right = pasted(left_half, 0.0, 0.5, 1.0, 1.5, height_px=4, width_px=9)

    assert not leaves_on_the_left.any()
    assert leaves_on_the_right.tolist() == [[False] * 4 + [True] * 4 + [False]] * 4


@pytest.mark.parametrize("corners", [(0.5, 0.5, 0.5, 0.5), (0.2, 0.9, 0.8, 0.1), (2.0, 2.0, 3.0, 3.0)])
def test_a_box_without_area_or_outside_has_an_empty_mask(corners: tuple[float, ...]) -> None:
    assert not pasted(FULL, *corners, height_px=6, width_px=7).any()


def test_no_boxes_have_no_masks() -> None:
    none = masks_in_image(np.zeros((0, 3, 3), np.float32), np.zeros((0, 4), np.float32), height_px=4, width_px=4)
    assert none == ()


def test_what_is_encoded_are_the_pixels() -> None:
    wanted = np.random.default_rng(3).random((7, 5)) < 0.5
    assert np.array_equal(pixels_of(encoded_mask(wanted)), wanted)


def test_masks_lie_in_the_image_as_the_od_api_lays_them() -> None:
    import odrun.compat

    odrun.compat.load()
    from object_detection.utils import ops

    rng = np.random.default_rng(0)
    masks = rng.random((40, 33, 33)).astype(np.float32)
    corners = np.sort(rng.uniform(-0.2, 1.2, (40, 2, 2)), axis=1).astype(np.float32).reshape(40, 4)
    reference = ops.reframe_box_masks_to_image_masks(masks, corners, 61, 90).numpy()

    found = masks_in_image(masks, corners, height_px=61, width_px=90)

    # Where the value is one half, or the pixel on the edge of the box, 32 bits round otherwise than 64.
    certain = np.abs(reference - 0.5) > 1e-3
    wrong = [
        np.sum((pixels_of(mask) != (value > 0.5)) & sure)
        for mask, value, sure in zip(found, reference, certain, strict=True)
    ]
    assert sum(wrong) == 0
    assert sum(int(pixels_of(mask).sum()) for mask in found) > 1000
