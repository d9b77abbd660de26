"""Prepared records, read again whole: every checksum, every image."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image, UnidentifiedImageError

from odrun.annotations.model import SPLITS
from odrun.errors import RunFailedError
from odrun.records.example_reading import parsed
from odrun.records.index import RecordIndex
from odrun.records.manifest import PreparedData, Station


def verify(data: PreparedData, *, progress: Callable[[int, int], None]) -> Station:
    """Read every record of `data`, decode its image, and count; `progress` is told how many of how many are done.

    Raises:
        RunFailedError: a record is damaged, or there are not as many images and boxes as the manifest says.
    """
    total = sum(data.counts[part].images for part in SPLITS)
    images = boxes = 0
    for records in (data.train_records, data.validation_records):
        index = RecordIndex.matching(records)
        for number in range(len(index)):
            example = parsed(index[number])
            try:
                with Image.open(io.BytesIO(example.encoded)) as image:
                    image.load()
            except (OSError, UnidentifiedImageError) as error:
                raise _unsound(f"has an image that does not decode: {error}", index.where(number)) from error
            images += 1
            boxes += len(example.labels)
            progress(images, total)
    written = data.ledger.stations["written"]
    if (images, boxes) != (written.images, written.boxes):
        held = f"hold {images} images with {boxes} boxes"
        raise _unsound(f"{held}, and {written.images} with {written.boxes} were written", str(data.folder))
    return Station(images, boxes)


def _unsound(what: str, where: str) -> RunFailedError:
    return RunFailedError(f"records {what}", where=where, remedy="remove the folder, and prepare again")
