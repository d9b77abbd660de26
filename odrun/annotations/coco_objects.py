"""One entry of COCO's list `annotations` → a box as read, with its mask and keypoints.

Comes in: the entry as JSON has it, its category, the size of its image. Goes out: `BoxAsRead`; a corner that is no
number is NaN, as is the place of a keypoint. Refused, as `FaultyEntryError`: an entry without box and mask, and a mask,
a list of keypoints or a flag that breaks the format (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from odrun.annotations.coco_file import Category, Entry, FaultyEntryError, shown
from odrun.annotations.keypoint_checks import VISIBILITIES
from odrun.annotations.model import BoxAsRead, Keypoint, Mask, Polygons, RunLengths

LARGEST_COORDINATE_PX = 1e9
_FEWEST_POINTS = 3

_Corners: TypeAlias = tuple[float, float, float, float]
_Size: TypeAlias = tuple["int | None", "int | None"]


def box_as_read(entry: Entry, category: Category, *, image_size: _Size, keypoints: tuple[Keypoint, ...]) -> BoxAsRead:
    """The box of an entry of `annotations`, with these keypoints; without `bbox` it is the one around the mask.

    `image_size` is the width and height that the image's entry states, None where it does not.

    Raises:
        FaultyEntryError: see the module.
    """
    is_crowd = entry.get("iscrowd")
    if is_crowd not in (None, 0, 1):
        raise FaultyEntryError(f"has the iscrowd {shown(is_crowd)}, which is neither 0 nor 1")
    mask = _mask(entry.get("segmentation"), image_size)
    xmin_px, ymin_px, xmax_px, ymax_px = _corners(entry.get("bbox"), mask)
    return BoxAsRead(
        class_name=category.name,
        xmin_px=xmin_px,
        ymin_px=ymin_px,
        xmax_px=xmax_px,
        ymax_px=ymax_px,
        difficult=False,
        truncated=False,
        is_crowd=is_crowd == 1,
        line=None,
        mask=mask,
        keypoints=keypoints,
        area_px=_stated_area(entry.get("area")),
    )


def keypoints_as_read(entry: Entry, category: Category) -> tuple[Keypoint, ...]:
    """The keypoints of an entry, none where it has none; a visibility that is none of COCO's becomes -1.

    Raises:
        FaultyEntryError: they are not three values for each of the category's (`bad_keypoint`).
    """
    values = entry.get("keypoints")
    if values is None or values == []:
        return ()
    names = category.keypoint_names
    if not isinstance(values, list) or len(values) != 3 * len(names):
        wanted = f"the category {shown(category.name)} names {len(names)} keypoints, of three numbers each"
        raise FaultyEntryError(f"has the keypoints {shown(values)}, where {wanted}", fault="bad_keypoint")
    points = zip(names, values[::3], values[1::3], values[2::3], strict=True)
    return tuple(_keypoint(name, x, y, visibility) for name, x, y, visibility in points)


def stated_number(value: object) -> float:
    """A number of JSON; NaN where it is none, infinity where no float can hold it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _stated_area(area: object) -> float | None:
    """None where none is stated, for which tools write 0."""
    return None if area is None or area == 0 else stated_number(area)


def _corners(bbox: object, mask: Mask | None) -> _Corners:
    if bbox is None or bbox == []:
        around = None if mask is None else _around(mask)
        if around is None:
            raise FaultyEntryError("has neither a bbox nor a segmentation with pixels")
        return around
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise FaultyEntryError(f"has the bbox {shown(bbox)}, where the four numbers x, y, width and height belong")
    x, y, width, height = map(stated_number, bbox)
    return x, y, x + width, y + height


def _around(mask: Mask) -> _Corners | None:
    if isinstance(mask, RunLengths):
        # NumPy takes a while to be imported, and few files have run lengths.
        from odrun.annotations.run_lengths import box_around

        return box_around(mask)
    xs = [x for ring in mask.rings_px for x in ring[::2]]
    ys = [y for ring in mask.rings_px for y in ring[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def _mask(segmentation: object, image_size: _Size) -> Mask | None:
    """The mask; None where there is none, for which tools write an empty list, or one in another."""
    if segmentation is None or segmentation in ([], [[]], {}):
        return None
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, image_size)
    if not isinstance(segmentation, list):
        raise FaultyEntryError(f"has the segmentation {shown(segmentation)}, which is neither polygons nor run lengths")
    # pycocotools takes a single ring without the list around it as well.
    rings = segmentation if isinstance(segmentation[0], list) else [segmentation]
    return Polygons(tuple(_ring(ring) for ring in rings))


def _ring(ring: object) -> tuple[float, ...]:
    if not isinstance(ring, list) or len(ring) % 2 or len(ring) < 2 * _FEWEST_POINTS:
        raise FaultyEntryError(f"has the polygon {shown(ring)}, where x and y of three points or more belong")
    return _coordinates(ring, "a polygon")


def _coordinates(values: Sequence[object], whose: str) -> tuple[float, ...]:
    numbers = tuple(map(stated_number, values))
    # A sum is finite only if everything in it is.
    if not math.isfinite(sum(numbers)) or max(map(abs, numbers)) > LARGEST_COORDINATE_PX:
        raise FaultyEntryError(f"has {whose} with a coordinate that is no number of pixels", fault="bad_number")
    return numbers


def _run_lengths(segmentation: Entry, image_size: _Size) -> RunLengths:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise FaultyEntryError(f"has run lengths of the size {shown(size)}, where height and width in pixels belong")
    if (size[1], size[0]) != image_size:
        stated = "x".join("?" if side is None else str(side) for side in image_size)
        raise FaultyEntryError(f"has run lengths of {shown(size[1])}x{shown(size[0])} pixels, its image has {stated}")
    if isinstance(counts, list) and all(type(count) is int for count in counts):
        counts = tuple(counts)
    elif not isinstance(counts, str):
        raise FaultyEntryError(f"has the run lengths {shown(counts)}, where text or a list of integers belongs")
    mask = RunLengths(size[0], size[1], counts)
    from odrun.annotations.run_lengths import proven_runs

    try:
        proven_runs(mask)
    except ValueError as error:
        raise FaultyEntryError(f"{error}") from error
    return mask


def _keypoint(name: str, x: object, y: object, visibility: object) -> Keypoint:
    known = next((known for known in VISIBILITIES if visibility == known), -1)
    return Keypoint(name, stated_number(x), stated_number(y), known) if known else Keypoint(name, 0.0, 0.0, 0)
