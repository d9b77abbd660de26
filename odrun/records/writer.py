"""Proven images in a spool → label map, TFRecord shards and manifest in one folder; shards are written by processes."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

from odrun.annotations.gathering import spooled
from odrun.annotations.images import as_stored
from odrun.annotations.kept import KeptImage, Place
from odrun.annotations.keypoint_slots import KeypointSlots
from odrun.annotations.losses import Losses
from odrun.annotations.model import SPLITS, AnnotatedImage
from odrun.annotations.parallel import Workers
from odrun.errors import InputError
from odrun.records.example import image_example_pieces
from odrun.records.label_map import label_ids, label_map_text
from odrun.records.manifest import LABEL_MAP_NAME, MANIFEST_NAME, Ledger, PartCounts, manifest_text
from odrun.records.shards import shard_name, write_shard

SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class Plan:
    """What is to be written: the images of each part in their order, and what the classes are called.

    `names` gives the class (one of `classes`, which stand in the order of their label ids) that each name in the data
    stands for. With `has_masks` every box gets a mask; each has the slots of `keypoints`. `lost` is what
    was kept and is not to be written.
    """

    parts: Mapping[str, Sequence[KeptImage]]
    classes: tuple[str, ...]
    names: Mapping[str, str]
    has_masks: bool
    keypoints: KeypointSlots
    lost: Losses = field(default_factory=Losses)

    @cached_property
    def counts(self) -> dict[str, PartCounts]:
        """How many images and boxes each part has."""
        return {part: PartCounts(len(kept), sum(image.boxes for image in kept)) for part, kept in self.parts.items()}

    @cached_property
    def masks(self) -> int:
        """How many boxes have a mask of their own."""
        return sum(image.masks for kept in self.parts.values() for image in kept)


@dataclass(frozen=True)
class _Shard:
    """One file to write: the offset and length of each of its images in the spool, one after another, and the id of the
    first."""

    path: Path
    spool: Path
    places: array[int]
    first_id: int
    classes: tuple[str, ...]
    names: Mapping[str, str]
    has_masks: bool
    keypoints: KeypointSlots


def write_records(
    plan: Plan,
    folder: Path,
    spool: Path,
    *,
    fingerprint: str,
    problems: Mapping[str, int],
    ledger: Ledger,
    workers: Workers,
    progress: Callable[[int], None],
) -> None:
    """Write all that belongs to `plan` into the empty `folder`, the manifest last.

    Images are numbered from 1, the training part first; the number is their `image/source_id`. `progress` is told how
    many images are written. The bytes do not depend on the number of workers.

    Raises:
        InputError: an image is not what it was when it was checked.
        OSError: the folder cannot be written.
    """
    (folder / LABEL_MAP_NAME).write_text(label_map_text(plan.classes, plan.keypoints), encoding="utf-8")
    paths = {part: _paths(plan.parts[part], part, folder) for part in SPLITS}
    done = 0
    for written in workers.map(_write, chain.from_iterable(_shards(plan, part, paths[part], spool) for part in SPLITS)):
        done += written
        progress(done)
    text = manifest_text(
        fingerprint,
        plan.classes,
        plan.counts,
        paths,
        problems,
        ledger,
        masks=plan.masks,
        keypoints=plan.keypoints,
    )
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def renamed(image: AnnotatedImage, names: Mapping[str, str]) -> AnnotatedImage:
    """The image with its boxes' classes as they are called in the records."""
    boxes = tuple(replace(box, class_name=names[box.class_name]) for box in image.boxes)
    return replace(image, boxes=boxes)


def _paths(kept: Sequence[KeptImage], part: str, folder: Path) -> list[Path]:
    size_bytes = sum(image.size_bytes for image in kept)
    number = min(max(1, -(-size_bytes // SHARD_BYTES)), len(kept))
    return [folder / shard_name(part, index, number) for index in range(number)]


def _shards(plan: Plan, part: str, paths: Sequence[Path], spool: Path) -> Iterator[_Shard]:
    """One after another: the places of all images would be many."""
    kept = plan.parts[part]
    first_id = 1 + sum(len(plan.parts[earlier]) for earlier in SPLITS[: SPLITS.index(part)])
    bounds = [len(kept) * index // len(paths) for index in range(len(paths) + 1)] if paths else []
    for index, path in enumerate(paths):
        yield _Shard(
            path,
            spool,
            array("Q", chain.from_iterable(image.place for image in kept[bounds[index] : bounds[index + 1]])),
            first_id + bounds[index],
            plan.classes,
            plan.names,
            plan.has_masks,
            plan.keypoints,
        )


def _write(shard: _Shard) -> int:
    places = [*map(Place, shard.places[::2], shard.places[1::2])]
    with shard.spool.open("rb") as spool:
        images = (renamed(spooled(spool, place), shard.names) for place in places)
        write_shard(shard.path, _examples(shard, images))
    return len(places)


def _examples(shard: _Shard, images: Iterable[AnnotatedImage]) -> Iterator[tuple[bytes, bytes, bytes]]:
    ids = label_ids(shard.classes)
    for source_id, image in enumerate(images, start=shard.first_id):
        encoded, sha256 = _stored(image)
        yield image_example_pieces(
            image,
            encoded,
            sha256=sha256,
            label_ids=ids,
            source_id=source_id,
            has_masks=shard.has_masks,
            keypoints=shard.keypoints,
        )


def _stored(image: AnnotatedImage) -> tuple[bytes, str]:
    """The bytes to store and their digest; proven to be those that were checked."""
    try:
        content = image.image_path.read_bytes()
    except OSError as error:
        raise _changed(image, f"cannot be read any more: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise _changed(image, "has changed since it was checked")
    if not image.re_encoded:
        return content, image.sha256
    encoded = as_stored(content)
    return encoded, hashlib.sha256(encoded).hexdigest()


def _changed(image: AnnotatedImage, how: str) -> InputError:
    return InputError(
        f"An image {how}; no records were written.",
        where=str(image.image_path),
        remedy="let no other program write to the data set, and run again",
    )
