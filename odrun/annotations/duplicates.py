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
_Numbers = npt.NDArray[np.uint32]
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


def _earlier(
    train: Sequence[KeptImage], validation: Sequence[KeptImage]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The number of the first image of the same bytes, and of an earlier one that looks alike; -1 where none is."""
    digests, looks = array("Q"), array("Q")
    for part in (train, validation):
        for image in part:
            # The half of a half: that two of millions of files agree in it by chance is not to be expected.
            digests.append(int.from_bytes(image.sha256[:8], "little"))
            looks.append(image.look)
    first = _first_equal(np.frombuffer(digests, np.uint64))
    same = np.where(first == np.arange(len(first)), -1, first.astype(np.int32))
    hashes = np.frombuffer(looks, np.uint64)
    first = _first_equal(hashes)
    is_flat = np.isin(hashes, np.array(_FLAT_HASHES, np.uint64))
    is_first = (first == np.arange(len(first))) & ~is_flat
    alike = np.where(is_first | is_flat, -1, first.astype(np.int32))
    _note_near(hashes, np.flatnonzero(is_first).astype(np.uint32), alike)
    return same.astype(np.int32), alike.astype(np.int32)


def _first_equal(values: _Looks) -> _Numbers:
    """The number of the first of equal values, for each."""
    order = np.argsort(values, kind="stable").astype(np.uint32)
    begins = np.flatnonzero(np.diff(values[order], prepend=~values[order[:1]]))
    first = np.empty(len(values), np.uint32)
    first[order] = np.repeat(order[begins], np.diff(begins, append=len(values)))
    return first


def _note_near(looks: _Looks, numbers: _Numbers, alike: npt.NDArray[np.int32]) -> None:
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


def _note_near_ones(numbers: list[int], looks: _Looks, alike: npt.NDArray[np.int32]) -> None:
    others: list[tuple[int, int]] = []
    for number, look in zip(numbers, looks[numbers].tolist(), strict=True):
        if alike[number] < 0:
            for other, earlier in others:
                if (look ^ other).bit_count() <= NEAR_BITS:
                    alike[number] = earlier
                    break
        others.append((look, number))
