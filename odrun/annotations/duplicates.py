"""Images of the same bytes, and images that look alike by their difference hashes: across the split they flatter."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from odrun.annotations.kept import KeptImage
from odrun.annotations.problems import Policy, ProblemLog

NEAR_BITS = 3
_BANDS = NEAR_BITS + 1
_BAND_BITS = 64 // _BANDS
_FLAT_HASHES = (0, (1 << 64) - 1)
_Numbers = npt.NDArray[np.int32]
_Looks = npt.NDArray[np.uint64]


def note_duplicates(
    train: Sequence[KeptImage], validation: Sequence[KeptImage], source: Path, problems: ProblemLog
) -> dict[str, str]:
    """Note each image below `source` that is like an earlier one, once; name → fault of those to be left out.

    Alike are files of the same bytes, and images whose hashes differ in at most `NEAR_BITS` of 64 bits. Two such hashes
    agree in at least one of `NEAR_BITS + 1` bands, so only those are compared. A hash of equal bits (a blank image, an
    even gradient) says nothing and is left out.
    """
    same, alike = _earlier(train, validation)
    left_out = {}
    for number in map(int, np.flatnonzero((same >= 0) | (alike >= 0))):
        image = _image(number, train, validation)
        is_same = same[number] >= 0
        earlier = int(same[number] if is_same else alike[number])
        manner = "has the same bytes as" if is_same else "looks like"
        fault = "duplicate_content" if is_same else "near_duplicate"
        message = f"{manner} {_image(earlier, train, validation).name}"
        if earlier < len(train) <= number:
            fault, message = "duplicate_across_split", f"{message}, on the other side of the split"
        if problems.add(fault, source / image.name, message) is Policy.DROP:
            left_out[image.name] = fault
    return left_out


def _image(number: int, train: Sequence[KeptImage], validation: Sequence[KeptImage]) -> KeptImage:
    return train[number] if number < len(train) else validation[number - len(train)]


def _earlier(train: Sequence[KeptImage], validation: Sequence[KeptImage]) -> tuple[_Numbers, _Numbers]:
    """The number of the first image of the same bytes, and of an earlier one that looks alike; -1 where none is."""
    # A quarter of a digest: that two of millions of files agree in it by chance is not to be expected.
    digests = array("Q", (int.from_bytes(image.sha256[:8], "little") for part in (train, validation) for image in part))
    same = _first_equal(np.frombuffer(digests, np.uint64))
    del digests
    _leave_out_first(same)
    looks = np.frombuffer(array("Q", (image.look for part in (train, validation) for image in part)), np.uint64)
    alike = _first_equal(looks)
    _leave_out_first(alike)
    is_flat = np.isin(looks, np.array(_FLAT_HASHES, np.uint64))
    alike[is_flat] = -1
    _note_near(looks, np.flatnonzero((alike < 0) & ~is_flat).astype(np.int32), alike)
    return same, alike


def _first_equal(values: _Looks) -> _Numbers:
    """The number of the first of equal values, for each."""
    order = np.argsort(values, kind="stable").astype(np.int32)
    ordered = values[order]
    is_begin = np.append(np.ones(min(1, len(values)), bool), ordered[1:] != ordered[:-1])
    del ordered
    first = np.empty(len(values), np.int32)
    first[order] = order[is_begin][np.cumsum(is_begin, dtype=np.int32) - 1]
    return first


def _leave_out_first(first: _Numbers) -> None:
    """Write -1 where an image is itself the first."""
    first[first == np.arange(len(first), dtype=np.int32)] = -1


def _note_near(looks: _Looks, numbers: _Numbers, alike: _Numbers) -> None:
    """Write into `alike` an earlier one of `numbers`, the first images of all looks, that looks nearly as one does.

    One band is compared after the other, so that no more than one is held.
    """
    for band in range(_BANDS):
        of_band = (looks[numbers] >> np.uint64(band * _BAND_BITS)).astype(np.uint16)
        order = numbers[np.argsort(of_band, kind="stable")]
        of_band.sort()
        ends = np.flatnonzero(np.diff(of_band, append=~of_band[-1:])) + 1
        begin = 0
        for end in ends.tolist():
            if end - begin > 1:
                _note_near_ones(order[begin:end].tolist(), looks, alike)
            begin = end


def _note_near_ones(numbers: list[int], looks: _Looks, alike: _Numbers) -> None:
    others: list[tuple[int, int]] = []
    for number, look in zip(numbers, looks[numbers].tolist(), strict=True):
        if alike[number] < 0:
            for other, earlier in others:
                if (look ^ other).bit_count() <= NEAR_BITS:
                    alike[number] = earlier
                    break
        others.append((look, number))
