"""Keypoints found and true → COCO's scores by object keypoint similarity, by pycocotools.

Comes in: per image what is there and what was found. Goes out: the metrics of each class with keypoints, by name.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from odrun.annotations.found import CocoDetection
from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.evaluation.coco import boxes_of, coco_results, coco_truth
from odrun.evaluation.records import TrueImage

KEYPOINT_AP = "Keypoints_Precision/mAP"
_METRICS = tuple(
    f"Keypoints_{name}"
    for name in (
        *(f"Precision/mAP{which}" for which in ("", "@.50IOU", "@.75IOU", " (medium)", " (large)")),
        *(f"Recall/AR@20{which}" for which in ("", " @.50IOU", " @.75IOU", " (medium)", " (large)")),
    )
)
"""In the order of pycocotools, which scores 20 detections of an image; named after the OD API's (object_detection/
metrics/coco_evaluation.py, `CocoKeypointEvaluator`)."""


@dataclass(frozen=True)
class KeypointScores:
    """Scores the keypoints of `slots`; `sigmas` has how far people differ in placing each, by its name.

    A sigma is a share of the square root of the object's area (https://cocodataset.org/#keypoints-eval). Objects
    without a labelled keypoint are passed over.
    """

    slots: KeypointSlots = NO_KEYPOINTS
    sigmas: Mapping[str, float] = field(default_factory=dict)

    def score(
        self, truth: Sequence[TrueImage], detections: Sequence[CocoDetection], *, classes: Mapping[int, str]
    ) -> dict[str, float]:
        """The metrics of each class, as `Keypoints_Precision/mAP ByCategory/person`, and the mean AP of all classes.

        Nothing of a model without keypoints; -1 where there is no truth, as pycocotools has it.
        """
        metrics: dict[str, float] = {}
        for label_id, class_name in sorted(classes.items()):
            if class_name in self.slots.names:
                stats = self._stats(label_id, class_name, truth, detections)
                metrics |= {
                    f"{name} ByCategory/{class_name}": value for name, value in zip(_METRICS, stats, strict=True)
                }
        if not metrics:
            return {}
        known = [ap for name in self.slots.names if (ap := metrics[f"{KEYPOINT_AP} ByCategory/{name}"]) > -1]
        return {KEYPOINT_AP: float(np.mean(known)) if known else -1.0, **metrics}

    def _stats(
        self, label_id: int, class_name: str, truth: Sequence[TrueImage], detections: Sequence[CocoDetection]
    ) -> list[float]:
        objects = [entry for entry in self._objects(class_name, truth) if entry["category_id"] == label_id]
        found = [
            {key: value for key, value in entry.items() if key != "bbox"}
            for entry in detections
            if entry["category_id"] == label_id
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(coco_truth(objects, truth, {label_id: class_name}), iouType="keypoints")
            evaluation.cocoDt = coco_results(evaluation.cocoGt, found)
            evaluation.params.kpt_oks_sigmas = np.array([self.sigmas[name] for name in self.slots.names[class_name]])
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return [float(value) for value in evaluation.stats]

    def _objects(self, class_name: str, truth: Sequence[TrueImage]) -> list[dict[str, Any]]:
        slots = self.slots.of_class(class_name)
        points = [each[slots] for image in truth if image.keypoints_px is not None for each in image.keypoints_px]
        return [
            {**box, "keypoints": each.ravel().tolist(), "num_keypoints": int(np.sum(each[:, 2] > 0))}
            for box, each in zip(boxes_of(truth), points, strict=True)
        ]
