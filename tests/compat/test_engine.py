from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from object_detection.core import matcher
from tensorflow.python.autograph.core import config as autograph_config
from tensorflow.python.autograph.impl import conversion

from odrun.compat.engine import (
    IMAGE,
    SOURCE_ID,
    TOTAL_LOSS,
    TRUE_SHAPE,
    DetectionModel,
    build_optimizer,
    library_code_unconverted,
    optimizer_and_rate,
    seed_everything,
    training_batches,
)
from odrun.compat.tensorflow import tf


def rules() -> tuple[object, ...]:
    return autograph_config.CONVERSION_RULES


def images(batch: Any) -> np.ndarray:
    return batch[0][IMAGE].numpy()


def test_code_of_the_engine_is_converted_outside_of_the_context_and_left_alone_within_it() -> None:
    published = tuple(rule for rule in rules() if "object_detection" not in repr(vars(rule)))

    with library_code_unconverted():
        within = conversion.is_allowlisted(matcher.Match)
        own = conversion.is_allowlisted(rules)

    assert len(published) > 0
    assert (within, own) == (True, False)


def test_the_rules_of_conversion_come_back_also_after_an_error() -> None:
    before = rules()

    with pytest.raises(RuntimeError, match="planted"), library_code_unconverted():
        assert rules() != before
        raise RuntimeError("planted")

    assert rules() is before


def test_batches_have_the_size_and_the_parts_that_the_pipeline_asks_for(built: Any) -> None:
    features, labels = next(iter(training_batches(built.tiny.pipeline, built.trainer.model)))

    assert built.tiny.pipeline.train_config.batch_size == 2
    assert features[IMAGE].shape == (2, 160, 160, 3)
    assert features[TRUE_SHAPE].numpy().tolist() == [[160, 160, 3]] * 2
    assert labels["groundtruth_boxes"].shape[0] == 2


def test_batches_never_end(built: Any) -> None:
    batches = iter(training_batches(built.tiny.pipeline, built.trainer.model))

    assert sum(len(images(next(batches))) for _ in range(10)) == 20 > 2 * built.tiny.data.counts["train"].images


def test_an_augmentation_that_is_written_for_conversion_works_within_the_context(
    built: Any, compose_tiny: Callable[..., Any]
) -> None:
    tiny = compose_tiny("+augmentation.steps.random_square_crop_by_scale={}")

    with library_code_unconverted():
        before = rules()
        for _ in range(2):
            batch = next(iter(training_batches(tiny.pipeline, built.trainer.model)))
            assert images(batch).shape == (2, 160, 160, 3)
        assert rules() is before
