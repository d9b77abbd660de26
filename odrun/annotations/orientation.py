"""EXIF orientations: places in an image as its file stores it → places in the image turned upright.

Comes in: points and boxes in pixels of the stored frame, whose corner (0, 0) is the first stored pixel's outer corner.
Goes out: the same in the upright frame, as viewers show it. Refused: orientations other than 1 to 8 (KeyError).

The orientation is tag 0x0112 of the Exif standard (CIPA DC-008); 1 is upright, 5 to 8 exchange width and height.
"""

from __future__ import annotations

# Orientation → whether x is counted from the right, then whether y from below, then whether x and y are exchanged.
_MOVES = {
    1: (False, False, False),
    2: (True, False, False),
    3: (True, True, False),
    4: (False, True, False),
    5: (False, False, True),
    6: (False, True, True),
    7: (True, True, True),
    8: (True, False, True),
}


def upright_size(width_px: int, height_px: int, orientation: int) -> tuple[int, int]:
    """The upright width and height of an image stored `width_px` by `height_px`; also the other way round."""
    exchanged = _MOVES[orientation][2]
    return (height_px, width_px) if exchanged else (width_px, height_px)


def upright_point(x_px: float, y_px: float, orientation: int, width_px: float, height_px: float) -> tuple[float, float]:
    """Where a point of the stored frame, `width_px` by `height_px` large, lies in the upright one: x, y in pixels."""
    from_right, from_below, exchanged = _MOVES[orientation]
    x_px = width_px - x_px if from_right else x_px
    y_px = height_px - y_px if from_below else y_px
    return (y_px, x_px) if exchanged else (x_px, y_px)


def upright_box(
    corners_px: tuple[float, float, float, float], orientation: int, width_px: float, height_px: float
) -> tuple[float, float, float, float]:
    """The box (xmin, ymin, xmax, ymax) of the stored frame in the upright one, in the same order.

    `width_px` and `height_px` are those of the stored frame. Minimum and maximum are not sorted: a box that is inverted
    stays so, for the checks to find, and NaN stays NaN.
    """
    from_right, from_below, exchanged = _MOVES[orientation]
    xmin, ymin, xmax, ymax = corners_px
    if from_right:
        xmin, xmax = width_px - xmax, width_px - xmin
    if from_below:
        ymin, ymax = height_px - ymax, height_px - ymin
    return (ymin, xmin, ymax, xmax) if exchanged else (xmin, ymin, xmax, ymax)
