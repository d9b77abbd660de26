from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from odrun.errors import RunFailedError
from odrun.evaluation.detections import RecordDetector
from odrun.evaluation.records import ValidationRecords


def test_every_validation_image_comes_once_with_its_truth_in_pixels(built: Any) -> None:
    records = ValidationRecords(built.tiny.data.validation_records, built.trainer.model, batch_size=3)

    truth = [image for batch in records for image in batch.truth]

    assert len({image.image_id for image in truth}) == len(truth) == 4
    assert sum(len(image.label_ids) for image in truth) == built.tiny.data.counts["validation"].boxes
    assert {(image.height_px, image.width_px) for image in truth} == {(160, 160)}
    for image in truth:
        assert np.all(image.boxes_px[:, 2:] - image.boxes_px[:, :2] >= 29)
        assert image.boxes_px.max() <= 160
        assert not image.is_crowd.any()


def test_batches_are_as_large_as_asked_for_but_for_the_last(built: Any) -> None:
    records = ValidationRecords(built.tiny.data.validation_records, built.trainer.model, batch_size=3)

    assert [len(batch.truth) for batch in records] == [3, 1]


def test_detections_do_not_depend_on_the_batch(built: Any) -> None:
    found = []
    for batch_size in (1, 4):
        records = ValidationRecords(built.tiny.data.validation_records, built.trainer.model, batch_size=batch_size)
        found.append(list(RecordDetector(built.trainer.model, records).detect()))

    assert [image.truth.image_id for image in found[0]] == [image.truth.image_id for image in found[1]]
    for one, four in zip(*found, strict=True):
        np.testing.assert_allclose(one.found.scores, four.found.scores, atol=1e-5)
        assert one.pixels.shape == (160, 160, 3)
        assert set(one.found.label_ids.tolist()) <= {1, 2}


def test_absent_records_are_named(built: Any) -> None:
    with pytest.raises(RunFailedError, match="there are no validation records"):
        ValidationRecords("/nowhere/*.tfrecord", built.trainer.model, batch_size=1)
