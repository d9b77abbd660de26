"""The batch normalization layers of a network, and how one is made to keep its moving statistics."""

from __future__ import annotations

from typing import Any

from odrun.compat.tensorflow import tf


def normalization_layers(network: Any) -> list[Any]:
    """All layers of a built network that keep moving statistics of what they normalize."""
    return [
        layer
        for layer in network.submodules
        if isinstance(layer, tf.keras.layers.Layer) and hasattr(layer, "moving_mean")
    ]


def hold_statistics(layer: Any) -> None:
    """From the next trace on `layer` normalizes with its moving statistics and leaves them alone, in training as well.

    Most layers of the OD API are Keras's of TensorFlow 1, which, unlike those of TensorFlow 2, normalize with the batch
    even if they are not trainable; once they are built, the flag below is all that tells the two apart.
    """
    layer.trainable = False
    layer._USE_V2_BEHAVIOR = True
