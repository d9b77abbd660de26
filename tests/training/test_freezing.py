from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import DetectionModel, seed_everything
from odrun.compat.normalization import hold_statistics, normalization_layers
from odrun.compat.tensorflow import tf
from odrun.errors import InputError
from odrun.training.freezing import Frozen, freeze
from odrun.training.step import Trainer

BACKBONE = r"^(Conv|bn_Conv|block_|expanded_conv)"


@dataclass(frozen=True)
class Trained:
    """What was frozen of a model, and its variables by name before and after two steps."""

    model: DetectionModel
    frozen: Frozen
    before: dict[str, np.ndarray[Any, Any]]
    after: dict[str, np.ndarray[Any, Any]]

    @property
    def changed(self) -> set[str]:
        return {name for name, value in self.before.items() if not np.array_equal(value, self.after[name])}


def values(model: DetectionModel) -> dict[str, np.ndarray[Any, Any]]:
    return {variable.name: variable.numpy().copy() for variable in model.network.variables}


@pytest.fixture(scope="module")
def trained(compose_tiny: Callable[..., Any], batches_of: Callable[..., Any]) -> Iterator[Trained]:
    """A model that was trained for two steps with its backbone frozen."""
    tiny = compose_tiny()
    with library_code_unconverted():
        seed_everything(0)
        model = DetectionModel(tiny.pipeline, is_training=True)
        trainer = Trainer(model, tiny.pipeline)
        batches = batches_of(tiny, model)
        features, labels = next(batches)
        trainer.build(features)
        frozen = freeze(model, [BACKBONE])
        trainer.train_only(frozen.trainable)
        before = values(model)
        for _ in range(2):
            trainer.train(features, labels)
            features, labels = next(batches)
        yield Trained(model, frozen, before, values(model))


def test_frozen_weights_and_statistics_stay_as_they_are_and_the_others_are_trained(trained: Trained) -> None:
    of_backbone = {name for name in trained.before if re.search(BACKBONE, name)}

    assert 200 < len(of_backbone) < len(trained.before)
    assert trained.changed & of_backbone == set()
    # The first of the predictor's biases has no gradient until a box has been matched to its anchors.
    assert len(trained.changed) > 0.9 * len(trained.before.keys() - of_backbone)
    assert {name.split("/")[-1] for name in trained.changed} >= {"moving_mean:0", "moving_variance:0", "gamma:0"}


def test_what_is_frozen_is_counted(trained: Trained) -> None:
    frozen = trained.frozen
    sizes = [sum(variable.numpy().size for variable in part) for part in (frozen.frozen, frozen.trainable)]

    assert len(frozen.frozen) + len(frozen.trainable) == len({*map(id, frozen.frozen), *map(id, frozen.trainable)})
    assert str(frozen) == (
        f"frozen {len(frozen.frozen)} variables ({sizes[0]:,} weights), "
        f"trainable {len(frozen.trainable)} ({sizes[1]:,} weights), 52 batch normalizations keep their statistics"
    )


def test_one_matching_variable_of_a_normalization_holds_its_statistics(built: Any) -> None:
    network = built.trainer.model.network
    layer = next(layer for layer in normalization_layers(network) if layer.name == "block_3_expand_BN")
    try:
        frozen = freeze(built.trainer.model, ["block_3_expand_BN/gamma$"])
        assert (len(frozen.frozen), frozen.layers, layer.trainable) == (1, 1, False)
        assert any(variable is layer.beta for variable in frozen.trainable)
    finally:
        layer.trainable = True
        del layer._USE_V2_BEHAVIOR


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("block_33_", "'block_33_' matches no variable of the model"),
        ("Conv1/kernel:0", "'Conv1/kernel:0' matches no variable of the model"),
        ("block_[", "'block_[' is not a regular expression: unterminated character set at position 6"),
        (".", "'Conv1/kernel' and '.' freeze all 192 trainable variables of the model"),
    ],
)
def test_a_pattern_that_freezes_nothing_or_everything_is_refused(pattern: str, what: str, built: Any) -> None:
    layers = normalization_layers(built.trainer.model.network)
    with pytest.raises(InputError) as caught:
        freeze(built.trainer.model, ["Conv1/kernel", pattern])

    assert caught.value.what == what
    assert caught.value.where == "train.freeze"
    assert all(layer.trainable for layer in layers)


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("Conv1/kernels", "did you mean Conv1/kernel or Conv_1/kernel"),
        (
            "FeatureExtractor/MobilenetV2",
            "names are such as block_10_depthwise/depthwise_kernel, "
            "WeightSharedConvolutionalBoxPredictor/PredictionTower/conv2d_0/BatchNorm/feature_0/beta, "
            "ssd_mobile_net_v2_fpn_keras_feature_extractor/FeatureMaps/top_down/projection_1/bias, "
            "expanded_conv_depthwise/depthwise_kernel",
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_told_names(pattern: str, remedy: str, built: Any) -> None:
    with pytest.raises(InputError) as caught:
        freeze(built.trainer.model, [pattern])
    assert caught.value.remedy == remedy


def freezable_layer() -> Any:
    from object_detection.core.freezable_batch_norm import FreezableBatchNorm

    return FreezableBatchNorm()


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(freezable_layer, id="of the OD API"),
        pytest.param(lambda: tf.compat.v1.keras.layers.BatchNormalization(), id="of TensorFlow 1"),
        pytest.param(lambda: tf.keras.layers.BatchNormalization(), id="of TensorFlow 2"),
        pytest.param(lambda: tf.keras.layers.experimental.SyncBatchNormalization(), id="synchronized"),
    ],
)
@pytest.mark.parametrize("training", [True, None])
def test_every_kind_of_normalization_holds_its_statistics(layer: Callable[[], Any], training: bool | None) -> None:
    """Also where `training` was given once and for all when the network was put together."""
    image = tf.keras.Input((4, 4, 3))
    normalization = layer()
    network = tf.keras.Model(image, normalization(image, training=training))
    step = tf.function(lambda images: network(images), autograph=False)
    images = tf.random.stateless_normal((2, 4, 4, 3), seed=(1, 2)) + 5.0
    tf.keras.backend.set_learning_phase(True)
    try:
        mean = normalization.moving_mean.numpy()
        hold_statistics(normalization)
        held = step(images)

        np.testing.assert_array_equal(normalization.moving_mean.numpy(), mean)
        np.testing.assert_allclose(held, images, rtol=1e-2)
    finally:
        tf.keras.backend.set_learning_phase(False)
