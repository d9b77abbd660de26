from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from odrun.errors import InputError
from odrun.evaluation.detections import RecordDetector
from odrun.evaluation.records import ValidationRecords


def detector(built: Any, batch_size: int) -> RecordDetector:
    records = ValidationRecords(built.tiny.data.validation_records)
    return RecordDetector(built.tiny.pipeline, built.trainer.model, records, batch_size=batch_size)


def test_every_validation_image_comes_once_with_its_truth_in_pixels(built: Any) -> None:
    truth = detector(built, 3).truths()

    assert len({image.image_id for image in truth}) == len(truth) == 4
    assert sum(len(image.label_ids) for image in truth) == built.tiny.data.counts["validation"].boxes
    assert {(image.height_px, image.width_px) for image in truth} == {(160, 160)}
    for image in truth:
        assert np.all(image.boxes_px[:, 2:] - image.boxes_px[:, :2] >= 29)
        assert image.boxes_px.max() <= 160
        assert not image.is_crowd.any()


def test_detections_do_not_depend_on_the_batch_and_every_image_counts_once(built: Any) -> None:
    by_one, by_three = (detector(built, batch_size).evaluate() for batch_size in (1, 3))

    assert [truth.image_id for truth, _ in by_one.images] == [truth.image_id for truth, _ in by_three.images]
    assert len(by_one.images) == 4
    for (_, one), (_, three) in zip(by_one.images, by_three.images, strict=True):
        np.testing.assert_allclose(one.scores, three.scores, atol=1e-5)
        assert set(one.label_ids.tolist()) <= {1, 2}


def test_the_losses_are_means_over_the_images(built: Any) -> None:
    by_one, by_two = (detector(built, batch_size).evaluate().losses for batch_size in (1, 4))

    assert set(by_one) == set(by_two) >= {"Loss/total_loss", "Loss/classification_loss"}
    assert by_one["Loss/regularization_loss"] == pytest.approx(by_two["Loss/regularization_loss"])
    parts = sum(value for name, value in by_two.items() if name != "Loss/total_loss")
    assert by_two["Loss/total_loss"] == pytest.approx(parts, rel=1e-5)


def test_samples_are_the_first_images_with_their_pixels(built: Any) -> None:
    subject = detector(built, 3)

    samples = subject.samples(2)

    assert [sample.truth.image_id for sample in samples] == [truth.image_id for truth in subject.truths()[:2]]
    assert {sample.pixels.shape for sample in samples} == {(160, 160, 3)}
    assert subject.samples(0) == []


def test_absent_records_are_named() -> None:
    with pytest.raises(InputError, match="there are no record files"):
        ValidationRecords("/nowhere/*.tfrecord")
