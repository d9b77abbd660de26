"""A model and validation records → what it finds in them, beside the truth.

The slots that an architecture pads its detections with are dropped here; nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from odrun.annotations.found import FoundBoxes, to_pixels
from odrun.compat.engine import DetectionModel, Detections
from odrun.compat.tensorflow import tf
from odrun.evaluation.records import TrueImage, ValidationRecords


@dataclass(frozen=True)
class EvaluatedImage:
    """One validation image: the truth, the findings, and its `pixels`, uint8 [height, width, 3]."""

    truth: TrueImage
    found: FoundBoxes
    pixels: npt.NDArray[np.uint8]


class RecordDetector:
    """Runs one model over validation records, again and again as its weights change; traced once."""

    def __init__(self, model: DetectionModel, records: ValidationRecords) -> None:
        self._records = records
        self._graph = tf.function(model.detect, autograph=False, reduce_retracing=True)

    def detect(self) -> Iterator[EvaluatedImage]:
        """The images one after the other, in the order of the records."""
        for batch in self._records:
            found = Detections(*(part.numpy() for part in self._graph(batch.images, batch.true_shapes)))
            for index, (truth, pixels) in enumerate(zip(batch.truth, batch.pixels, strict=True)):
                yield EvaluatedImage(truth, _found_boxes(found, index, truth), pixels)


def _found_boxes(found: Detections, index: int, truth: TrueImage) -> FoundBoxes:
    count = int(found.count[index])
    return FoundBoxes(
        boxes_px=to_pixels(found.boxes[index, :count], height_px=truth.height_px, width_px=truth.width_px),
        scores=found.scores[index, :count],
        label_ids=found.label_ids[index, :count],
    )
