"""Targets of SSD anchors, assigned for all images of a batch in one computation.

The OD API assigns them image by image, in Python, so that the graph of a training step, and the time to trace it, grows
with the batch. Here the published region similarity and matcher run in a loop of the graph, whose size is that of one
image, and all that follows from the matches is computed for the batch at once. The results are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from odrun.compat.tensorflow import tf

# isort: split
from object_detection.box_coders.faster_rcnn_box_coder import FasterRcnnBoxCoder
from object_detection.box_coders.mean_stddev_box_coder import MeanStddevBoxCoder
from object_detection.box_coders.square_box_coder import SquareBoxCoder
from object_detection.core.box_list import BoxList
from object_detection.core.region_similarity_calculator import IouSimilarity
from object_detection.core.standard_fields import BoxListFields
from object_detection.core.target_assigner import TargetAssigner
from object_detection.matchers.argmax_matcher import ArgMaxMatcher
from object_detection.meta_architectures.ssd_meta_arch import SSDMetaArch

UNMATCHED = -1
IGNORED = -2
CODERS_OF_SINGLE_BOXES = (FasterRcnnBoxCoder, MeanStddevBoxCoder, SquareBoxCoder)
"""Box coders whose code of a box depends on that box and its anchor alone, and needs no keypoints."""

# Each further image matched at the same time holds its own boxes x anchors matrices in memory.
_IMAGES_AT_ONCE = 2

Targets = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def assign_in_batches(network: Any) -> bool:
    """Have an SSD assign its targets batch by batch, if it is one that allows it; whether it does.

    Groundtruth with keypoints is left to the published code even so.
    """
    if not allows_batches(network):
        return False
    published = network._assign_targets

    def assign(
        boxes: Sequence[tf.Tensor],
        classes: Sequence[tf.Tensor],
        keypoints: Sequence[tf.Tensor] | None = None,
        weights: Sequence[tf.Tensor] | None = None,
        confidences: Sequence[tf.Tensor] | None = None,
    ) -> Targets:
        if keypoints is not None:
            return tuple(published(boxes, classes, keypoints, weights, confidences))
        if weights is None:
            weights = [tf.ones(tf.shape(part)[:1]) for part in boxes]
        stacked_boxes, labels, stacked_weights, counts = stack_truth(boxes, classes, weights)
        if network._add_background_class:
            labels = tf.pad(labels, [[0, 0], [0, 0], [1, 0]])
        return batch_targets(
            network._target_assigner,
            network.anchors.get(),
            stacked_boxes,
            labels,
            stacked_weights,
            counts,
            network._unmatched_class_label,
        )

    network._assign_targets = assign
    return True


def allows_batches(network: Any) -> bool:
    """Whether `batch_targets` can stand in for the target assignment of this network: of most SSDs, and no others."""
    if type(network) is not SSDMetaArch or network._use_confidences_as_targets:
        return False
    assigner = network._target_assigner
    return (
        type(assigner) is TargetAssigner
        and type(assigner._matcher) is ArgMaxMatcher
        and type(assigner._box_coder) in CODERS_OF_SINGLE_BOXES
    )


def stack_truth(
    boxes: Sequence[tf.Tensor], labels: Sequence[tf.Tensor], weights: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The groundtruth of all images, padded to the image that has most, and how many boxes each has: int32 [batch].

    Shapes per image: `boxes` [n, 4], `labels` [n, classes], `weights` [n], each with an n of its own, 0 included.
    """
    lengths = [part.shape[0] for part in boxes]
    if None not in lengths and len(set(lengths)) == 1:
        return tf.stack(boxes), tf.stack(labels), tf.stack(weights), tf.constant(lengths, tf.int32)
    counts = tf.stack([tf.shape(part)[0] for part in boxes])

    def padded(parts: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.RaggedTensor.from_row_lengths(tf.concat(parts, 0), counts, validate=False).to_tensor()

    return padded(boxes), padded(labels), padded(weights), counts


def batch_targets(
    assigner: Any,
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    counts: tf.Tensor,
    unmatched_label: tf.Tensor,
) -> Targets:
    """What `batch_assign_targets` of the OD API gives for the first `counts` [batch] boxes of each image.

    Shapes: `anchors` [a, 4], `boxes` [batch, n, 4], `labels` [batch, n, classes], `weights` [batch, n] (0 for boxes
    that are to be matched by no force), `unmatched_label` [classes]. Returns class targets and weights [batch, a,
    classes], box targets [batch, a, code], box weights [batch, a], and matches int32 [batch, a]: a box's number,
    `UNMATCHED` or `IGNORED`.
    """
    if type(assigner._similarity_calc) is IouSimilarity:
        counts = _without_padding(boxes, weights, counts)
    matches = _matches(assigner, anchors, boxes, labels, weights, counts)
    batch, classes = boxes.shape[0], labels.shape[2]

    def of_match(values: tf.Tensor, *, unmatched: Any, ignored: Any) -> tf.Tensor:
        """The values [batch, n, ...] of the matched boxes, in the order of the anchors."""
        others = tf.stack([tf.cast(ignored, tf.float32), tf.cast(unmatched, tf.float32)])
        others = tf.tile(others[tf.newaxis], [batch] + [1] * (values.shape.rank - 1))
        return tf.gather(tf.concat([others, values], 1), matches - IGNORED, batch_dims=1)

    matched_boxes = tf.reshape(of_match(boxes, unmatched=tf.zeros(4), ignored=tf.zeros(4)), [-1, 4])
    codes = assigner._box_coder.encode(BoxList(matched_boxes), BoxList(tf.tile(anchors, [batch, 1])))
    codes = tf.reshape(codes, [batch, -1, assigner._box_coder.code_size])
    class_weights = of_match(weights, unmatched=assigner._negative_class_weight, ignored=0.0)
    return (
        of_match(labels, unmatched=unmatched_label, ignored=unmatched_label),
        tf.tile(class_weights[..., tf.newaxis], [1, 1, classes]),
        tf.where(matches[..., tf.newaxis] >= 0, codes, 0.0),
        of_match(weights, unmatched=0.0, ignored=0.0),
        matches,
    )


def _without_padding(boxes: tf.Tensor, weights: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """`counts` without the empty boxes of weight 0 that end an image, except the first box of an image.

    An empty box overlaps no anchor, and of equals the matcher takes the first, so that no match can be with them. Most
    of an image's groundtruth is such padding, and time and memory of matching are in proportion to it.
    """
    is_used = (weights > 0) | tf.reduce_any(boxes != 0, -1)
    numbers = tf.range(1, tf.shape(boxes)[1] + 1)
    used = tf.reduce_max(tf.where(is_used, numbers, 0), 1)
    return tf.minimum(counts, tf.maximum(used, 1))


def _matches(
    assigner: Any, anchors: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, counts: tf.Tensor
) -> tf.Tensor:
    """The box that each anchor is matched with, int32 [batch, a], as the published matcher has it for each image."""

    def of_image(truth: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        boxes, first_class, weights, count = truth
        image = BoxList(boxes[:count])
        image.add_field(BoxListFields.scores, 1 - first_class[:count])
        similarity = assigner._similarity_calc.compare(image, BoxList(anchors))
        return assigner._matcher.match(similarity, valid_rows=weights[:count] > 0).match_results

    return tf.map_fn(
        of_image,
        (boxes, labels[:, :, 0], weights, counts),
        parallel_iterations=_IMAGES_AT_ONCE,
        fn_output_signature=tf.TensorSpec([anchors.shape[0]], tf.int32),
    )
