"""COCO's run-length encoding of masks: `RunLengths` → lengths of runs, the box around the mask, its pixels.

Comes in: `RunLengths`, unproven. Goes out: the lengths of alternating runs of zeros and ones down the columns, int64,
which fill the mask exactly. Refused, as ValueError: text that is no such encoding, runs that do not fill the mask.

pycocotools reads text beyond its end and leaves pixels that no run fills as they happen to be, so it is not handed runs
that have not been proven here. The text packs each number into groups of five bits (pycocotools, common/maskApi.c,
rleToString): from the third run on it is the difference to the run before the last.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from odrun.annotations.model import RunLengths
from odrun.annotations.orientation import upright_size

_FIRST_SIGN = 48
_VALUE_BITS, _SIGN_BIT, _MORE_BIT = 0x1F, 0x10, 0x20
_LONGEST_GROUP = 7
# More than any image has pixels, and so few that no file is long enough for the sum of its runs to overflow.
_LARGEST_RUN = 1 << 32

Runs = npt.NDArray[np.int64]


def proven_runs(mask: RunLengths) -> Runs:
    """The lengths of the runs, zeros first, proven to fill the mask.

    Raises:
        ValueError: they are no runs, or do not fill it.
    """
    runs = _unpacked(mask.counts) if isinstance(mask.counts, str) else _listed(mask.counts)
    if runs.size and (runs.min() < 0 or runs.max() > _LARGEST_RUN):
        raise ValueError("has a run of a length that cannot be")
    total, pixels = int(runs.sum()), mask.height_px * mask.width_px
    if total != pixels:
        raise ValueError(f"has runs of {total} pixels in all where {mask.width_px}x{mask.height_px} pixels are to fill")
    return runs


def box_around(mask: RunLengths) -> tuple[float, float, float, float] | None:
    """The corners (xmin, ymin, xmax, ymax) of the smallest box around the mask's pixels; None where it has none.

    Raises:
        ValueError: as of `proven_runs`.
    """
    runs = proven_runs(mask)
    ends = runs.cumsum()
    first, last = (ends - runs)[1::2], ends[1::2] - 1
    is_filled = first <= last
    if not is_filled.any():
        return None
    (first_x, first_y), (last_x, last_y) = (np.divmod(each[is_filled], mask.height_px) for each in (first, last))
    # A run that goes on in the next column touches the bottom of one and the top of the other.
    if (first_x != last_x).any():
        first_y, last_y = np.array([0]), np.array([mask.height_px - 1])
    return float(first_x.min()), float(first_y.min()), float(last_x.max() + 1), float(last_y.max() + 1)


def pixels_of(mask: RunLengths) -> npt.NDArray[np.bool_]:
    """The mask's pixels, shape [height, width].

    Raises:
        ValueError: as of `proven_runs`.
    """
    runs = proven_runs(mask)
    values = np.arange(runs.size) % 2 == 1
    return np.repeat(values, runs).reshape(mask.width_px, mask.height_px).T


def runs_of(pixels: npt.NDArray[np.bool_]) -> RunLengths:
    """The mask of `pixels`, shape [height, width]."""
    height_px, width_px = pixels.shape
    column_wise = pixels.T.ravel()
    changes = np.flatnonzero(np.diff(column_wise, prepend=False))
    counts = np.diff(changes, prepend=0, append=column_wise.size)
    return RunLengths(height_px, width_px, tuple(counts.tolist()))


def upright_run_lengths(mask: RunLengths, orientation: int) -> RunLengths:
    """A mask in the frame that a file stores, turned into the upright frame (see `odrun.annotations.orientation`).

    Raises:
        ValueError: as of `proven_runs`.
        KeyError: the orientation is none of 1 to 8.
    """
    pixels = pixels_of(mask)
    from_right, from_below = orientation in (2, 3, 7, 8), orientation in (3, 4, 6, 7)
    moved = pixels[:: -1 if from_below else 1, :: -1 if from_right else 1]
    is_exchanged = upright_size(1, 2, orientation) == (2, 1)
    return runs_of(moved.T if is_exchanged else moved)


def _listed(counts: tuple[int, ...]) -> Runs:
    try:
        return np.array(counts, np.int64)
    except OverflowError as error:
        raise ValueError("has a run of a length that cannot be") from error


def _unpacked(text: str) -> Runs:
    groups = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - _FIRST_SIGN
    if not groups.size:
        return groups
    goes_on = (groups & _MORE_BIT) != 0
    if groups.min() < 0 or groups.max() > _VALUE_BITS + _MORE_BIT or goes_on[-1]:
        raise ValueError("has run lengths that are cut off or hold a sign that does not belong there")
    last = np.flatnonzero(~goes_on)
    first = np.concatenate(([0], last[:-1] + 1))
    if (last - first).max() >= _LONGEST_GROUP:
        raise ValueError("has a run of a length that cannot be")
    place = np.arange(groups.size) - np.repeat(first, last - first + 1)
    numbers = np.add.reduceat((groups & _VALUE_BITS) << (5 * place), first)
    is_negative = (groups[last] & _SIGN_BIT) != 0
    numbers -= is_negative.astype(np.int64) << (5 * (last - first + 1))
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers
