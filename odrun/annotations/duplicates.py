"""Images of the same bytes, and images that look alike by their difference hashes: across the split they flatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from odrun.annotations.gathering import KeptImage
from odrun.annotations.problems import Policy, ProblemLog

NEAR_BITS = 3
_BANDS = NEAR_BITS + 1
_BAND_BITS = 64 // _BANDS
_FLAT_HASHES = (0, (1 << 64) - 1)


def note_duplicates(
    train: Sequence[KeptImage], validation: Sequence[KeptImage], source: Path, problems: ProblemLog
) -> dict[str, str]:
    """Note each image below `source` that is like an earlier one, once; name → fault of those to be left out.

    Alike are files of the same bytes, and images whose hashes differ in at most `NEAR_BITS` of 64 bits. Two such hashes
    agree in at least one of `NEAR_BITS + 1` bands, so only those are compared. A hash of equal bits (a blank image, an
    even gradient) says nothing and is left out.
    """
    images = (*train, *validation)
    by_digest: dict[bytes, int] = {}
    by_look: dict[int, int] = {}
    for number, image in enumerate(images):
        if image.look not in _FLAT_HASHES:
            by_look.setdefault(image.look, number)
    earlier = _earlier_alike(by_look)
    left_out = {}
    for number, image in enumerate(images):
        same = by_digest.setdefault(image.sha256, number)
        alike = same if same != number else by_look.get(image.look)
        if alike == number:
            alike = earlier.get(number)
        if alike is not None:
            manner = "has the same bytes as" if same != number else "looks like"
            fault = "duplicate_content" if same != number else "near_duplicate"
            message = f"{manner} {images[alike].name}"
            if alike < len(train) <= number:
                fault, message = "duplicate_across_split", f"{message}, on the other side of the split"
            if problems.add(fault, source / image.name, message) is Policy.DROP:
                left_out[image.name] = fault
    return left_out


def _earlier_alike(by_look: Mapping[int, int]) -> dict[int, int]:
    """Image → an earlier one that looks alike, of the first images of all looks, which stand in their order.

    One band is compared after the other, so that no more than one is held.
    """
    found: dict[int, int] = {}
    for band in range(_BANDS):
        of_band: dict[int, list[int]] = {}
        for look, number in by_look.items():
            others = of_band.setdefault(look >> (band * _BAND_BITS) & ((1 << _BAND_BITS) - 1), [])
            if number not in found:
                for other in others:
                    if (look ^ other).bit_count() <= NEAR_BITS:
                        found[number] = by_look[other]
                        break
            others.append(look)
    return found
