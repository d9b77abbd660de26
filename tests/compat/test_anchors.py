"""Anchors held as constants are those that the OD API computes in every graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from odrun.compat.anchors import hold_anchors
from odrun.compat.engine import DetectionModel
from odrun.compat.tensorflow import tf
from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.settings import TrainJob

# isort: split
from object_detection.builders import model_builder

ENTRIES = ("ssd_mobilenet_v2_320x320", "ssd_mobilenet_v2_fpnlite_320x320", "ssd_efficientdet_d0_512x512")
MAPS = {
    "ssd_mobilenet_v2_320x320": [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)],
    "ssd_mobilenet_v2_fpnlite_320x320": [(40, 40), (20, 20), (10, 10), (5, 5), (3, 3)],
    "ssd_efficientdet_d0_512x512": [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)],
}


def pipeline(entry: str) -> Any:
    job = composed("train", [f"model={entry}", "model.checkpoint=none"])
    assert isinstance(job, TrainJob)
    return build(job.pipeline, job.augmentation)


def generators(entry: str) -> tuple[Any, Any]:
    """The one of a model of ours, and the published one."""
    config = pipeline(entry)
    held = DetectionModel(config, is_training=True).network._anchor_generator
    return held, model_builder.build(config.model, is_training=True)._anchor_generator


def in_a_graph(generator: Any, maps: Any, **sizes: Any) -> tuple[list[np.ndarray], int]:
    """The anchors that a graph computes, and how many nodes it has."""
    function = tf.function(lambda: [boxes.get() for boxes in generator.generate(maps, **sizes)], autograph=False)
    graph = function.get_concrete_function().graph
    return [anchors.numpy() for anchors in function()], len(graph.get_operations())


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_anchors_are_those_of_the_engine_bit_for_bit_and_constants(entry: str) -> None:
    held, published = generators(entry)
    for sizes in ({"im_height": 320, "im_width": 320}, {"im_height": 320, "im_width": 256}):
        ours, our_nodes = in_a_graph(held, MAPS[entry], **sizes)
        theirs, their_nodes = in_a_graph(published, MAPS[entry], **sizes)
        assert [part.shape for part in ours] == [part.shape for part in theirs]
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
        assert our_nodes == 2 * len(MAPS[entry]), "a constant and what is returned of it"
        assert their_nodes > 20 * our_nodes


def test_sizes_that_are_known_only_when_the_graph_runs_are_left_to_the_engine() -> None:
    entry = "ssd_mobilenet_v2_fpnlite_320x320"
    held, published = generators(entry)

    def anchors(generator: Any, side: int) -> list[np.ndarray]:
        signature = [tf.TensorSpec([], tf.int32)]
        function = tf.function(
            lambda side: [
                boxes.get()
                for boxes in generator.generate(
                    [(side // stride, side // stride) for stride in (8, 16, 32, 64, 128)], im_height=384, im_width=384
                )
            ],
            autograph=False,
            input_signature=signature,
        )
        return [part.numpy() for part in function(tf.constant(side))]

    for side in (256, 384):
        for one, other in zip(anchors(held, side), anchors(published, side), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("network", [SimpleNamespace(), SimpleNamespace(_anchor_generator=None)])
def test_a_model_without_anchors_is_left_as_it_is(network: SimpleNamespace) -> None:
    before = dict(vars(network))
    assert not hold_anchors(network)
    assert vars(network) == before
