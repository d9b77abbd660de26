"""Masks that a model found, each over the area of its box → masks of the image's size, in run lengths.

The mask of a box lies over it like a picture stretched to the box, its outer samples on the box's edges; what is above
one half between samples, linearly interpolated, belongs to the object. So does the Object Detection API's
`reframe_box_masks_to_image_masks` (object_detection/utils/ops.py), followed by its threshold of 0.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from odrun.annotations.model import RunLengths

THRESHOLD = 0.5


def masks_in_image(
    masks: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32], *, height_px: int, width_px: int
) -> tuple[RunLengths, ...]:
    """The masks of n boxes in an image of that size.

    `masks` has shape [n, rows, columns] and values from 0 to 1; `boxes` [n, 4]: ymin, xmin, ymax, xmax in fractions.
    """
    return tuple(
        encoded_mask(_pasted(mask, box, height_px, width_px))
        for mask, box in zip(masks, boxes.astype(np.float64), strict=True)
    )


def encoded_mask(pixels: npt.NDArray[np.bool_]) -> RunLengths:
    """The mask of `pixels`, shape [height, width], in COCO's text of run lengths."""
    height_px, width_px = pixels.shape
    return RunLengths(height_px, width_px, coco_mask.encode(np.asfortranarray(pixels, np.uint8))["counts"].decode())


def _pasted(
    mask: npt.NDArray[np.float32], box: npt.NDArray[np.float64], height_px: int, width_px: int
) -> npt.NDArray[np.bool_]:
    ymin, xmin, ymax, xmax = box
    rows, columns = mask.shape
    whole = np.zeros((height_px, width_px), np.bool_)
    inside_y, above, down = _samples(float(ymin), float(ymax), height_px, rows)
    inside_x, left, right = _samples(float(xmin), float(xmax), width_px, columns)
    if not len(inside_y) or not len(inside_x):
        return whole
    top, bottom = mask[above], mask[np.minimum(above + 1, rows - 1)]
    lines = top + (bottom - top) * down[:, np.newaxis]
    before, behind = lines[:, left], lines[:, np.minimum(left + 1, columns - 1)]
    whole[np.ix_(inside_y, inside_x)] = before + (behind - before) * right > THRESHOLD
    return whole


def _samples(
    low: float, high: float, side_px: int, samples: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """The pixels of a side that lie within the box, the sample before each, and how far from there to the next."""
    if high <= low:
        none = np.zeros(0, np.intp)
        return none, none, np.zeros(0)
    pixels = np.linspace(0.0, 1.0, side_px) if side_px > 1 else np.array([0.5])
    places = (pixels - low) / (high - low) * (samples - 1)
    inside = np.flatnonzero((places >= 0) & (places <= samples - 1))
    before = np.floor(places[inside]).astype(np.intp)
    return inside, before, places[inside] - before
