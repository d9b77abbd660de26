"""A model and validation records → what it finds in them, beside the truth.

The slots that an architecture pads its detections with are dropped here; nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from odrun.compat.engine import DetectionModel, Detections
from odrun.compat.tensorflow import tf
from odrun.evaluation.records import TrueImage, ValidationRecords, to_pixels


@dataclass(frozen=True)
class FoundImage:
    """What the model finds in one image.

    Shapes: `boxes_px` float64 [n, 4] as xmin, ymin, xmax, ymax in pixels; `scores` float32 [n], 0 to 1; `label_ids`
    int32 [n], 1-based.
    """

    image_id: int
    boxes_px: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    label_ids: npt.NDArray[np.int32]


@dataclass(frozen=True)
class EvaluatedImage:
    """One validation image: the truth, the findings, and its `pixels`, uint8 [height, width, 3]."""

    truth: TrueImage
    found: FoundImage
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
                yield EvaluatedImage(truth, _found_image(found, index, truth), pixels)


def _found_image(found: Detections, index: int, truth: TrueImage) -> FoundImage:
    count = int(found.count[index])
    return FoundImage(
        image_id=truth.image_id,
        boxes_px=to_pixels(found.boxes[index, :count], height_px=truth.height_px, width_px=truth.width_px),
        scores=found.scores[index, :count],
        label_ids=found.label_ids[index, :count],
    )
