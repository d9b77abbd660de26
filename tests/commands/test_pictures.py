from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.annotations.found import FoundBoxes
from odrun.commands.pictures import MIN_SCORE, draw_evaluated
from odrun.compat.engine import Detections
from odrun.evaluation.detections import EvaluatedImage
from odrun.evaluation.records import TrueImage
from odrun.tracking.tracker import Picture, PictureBox

CLASSES = {1: "disc", 2: "square"}
TRUE_BOX = (10.0, 20.0, 50.0, 60.0)
FOUND_BOX = (11.0, 21.0, 52.0, 61.0)


def evaluated(image_id: int, *scores: float, side_px: int = 160) -> EvaluatedImage:
    """An image of noise with one true disc, and a square found with each of the scores, each further to the right."""
    count = len(scores)
    truth = TrueImage(
        image_id=image_id,
        height_px=side_px,
        width_px=side_px,
        boxes_px=np.array([TRUE_BOX]),
        label_ids=np.array([1]),
        is_crowd=np.array([False]),
    )
    boxes_px = np.array(FOUND_BOX) + 30 * np.arange(count)[:, np.newaxis] * np.array([1, 0, 1, 0])
    found = FoundBoxes(boxes_px, np.array(scores, np.float32), np.full(count, 2, np.int32))
    pixels = np.random.default_rng(image_id).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    return EvaluatedImage(truth, found, pixels, raw=Detections(*[np.zeros(0)] * 6))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_image_becomes_a_plain_and_a_drawn_picture_and_all_of_them_a_sheet(tmp_path: Path) -> None:
    draw_evaluated([evaluated(7, 0.9), evaluated(12, 0.9)], CLASSES, tmp_path / "predictions")

    assert names(tmp_path / "predictions") == ["12.jpg", "12_plain.png", "7.jpg", "7_plain.png", "sheet.jpg"]


def test_the_plain_picture_is_the_image_pixel_by_pixel(tmp_path: Path) -> None:
    image = evaluated(7, 0.9)

    draw_evaluated([image], CLASSES, tmp_path)

    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "7_plain.png")), image.pixels)


def test_the_drawn_picture_has_truth_and_predictions_beside_each_other_large_enough_to_read(tmp_path: Path) -> None:
    draw_evaluated([evaluated(7, 0.9)], CLASSES, tmp_path)

    drawn = Image.open(tmp_path / "7.jpg")
    assert (drawn.format, drawn.mode) == ("JPEG", "RGB")
    assert drawn.width >= 2 * 480
    assert 480 <= drawn.height < drawn.width


def test_no_image_gives_no_picture_and_no_folder(tmp_path: Path) -> None:
    assert draw_evaluated([], CLASSES, tmp_path / "predictions") == ()
    assert names(tmp_path) == []


def test_trackers_get_the_boxes_in_pixels_with_the_truth_apart_from_the_predictions(tmp_path: Path) -> None:
    pictures = draw_evaluated([evaluated(7, 0.75)], CLASSES, tmp_path)

    assert pictures == (
        Picture(
            name="7",
            image=tmp_path / "7_plain.png",
            drawn=tmp_path / "7.jpg",
            class_names=CLASSES,
            ground_truth=(PictureBox(10.0, 20.0, 50.0, 60.0, label_id=1, score=None),),
            predictions=(PictureBox(11.0, 21.0, 52.0, 61.0, label_id=2, score=0.75),),
        ),
    )


def test_a_prediction_below_the_least_score_is_neither_told_nor_drawn(tmp_path: Path) -> None:
    least, below = float(np.float32(MIN_SCORE)), MIN_SCORE - 0.01

    at_least = draw_evaluated([evaluated(7, 0.9, least)], CLASSES, tmp_path / "at")
    with_less = draw_evaluated([evaluated(7, 0.9, least, below)], CLASSES, tmp_path / "below")

    scores = [[box.score for box in pictures[0].predictions] for pictures in (at_least, with_less)]
    assert scores == [[pytest.approx(0.9), pytest.approx(MIN_SCORE)]] * 2
    assert (tmp_path / "at" / "7.jpg").read_bytes() == (tmp_path / "below" / "7.jpg").read_bytes()


def test_a_shown_prediction_changes_the_picture(tmp_path: Path) -> None:
    draw_evaluated([evaluated(7)], CLASSES, tmp_path / "none")
    draw_evaluated([evaluated(7, 0.9)], CLASSES, tmp_path / "one")

    assert (tmp_path / "none" / "7.jpg").read_bytes() != (tmp_path / "one" / "7.jpg").read_bytes()


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    images = [evaluated(7, 0.9), evaluated(12, 0.4)]
    for folder in ("one", "two"):
        draw_evaluated(images, CLASSES, tmp_path / folder)

    assert names(tmp_path / "one") == names(tmp_path / "two")
    for name in names(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
