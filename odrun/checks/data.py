"""The prepared data against the label map, the configuration's number of classes and the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from odrun.annotations.model import TRAIN, VALIDATION
from odrun.checks.finding import Finding, finding_of
from odrun.errors import InputError
from odrun.records.example_reading import parsed
from odrun.records.index import RecordIndex
from odrun.records.label_map import label_ids, read_label_map
from odrun.records.manifest import PreparedData
from odrun.records.statistics import BoxStatistics

_CHECK = "data"
RECORDS_READ_MOST = 200
"""Records that are read again, evenly over a part."""


def check_classes(data: PreparedData, pipeline: Any) -> Iterator[Finding]:
    """Classes of the data against the label map and the `num_classes` of the completed `pipeline`."""
    try:
        in_map = read_label_map(data.label_map)
    except InputError as error:
        yield finding_of(_CHECK, error)
        return
    if in_map != label_ids(data.classes):
        what = f"the label map {data.label_map} names other classes or ids than the records: {_shown(in_map)}"
        yield Finding(_CHECK, "error", what, f"remove {data.folder}, and prepare again")
    architecture = pipeline.model.WhichOneof("model")
    num_classes = getattr(pipeline.model, architecture).num_classes
    if num_classes != len(data.classes):
        what = f"pipeline.model.{architecture}.num_classes is {num_classes}, and the data have {len(data.classes)}"
        yield Finding(_CHECK, "error", what, f"pipeline.model.{architecture}.num_classes={len(data.classes)}")


def check_boxes_of_classes(statistics: BoxStatistics, classes: tuple[str, ...]) -> Iterator[Finding]:
    """Classes that a part of the data has no box of."""
    consequences = {TRAIN: "they are not learnt", VALIDATION: "their AP cannot be told"}
    for part, consequence in consequences.items():
        counts = statistics.boxes_of_classes(part)
        absent = [name for name in classes if not counts.get(name)]
        if absent:
            what = f"no {part} image has a box of {', '.join(absent)}: {consequence}"
            yield Finding(_CHECK, "warning", what, "label some, or leave them out: dataset.classes=[...]")


def check_labels(data: PreparedData) -> Iterator[Finding]:
    """The label ids in up to `RECORDS_READ_MOST` records of each part against the classes."""
    for part, pattern in ((TRAIN, data.train_records), (VALIDATION, data.validation_records)):
        records = RecordIndex.matching(pattern)
        step = max(1, len(records) // RECORDS_READ_MOST)
        for number in range(0, len(records), step):
            odd = sorted({label for label in parsed(records[number]).labels if not 1 <= label <= len(data.classes)})
            if odd:
                what = f"a {part} record has the label ids {odd}, and the label map has 1 to {len(data.classes)}"
                yield Finding(_CHECK, "error", f"{what} ({records.where(number)})", "write the records again")
                break


def check_batch(images: int, *, of: int, batch_size: int) -> Iterator[Finding]:
    """Whether the `images` to train on, out of so many, fill a batch."""
    if images < batch_size:
        what = f"a batch has {batch_size} images, and {images} of {of} are there to train on"
        remedy = f"train.batch_size={images} or less, more images, or a larger train.fraction or train.max_images"
        yield Finding(_CHECK, "error", what, remedy)


def _shown(ids: Mapping[str, int]) -> str:
    return ", ".join(f"{label_id} {name}" for name, label_id in [*ids.items()][:10])
