from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import IMAGE, TOTAL_LOSS, DetectionModel, optimizer_and_rate, seed_everything
from odrun.compat.tensorflow import tf
from odrun.training.step import Trainer


def weights(trainer: Trainer) -> list[np.ndarray]:
    return [variable.numpy().copy() for variable in trainer.model.trainable_variables]


def test_building_makes_all_variables_without_training(built: Any) -> None:
    trainer = built.trainer

    before = weights(trainer)
    trainer.build(built.batch[0])

    assert len(trainer.model.network.variables) > len(before) > 100
    assert all(np.array_equal(old, new) for old, new in zip(before, weights(trainer), strict=True))


def test_a_step_changes_weights_counts_itself_and_lowers_the_loss_of_its_batch(built: Any) -> None:
    trainer, (features, labels) = built.trainer, built.batch
    first_step, before = int(trainer.step), weights(trainer)

    losses = [float(trainer.train(features, labels).losses[TOTAL_LOSS]) for _ in range(6)]

    assert int(trainer.step) == first_step + 6
    assert any(not np.array_equal(old, new) for old, new in zip(before, weights(trainer), strict=True))
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_a_step_equals_that_of_the_engine(compose_tiny: Callable[..., Any], batches_of: Callable[..., Any]) -> None:
    """The same weights and batch through the OD API's own step: equal losses, equal weights after it.

    By gradient descent: Adam's first step is the gradient's sign, which rounding decides where it is almost zero.
    """
    from object_detection.model_lib_v2 import eager_train_step

    optimizers = "pipeline.train_config.optimizer"
    rate = "{learning_rate:{constant_learning_rate:{learning_rate:0.01}}}"
    tiny = compose_tiny(f"{optimizers}.adam_optimizer=null", f"+{optimizers}.momentum_optimizer={rate}")
    config = tiny.pipeline.train_config
    with library_code_unconverted():
        outcomes = []
        for own in (True, False):
            seed_everything(3)
            model = DetectionModel(tiny.pipeline, is_training=True)
            trainer = Trainer(model, tiny.pipeline)
            if own:
                features, labels = next(batches_of(tiny, model))
            trainer.build(features)
            if own:
                losses = trainer.train(features, labels).losses
            else:
                step = tf.Variable(0, dtype=tf.int64, trainable=False)
                optimizer, _ = optimizer_and_rate(tiny.pipeline, step=step, scale=tf.Variable(1.0))
                theirs = tf.function(
                    lambda features, labels, model=model, optimizer=optimizer, step=step: eager_train_step(
                        model.network,
                        features,
                        labels,
                        config.unpad_groundtruth_tensors,
                        optimizer,
                        training_step=step,
                        add_regularization_loss=config.add_regularization_loss,
                        clip_gradients_value=config.gradient_clipping_by_norm,
                    ),
                    autograph=False,
                )
                losses = theirs(features, labels)
            outcomes.append(({name: float(value) for name, value in losses.items()}, weights(trainer)))

    (our_losses, our_weights), (their_losses, their_weights) = outcomes
    assert our_losses == pytest.approx(their_losses, rel=1e-4)
    for ours, theirs in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_averaged_weights_are_there_within_the_context_and_exactly_gone_after_it(
    compose_tiny: Callable[..., Any], batches_of: Callable[..., Any]
) -> None:
    averaging = "pipeline.train_config.optimizer"
    tiny = compose_tiny(f"{averaging}.use_moving_average=true", f"+{averaging}.moving_average_decay=0.9")
    with library_code_unconverted():
        seed_everything(0)
        model = DetectionModel(tiny.pipeline, is_training=True)
        trainer = Trainer(model, tiny.pipeline)
        features, labels = next(batches_of(tiny, model))
        trainer.build(features)
        trainer.begin_averages()
        begun = weights(trainer)
        with trainer.averaged_weights():
            assert all(np.array_equal(old, new) for old, new in zip(begun, weights(trainer), strict=True))
        for _ in range(3):
            trainer.train(features, labels)

        trained = weights(trainer)
        with trainer.averaged_weights():
            averaged = weights(trainer)
        restored = weights(trainer)

    assert any(not np.array_equal(old, new) for old, new in zip(trained, averaged, strict=True))
    assert all(np.array_equal(old, new) for old, new in zip(trained, restored, strict=True))


