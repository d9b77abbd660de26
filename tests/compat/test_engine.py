from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import (
    IMAGE,
    TOTAL_LOSS,
    TRUE_SHAPE,
    DetectionModel,
    build_optimizer,
    optimizer_and_rate,
    seed_everything,
)
from odrun.compat.tensorflow import tf


def changed(pipeline: Any, **optimizer: object) -> Any:
    """A copy of the pipeline with other fields of its optimizer."""
    copy = type(pipeline)()
    copy.CopyFrom(pipeline)
    for name, value in optimizer.items():
        setattr(copy.train_config.optimizer, name, value)
    return copy


def test_a_seed_makes_two_models_of_one_process_equal_in_weights_and_names(built: Any) -> None:
    features, _ = built.batch
    models = []
    for seed in (5, 5, 6):
        seed_everything(seed)
        model = DetectionModel(built.tiny.pipeline, is_training=True)
        with library_code_unconverted():
            model.build(features)
        models.append([(variable.name, variable.numpy()) for variable in model.network.variables])

    one, same, other = models
    assert [name for name, _ in one] == [name for name, _ in same] == [name for name, _ in other]
    assert all(np.array_equal(value, again) for (_, value), (_, again) in zip(one, same, strict=True))
    assert not all(np.array_equal(value, again) for (_, value), (_, again) in zip(one, other, strict=True))


def test_a_seed_makes_numpy_and_tensorflow_repeat_themselves() -> None:
    drawn = []
    for _ in range(2):
        seed_everything(3)
        drawn.append((float(np.random.random()), float(tf.random.uniform(()))))

    assert drawn[0] == drawn[1]


def test_a_built_model_has_trainable_variables_and_others(built: Any) -> None:
    assert len(built.trainer.model.network.variables) > len(built.trainer.model.trainable_variables) > 100


def test_preprocessing_resizes_and_normalizes_one_image(built: Any) -> None:
    black_and_white = np.zeros((40, 80, 3), np.uint8)
    black_and_white[:, 40:] = 255

    image, true_shape = built.trainer.model.preprocess(tf.constant(black_and_white))

    assert (image.dtype, image.shape, true_shape.numpy().tolist()) == (tf.float32, (160, 160, 3), [160, 160, 3])
    assert (float(tf.reduce_min(image)), float(tf.reduce_max(image))) == pytest.approx((-1.0, 1.0))


def test_detections_have_label_ids_from_1_and_boxes_in_fractions(built: Any) -> None:
    model, (features, _) = built.trainer.model, built.batch

    found = model.detect(features[IMAGE], features[TRUE_SHAPE])
    theirs = model.network.postprocess(
        model.network.predict(features[IMAGE], features[TRUE_SHAPE]), features[TRUE_SHAPE]
    )

    most = found.scores.shape[1]
    assert (found.boxes.shape, found.label_ids.shape, found.count.shape) == ((2, most, 4), (2, most), (2,))
    assert (found.label_ids.dtype, found.count.dtype) == (tf.int32, tf.int32)
    for index, count in enumerate(found.count.numpy()):
        assert 0 < count <= most
        assert set(found.label_ids[index, :count].numpy()) <= {1, 2}
        boxes = found.boxes[index, :count].numpy()
        assert boxes.min() >= 0
        assert boxes.max() <= 1
        assert np.all(boxes[:, :2] <= boxes[:, 2:])
    np.testing.assert_array_equal(found.label_ids, theirs["detection_classes"].numpy() + 1)
    np.testing.assert_array_equal(found.boxes, theirs["detection_boxes"])


def test_the_total_loss_is_the_sum_of_the_others_with_regularization(built: Any) -> None:
    features, labels = built.batch
    losses = {name: float(value) for name, value in built.trainer.train(features, labels).losses.items()}

    total = losses.pop(TOTAL_LOSS)
    assert sorted(losses) == ["Loss/classification_loss", "Loss/localization_loss", "Loss/regularization_loss"]
    assert all(value > 0 for value in losses.values())
    assert total == pytest.approx(sum(losses.values()), rel=1e-5)


def test_detecting_after_a_training_step_leaves_the_statistics_of_batch_normalization_alone(built: Any) -> None:
    model, (features, labels) = built.trainer.model, built.batch
    built.trainer.train(features, labels)
    moving = [variable for variable in model.network.variables if "moving_mean" in variable.name]
    before = [variable.numpy() for variable in moving]

    model.detect(features[IMAGE], features[TRUE_SHAPE])
    detecting = [variable.numpy() for variable in moving]
    built.trainer.train(features, labels)
    training = [variable.numpy() for variable in moving]

    assert len(moving) > 10
    assert all(np.array_equal(old, new) for old, new in zip(before, detecting, strict=True))
    assert any(not np.array_equal(old, new) for old, new in zip(before, training, strict=True))


def test_the_rate_follows_the_step(built: Any) -> None:
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    _, rate = optimizer_and_rate(built.tiny.pipeline, scale=tf.Variable(1.0), step=step)
    optimizer = built.tiny.pipeline.train_config.optimizer
    cosine = getattr(optimizer, optimizer.WhichOneof("optimizer")).learning_rate.cosine_decay_learning_rate

    rates = []
    for value in (0, cosine.warmup_steps, cosine.total_steps):
        step.assign(value)
        rates.append(float(rate()))

    assert rates == pytest.approx([cosine.warmup_learning_rate, cosine.learning_rate_base, 0.0], abs=1e-6)


def test_a_constant_rate_is_a_function_as_well(built: Any) -> None:
    pipeline = changed(built.tiny.pipeline)
    rate_node = pipeline.train_config.optimizer.momentum_optimizer.learning_rate
    rate_node.Clear()
    rate_node.constant_learning_rate.learning_rate = 0.25

    _, rate = optimizer_and_rate(pipeline, scale=tf.Variable(1.0), step=tf.Variable(0, dtype=tf.int64, trainable=False))

    assert float(rate()) == 0.25


@pytest.mark.parametrize("keeps_averages", [False, True])
def test_each_trainable_variable_has_an_average_where_the_pipeline_keeps_them(built: Any, keeps_averages: bool) -> None:
    pipeline = changed(built.tiny.pipeline, use_moving_average=keeps_averages, moving_average_decay=0.9)
    optimizer, _ = optimizer_and_rate(
        pipeline, scale=tf.Variable(1.0), step=tf.Variable(0, dtype=tf.int64, trainable=False)
    )

    pairs = build_optimizer(optimizer, built.trainer.model)

    variables = built.trainer.model.trainable_variables if keeps_averages else []
    assert [variable.ref() for variable, _ in pairs] == [variable.ref() for variable in variables]
    assert [variable.shape for variable, _ in pairs] == [average.shape for _, average in pairs]
