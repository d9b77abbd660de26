"""Detections and ground truth → the 12 COCO metrics, by pycocotools, the number of record.

Comes in: per image what is there and what was found. Goes out: `Scores`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from odrun.annotations.found import CocoDetection, corner_and_size
from odrun.evaluation.records import TrueImage
from odrun.settings import METRIC_KEYS


@dataclass(frozen=True)
class Scores:
    """`metrics`: the 12 COCO metrics by name, -1 where no ground truth of that size exists, as pycocotools has it.

    `class_ap`: AP (IoU 0.50:0.95, all sizes) of each class by name, -1 for a class without ground truth.
    """

    metrics: Mapping[str, float]
    class_ap: Mapping[str, float]


def score(truth: Sequence[TrueImage], detections: Sequence[CocoDetection], *, classes: Mapping[int, str]) -> Scores:
    """COCO scores of boxes (Lin et al. 2014, "Microsoft COCO"); `classes` maps label ids to names."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_ground_truth(truth, classes), iouType="bbox")
        evaluation.cocoDt = _results(evaluation.cocoGt, detections)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = [float(value) for value in evaluation.stats]
    return Scores(metrics=dict(zip(METRIC_KEYS, values, strict=True)), class_ap=_class_ap(evaluation, classes))


def _ground_truth(truth: Sequence[TrueImage], classes: Mapping[int, str]) -> COCO:
    annotations = [
        {
            "image_id": image.image_id,
            "category_id": int(label_id),
            "bbox": corner_and_size(box),
            "area": float((box[2] - box[0]) * (box[3] - box[1])),
            "iscrowd": int(is_crowd),
        }
        for image in truth
        for box, label_id, is_crowd in zip(image.boxes_px, image.label_ids, image.is_crowd, strict=True)
    ]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image.image_id, "height": image.height_px, "width": image.width_px} for image in truth],
        "categories": [{"id": label_id, "name": name} for label_id, name in sorted(classes.items())],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
    }
    coco.createIndex()
    return coco


def _results(ground_truth: COCO, detections: Sequence[CocoDetection]) -> COCO:
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
