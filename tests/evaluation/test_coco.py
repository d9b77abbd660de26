from __future__ import annotations

import numpy as np
import pytest

from odrun.annotations.found import CocoDetection
from odrun.evaluation.coco import score
from odrun.evaluation.records import TrueImage
from odrun.settings import METRIC_KEYS

CLASSES = {1: "disc", 2: "square"}


def image(
    image_id: int, *boxes: tuple[float, float, float, float, int], crowd: bool = False, areas: list[float] | None = None
) -> TrueImage:
    rows = np.array(boxes, np.float64).reshape(-1, 5)
    return TrueImage(
        image_id=image_id,
        height_px=200,
        width_px=200,
        boxes_px=rows[:, :4],
        label_ids=rows[:, 4].astype(np.int64),
        is_crowd=np.full(len(rows), crowd),
        areas_px=None if areas is None else np.array(areas),
    )


def detection(image_id: int, box: tuple[float, float, float, float], label_id: int, value: float) -> CocoDetection:
    xmin, ymin, xmax, ymax = box
    return CocoDetection(
        image_id=image_id, category_id=label_id, bbox=[xmin, ymin, xmax - xmin, ymax - ymin], score=value
    )


def test_perfect_detections_score_one_and_absent_sizes_minus_one() -> None:
    truth = [image(1, (10, 10, 50, 50, 1)), image(2, (20, 20, 70, 60, 2))]
    found = [detection(1, (10, 10, 50, 50), 1, 0.9), detection(2, (20, 20, 70, 60), 2, 0.8)]

    scores = score(truth, found, classes=CLASSES)

    expected = dict.fromkeys(METRIC_KEYS, 1.0) | dict.fromkeys(("AP_small", "AP_large", "AR_small", "AR_large"), -1.0)
    assert scores.metrics == pytest.approx(expected)
    assert scores.class_ap == pytest.approx({"disc": 1.0, "square": 1.0})


def test_a_large_box_of_a_small_object_counts_as_small_as_pycocotools_has_it_from_coco_s_own_areas() -> None:
    found = [detection(1, (0, 0, 100, 100), 1, 0.9)]
    by_box, by_object = (
        score([image(1, (0, 0, 100, 100, 1), areas=areas)], found, classes=CLASSES).metrics for areas in (None, [999.0])
    )
    assert [by_box[name] for name in ("AP_small", "AP_medium", "AP_large")] == [-1.0, -1.0, pytest.approx(1.0)]
    assert [by_object[name] for name in ("AP_small", "AP_medium", "AP_large")] == [pytest.approx(1.0), -1.0, -1.0]


def test_a_box_with_an_iou_of_three_quarters_counts_at_half_the_thresholds() -> None:
    """IoU 0.76 passes the thresholds 0.50, 0.55, ..., 0.75: 6 of 10."""
    scores = score([image(1, (0, 0, 100, 100, 1))], [detection(1, (0, 0, 100, 76), 1, 0.9)], classes=CLASSES)

    assert scores.metrics["AP"] == pytest.approx(0.6)
    assert scores.metrics["AP50"] == pytest.approx(1.0)
    assert scores.class_ap == pytest.approx({"disc": 0.6, "square": -1.0})


def test_the_right_box_of_the_wrong_class_counts_nothing() -> None:
    scores = score([image(1, (0, 0, 100, 100, 1))], [detection(1, (0, 0, 100, 100), 2, 0.9)], classes=CLASSES)

    assert scores.metrics["AP"] == 0.0


def test_no_detection_at_all_scores_zero() -> None:
    scores = score([image(1, (0, 0, 100, 100, 1))], [], classes=CLASSES)

    assert scores.metrics["AP"] == 0.0
    assert scores.metrics["AR_100"] == 0.0


def test_a_crowd_is_neither_missed_nor_a_false_alarm() -> None:
    truth = [image(1, (0, 0, 100, 100, 1)), image(2, (0, 0, 150, 150, 1), crowd=True)]
    found = [detection(1, (0, 0, 100, 100), 1, 0.5), detection(2, (10, 10, 60, 60), 1, 0.9)]

    assert score(truth, found, classes=CLASSES).metrics["AP"] == pytest.approx(1.0)


def test_an_image_without_boxes_counts_its_false_alarms() -> None:
    truth = [image(1, (0, 0, 100, 100, 1)), image(2)]
    found = [detection(1, (0, 0, 100, 100), 1, 0.5), detection(2, (0, 0, 100, 100), 1, 0.9)]

    assert score(truth, found, classes=CLASSES).metrics["AP50"] == pytest.approx(0.5)


def test_scoring_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    score([image(1, (0, 0, 100, 100, 1))], [], classes=CLASSES)

    assert capsys.readouterr() == ("", "")
