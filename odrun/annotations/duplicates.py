"""Images that look alike, found by their difference hashes: across the split they flatter the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from odrun.annotations.model import AnnotatedImage
from odrun.annotations.problems import ProblemLog

NEAR_BITS = 3
_BANDS = NEAR_BITS + 1
_BAND_BITS = 64 // _BANDS
_FLAT_HASHES = (0, (1 << 64) - 1)


def note_near_duplicates(
    train: Sequence[AnnotatedImage], validation: Sequence[AnnotatedImage], problems: ProblemLog
) -> None:
    """Note each image whose hash differs from an earlier one's in at most `NEAR_BITS` of 64 bits, once.

    Two such hashes agree in at least one of `NEAR_BITS + 1` bands, so only those are compared. A hash of equal bits
    (a blank image, an even gradient) says nothing and is left out; files of the same bytes are always found.
    """
    by_digest: dict[str, AnnotatedImage] = {}
    by_band: dict[tuple[int, int], dict[int, AnnotatedImage]] = {}
    held_back = frozenset(image.name for image in validation)
    for image in (*train, *validation):
        same = by_digest.setdefault(image.sha256, image)
        alike = same if same is not image else _earlier_alike(image, by_band)
        if alike is not None:
            manner = "has the same bytes as" if same is not image else "looks like"
            across = (image.name in held_back) != (alike.name in held_back)
            side = ", on the other side of the split" if across else ""
            problems.add("near_duplicate", image.image_path, f"{manner} {alike.name}{side}")


def _earlier_alike(
    image: AnnotatedImage, by_band: dict[tuple[int, int], dict[int, AnnotatedImage]]
) -> AnnotatedImage | None:
    if image.look in _FLAT_HASHES:
        return None
    bands = [(band, image.look >> (band * _BAND_BITS) & ((1 << _BAND_BITS) - 1)) for band in range(_BANDS)]
    found = None
    for band in bands:
        for look, other in by_band.get(band, {}).items():
            if found is None and bin(look ^ image.look).count("1") <= NEAR_BITS:
                found = other
    for band in bands:
        by_band.setdefault(band, {}).setdefault(image.look, image)
    return found
