"""A checked data set → label map, TFRecord shards and manifest in one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from odrun.annotations.images import as_png
from odrun.annotations.model import SPLITS, TRAIN, VALIDATION, AnnotatedImage, DataSet
from odrun.annotations.threads import map_in_order
from odrun.errors import InputError
from odrun.records.example import image_example
from odrun.records.label_map import label_ids, label_map_text
from odrun.records.manifest import LABEL_MAP_NAME, MANIFEST_NAME, PartCounts, manifest_text
from odrun.records.shards import write_shards

SHARD_BYTES = 128 << 20


def write_records(data: DataSet, folder: Path, *, fingerprint: str, problems: Mapping[str, int], workers: int) -> None:
    """Write all that belongs to `data` into the empty `folder`, the manifest last.

    Images are numbered from 1, the training part first; the number is their `image/source_id`.

    Raises:
        InputError: an image is not what it was when it was checked.
        OSError: the folder cannot be written.
    """
    (folder / LABEL_MAP_NAME).write_text(label_map_text(data.classes), encoding="utf-8")
    parts = {TRAIN: data.train, VALIDATION: data.validation}
    first_ids = {TRAIN: 1, VALIDATION: 1 + len(data.train)}
    shards = {
        part: write_shards(
            folder,
            part,
            _examples(parts[part], label_ids(data.classes), first_ids[part], workers),
            count=len(parts[part]),
            shards=_shards_for(parts[part]),
        )
        for part in SPLITS
    }
    counts = {part: PartCounts(len(parts[part]), sum(len(image.boxes) for image in parts[part])) for part in SPLITS}
    text = manifest_text(fingerprint, data.classes, counts, shards, problems)
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def _examples(images: Sequence[AnnotatedImage], ids: Mapping[str, int], first_id: int, workers: int) -> Iterator[bytes]:
    def example(numbered: tuple[int, AnnotatedImage]) -> bytes:
        source_id, image = numbered
        encoded, sha256 = _stored(image)
        return image_example(image, encoded, sha256=sha256, label_ids=ids, source_id=source_id)

    return map_in_order(example, enumerate(images, start=first_id), workers=workers)


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
    encoded = as_png(content)
    return encoded, hashlib.sha256(encoded).hexdigest()


def _changed(image: AnnotatedImage, how: str) -> InputError:
    return InputError(
        f"An image {how}; no records were written.",
        where=str(image.image_path),
        remedy="let no other program write to the data set, and run again",
    )


def _shards_for(images: Sequence[AnnotatedImage]) -> int:
    size_bytes = sum(image.size_bytes for image in images)
    return min(max(1, -(-size_bytes // SHARD_BYTES)), len(images))
