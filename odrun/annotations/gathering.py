"""Images as read → proven images in a spool file, and of each the few facts that the split and the records need.

A data set may have more images than memory has room for, so the proven images lie on disk (pickled, one after another)
and only `KeptImage`s are held.
"""

from __future__ import annotations

import pickle
import struct
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import IO, TypeAlias, TypeVar

from odrun.annotations.checks import Checked, check_image
from odrun.annotations.classes import ClassMap
from odrun.annotations.digests import FileContent
from odrun.annotations.losses import Loss, Losses
from odrun.annotations.model import AnnotatedImage, ImageAsRead
from odrun.annotations.parallel import Workers
from odrun.annotations.problems import Policies, Problem, ProblemLog

CHUNK_IMAGES = 32
# Digest, look, size of the file, masks, and offset and length in the spool.
_NUMBERS = struct.Struct("<32sQqIqq")
Item = TypeVar("Item")
_Classes: TypeAlias = "tuple[tuple[str, int], ...]"
_Keypoints: TypeAlias = "tuple[tuple[str, tuple[str, ...]], ...]"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proven image lies in the spool."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Measured:
    """An image's size in pixels, and in the order of its boxes their classes, and the width and height of each."""

    width_px: int
    height_px: int
    class_names: tuple[str, ...]
    box_sizes_px: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class KeptImage:
    """What is held of a proven image, made by `kept_image`.

    `classes` says how many boxes it has of each, by the name in the data; `keypoints` has the names of the keypoints of
    each class that has labelled ones. The numbers are packed: as objects of their own they would take three times as
    much memory.
    """

    name: str
    classes: tuple[tuple[str, int], ...]
    split: str | None
    keypoints: _Keypoints
    packed: bytes

    @property
    def sha256(self) -> bytes:
        """The digest of its file."""
        return self._numbers()[0]

    @property
    def look(self) -> int:
        """Its difference hash."""
        return self._numbers()[1]

    @property
    def size_bytes(self) -> int:
        """How large its file is."""
        return self._numbers()[2]

    @property
    def masks(self) -> int:
        """How many of its boxes have a mask."""
        return self._numbers()[3]

    @property
    def place(self) -> Place:
        """Where it lies in the spool."""
        return Place(*self._numbers()[4:])

    def _numbers(self) -> tuple[bytes, int, int, int, int, int]:
        digest, look, size_bytes, masks, offset, length = _NUMBERS.unpack_from(self.packed)
        return digest, look, size_bytes, masks, offset, length

    def measured(self) -> Measured:
        """Its size and the sizes of its boxes."""
        begin = _NUMBERS.size
        middle = begin + 4 * (2 + self.boxes)
        numbers, sizes = array("I", self.packed[begin:middle]), array("f", self.packed[middle:])
        class_names = tuple(self.classes[position][0] for position in numbers[2:])
        return Measured(numbers[0], numbers[1], class_names, tuple(sizes))

    @property
    def boxes(self) -> int:
        """How many boxes it has."""
        return sum(count for _, count in self.classes)


def kept_image(
    name: str,
    classes: _Classes,
    split: str | None,
    sha256: bytes,
    look: int,
    size_bytes: int,
    masks: int,
    keypoints: _Keypoints,
    place: Place,
    measures: bytes = b"",
) -> KeptImage:
    """What is held of an image; `measures` has its size and its boxes' sizes, as this module packs them."""
    packed = _NUMBERS.pack(sha256, look, size_bytes, masks, place.offset, place.length) + measures
    return KeptImage(name, classes, split, keypoints, packed)


@dataclass
class Gathered:
    """What was read, what of it was kept, and what was `lost` between.

    Images are files, each counted once, however many annotations speak of it.
    """

    images_read: int = 0
    boxes_read: int = 0
    kept: list[KeptImage] = field(default_factory=list)
    lost: Losses = field(default_factory=Losses)