def test_without_averages_the_context_leaves_the_weights_alone(built: Any) -> None:
    before = weights(built.trainer)
    with built.trainer.averaged_weights():
        within = weights(built.trainer)

    assert all(np.array_equal(old, new) for old, new in zip(before, within, strict=True))


def test_a_loss_that_is_no_number_leaves_weights_statistics_and_optimizer_as_they_were(built: Any) -> None:
    trainer, (features, labels) = built.trainer, built.batch
    trainer.train(features, labels)
    before = [variable.numpy().copy() for variable in trainer.model.network.variables]
    step, iterations = int(trainer.step), int(trainer.trackable["optimizer"].iterations)

    result = trainer.train({**features, IMAGE: features[IMAGE] * np.nan}, labels)

    assert not bool(result.is_applied)
    after = [variable.numpy() for variable in trainer.model.network.variables]
    names = [variable.name for variable in trainer.model.network.variables]
    changed = [name for name, old, new in zip(names, before, after, strict=True) if not np.array_equal(old, new)]
    assert changed == []
    assert (int(trainer.step), int(trainer.trackable["optimizer"].iterations)) == (step + 1, iterations)
    assert bool(trainer.train(features, labels).is_applied)


@pytest.mark.slow
def test_a_halved_rate_is_the_rate_of_the_optimizer(compose_tiny: Callable[..., Any], batches_of: Any) -> None:
    optimizers = "pipeline.train_config.optimizer"
    rate = "{learning_rate:{constant_learning_rate:{learning_rate:0.01}},momentum_optimizer_value:0.0}"
    tiny = compose_tiny(
        f"{optimizers}.adam_optimizer=null",
        f"+{optimizers}.momentum_optimizer={rate}",
        "pipeline.train_config.gradient_clipping_by_norm=0",
    )
    changes = []
    with library_code_unconverted():
        for halvings in (0, 1):
            seed_everything(3)
            model = DetectionModel(tiny.pipeline, is_training=True)
            trainer = Trainer(model, tiny.pipeline)
            features, labels = next(batches_of(tiny, model))
            trainer.build(features)
            before = weights(trainer)
            for _ in range(halvings):
                trainer.halve_learning_rate()
            assert trainer.learning_rate() == pytest.approx(0.01 / 2**halvings)
            trainer.train(features, labels)
            changes.append(max(np.abs(new - old).max() for old, new in zip(before, weights(trainer), strict=True)))

    assert changes[1] == pytest.approx(changes[0] / 2, rel=1e-2)


def test_the_norm_told_is_that_of_all_gradients_before_clipping(built: Any) -> None:
    trainer, (features, labels) = built.trainer, built.batch
    with tf.GradientTape() as tape:
        total = trainer.model.losses(features, labels, step=trainer.step, seed=0)[TOTAL_LOSS]
    gradients = tape.gradient(total, trainer.model.trainable_variables)
    expected = float(np.sqrt(sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients)))

    assert float(trainer.train(features, labels).gradient_norm) == pytest.approx(expected, rel=1e-3)


def test_variables_that_are_not_to_be_trained_stay(compose_tiny: Callable[..., Any], batches_of: Any) -> None:
    tiny = compose_tiny()
    with library_code_unconverted():
        seed_everything(0)
        model = DetectionModel(tiny.pipeline, is_training=True)
        trainer = Trainer(model, tiny.pipeline)
        features, labels = next(batches_of(tiny, model))
        trainer.build(features)
        trainer.train_only(model.trainable_variables[:3])
        before = weights(trainer)
        trainer.train(features, labels)

    stayed = [np.array_equal(old, new) for old, new in zip(before, weights(trainer), strict=True)]
    assert stayed == [False] * 3 + [True] * (len(stayed) - 3)
