"""Boxes that a model found in an image, and the COCO results format that tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from odrun.annotations.model import RunLengths


@dataclass(frozen=True)
class FoundBoxes:
    """What a model found in one image.

    Shapes: `boxes_px` float64 [n, 4] as xmin, ymin, xmax, ymax in pixels; `scores` float32 [n], 0 to 1; `label_ids`
    [n], integers, 1-based as in the label map. `masks` has one of the image's size per box, if any; `keypoints_px`
    float64 [slots of its class, 3] per box, if any: x, y in pixels and score, 0 to 1.
    """

    boxes_px: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    label_ids: npt.NDArray[np.integer]
    masks: tuple[RunLengths, ...] | None = None
    keypoints_px: tuple[npt.NDArray[np.float64], ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes_px.shape != (count, 4) or self.label_ids.shape != (count,):
            raise ValueError(f"boxes {self.boxes_px.shape}, scores {self.scores.shape}, ids {self.label_ids.shape}")
        if self.masks is not None and len(self.masks) != count:
            raise ValueError(f"{len(self.masks)} masks for {count} boxes")
        if self.keypoints_px is not None and len(self.keypoints_px) != count:
            raise ValueError(f"keypoints of {len(self.keypoints_px)} objects for {count} boxes")

    def from_score(self, least: float) -> FoundBoxes:
        """Those with a score of at least `least`, in the same order."""
        kept = self.scores >= least
        masks = None if self.masks is None else tuple(compress(self.masks, kept))
        keypoints_px = None if self.keypoints_px is None else tuple(compress(self.keypoints_px, kept))
        return FoundBoxes(self.boxes_px[kept], self.scores[kept], self.label_ids[kept], masks, keypoints_px)


class CocoRunLengths(TypedDict):
    """A mask in the COCO results format; `size` is height, width in pixels."""

    size: list[int]
    counts: str


class CocoDetection(TypedDict):
    """One entry of the COCO results format; `bbox` is x, y, width, height in pixels.

    `keypoints` are x, y in pixels and score, 0 to 1, of one after another; classes without any have none.
    """

    image_id: int
    category_id: int
    bbox: list[float]
    score: float
    segmentation: NotRequired[CocoRunLengths]
    keypoints: NotRequired[list[float]]


def coco_detections(image_id: int, found: FoundBoxes) -> list[CocoDetection]:
    """The boxes found in one image in the COCO results format, in their order."""
    entries = [
        CocoDetection(
            image_id=image_id,
            category_id=int(label_id),
            bbox=corner_and_size(box),
            score=round(float(score), 6),
        )
        for box, score, label_id in zip(found.boxes_px, found.scores, found.label_ids, strict=True)
    ]
    for entry, mask in zip(entries, found.masks or (), strict=found.masks is not None):
        entry["segmentation"] = coco_run_lengths(mask)
    for entry, points in zip(entries, found.keypoints_px or (), strict=found.keypoints_px is not None):
        if len(points):
            entry["keypoints"] = [round(float(value), 3) for value in points.flat]
    return entries


def coco_run_lengths(mask: RunLengths) -> CocoRunLengths:
    """A mask whose runs are text, in the COCO results format."""
    return CocoRunLengths(size=[mask.height_px, mask.width_px], counts=str(mask.counts))


def corner_and_size(box_px: npt.NDArray[np.float64]) -> list[float]:
    """xmin, ymin, xmax, ymax → COCO's x, y, width, height, in pixels to three digits."""
    xmin, ymin, xmax, ymax = (float(corner) for corner in box_px)
    return [round(value, 3) for value in (xmin, ymin, xmax - xmin, ymax - ymin)]


def to_pixels(boxes: npt.NDArray[np.float32], *, height_px: int, width_px: int) -> npt.NDArray[np.float64]:
    """Boxes [n, 4] as ymin, xmin, ymax, xmax in fractions → xmin, ymin, xmax, ymax in pixels, [n, 4]."""
    scale = np.array([width_px, height_px, width_px, height_px], np.float64)
    return boxes.astype(np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]] * scale


def keypoints_to_pixels(
    points: npt.NDArray[np.float32],
    label_ids: npt.NDArray[np.integer],
    slots: Mapping[int, slice],
    *,
    height_px: int,
    width_px: int,
) -> tuple[npt.NDArray[np.float64], ...]:
    """Keypoints [n, slots, 3] as y, x in fractions and score → of each box those of its class, x, y in pixels, score.

    `slots` says where those of each label id stand.
    """
    whole = points.astype(np.float64)[:, :, [1, 0, 2]] * np.array([width_px, height_px, 1.0])
    return tuple(each[slots.get(int(label_id), slice(0, 0))] for each, label_id in zip(whole, label_ids, strict=True))
