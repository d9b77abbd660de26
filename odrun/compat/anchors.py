"""Anchors as constants of the graph, where the sizes of the feature maps are known while it is traced.

The OD API computes them in every graph anew, by some 150 nodes for each feature map, which take a tenth of the time to
trace a training step of a small SSD, and TensorFlow then computes them once more to make constants of them. Here each
set of sizes is computed once for a model. The anchors are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from odrun.compat.tensorflow import tf

# isort: split
from object_detection.core.anchor_generator import AnchorGenerator
from object_detection.core.box_list import BoxList

_Sizes: TypeAlias = "tuple[tuple[tuple[int, ...], ...], tuple[tuple[str, int], ...]]"


def hold_anchors(network: Any) -> bool:
    """Have an SSD compute its anchors once for each set of sizes; whether the network is one.

    Faster R-CNN asks for anchors by sizes that are tensors even where they are known.
    """
    generator = getattr(network, "_anchor_generator", None)
    if not isinstance(generator, AnchorGenerator):
        return False
    published = generator.generate
    held: dict[_Sizes, list[npt.NDArray[np.float32]]] = {}

    def generate(feature_map_shape_list: Sequence[Any], **params: Any) -> list[BoxList]:
        sizes = _known(feature_map_shape_list, params)
        if sizes is None:
            return list(published(feature_map_shape_list, **params))
        if sizes not in held:
            with tf.init_scope():
                held[sizes] = [boxes.get().numpy() for boxes in published(feature_map_shape_list, **params)]
        return [BoxList(tf.constant(anchors)) for anchors in held[sizes]]

    generator.generate = generate
    return True


def _known(shapes: Sequence[Any], params: dict[str, Any]) -> _Sizes | None:
    """The sizes, if they are numbers and no tensors, and tensors can have values at this place of the program."""
    numbers = [*(side for shape in shapes for side in shape), *params.values()] if isinstance(shapes, list) else [None]
    with tf.init_scope():
        is_eager = tf.executing_eagerly()
    if not is_eager or not all(isinstance(number, int) for number in numbers):
        return None
    return tuple(tuple(shape) for shape in shapes), tuple(sorted(params.items()))
