"""A box's mask → a PNG of the image's size, as the OD API reads `image/object/mask` with `PNG_MASKS`.

Comes in: a proven box; without a mask, its rectangle is taken. Goes out: a PNG of one bit for each pixel, 1 on the
object. Refused, as ValueError: run lengths that do not fill the image.
"""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from odrun.annotations.model import Box, Polygons, RunLengths
from odrun.annotations.run_lengths import pixels_of

Pixels = npt.NDArray[np.bool_]


def mask_png(box: Box, *, height_px: int, width_px: int) -> bytes:
    """The mask of a box in an image of that size, encoded.

    Raises:
        ValueError: its run lengths are for another size, or do not fill it.
    """
    return encoded_png(mask_pixels(box, height_px=height_px, width_px=width_px))


def encoded_png(pixels: Pixels) -> bytes:
    """A mask's pixels, shape [height, width], as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def mask_pixels(box: Box, *, height_px: int, width_px: int) -> Pixels:
    """The mask of a box, shape [height, width]; polygons as pycocotools fills them, and what any of them covers.

    Raises:
        ValueError: as of `mask_png`.
    """
    if box.mask is None:
        return _rectangle(box, height_px, width_px)
    if isinstance(box.mask, Polygons):
        return _filled(box.mask, height_px, width_px)
    if (box.mask.height_px, box.mask.width_px) != (height_px, width_px):
        size = f"{box.mask.width_px}x{box.mask.height_px}"
        raise ValueError(f"a mask of {size} pixels in an image of {width_px}x{height_px}")
    return pixels_of(box.mask)


def _rectangle(box: Box, height_px: int, width_px: int) -> Pixels:
    """The pixels whose centres lie in the box, one in each direction at least."""
    pixels = np.zeros((height_px, width_px), np.bool_)
    pixels[_covered(box.ymin_px, box.ymax_px, height_px), _covered(box.xmin_px, box.xmax_px, width_px)] = True
    return pixels


def _covered(low_px: float, high_px: float, side_px: int) -> slice:
    first = min(math.ceil(low_px - 0.5), side_px - 1)
    return slice(first, max(math.ceil(high_px - 0.5), first + 1))


def _filled(mask: Polygons, height_px: int, width_px: int) -> Pixels:
    # pycocotools' work grows with the distance, and a point that is no number ends the process: points are let no
    # further away than an image's size, NaN (which max passes over in this order) included.
    sides = (width_px, height_px)
    rings = [
        [min(2.0 * sides[place % 2], max(-1.0 * sides[place % 2], number)) for place, number in enumerate(ring)]
        for ring in mask.rings_px
    ]
    encoded = coco_mask.merge(coco_mask.frPyObjects(rings, height_px, width_px))
    return pixels_of(RunLengths(height_px, width_px, encoded["counts"].decode()))
