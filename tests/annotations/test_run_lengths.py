from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from odrun.annotations.model import RunLengths
from odrun.annotations.orientation import upright_point
from odrun.annotations.run_lengths import box_around, pixels_of, proven_runs, runs_of, upright_run_lengths

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def compressed(pixels: np.ndarray) -> RunLengths:
    encoded = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return RunLengths(*pixels.shape, encoded["counts"].decode())


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_masks_are_those_of_pycocotools(pixels):
    text = compressed(pixels)
    assert np.array_equal(pixels_of(text), pixels)
    x, y, width, height = coco_mask.toBbox({"size": list(pixels.shape), "counts": text.counts.encode()})
    assert box_around(text) == ((x, y, x + width, y + height) if pixels.any() else None)
    assert runs_of(pixels).counts == tuple(proven_runs(text).tolist())
    assert np.array_equal(pixels_of(runs_of(pixels)), pixels)


def test_runs_of_a_large_mask_are_unpacked():
    pixels = np.zeros((3000, 2000), np.bool_)
    pixels[1500:, 900:] = True
    pixels[7, 3] = True
    assert proven_runs(compressed(pixels)).tolist() == list(runs_of(pixels).counts)


def test_a_mask_of_runs_without_pixels_has_no_box():
    assert box_around(RunLengths(2, 3, (6,))) is None
    assert box_around(RunLengths(2, 3, (3, 0, 3))) is None


@pytest.mark.parametrize(
    "counts",
    [
        *("", "0", "5", "1111", "\xff", "o", "oooooooo0", "~", "/", "\udc80", "ppppppppp", "6" * 5000),
        *((), (5,), (7,), (-1, 7), (3, 2**62, 2**62), (6, 2**70), (2**63 - 1, 2**63 - 1, 8)),
    ],
)
def test_runs_that_do_not_fill_the_mask_are_refused(counts):
    with pytest.raises(ValueError, match="has "):
        proven_runs(RunLengths(2, 3, counts))


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=30), st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30)))
def test_whatever_the_text_it_is_refused_or_fills_the_mask(text):
    try:
        runs = proven_runs(RunLengths(4, 5, text))
    except ValueError:
        return
    assert runs.sum() == 20
    assert runs.min() >= 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_as_points_are(orientation):
    pixels = np.random.default_rng(0).random((4, 7)) < 0.4
    turned = pixels_of(upright_run_lengths(runs_of(pixels), orientation))
    for y, x in np.ndindex(pixels.shape):
        turned_x, turned_y = upright_point(x + 0.5, y + 0.5, orientation, 7, 4)
        assert turned[int(turned_y), int(turned_x)] == pixels[y, x]
