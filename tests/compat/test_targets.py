"""Targets of all images at once are those that the OD API assigns image by image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import TOTAL_LOSS, DetectionModel, seed_everything
from odrun.compat.targets import assign_in_batches, batch_targets
from odrun.compat.tensorflow import tf

# isort: split
from object_detection.box_coders import faster_rcnn_box_coder, square_box_coder
from object_detection.core import box_list, region_similarity_calculator, target_assigner
from object_detection.matchers import argmax_matcher, hungarian_matcher

BATCH, MOST, CLASSES = 3, 6, 4
CODERS = {
    "faster_rcnn": faster_rcnn_box_coder.FasterRcnnBoxCoder(scale_factors=[10.0, 10.0, 5.0, 5.0]),
    "square": square_box_coder.SquareBoxCoder(),
}
SIMILARITIES = {
    "iou": region_similarity_calculator.IouSimilarity(),
    "ioa": region_similarity_calculator.IoaSimilarity(),
    "thresholded": region_similarity_calculator.ThresholdedIouSimilarity(0.3),
    "distance": region_similarity_calculator.NegSqDistSimilarity(),
}
MATCHERS = {
    "forced": {"matched_threshold": 0.5, "force_match_for_each_row": True},
    "two thresholds": {"matched_threshold": 0.5, "unmatched_threshold": 0.3, "force_match_for_each_row": True},
    "not forced": {"matched_threshold": 0.4, "unmatched_threshold": 0.2},
    "ignored below": {"matched_threshold": 0.5, "unmatched_threshold": 0.2, "negatives_lower_than_unmatched": False},
    "no threshold": {"matched_threshold": None},
}


def corners(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    top_left = generator.uniform(0.0, 0.7, (*shape, 2))
    return np.concatenate([top_left, top_left + generator.uniform(0.05, 0.3, (*shape, 2))], axis=-1).astype(np.float32)


def example(seed: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Anchors, boxes, one-hot labels and weights: of the last image all is padding; two boxes are equal."""
    generator = np.random.default_rng(seed)
    anchors, boxes = corners(generator, (50,)), corners(generator, (BATCH, MOST))
    boxes[0, 1] = boxes[0, 0]
    boxes[1, 0] = anchors[7]
    boxes[1, 1] = anchors[7]
    weights = generator.choice([0.5, 1.0], (BATCH, MOST)).astype(np.float32)
    weights[0, 4:] = 0
    boxes[0, 4:] = 0
    weights[2] = boxes[2] = 0
    labels = np.eye(CLASSES, dtype=np.float32)[generator.integers(0, CLASSES, (BATCH, MOST))]
    labels[weights == 0] = 0
    return tuple(map(tf.constant, (anchors, boxes, labels, weights)))


def assigner(matcher: str, coder: str = "faster_rcnn", similarity: str = "iou") -> Any:
    return target_assigner.TargetAssigner(
        SIMILARITIES[similarity],
        argmax_matcher.ArgMaxMatcher(**MATCHERS[matcher], use_matmul_gather=True),
        CODERS[coder],
        negative_class_weight=0.7,
    )


def assert_equal(subject: Any, seed: int) -> None:
    anchors, boxes, labels, weights = example(seed)
    unmatched = tf.constant([1.0] + [0.0] * (CLASSES - 1))

    ours = batch_targets(subject, anchors, boxes, labels, weights, unmatched)
    theirs = target_assigner.batch_assign_targets(
        subject,
        box_list.BoxList(anchors),
        [box_list.BoxList(part) for part in tf.unstack(boxes)],
        tf.unstack(labels),
        unmatched,
        tf.unstack(weights),
    )

    for name, one, other in zip(("labels", "label weights", "codes", "weights", "matches"), ours, theirs, strict=True):
        assert one.shape == other.shape, name
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("seed", range(5))
def test_all_five_results_are_those_of_the_engine(matcher: str, seed: int) -> None:
    assert_equal(assigner(matcher), seed)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_any_coder_and_any_similarity_is_used_as_it_is(coder: str, similarity: str) -> None:
    assert_equal(assigner("forced", coder, similarity), seed=9)


def nodes(batch_size: int, *, batched: bool) -> int:
    anchors, boxes, labels, weights = example(0)
    subject = assigner("forced")

    @tf.function(autograph=False)
    def graph(boxes: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> Any:
        if batched:
            return batch_targets(subject, anchors, boxes, labels, weights, tf.zeros([CLASSES]))
        return target_assigner.batch_assign_targets(
            subject,
            box_list.BoxList(anchors),
            [box_list.BoxList(part) for part in tf.unstack(boxes)],
            tf.unstack(labels),
            tf.zeros([CLASSES]),
            tf.unstack(weights),
        )

    parts = [tf.zeros([batch_size, *part.shape[1:]]) for part in (boxes, labels, weights)]
    return len(graph.get_concrete_function(*parts).graph.get_operations())


def test_the_graph_does_not_grow_with_the_batch() -> None:
    assert abs(nodes(16, batched=True) - nodes(2, batched=True)) < 5
    assert nodes(16, batched=True) < 250
    assert nodes(16, batched=False) > 7 * nodes(2, batched=False)


def test_losses_and_gradients_of_a_model_are_the_same_either_way(built: Any) -> None:
    features, labels = built.batch
    outcomes = []
    with library_code_unconverted():
        for batched in (True, False):
            seed_everything(4)
            model = DetectionModel(built.tiny.pipeline, is_training=True)
            if not batched:
                del model.network._assign_targets
            model.build(features)
            with tf.GradientTape() as tape:
                losses = model.losses(features, labels, step=tf.constant(0, tf.int64), seed=0)
            gradients = tape.gradient(losses[TOTAL_LOSS], model.trainable_variables)
            outcomes.append((losses, gradients))

    (ours, our_gradients), (theirs, their_gradients) = outcomes
    assert {k: float(v) for k, v in ours.items()} == pytest.approx({k: float(v) for k, v in theirs.items()}, rel=1e-6)
    for one, other in zip(our_gradients, their_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_what_is_no_such_ssd_is_left_alone(built: Any) -> None:
    network = DetectionModel(built.tiny.pipeline, is_training=True).network
    assert "_assign_targets" in vars(network)

    assert not assign_in_batches(SimpleNamespace())
    for change in (
        {"_use_confidences_as_targets": True},
        {"_target_assigner": target_assigner.TargetAssigner(
            SIMILARITIES["iou"], hungarian_matcher.HungarianBipartiteMatcher(), CODERS["square"]
        )},
    ):  # fmt: skip
        before = {name: getattr(network, name) for name in change}
        for name, value in change.items():
            setattr(network, name, value)
        assert not assign_in_batches(network)
        for name, value in before.items():
            setattr(network, name, value)


def test_images_with_different_numbers_of_boxes_are_left_to_the_engine(built: Any) -> None:
    network = DetectionModel(built.tiny.pipeline, is_training=True).network
    features, _ = built.batch
    with library_code_unconverted():
        network.predict(features["image"], features["true_image_shape"])
    boxes = [tf.constant([[0.1, 0.1, 0.5, 0.5]]), tf.constant([[0.2, 0.2, 0.6, 0.6], [0.5, 0.5, 0.9, 0.9]])]
    classes = [tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 1.0], [1.0, 0.0]])]

    matches = network._assign_targets(boxes, classes)[4].numpy()

    assert set(matches[0].tolist()) <= {-2, -1, 0}
    assert 1 in matches[1]
