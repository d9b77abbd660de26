from __future__ import annotations

import numpy as np
import pytest

from odrun.annotations.found import FoundBoxes, coco_detections, keypoints_to_pixels, to_pixels


def found(*scores: float) -> FoundBoxes:
    boxes = np.array([[10.0 * n, 20.0, 10.0 * n + 30.5, 60.0] for n in range(len(scores))]).reshape(-1, 4)
    return FoundBoxes(boxes, np.array(scores, np.float32), np.arange(1, len(scores) + 1))


def test_fractions_become_pixels_with_x_before_y() -> None:
    boxes = np.array([[0.1, 0.2, 0.5, 0.9]], np.float32)

    np.testing.assert_allclose(to_pixels(boxes, height_px=100, width_px=200), [[40, 10, 180, 50]], rtol=1e-6)


def test_an_image_without_boxes_has_an_array_of_four_columns() -> None:
    assert to_pixels(np.zeros((0, 4), np.float32), height_px=1, width_px=1).shape == (0, 4)


def test_detections_are_told_in_the_coco_results_format() -> None:
    assert coco_detections(7, found(0.91234567, 0.5)) == [
        {"image_id": 7, "category_id": 1, "bbox": [0.0, 20.0, 30.5, 40.0], "score": 0.912346},
        {"image_id": 7, "category_id": 2, "bbox": [10.0, 20.0, 30.5, 40.0], "score": 0.5},
    ]


def test_a_least_score_keeps_its_own_and_the_order() -> None:
    assert found(0.9, 0.2, 0.5).from_score(0.5).label_ids.tolist() == [1, 3]


def test_parts_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"boxes \(2, 4\)"):
        FoundBoxes(np.zeros((2, 4)), np.zeros(2, np.float32), np.ones(3, int))


def test_keypoints_are_told_of_the_box_s_own_class_in_pixels() -> None:
    points = np.array([[[0.5, 0.25, 0.9], [0.1, 0.2, 0.8], [1.0, 1.0, 0.7]]] * 2, np.float32)
    ids = np.array([2, 1])
    found = keypoints_to_pixels(points, ids, {1: slice(0, 2), 2: slice(2, 2)}, height_px=100, width_px=200)
    boxes = FoundBoxes(np.zeros((2, 4)), np.array([0.5, 0.25], np.float32), ids, keypoints_px=found)
    without, entry = coco_detections(7, boxes)
    assert "keypoints" not in without
    assert entry["keypoints"] == [50.0, 50.0, 0.9, 40.0, 10.0, 0.8]
    assert [len(each) for each in boxes.from_score(0.4).keypoints_px or ()] == [0]
    with pytest.raises(ValueError, match="keypoints of 1 objects for 2 boxes"):
        FoundBoxes(np.zeros((2, 4)), np.array([0.5, 0.25], np.float32), ids, keypoints_px=found[:1])
