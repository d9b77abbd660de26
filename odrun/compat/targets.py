"""Targets of SSD anchors, assigned for all images of a batch at once.

The OD API assigns them image by image, in Python, so that the graph of a training step, and the time to trace it, grows
with the batch. Here the published region similarity and box coder are applied to the boxes of all images together, and
the matching that stands between them has a batch dimension. The results are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from odrun.compat.tensorflow import tf

# isort: split
from object_detection.core import box_list, target_assigner
from object_detection.core.standard_fields import BoxListFields
from object_detection.matchers.argmax_matcher import ArgMaxMatcher
from object_detection.meta_architectures.ssd_meta_arch import SSDMetaArch

UNMATCHED = -1
IGNORED = -2
Targets = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def assign_in_batches(network: Any) -> bool:
    """Have an SSD assign its targets batch by batch; whether it does, which depends on its matcher.

    Batches that it cannot take (keypoints, confidences, images with different numbers of boxes) are left to the
    published code. Other architectures are left alone.
    """
    if type(network) is not SSDMetaArch or network._use_confidences_as_targets:
        return False
    assigner = network._target_assigner
    if type(assigner) is not target_assigner.TargetAssigner or type(assigner._matcher) is not ArgMaxMatcher:
        return False
    published = network._assign_targets

    def assign(
        boxes: Sequence[tf.Tensor],
        classes: Sequence[tf.Tensor],
        keypoints: Sequence[tf.Tensor] | None = None,
        weights: Sequence[tf.Tensor] | None = None,
        confidences: Sequence[tf.Tensor] | None = None,
    ) -> Targets:
        counts = {part.shape[0] for part in boxes}
        if keypoints is not None or len(counts) > 1 or None in counts or 0 in counts:
            return tuple(published(boxes, classes, keypoints, weights, confidences))
        labels = tf.stack(classes)
        if network._add_background_class:
            labels = tf.pad(labels, [[0, 0], [0, 0], [1, 0]])
        stacked = tf.stack(boxes)
        trust = tf.ones(tf.shape(stacked)[:2]) if weights is None else tf.stack(weights)
        return batch_targets(assigner, network.anchors.get(), stacked, labels, trust, network._unmatched_class_label)

    network._assign_targets = assign
    return True


def batch_targets(
    assigner: Any,
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    unmatched_label: tf.Tensor,
) -> Targets:
    """What `batch_assign_targets` of the OD API gives, for a target assigner with an `ArgMaxMatcher`.

    Shapes: `anchors` [a, 4], `boxes` [batch, n, 4] with n above 0, `labels` [batch, n, classes], `weights` [batch, n]
    (0 for padding), `unmatched_label` [classes]. Returns class targets and weights [batch, a, classes], box targets
    [batch, a, code], box weights [batch, a], and matches [batch, a]: a box's number, `UNMATCHED` or `IGNORED`.
    """
    batch, most = boxes.shape[0], boxes.shape[1]
    truth = box_list.BoxList(tf.reshape(boxes, [-1, 4]))
    truth.add_field(BoxListFields.scores, tf.reshape(1 - labels[:, :, 0], [-1]))
    similarity = assigner._similarity_calc.compare(truth, box_list.BoxList(anchors))
    matches = batch_matches(assigner._matcher, tf.reshape(similarity, [batch, most, -1]), weights > 0)

    is_matched = matches >= 0
    numbers = tf.maximum(matches, 0)
    matched_boxes = tf.reshape(tf.gather(boxes, numbers, batch_dims=1), [-1, 4])
    codes = assigner._box_coder.encode(box_list.BoxList(matched_boxes), box_list.BoxList(tf.tile(anchors, [batch, 1])))
    codes = tf.reshape(codes, [batch, -1, assigner._box_coder.code_size])
    box_targets = tf.where(is_matched[..., tf.newaxis], codes, 0.0)
    class_targets = tf.where(is_matched[..., tf.newaxis], tf.gather(labels, numbers, batch_dims=1), unmatched_label)
    matched_weights = tf.gather(weights, numbers, batch_dims=1)
    box_weights = tf.where(is_matched, matched_weights, 0.0)
    negative = tf.where(matches == UNMATCHED, assigner._negative_class_weight, 0.0)
    class_weights = tf.where(is_matched, matched_weights, negative)
    return (
        class_targets,
        tf.tile(class_weights[..., tf.newaxis], [1, 1, labels.shape[2]]),
        box_targets,
        box_weights,
        matches,
    )


def batch_matches(matcher: Any, similarity: tf.Tensor, is_valid: tf.Tensor) -> tf.Tensor:
    """The matching of an `ArgMaxMatcher` for similarities [batch, boxes, anchors] and valid boxes [batch, boxes].

    Each anchor takes the box that it is most similar to, if that is similar enough; then, where that is asked for, each
    valid box takes the anchor that is most similar to it. Of equals the first counts.
    """
    matches = tf.argmax(similarity, 1, output_type=tf.int32)
    if matcher._matched_threshold is not None:
        best = tf.reduce_max(similarity, 1)
        low, between = UNMATCHED, IGNORED
        if not matcher._negatives_lower_than_unmatched:
            low, between = between, low
        matches = tf.where(matcher._unmatched_threshold > best, low, matches)
        is_between = (best >= matcher._unmatched_threshold) & (matcher._matched_threshold > best)
        matches = tf.where(is_between, between, matches)
    if not matcher._force_match_for_each_row:
        return matches
    batch, most, anchors = similarity.shape[0], similarity.shape[1], tf.shape(similarity)[2]
    anchor_numbers = tf.argmax(similarity, 2, output_type=tf.int32)
    image_numbers = tf.tile(tf.range(batch)[:, tf.newaxis], [1, most])
    box_numbers = tf.where(is_valid, tf.range(most)[tf.newaxis], most)
    forced = tf.tensor_scatter_nd_min(
        tf.fill([batch, anchors], most), tf.stack([image_numbers, anchor_numbers], axis=-1), box_numbers
    )
    return tf.where(forced < most, forced, matches)
