"""Images as read → proven images in a spool file, and of each the few facts that the split and the records need.

A data set may have more images than memory has room for, so the proven images lie on disk (pickled, one after another)
and only `KeptImage`s are held.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TypeVar

from odrun.annotations.checks import Checked, Loss, check_image
from odrun.annotations.classes import ClassMap
from odrun.annotations.digests import FileContent
from odrun.annotations.model import AnnotatedImage, ImageAsRead
from odrun.annotations.parallel import Workers
from odrun.annotations.problems import Policies, Problem, ProblemLog

CHUNK_IMAGES = 32
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proven image lies in the spool."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class KeptImage:
    """What is held of a proven image.

    `classes` says how many boxes it has of each, by the name in the data; `masks` how many of them have a mask.
    """

    name: str
    classes: tuple[tuple[str, int], ...]
    split: str | None
    sha256: bytes
    look: int
    size_bytes: int
    masks: int
    keypoint_names: tuple[str, ...]
    place: Place

    @property
    def boxes(self) -> int:
        """How many boxes it has."""
        return sum(count for _, count in self.classes)


@dataclass
class Gathered:
    """What was read, and what of it was kept."""

    images_read: int = 0
    boxes_read: int = 0
    kept: list[KeptImage] = field(default_factory=list)
    lost_images: Counter[str] = field(default_factory=Counter)
    lost_boxes: Counter[str] = field(default_factory=Counter)

    def note(self, losses: Iterable[Loss]) -> None:
        """Add what was left out, by fault."""
        for loss in losses:
            self.lost_images[loss.fault] += loss.images
            self.lost_boxes[loss.fault] += loss.boxes

    def note_left_out(self, image: KeptImage, fault: str) -> None:
        """Add a kept image that is left out after all."""
        self.note([Loss(fault, 1, image.boxes)])


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
    unproven = _once_each(images, contents, problems, gathered)
    check = partial(_check_chunk, classes=classes, policies=problems.policies)
    done = 0
    for chunk in workers.map(check, _chunks(unproven, contents)):
        for kept, blob, found, losses in chunk:
            gathered.note(losses)
            for problem in found:
                problems.note(problem)
            if kept is not None:
                place = Place(spool.tell(), len(blob))
                spool.write(blob)
                gathered.kept.append(_placed(kept, place))
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


_Facts = tuple[str, tuple[tuple[str, int], ...], "str | None", bytes, int, int, int, tuple[str, ...]]
_Outcome = tuple["_Facts | None", bytes, tuple[Problem, ...], tuple[Loss, ...]]


def _once_each(
    images: Iterable[ImageAsRead], contents: Mapping[str, FileContent], problems: ProblemLog, gathered: Gathered
) -> Iterator[ImageAsRead]:
    """Each image once, if its file could be read."""
    first: dict[str, Path] = {}
    for image in images:
        gathered.images_read += 1
        gathered.boxes_read += len(image.boxes)
        if image.name in first:
            message = f"speaks of {image.image_path}, as {first[image.name]} does"
            problems.add("duplicate_image", image.annotation_path, message)
            gathered.note([Loss("duplicate_image", 1, len(image.boxes))])
        elif image.name not in contents:
            gathered.note([Loss("unreadable_file", 1, len(image.boxes))])
        else:
            first[image.name] = image.annotation_path
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
    names = {point.name: None for box in image.boxes for point in box.keypoints}
    facts = (
        image.name,
        tuple(sorted(counts.items())),
        image.split,
        bytes.fromhex(image.sha256),
        image.look,
        image.size_bytes,
        sum(box.mask is not None for box in image.boxes),
        tuple(names),
    )
    return facts, pickle.dumps(image, pickle.HIGHEST_PROTOCOL), checked.problems, checked.losses


def _placed(facts: _Facts, place: Place) -> KeptImage:
    return KeptImage(*facts, place=place)
