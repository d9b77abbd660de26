"""Detections suppressed in a loop over the images are those that the OD API finds image by image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import DetectionModel, seed_everything
from odrun.compat.suppression import suppress_in_a_loop
from odrun.compat.tensorflow import tf
from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.settings import TrainJob

# isort: split
from object_detection.core.post_processing import batch_multiclass_non_max_suppression

MOST = 6
PUBLISHED = partial(
    batch_multiclass_non_max_suppression, score_thresh=0.2, iou_thresh=0.5, max_size_per_class=3, max_total_size=MOST
)


def ours(name: str = "_non_max_suppression_fn") -> Callable[..., Any]:
    network = SimpleNamespace(**{name: PUBLISHED})
    assert suppress_in_a_loop(network)
    return getattr(network, name)


def candidates(batch_size: int, *, classes: int = 3, number: int = 40) -> tuple[Any, Any]:
    """Boxes [batch, number, 1, 4] that overlap here and there, and scores [batch, number, classes]."""
    chance = np.random.default_rng(7)
    corners = chance.uniform(0, 0.6, (batch_size, number, 1, 2))
    boxes = np.concatenate([corners, corners + chance.uniform(0.1, 0.4, corners.shape)], axis=-1)
    scores = chance.uniform(0, 1, (batch_size, number, classes)) * np.linspace(0, 1, batch_size)[:, None, None]
    return tf.constant(boxes, tf.float32), tf.constant(scores, tf.float32)


@pytest.mark.parametrize("name", ["_non_max_suppression_fn", "_second_stage_nms_fn"])
def test_what_is_found_is_the_same_either_way(name: str) -> None:
    boxes, scores = candidates(5)
    extras = {"additional_fields": {"anchor_indices": tf.random.stateless_uniform([5, 40, 1], (1, 2))}}
    found, expected = (tf.function(way, autograph=False)(boxes, scores, **extras) for way in (ours(name), PUBLISHED))

    *parts, extra, counts = found
    *their_parts, their_extra, their_counts = expected
    assert sorted(set(counts.numpy())) == [0, MOST], "no image without detections, or none with as many as there may be"
    np.testing.assert_array_equal(counts, their_counts)
    np.testing.assert_array_equal(extra["anchor_indices"], their_extra["anchor_indices"])
    for one, other in zip(parts, their_parts, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.shape == other.shape
            np.testing.assert_array_equal(one, other)


def nodes(way: Callable[..., Any], batch_size: int) -> int:
    """The nodes of a graph that suppresses the detections of a batch, those of its loops' bodies included."""
    graph = tf.function(way, autograph=False).get_concrete_function(*candidates(batch_size)).graph.as_graph_def()
    return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)


def test_the_graph_does_not_grow_with_the_batch() -> None:
    assert nodes(ours(), 16) == nodes(ours(), 2)
    assert nodes(PUBLISHED, 16) > 7 * nodes(PUBLISHED, 2)


def test_an_evaluation_by_a_model_is_the_same_either_way(built: Any) -> None:
    features, labels = built.batch
    outcomes = []
    with library_code_unconverted():
        for looped in (True, False):
            seed_everything(4)
            model = DetectionModel(built.tiny.pipeline, is_training=True)
            if not looped:
                own = model.network._non_max_suppression_fn
                without = {key: value for key, value in own.keywords.items() if key != "use_dynamic_map_fn"}
                model.network._non_max_suppression_fn = partial(own.func, **without)
            model.build(features)
            outcomes.append(tf.function(model.losses_and_detections, autograph=False)(features, labels)[1])
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("ssd_mobilenet_v2_320x320", "_non_max_suppression_fn"),
        ("faster_rcnn_resnet50_v1_640x640", "_second_stage_nms_fn"),
    ],
)
def test_models_with_suppression_do_it_in_a_loop(entry: str, name: str) -> None:
    job = composed("train", [f"model={entry}", "model.checkpoint=none"])
    assert isinstance(job, TrainJob)
    network = DetectionModel(build(job.pipeline, job.augmentation), is_training=False).network
    assert getattr(network, name).keywords["use_dynamic_map_fn"] is True


@pytest.mark.parametrize("network", [SimpleNamespace(), SimpleNamespace(_non_max_suppression_fn=None)])
def test_a_model_without_suppression_is_left_as_it_is(network: SimpleNamespace) -> None:
    before = dict(vars(network))
    assert not suppress_in_a_loop(network)
    assert vars(network) == before
