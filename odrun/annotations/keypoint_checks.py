"""Keypoints as read → keypoints that can be used, as the policies say, and what is wrong with them.

Comes in: keypoints with any numbers. Goes out: those with finite places inside their image; one that is mended (`fix`)
is moved to the border if it is near that, and counts as not labelled else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from odrun.annotations.border import beyond_px, tolerance_px
from odrun.annotations.model import Keypoint

VISIBILITIES = (0, 1, 2)
_Found = tuple[str, str]


def checked_keypoints(
    keypoints: Iterable[Keypoint], width_px: int, height_px: int
) -> tuple[tuple[Keypoint, ...], tuple[_Found, ...]]:
    """The keypoints, mended, of an object in an image of that size, and each fault with what exactly it is.

    Who has not chosen to mend a fault leaves the object out.
    """
    sound = []
    faults = []
    for point in keypoints:
        mended, fault = _mended(point, width_px, height_px)
        sound.append(mended)
        faults += [] if fault is None else [fault]
    return tuple(sound), tuple(faults)


def _mended(point: Keypoint, width_px: int, height_px: int) -> tuple[Keypoint, _Found | None]:
    absent = Keypoint(point.name, 0.0, 0.0, 0)
    if point.visibility == 0:
        return absent, None
    if point.visibility not in VISIBILITIES:
        return absent, ("bad_keypoint", f"the keypoint {point.name!r} has a visibility other than 0, 1 and 2")
    if not math.isfinite(point.x_px) or not math.isfinite(point.y_px):
        return absent, ("bad_keypoint", f"the keypoint {point.name!r} has a coordinate that is no finite number")
    beyond_x, beyond_y = beyond_px(point.x_px, width_px), beyond_px(point.y_px, height_px)
    if not beyond_x and not beyond_y:
        return point, None
    place = f"({point.x_px:g}, {point.y_px:g})"
    where = f"the keypoint {point.name!r} at {place} lies outside the image of {width_px}x{height_px} pixels"
    if beyond_x > tolerance_px(width_px) or beyond_y > tolerance_px(height_px):
        return absent, ("outside_keypoint", where)
    inside = replace(point, x_px=_between(point.x_px, width_px), y_px=_between(point.y_px, height_px))
    return inside, ("clipped_keypoint", where)


def _between(place_px: float, side_px: int) -> float:
    return min(max(place_px, 0.0), float(side_px))
