"""A model and validation records → what it finds in them, beside the truth, and its losses on them.

The slots that an architecture pads its detections with are dropped here; nothing else is.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from odrun.annotations.found import FoundBoxes, keypoints_to_pixels, to_pixels
from odrun.annotations.found_masks import masks_in_image
from odrun.compat.engine import DetectionModel, Detections
from odrun.compat.inputs import evaluation_batches
from odrun.compat.tensorflow import tf
from odrun.evaluation.records import TrueImage, ValidationRecords


@dataclass(frozen=True)
class EvaluatedImage:
    """One validation image: the truth, the findings, and its `pixels`, uint8 [height, width, 3].

    `raw` are the findings as the model gives them, arrays of a batch of one.
    """

    truth: TrueImage
    found: FoundBoxes
    pixels: npt.NDArray[np.uint8]
    raw: Detections


@dataclass(frozen=True)
class Evaluated:
    """All validation images in the order of their records, truth and findings, and the means of the losses.

    The losses, by the names that the OD API gives them, are those of inference: nothing is dropped out, statistics are
    the moving ones. They are taken over full batches; a rest that does not fill one counts in the detections alone.
    """

    images: tuple[tuple[TrueImage, FoundBoxes], ...]
    losses: Mapping[str, float]


class _Compared(NamedTuple):
    truth: TrueImage
    found: FoundBoxes
    raw: Detections


class RecordDetector:
    """Runs one model over validation records, again and again as its weights change; traced once.

    `keypoints` says which slots are those of each label id, of a model that finds keypoints.
    """

    def __init__(
        self,
        pipeline: Any,
        model: DetectionModel,
        records: ValidationRecords,
        *,
        batch_size: int,
        keypoints: Mapping[int, slice] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._network = model.network
        self._records = records
        self._keypoints = {} if keypoints is None else keypoints
        self._batch_size = min(batch_size, len(records)) if model.has_fixed_image_size else 1
        self._graph = tf.function(model.losses_and_detections, autograph=False)

    def evaluate(self) -> Evaluated:
        """Evaluate the model as it is now."""
        images: list[tuple[TrueImage, FoundBoxes]] = []
        losses: list[dict[str, float]] = []
        with closing(self._run()) as batches:
            for batch_losses, batch in batches:
                images += [(image.truth, image.found) for image in batch]
                if len(batch) == self._batch_size:
                    losses.append({name: float(value) for name, value in batch_losses.items()})
        means = {name: float(np.mean([batch[name] for batch in losses])) for name in losses[0]}
        return Evaluated(tuple(images), means)

    def truths(self) -> list[TrueImage]:
        """What the records say, in their order."""
        return [self._records.truth(number) for number in range(len(self._records))]

    def samples(self, count: int) -> list[EvaluatedImage]:
        """The first `count` images."""
        with closing(self._run()) as batches:
            images = islice((image for _, batch in batches for image in batch), count)
            return [
                EvaluatedImage(image.truth, image.found, self._records.pixels(number), image.raw)
                for number, image in enumerate(images)
            ]

    @cached_property
    def _batches(self) -> tf.data.Dataset:
        return evaluation_batches(
            self._pipeline, self._network, self._payload, count=len(self._records), batch_size=self._batch_size
        )

    def _run(self) -> Generator[tuple[dict[str, tf.Tensor], list[_Compared]], None, None]:
        first = 0
        for features, labels in self._batches:
            losses, found = self._graph(features, labels)
            arrays = Detections(*(part.numpy() for part in found))
            numbers = range(first, min(first + self._batch_size, len(self._records)))
            first += self._batch_size
            truths = [self._records.truth(number) for number in numbers]
            yield losses, [self._compared(arrays, index, truth) for index, truth in enumerate(truths)]

    def _compared(self, batch: Detections, index: int, truth: TrueImage) -> _Compared:
        raw = Detections(*(part[index : index + 1] for part in batch))
        return _Compared(truth, self._found(batch, index, truth), raw)

    def _found(self, found: Detections, index: int, truth: TrueImage) -> FoundBoxes:
        count, size = int(found.count[index]), {"height_px": truth.height_px, "width_px": truth.width_px}
        boxes, masks, label_ids = found.boxes[index, :count], found.masks[index, :count], found.label_ids[index, :count]
        points = found.keypoints[index, :count]
        return FoundBoxes(
            boxes_px=to_pixels(boxes, **size),
            scores=found.scores[index, :count],
            label_ids=label_ids,
            masks=masks_in_image(masks, boxes, **size) if masks.shape[2] else None,
            keypoints_px=keypoints_to_pixels(points, label_ids, self._keypoints, **size) if points.shape[1] else None,
        )

    def _payload(self, number: int) -> bytes:
        return self._records.payload(number)
