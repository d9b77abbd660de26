"""Scores of keypoints, against pycocotools' own files and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from odrun.annotations.found import CocoDetection
from odrun.annotations.keypoint_slots import KeypointSlots
from odrun.evaluation.keypoints import KEYPOINT_AP, KeypointScores
from odrun.evaluation.records import TrueImage

SLOTS = KeypointSlots({"dog": ("nose",), "cat": ("nose", "tail")})
CLASSES = {1: "dog", 2: "cat"}
SCORES = KeypointScores(SLOTS, {"nose": 0.05, "tail": 0.05})
OF_CAT = f"{KEYPOINT_AP} ByCategory/cat"


def truth(points: list[list[list[float]]], label_ids: list[int]) -> TrueImage:
    count = len(label_ids)
    boxes = np.tile([[10.0, 10.0, 110.0, 110.0]], (count, 1))
    return TrueImage(
        7, 200, 200, boxes, np.array(label_ids), np.zeros(count, bool), keypoints_px=np.array(points, float)
    )


def detection(label_id: int, score: float, *points: float) -> CocoDetection:
    return CocoDetection(image_id=7, category_id=label_id, bbox=[10, 10, 100, 100], score=score, keypoints=list(points))


CAT = truth([[[0, 0, 0], [50, 50, 2], [90, 90, 1]]], [2])


def test_what_is_found_where_it_is_has_the_highest_score() -> None:
    metrics = SCORES.score([CAT], [detection(2, 0.9, 50, 50, 1, 90, 90, 1)], classes=CLASSES)
    assert metrics[OF_CAT] == metrics[KEYPOINT_AP] == pytest.approx(1.0)
    assert metrics[f"{KEYPOINT_AP} ByCategory/dog"] == -1
    assert len(metrics) == 21


@pytest.mark.parametrize("distance_px", [4.0, 6.0, 12.0])
def test_the_score_is_that_of_the_similarity_of_the_formula(distance_px: float) -> None:
    """OKS = mean of exp(-d^2 / (2 area (2 sigma)^2)), 10 thresholds from 0.50 to 0.95."""
    similarity = np.exp(-(distance_px**2) / (2 * (100 * 100) * (2 * 0.05) ** 2))
    found = [detection(2, 0.9, 50 + distance_px, 50, 1, 90, 90 - distance_px, 1)]
    wanted = np.mean([similarity >= threshold for threshold in np.arange(0.5, 1.0, 0.05)])
    assert SCORES.score([CAT], found, classes=CLASSES)[OF_CAT] == pytest.approx(wanted)


def test_keypoints_that_are_not_labelled_do_not_count() -> None:
    half = truth([[[0, 0, 0], [50, 50, 2], [0, 0, 0]]], [2])
    assert SCORES.score([half], [detection(2, 0.9, 50, 50, 1, 3, 3, 1)], classes=CLASSES)[OF_CAT] == pytest.approx(1.0)


def test_each_class_has_its_own_slots() -> None:
    both = truth([[[20, 20, 2], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [50, 50, 2], [90, 90, 2]]], [1, 2])
    found = [detection(1, 0.9, 20, 20, 1), detection(2, 0.8, 0, 0, 1, 0, 0, 1)]
    metrics = SCORES.score([both], found, classes=CLASSES)
    found_ap = (metrics[f"{KEYPOINT_AP} ByCategory/dog"], metrics[OF_CAT], metrics[KEYPOINT_AP])
    assert found_ap == pytest.approx((1.0, 0.0, 0.5))


def test_nothing_found_is_nothing_and_no_keypoints_no_metrics() -> None:
    assert SCORES.score([CAT], [], classes=CLASSES)[OF_CAT] == 0
    assert KeypointScores().score([CAT], [], classes=CLASSES) == {}
