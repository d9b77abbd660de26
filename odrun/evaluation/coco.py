"""Detections and ground truth → the 12 COCO metrics of boxes, and of masks, by pycocotools, the number of record.

Comes in: per image what is there and what was found. Goes out: `Scores`, and the metrics of masks by their names.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from odrun.annotations.found import CocoDetection, coco_run_lengths, corner_and_size
from odrun.evaluation.records import TrueImage
from odrun.settings import METRIC_KEYS

MASK_METRIC_KEYS = tuple(
    f"DetectionMasks_{name}"
    for name in (
        *(f"Precision/mAP{which}" for which in ("", "@.50IOU", "@.75IOU", " (small)", " (medium)", " (large)")),
        *(f"Recall/AR@{which}" for which in ("1", "10", "100", "100 (small)", "100 (medium)", "100 (large)")),
    )
)
"""The metrics of masks in the order of `METRIC_KEYS`, as the OD API calls them (object_detection/metrics/
coco_evaluation.py, `CocoMaskEvaluator`)."""
MASK_AP = MASK_METRIC_KEYS[0]


@dataclass(frozen=True)
class Scores:
    """`metrics`: the 12 COCO metrics by name, -1 where no ground truth of that size exists, as pycocotools has it.

    `class_ap`: AP (IoU 0.50:0.95, all sizes) of each class by name, -1 for a class without ground truth.
    """

    metrics: Mapping[str, float]
    class_ap: Mapping[str, float]


def score(truth: Sequence[TrueImage], detections: Sequence[CocoDetection], *, classes: Mapping[int, str]) -> Scores:
    """COCO scores of boxes (Lin et al. 2014, "Microsoft COCO"); `classes` maps label ids to names.

    Small, medium and large are areas of the objects, as in COCO's own annotations: of their masks where they have some.
    """
    evaluation = _evaluation("bbox", boxes_of(truth), truth, detections, classes)
    return Scores(metrics=_metrics(METRIC_KEYS, evaluation), class_ap=_class_ap(evaluation, classes))


def score_masks(
    truth: Sequence[TrueImage], detections: Sequence[CocoDetection], *, classes: Mapping[int, str]
) -> Mapping[str, float]:
    """COCO scores of masks, by `MASK_METRIC_KEYS`; every image of `truth` and every detection has its masks.

    Small, medium and large are as in `score`, and areas of masks where the records have none.
    """
    masks = [{key: value for key, value in detection.items() if key != "bbox"} for detection in detections]
    return _metrics(MASK_METRIC_KEYS, _evaluation("segm", _masks(truth), truth, masks, classes))


def _evaluation(
    kind: str,
    annotations: Sequence[Mapping[str, Any]],
    truth: Sequence[TrueImage],
    detections: Sequence[Mapping[str, Any]],
    classes: Mapping[int, str],
) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco_truth(annotations, truth, classes), iouType=kind)
        evaluation.cocoDt = coco_results(evaluation.cocoGt, detections)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _metrics(names: Sequence[str], evaluation: COCOeval) -> dict[str, float]:
    return dict(zip(names, map(float, evaluation.stats), strict=True))


def boxes_of(truth: Sequence[TrueImage]) -> list[dict[str, Any]]:
    """The true objects as COCO annotations without an id, image after image."""
    return [
        {
            "image_id": image.image_id,
            "category_id": int(label_id),
            "bbox": corner_and_size(box),
            "area": float(area),
            "iscrowd": int(is_crowd),
        }
        for image in truth
        for box, label_id, is_crowd, area in zip(
            image.boxes_px, image.label_ids, image.is_crowd, _areas(image), strict=True
        )
    ]


def _areas(image: TrueImage) -> npt.NDArray[np.float64]:
    """The objects' areas in square pixels, as the record has them; those of the boxes where it has none."""
    if image.areas_px is not None:
        return image.areas_px
    return (image.boxes_px[:, 2] - image.boxes_px[:, 0]) * (image.boxes_px[:, 3] - image.boxes_px[:, 1])


def _masks(truth: Sequence[TrueImage]) -> list[dict[str, Any]]:
    masks = [(coco_run_lengths(mask), image.areas_px is None) for image in truth for mask in image.masks or ()]
    return [
        {**box, "segmentation": mask} | ({"area": float(coco_mask.area(mask))} if is_to_measure else {})
        for box, (mask, is_to_measure) in zip(boxes_of(truth), masks, strict=True)
    ]


def coco_truth(
    annotations: Sequence[Mapping[str, Any]], truth: Sequence[TrueImage], classes: Mapping[int, str]
) -> COCO:
    """A COCO data set of these annotations, which get their ids, in the images of `truth`."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image.image_id, "height": image.height_px, "width": image.width_px} for image in truth],
        "categories": [{"id": label_id, "name": name} for label_id, name in sorted(classes.items())],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
    }
    coco.createIndex()
    return coco


def coco_results(ground_truth: COCO, detections: Sequence[Mapping[str, Any]]) -> COCO:
    """The detections beside a data set; there may be none."""
    if detections:
        return ground_truth.loadRes([dict(detection) for detection in detections])
    nothing = COCO()
    nothing.dataset = {**ground_truth.dataset, "annotations": []}
    nothing.createIndex()
    return nothing


def _class_ap(evaluation: COCOeval, classes: Mapping[int, str]) -> dict[str, float]:
    all_sizes, most_detections = 0, -1
    precision = evaluation.eval["precision"][:, :, :, all_sizes, most_detections]
    by_class = {}
    for index, label_id in enumerate(evaluation.params.catIds):
        measured = precision[:, :, index][precision[:, :, index] > -1]
        by_class[classes[label_id]] = float(np.mean(measured)) if measured.size else -1.0
    return by_class