def gather(
    images: Iterable[ImageAsRead],
    contents: Mapping[str, FileContent],
    classes: ClassMap,
    problems: ProblemLog,
    spool: IO[bytes],
    *,
    workers: Workers,
    progress: Callable[[int], None],
) -> Gathered:
    """Prove every image, by `workers`, and write those that are kept to `spool`.

    `contents` has the digest of each image by its name. An image that two annotations speak of is taken from the first.
    `progress` is told how many images are done. The kept ones are sorted by name.
    """
    gathered = Gathered()
    # What a worker answers with has texts of its own; held are those of the listing, or the first of their kind.
    names: deque[str] = deque()
    unproven = _once_each(images, contents, problems, gathered, names)
    check = partial(_check_chunk, classes=classes, policies=problems.policies)
    combinations: dict[_Classes, _Classes] = {}
    skeletons: dict[_Keypoints, _Keypoints] = {}
    done = 0
    for chunk in workers.map(check, _chunks(unproven, contents)):
        for kept, blob, found, losses in chunk:
            gathered.lost.add_all(losses)
            for problem in found:
                problems.note(problem)
            name = names.popleft()
            if kept is not None:
                place = Place(spool.tell(), len(blob))
                spool.write(blob)
                combination = combinations.setdefault(kept[0], kept[0])
                skeleton = skeletons.setdefault(kept[6], kept[6])
                gathered.kept.append(kept_image(name, combination, *kept[1:6], skeleton, place, kept[7]))
        done += len(chunk)
        progress(done)
    spool.flush()
    gathered.kept.sort(key=lambda image: image.name)
    return gathered


def spooled(spool: IO[bytes], place: Place) -> AnnotatedImage:
    """The proven image at a place of the spool."""
    spool.seek(place.offset)
    image = pickle.loads(spool.read(place.length))  # noqa: S301 - a file of this run, unlinked with it
    assert isinstance(image, AnnotatedImage)
    return image


_Facts = tuple[_Classes, "str | None", bytes, int, int, int, _Keypoints, bytes]
_Outcome = tuple["_Facts | None", bytes, tuple[Problem, ...], tuple[Loss, ...]]


def _once_each(
    images: Iterable[ImageAsRead],
    contents: Mapping[str, FileContent],
    problems: ProblemLog,
    gathered: Gathered,
    names: deque[str],
) -> Iterator[ImageAsRead]:
    """Each image once, if its file could be read; its name is put behind `names`."""
    first: dict[str, str] = {}
    for image in images:
        gathered.images_read += image.name not in first
        gathered.boxes_read += len(image.boxes)
        if image.name in first:
            message = f"speaks of {image.image_path}, as {first[image.name]} does"
            problems.add("duplicate_image", image.annotation_path, message)
            gathered.lost.add("duplicate_image", boxes=len(image.boxes))
        elif image.name not in contents:
            gathered.lost.add("unreadable_file", images=1, boxes=len(image.boxes))
        else:
            # A path takes five times as much memory.
            first[image.name] = str(image.annotation_path)
            names.append(image.name)
            yield image


def _chunks(
    images: Iterator[ImageAsRead], contents: Mapping[str, FileContent]
) -> Iterator[list[tuple[ImageAsRead, FileContent]]]:
    while chunk := [(image, contents[image.name]) for image in islice(images, CHUNK_IMAGES)]:
        yield chunk


def _check_chunk(
    chunk: list[tuple[ImageAsRead, FileContent]], *, classes: ClassMap, policies: Policies
) -> list[_Outcome]:
    return [_outcome(check_image(image, content, classes, policies)) for image, content in chunk]


def _outcome(checked: Checked) -> _Outcome:
    image = checked.image
    if image is None:
        return None, b"", checked.problems, checked.losses
    counts = Counter(box.class_name for box in image.boxes)
    classes = tuple(sorted(counts.items()))
    facts = (
        classes,
        image.split,
        bytes.fromhex(image.sha256),
        image.look,
        image.size_bytes,
        sum(box.mask is not None for box in image.boxes),
        _keypoints(image),
        _measures(image, {name: position for position, (name, _) in enumerate(classes)}),
    )
    return facts, pickle.dumps(image, pickle.HIGHEST_PROTOCOL), checked.problems, checked.losses


def _keypoints(image: AnnotatedImage) -> _Keypoints:
    names: dict[str, dict[str, None]] = {}
    for box in image.boxes:
        if any(point.visibility for point in box.keypoints):
            names.setdefault(box.class_name, {}).update(dict.fromkeys(point.name for point in box.keypoints))
    return tuple((class_name, tuple(points)) for class_name, points in sorted(names.items()))


def _measures(image: AnnotatedImage, positions: Mapping[str, int]) -> bytes:
    numbers = array("I", (image.width_px, image.height_px))
    sizes = array("f")
    for box in image.boxes:
        numbers.append(positions[box.class_name])
        sizes.extend((box.xmax_px - box.xmin_px, box.ymax_px - box.ymin_px))
    return numbers.tobytes() + sizes.tobytes()
