"""Images as read → proven images in a spool file, and of each the few facts that the split and the records need.

A data set may have more images than memory has room for, so the proven images lie on disk (pickled, one after another),
and so do the facts.
"""

from __future__ import annotations

import pickle
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import IO, BinaryIO

from odrun.annotations.checks import Checked, check_image
from odrun.annotations.classes import ClassMap
from odrun.annotations.digests import Contents, FileContent
from odrun.annotations.kept import ClassCounts, Keeping, KeptImage, KeptImages, KeypointNames, Place
from odrun.annotations.losses import Loss, Losses
from odrun.annotations.model import AnnotatedImage, ImageAsRead
from odrun.annotations.parallel import Workers
from odrun.annotations.problems import Policies, Problem, ProblemLog

CHUNK_IMAGES = 32


@dataclass
class Gathered:
    """What was read, what of it was kept, and what was `lost` between.

    Images are files, each counted once, however many annotations speak of it.
    """

    images_read: int = 0
    boxes_read: int = 0
    lost: Losses = field(default_factory=Losses)
    kept: KeptImages = field(init=False)


def gather(
    images: Iterable[ImageAsRead],
    contents: Contents,
    classes: ClassMap,
    problems: ProblemLog,
    spool: IO[bytes],
    facts: BinaryIO,
    *,
    workers: Workers,
    progress: Callable[[int], None],
) -> Gathered:
    """Prove every image, by `workers`, and write those that are kept to `spool`, and what is known of them to `facts`.

    `contents` has the digest of each file by its name. An image that two annotations speak of is taken from the first.
    `progress` is told how many images are done. The kept ones are sorted by name.
    """
    gathered = Gathered()
    names: deque[str] = deque()
    unproven = _once_each(images, contents, problems, gathered, names)
    check = partial(_check_chunk, classes=classes, policies=problems.policies)
    keeping = Keeping(contents.files, facts)
    done = 0
    for chunk in workers.map(check, _chunks(unproven, contents)):
        for kept, blob, found, losses in chunk:
            gathered.lost.add_all(losses)
            for problem in found:
                problems.note(problem)
            name = names.popleft()
            if kept is not None:
                keeping.add(KeptImage(name, *kept, Place(spool.tell(), len(blob))))
                spool.write(blob)
        done += len(chunk)
        progress(done)
    spool.flush()
    gathered.kept = keeping.images()
    return gathered


def spooled(spool: IO[bytes], place: Place) -> AnnotatedImage:
    """The proven image at a place of the spool."""
    spool.seek(place.offset)
    image = pickle.loads(spool.read(place.length))  # noqa: S301 - a file of this run, unlinked with it
    assert isinstance(image, AnnotatedImage)
    return image


_Facts = tuple[ClassCounts, "str | None", bytes, int, int, int, KeypointNames]
_Outcome = tuple["_Facts | None", bytes, tuple[Problem, ...], tuple[Loss, ...]]


def _once_each(
    images: Iterable[ImageAsRead],
    contents: Contents,
    problems: ProblemLog,
    gathered: Gathered,
    names: deque[str],
) -> Iterator[ImageAsRead]:
    """Each image once, if its file could be read; its name is put behind `names`."""
    files = contents.files
    # Of each file the place of the annotation that spoke of it first, from 1.
    first = array("I", bytes(array("I").itemsize * len(files)))
    for image in images:
        gathered.boxes_read += len(image.boxes)
        place = files.place(image.name)
        if place is None:
            gathered.images_read += 1
            gathered.lost.add("unreadable_file", images=1, boxes=len(image.boxes))
        elif first[place]:
            message = f"speaks of {image.image_path}, as {files[first[place] - 1].path} does"
            problems.add("duplicate_image", image.annotation_path, message)
            gathered.lost.add("duplicate_image", boxes=len(image.boxes))
        else:
            gathered.images_read += 1
            annotation = files.place(files.name_of(image.annotation_path))
            assert annotation is not None, f"{image.annotation_path} is none of the files that were read"
            first[place] = 1 + annotation
            names.append(image.name)
            yield image


def _chunks(images: Iterator[ImageAsRead], contents: Contents) -> Iterator[list[tuple[ImageAsRead, FileContent]]]:
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
    )
    return facts, pickle.dumps(image, pickle.HIGHEST_PROTOCOL), checked.problems, checked.losses


def _keypoints(image: AnnotatedImage) -> KeypointNames:
    names: dict[str, dict[str, None]] = {}
    for box in image.boxes:
        if any(point.visibility for point in box.keypoints):
            names.setdefault(box.class_name, {}).update(dict.fromkeys(point.name for point in box.keypoints))
    return tuple((class_name, tuple(points)) for class_name, points in sorted(names.items()))
