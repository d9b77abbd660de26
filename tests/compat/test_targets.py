"""Targets of all images at once are those that the OD API assigns image by image."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import TOTAL_LOSS, DetectionModel, seed_everything
from odrun.compat.targets import UNMATCHED, allows_batches, assign_in_batches, batch_targets, stack_truth
from odrun.compat.tensorflow import tf

# isort: split
from object_detection.box_coders import (
    faster_rcnn_box_coder,
    keypoint_box_coder,
    mean_stddev_box_coder,
    square_box_coder,
)
from object_detection.core import box_list, region_similarity_calculator, target_assigner
from object_detection.matchers import argmax_matcher, hungarian_matcher
from object_detection.meta_architectures.ssd_meta_arch import SSDMetaArch

ANCHORS, CLASSES = 50, 4
UNMATCHED_LABEL = (1.0, 0.0, 0.0, 0.0)
CODERS = {
    "faster_rcnn": faster_rcnn_box_coder.FasterRcnnBoxCoder(scale_factors=[10.0, 9.0, 5.0, 4.0]),
    "unscaled": faster_rcnn_box_coder.FasterRcnnBoxCoder(),
    "mean_stddev": mean_stddev_box_coder.MeanStddevBoxCoder(),
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
    "forced, gathered": {"matched_threshold": 0.5, "force_match_for_each_row": True, "use_matmul_gather": False},
    "two thresholds": {"matched_threshold": 0.5, "unmatched_threshold": 0.3, "force_match_for_each_row": True},
    "not forced": {"matched_threshold": 0.4, "unmatched_threshold": 0.2},
    "ignored below": {"matched_threshold": 0.5, "unmatched_threshold": 0.2, "negatives_lower_than_unmatched": False},
    "zero threshold": {"matched_threshold": 0.0},
    "no threshold": {"matched_threshold": None},
    "no threshold, forced": {"matched_threshold": None, "force_match_for_each_row": True},
}
RESULTS = ("labels", "label weights", "codes", "weights", "matches")


class Image:
    """The groundtruth of one image: `boxes` [n, 4], one-hot `labels` [n, classes] and `weights` [n]."""

    def __init__(self, boxes: Any, weights: Any = None, *, padding: int = 0, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        rows = np.reshape(np.asarray(boxes, np.float32), (-1, 4))
        trust = np.ones(len(rows)) if weights is None else np.asarray(weights)
        one_hot = np.eye(CLASSES)[generator.integers(0, CLASSES, len(rows))]
        self.boxes = np.pad(rows, ((0, padding), (0, 0)))
        self.labels = np.pad(one_hot, ((0, padding), (0, 0))).astype(np.float32)
        self.weights = np.pad(trust, (0, padding)).astype(np.float32)


def corners(generator: np.random.Generator, count: int) -> np.ndarray:
    top_left = generator.uniform(0.0, 0.7, (count, 2))
    return np.concatenate([top_left, top_left + generator.uniform(0.05, 0.3, (count, 2))], axis=-1).astype(np.float32)


BOXES = corners(np.random.default_rng(100), ANCHORS)
"""The anchors of all cases."""
RANDOM = np.random.default_rng(7)
CASES = {
    "random": [Image(corners(RANDOM, 6), RANDOM.choice([0.5, 1.0], 6), seed=seed) for seed in range(4)],
    "padded": [Image(corners(RANDOM, n), padding=9 - n, seed=n) for n in (9, 4, 1, 2)],
    "all padding": [Image([], padding=5), Image([], padding=5)],
    "one of padding alone": [Image(corners(RANDOM, 5)), Image([], padding=5)],
    "no boxes at all": [Image([]), Image([])],
    "of different lengths": [Image(corners(RANDOM, n), seed=n) for n in (3, 0, 7, 1)],
    "ties": [Image(BOXES[[7, 7, 3, 7]], [0.5, 1.0, 1.0, 0.25]), Image(np.tile(corners(RANDOM, 1), (4, 1)), seed=3)],
    "a crowd": [Image(BOXES[9] + RANDOM.uniform(0, 0.02, (80, 4)), padding=20), Image(corners(RANDOM, 100), seed=2)],
    "far from all anchors": [Image([[0.99, 0.99, 1.0, 1.0]] * 2, padding=1), Image([[2.0, 2.0, 3.0, 3.0]] * 3)],
    "of weight 0, not padding": [Image(BOXES[[5, 6, 8]], [0.0, 1.0, 0.0]), Image(BOXES[[1, 2, 3]], [0.0, 0.0, 0.0])],
    "empty boxes that count": [Image([[0.0] * 4, [0.5, 0.5, 0.5, 0.5], [0.0] * 4]), Image(corners(RANDOM, 3))],
}


def assigner(matcher: str = "forced", coder: str = "faster_rcnn", similarity: str = "iou") -> Any:
    return target_assigner.TargetAssigner(
        SIMILARITIES[similarity],
        argmax_matcher.ArgMaxMatcher(**{"use_matmul_gather": True, **MATCHERS[matcher]}),
        CODERS[coder],
        negative_class_weight=0.7,
    )


def ours(subject: Any, boxes: Sequence[Any], labels: Sequence[Any], weights: Sequence[Any]) -> Any:
    stacked = stack_truth(*([tf.convert_to_tensor(part) for part in parts] for parts in (boxes, labels, weights)))
    return batch_targets(subject, tf.constant(BOXES), *stacked, tf.constant(UNMATCHED_LABEL))


def published(subject: Any, boxes: Sequence[Any], labels: Sequence[Any], weights: Sequence[Any]) -> Any:
    return target_assigner.batch_assign_targets(
        subject,
        box_list.BoxList(tf.constant(BOXES)),
        [box_list.BoxList(tf.convert_to_tensor(part)) for part in boxes],
        [tf.convert_to_tensor(part) for part in labels],
        tf.constant(UNMATCHED_LABEL),
        [tf.convert_to_tensor(part) for part in weights],
    )


def truth(images: Sequence[Image]) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    return [i.boxes for i in images], [i.labels for i in images], [i.weights for i in images]


def assert_same(one: Sequence[tf.Tensor], other: Sequence[tf.Tensor]) -> None:
    for name, mine, theirs in zip(RESULTS, one, other, strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), name
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("case", CASES)
def test_all_five_results_are_those_of_the_engine(matcher: str, case: str) -> None:
    assert_same(*(way(assigner(matcher), *truth(CASES[case])) for way in (ours, published)))


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_any_coder_of_single_boxes_and_any_similarity_is_used_as_it_is(coder: str, similarity: str) -> None:
    for matcher in ("forced", "no threshold"):
        subject = assigner(matcher, coder, similarity)
        assert_same(*(way(subject, *truth(CASES["padded"])) for way in (ours, published)))


def test_the_cases_hold_matched_unmatched_and_ignored_anchors() -> None:
    matches = published(assigner("two thresholds"), *truth(CASES["padded"]))[4].numpy()
    assert {-2, -1, 0, 1, 2, 3} <= set(matches.ravel().tolist())
    assert set(published(assigner(), *truth(CASES["no boxes at all"]))[4].numpy().ravel()) == {UNMATCHED}


@pytest.mark.parametrize("case", ["padded", "of different lengths", "no boxes at all"])
def test_numbers_of_boxes_may_be_unknown_until_the_graph_runs(case: str) -> None:
    shapes = ([None, 4], [None, CLASSES], [None])
    signature = [[tf.TensorSpec(shape, tf.float32)] * len(CASES[case]) for shape in shapes]

    def in_a_graph(way: Any) -> Any:
        def graph(*parts: Any) -> Any:
            targets = way(assigner(), *parts)
            assert [part.shape.as_list()[:2] for part in targets] == [[len(CASES[case]), ANCHORS]] * 5
            return targets

        return tf.function(graph, autograph=False, input_signature=signature)(*truth(CASES[case]))

    assert_same(in_a_graph(ours), in_a_graph(published))


def nodes(way: Any, batch_size: int) -> int:
    """The nodes of a graph that assigns the targets of a batch, those of its loops' and conditions' bodies included."""
    parts = truth([Image(BOXES[:3], padding=3)] * batch_size)

    @tf.function(autograph=False)
    def graph(boxes: Any, labels: Any, weights: Any) -> Any:
        return way(assigner(), *map(tf.unstack, (boxes, labels, weights)))

    stacked = [tf.constant(np.stack(part)) for part in parts]
    graph_def = graph.get_concrete_function(*stacked).graph.as_graph_def()
    return len(graph_def.node) + sum(len(function.node_def) for function in graph_def.library.function)


def test_the_graph_does_not_grow_with_the_batch() -> None:
    assert nodes(ours, 16) == nodes(ours, 2) < 400
    assert nodes(published, 16) > 7 * nodes(published, 2)


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

    (our_losses, our_gradients), (theirs, their_gradients) = outcomes
    assert {k: float(v) for k, v in our_losses.items()} == pytest.approx(
        {k: float(v) for k, v in theirs.items()}, rel=1e-6
    )
    assert any(np.any(gradient) for gradient in our_gradients)
    for one, other in zip(our_gradients, their_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def network(as_built: Any) -> Any:
    """A network with anchors, whose target assignment has been replaced."""
    built = as_built()
    made = DetectionModel(built.tiny.pipeline, is_training=True).network
    features, _ = built.batch
    with library_code_unconverted():
        made.predict(features["image"], features["true_image_shape"])
    return made


@pytest.mark.parametrize("has_weights", [True, False])
@pytest.mark.parametrize("has_background", [True, False])
def test_a_network_takes_images_with_different_numbers_of_boxes(
    network: Any, has_weights: bool, has_background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_add_background_class", has_background)
    monkeypatch.setattr(network, "_unmatched_class_label", tf.constant([1.0, 0, 0] if has_background else [0.0, 0]))
    boxes = [tf.constant(BOXES[:count]) for count in (2, 0, 5)]
    classes = [tf.one_hot(tf.range(part.shape[0]) % 2, 2) for part in boxes]
    weights = [tf.fill([part.shape[0]], 0.5) for part in boxes] if has_weights else None

    one = network._assign_targets(boxes, classes, None, weights)

    assert_same(one, SSDMetaArch._assign_targets(network, boxes, classes, None, weights))
    assert one[0].shape[2] == 2 + has_background
    assert set(one[3].numpy().ravel()) == {0.0, 0.5 if has_weights else 1.0}


def test_groundtruth_with_keypoints_is_left_to_the_engine(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    engine = target_assigner.batch_assign_targets

    def note(*batch: Any, **further: Any) -> Any:
        told.append(len(batch[2]))
        return engine(*batch, **further)

    monkeypatch.setattr(target_assigner, "batch_assign_targets", note)
    boxes, classes = [tf.constant(BOXES[:2])], [tf.one_hot([0, 1], 2)]

    network._assign_targets(boxes, classes)
    assert told == []
    network._assign_targets(boxes, classes, [tf.zeros([2, 5, 2])])
    assert told == [1]


@pytest.mark.parametrize(
    "change",
    [
        {"_use_confidences_as_targets": True},
        {"_target_assigner": None},
        {"_target_assigner._matcher": hungarian_matcher.HungarianBipartiteMatcher()},
        {"_target_assigner._box_coder": keypoint_box_coder.KeypointBoxCoder(5)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_no_such_ssd_is_left_alone(network: Any, change: dict[str, Any], monkeypatch: Any) -> None:
    assert allows_batches(network)
    before = network._assign_targets
    (path, value), *_ = change.items()
    *owners, name = path.split(".")
    monkeypatch.setattr(getattr(network, owners[0]) if owners else network, name, value)

    assert not allows_batches(network)
    assert not assign_in_batches(network)
    assert network._assign_targets is before


def test_another_architecture_is_left_alone() -> None:
    other = SimpleNamespace()
    assert not assign_in_batches(other)
    assert vars(other) == {}
