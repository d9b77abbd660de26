"""What is known of the proven images of a data set, in rows on disk, of which a few bytes are held.

Comes in: `KeptImage`s in the order in which they are proven. Goes out: `KeptImages`, sorted by name, of which parts can
be chosen.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from struct import Struct
from typing import BinaryIO, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np

from odrun.annotations.files import Listing
from odrun.annotations.model import SPLITS
from odrun.annotations.rows import Rows

Item = TypeVar("Item")
ClassCounts: TypeAlias = tuple[tuple[str, int], ...]
KeypointNames: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
# The image's place in the listing, the numbers of its classes and keypoints, split, digest, look, size, masks, place.
_ROW = Struct("<IIIB32sQQIQI")
_SPLITS = (None, *SPLITS)


class Place(NamedTuple):
    """Where a proven image lies in the spool."""

    offset: int
    length: int


class KeptImage(NamedTuple):
    """What is known of a proven image.

    `classes` says how many boxes it has of each, by the name in the data; `keypoints` has the names of the keypoints of
    each class that has labelled ones; `masks` is how many of its boxes have one. `sha256` and `size_bytes` are of its
    file, `look` is its difference hash, and `place` says where it lies in the spool.
    """

    name: str
    classes: ClassCounts
    split: str | None
    sha256: bytes
    look: int
    size_bytes: int
    masks: int
    keypoints: KeypointNames
    place: Place

    @property
    def boxes(self) -> int:
        """How many boxes it has."""
        return sum(count for _, count in self.classes)


class KeptImages(Sequence[KeptImage]):
    """Kept images by their place among them, from 0; made by `Keeping`."""

    def __init__(self, kept: Keeping, numbers: Sequence[int]) -> None:
        self._kept = kept
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> KeptImage: ...
    @overload
    def __getitem__(self, place: slice) -> KeptImages: ...
    def __getitem__(self, place: int | slice) -> KeptImage | KeptImages:
        if isinstance(place, slice):
            return KeptImages(self._kept, self._numbers[place])
        return self._kept.image(self._numbers[place])

    def __iter__(self) -> Iterator[KeptImage]:
        return map(self._kept.image, self._numbers)

    def chosen(self, places: Iterable[int]) -> KeptImages:
        """Those at some places."""
        return KeptImages(self._kept, array("I", (self._numbers[place] for place in places)))


class Keeping:
    """Takes the kept images among `files`, and writes what is known of each to an open file."""

    def __init__(self, files: Listing, stream: BinaryIO) -> None:
        self._files = files
        self._rows = Rows(stream, _ROW)
        self._places = array("I")
        # Most images share theirs with many others.
        self._classes: dict[ClassCounts, int] = {}
        self._keypoints: dict[KeypointNames, int] = {}
        self._known: tuple[list[ClassCounts], list[KeypointNames]] = ([], [])

    def add(self, image: KeptImage) -> None:
        """Keep one more, of another name than those before; KeyError if it is none of the files."""
        place = self._files.place(image.name)
        if place is None:
            raise KeyError(image.name)
        self._places.append(place)
        self._rows.append(
            place,
            _number(image.classes, self._classes, self._known[0]),
            _number(image.keypoints, self._keypoints, self._known[1]),
            _SPLITS.index(image.split),
            *image[3:7],
            *image.place,
        )

    def images(self) -> KeptImages:
        """All that were kept, sorted by name."""
        if all(one < other for one, other in pairwise(self._places)):
            return KeptImages(self, range(len(self._places)))
        order = np.argsort(np.frombuffer(self._places, np.uint32)).astype(np.uint32)
        return KeptImages(self, array("I", order.tobytes()))

    def image(self, number: int) -> KeptImage:
        """The image that was kept as that number, from 0."""
        place, classes, keypoints, split, digest, look, size_bytes, masks, *where = self._rows[number]
        return KeptImage(
            self._files[place].name,
            self._known[0][classes],
            _SPLITS[split],
            digest,
            look,
            size_bytes,
            masks,
            self._known[1][keypoints],
            Place(*where),
        )


def _number(item: Item, numbers: dict[Item, int], known: list[Item]) -> int:
    number = numbers.setdefault(item, len(known))
    if number == len(known):
        known.append(item)
    return number
