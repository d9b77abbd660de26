"""A model's configuration → the sizes of its anchors, and how many boxes are of a shape that no anchor has.

Comes in: a `TrainEvalPipelineConfig` message, without TensorFlow. Goes out: widths and heights in pixels of the model's
input, in the order of the OD API's generators at one place, finest layer first. Refused, as `InputError`: a generator
whose scales or aspect ratios give no size above zero. CenterNet has no anchors.

Shapes are compared before augmentation: cropping and scaling in training move boxes to other sizes.

NumPy, which takes longer to be imported than anchors to be made, is imported where boxes are compared with them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Sizes: TypeAlias = "npt.NDArray[np.float64]"
"""[n, 2]: widths and heights in pixels."""
Pairs: TypeAlias = tuple[tuple[float, float], ...]
"""Widths and heights in pixels."""

# target_assigner.create_target_assigner("FasterRCNN", "proposal"): matched_threshold, and boxes are matched by force.
_PROPOSAL_MATCHED_IOU = 0.7
# multiple_grid_anchor_generator.create_ssd_anchors: scale of the one square box in a reduced lowest layer.
_LOWEST_LAYER_SCALE = 0.1
_BOXES_AT_ONCE = 1 << 13


@dataclass(frozen=True, eq=False)
class Anchors:
    """The anchors of a model, and when one of them learns from a box.

    `pairs_px` are widths and heights in pixels of the model's input; there are none where `absent_because` says why. An
    anchor that has an IoU of `matched_iou` or more with a box learns from it; None where that does not depend on a
    threshold. `forced` says that each box is given its best anchor, whatever their IoU. `resize` takes image sizes [n,
    2] to the sizes that these images have in the model's input, without padding.
    """

    pairs_px: Pairs
    matched_iou: float | None
    forced: bool
    absent_because: str
    resize: Callable[[Sizes], Sizes]

    @property
    def sizes_px(self) -> Sizes:
        """[n, 2]: `pairs_px` as an array."""
        import numpy as np

        return np.array(self.pairs_px, dtype=np.float64).reshape(-1, 2)

    def in_input(self, box_sizes_px: npt.ArrayLike, image_sizes_px: npt.ArrayLike) -> Sizes:
        """Widths and heights [n, 2] of boxes in the model's input, from those in their images [n, 2]."""
        import numpy as np

        images = np.asarray(image_sizes_px, dtype=np.float64).reshape(-1, 2)
        boxes = np.asarray(box_sizes_px, dtype=np.float64).reshape(-1, 2)
        return boxes * self.resize(images) / images


def model_anchors(config: PipelineConfig) -> Anchors:
    """The anchors of the model that `config` describes.

    Raises:
        InputError: an anchor would have no size above zero.
    """
    kind = config.model.WhichOneof("model")  # type: ignore[attr-defined]  # fields are made at run time
    model: Any = None if kind is None else getattr(config.model, kind)  # type: ignore[attr-defined]
    if kind == "ssd":
        resizer, generator, key = model.image_resizer, model.anchor_generator, "anchor_generator"
        matched_iou, forced = _ssd_matching(model)
    elif kind == "faster_rcnn":
        resizer, generator, key = (
            model.image_resizer,
            model.first_stage_anchor_generator,
            "first_stage_anchor_generator",
        )
        matched_iou, forced = _PROPOSAL_MATCHED_IOU, True
    else:
        resize = _resizing(model.image_resizer) if kind == "center_net" else _kept
        reason = "CenterNet has no anchors" if kind == "center_net" else f"those of {kind or 'no model'} are not known"
        return Anchors((), None, False, reason, resize)
    pairs, reason = _pairs(generator, _input_size_px(resizer), f"pipeline.model.{kind}.{key}")
    return Anchors(pairs, matched_iou, forced, reason, _resizing(resizer))


def best_shape_iou(box_sizes_px: Sizes, anchor_sizes_px: Sizes) -> npt.NDArray[np.float64]:
    """[boxes]: the highest IoU of each box [boxes, 2] with an anchor [anchors, 2] of the same centre.

    Anchors stand on a grid, seldom in the very centre, so that in an image the IoU is this or less.

    Raises:
        ValueError: there is no anchor.
    """
    import numpy as np

    anchors = anchor_sizes_px[np.newaxis]
    best = [np.zeros(0)]
    for start in range(0, len(box_sizes_px), _BOXES_AT_ONCE):
        boxes = box_sizes_px[start : start + _BOXES_AT_ONCE, np.newaxis]
        common = np.minimum(boxes, anchors).prod(axis=-1)
        best.append((common / (boxes.prod(axis=-1) + anchors.prod(axis=-1) - common)).max(axis=1))
    return np.concatenate(best)


def unreached(box_sizes_px: Sizes, anchor_sizes_px: Sizes, matched_iou: float) -> float:
    """The share (0 to 1) of boxes whose best shape IoU with any anchor is below `matched_iou`.

    No anchor is matched with such a box for its overlap, wherever it lies (argmax_matcher.py takes an IoU of the
    threshold or more). It is trained by its one best anchor, where each box is given that by force
    (`Anchors.forced`), and not at all where it is not. As anchors stand on a grid, and one that overlaps two boxes
    learns from the better, more boxes may fare so: the share is a lower bound. (Faster R-CNN with
    `clip_anchors_to_image` cuts anchors at the rim to other shapes, which this does not see.)

    Raises:
        ValueError: there is no box or no anchor.
    """
    if not len(box_sizes_px):
        raise ValueError("a share of no boxes")
    return float((best_shape_iou(box_sizes_px, anchor_sizes_px) < matched_iou).mean())


def _ssd_matching(ssd: Any) -> tuple[float | None, bool]:
    """The IoU from which an anchor is matched, and whether boxes are matched by force (matcher_builder.py)."""
    matcher = ssd.matcher.argmax_matcher
    by_iou = ssd.similarity_calculator.WhichOneof("region_similarity") == "iou_similarity"
    if ssd.matcher.WhichOneof("matcher_oneof") != "argmax_matcher" or matcher.ignore_thresholds or not by_iou:
        return None, bool(matcher.force_match_for_each_row)
    # Stored as a float32, of which 0.45 would be shown as 0.44999998807907104.
    return float(f"{matcher.matched_threshold:.6g}"), bool(matcher.force_match_for_each_row)


def _pairs(generator: Any, input_px: tuple[int, int] | None, key: str) -> tuple[Pairs, str]:
    """Widths and heights, and why there are none."""
    kind = generator.WhichOneof("anchor_generator_oneof")
    if kind is None:
        return (), "no anchor generator is set"
    if kind == "ssd_anchor_generator" and input_px is None:
        return (), "the anchors are parts of the input, whose size differs from image to image"
    short_side_px = min(input_px) if input_px is not None else 0
    message = getattr(generator, kind)
    triples = [(*base, _root(ratio)) for *base, ratio in _GENERATORS[kind](message, short_side_px)]
    pairs = tuple((width * root, height / root if root else math.nan) for width, height, root in triples)
    if not all(0 < side < math.inf for pair in pairs for side in pair):
        raise InputError(
            "The anchor generator makes anchors without a size.",
            where=f"{key}.{kind}",
            remedy="give it scales and aspect ratios above zero",
        )
    return pairs, "" if pairs else "the anchor generator has no scales or no aspect ratios"


# Each yields the width and height in pixels of the square anchor's base, and the aspect ratio that it is brought to.
_Triples: TypeAlias = Iterator[tuple[float, float, float]]


def _grid(message: Any, _: int) -> _Triples:
    """grid_anchor_generator.GridAnchorGenerator: pixels, whatever the size of the input."""
    for ratio in message.aspect_ratios:
        for scale in message.scales:
            yield message.width * scale, message.height * scale, ratio


def _multiscale(message: Any, _: int) -> _Triples:
    """multiscale_grid_anchor_generator.MultiscaleGridAnchorGenerator: a multiple of each layer's stride."""
    for level in range(message.min_level, message.max_level + 1):
        for ratio in message.aspect_ratios:
            for part in range(message.scales_per_octave):
                octaves = level + part / message.scales_per_octave
                side_px = message.anchor_scale * (2.0**octaves if octaves < sys.float_info.max_exp else math.inf)
                yield side_px, side_px, ratio


def _flexible(message: Any, _: int) -> _Triples:
    """flexible_grid_anchor_generator.FlexibleGridAnchorGenerator: every size stated, with its own ratio."""
    for layer in message.anchor_grid:
        for side_px, ratio in zip(layer.base_sizes, layer.aspect_ratios, strict=False):
            yield side_px, side_px, ratio


def _ssd(message: Any, short_side_px: int) -> _Triples:
    """multiple_grid_anchor_generator.create_ssd_anchors: fractions of the input's shorter side."""
    width_px, height_px = message.base_anchor_width * short_side_px, message.base_anchor_height * short_side_px
    layers = message.num_layers
    steps = layers - 1 if layers > 1 else math.nan
    span = message.max_scale - message.min_scale
    scales = list(message.scales) or [message.min_scale + span * layer / steps for layer in range(layers)]
    for layer, (scale, following) in enumerate(pairwise([*scales, 1.0][: layers + 1])):
        if layer == 0 and message.reduce_boxes_in_lowest_layer:
            specs = [(_LOWEST_LAYER_SCALE, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            specs = [(scale, ratio) for ratio in message.aspect_ratios]
            if message.interpolated_scale_aspect_ratio > 0:
                specs.append((_root(scale * following), message.interpolated_scale_aspect_ratio))
        for size, ratio in specs:
            yield width_px * size, height_px * size, ratio


def _root(number: float) -> float:
    return math.sqrt(number) if number >= 0 else math.nan


_GENERATORS: dict[str, Callable[[Any, int], _Triples]] = {
    "grid_anchor_generator": _grid,
    "multiscale_anchor_generator": _multiscale,
    "flexible_grid_anchor_generator": _flexible,
    "ssd_anchor_generator": _ssd,
}


def _input_size_px(resizer: Any) -> tuple[int, int] | None:
    """Width and height of the model's input with its padding; None where they follow from the image."""
    if resizer.WhichOneof("image_resizer_oneof") == "fixed_shape_resizer":
        return resizer.fixed_shape_resizer.width, resizer.fixed_shape_resizer.height
    if resizer.keep_aspect_ratio_resizer.pad_to_max_dimension:
        return resizer.keep_aspect_ratio_resizer.max_dimension, resizer.keep_aspect_ratio_resizer.max_dimension
    return None


def _resizing(resizer: Any) -> Callable[[Sizes], Sizes]:
    """What image_resizer_builder.py and preprocessor.py make of image sizes [n, 2]."""
    kind = resizer.WhichOneof("image_resizer_oneof")
    if kind == "fixed_shape_resizer":
        fixed = resizer.fixed_shape_resizer
        return partial(_fixed, width_px=fixed.width, height_px=fixed.height)
    if kind == "keep_aspect_ratio_resizer":
        kept = resizer.keep_aspect_ratio_resizer
        return partial(_into_range, short_px=kept.min_dimension, long_px=kept.max_dimension)
    if kind == "conditional_shape_resizer":
        conditional = resizer.conditional_shape_resizer
        shrinks = conditional.condition == conditional.GREATER
        return partial(_across_limit, limit_px=conditional.size_threshold, shrinks=shrinks)
    return _kept


def _fixed(images: Sizes, *, width_px: int, height_px: int) -> Sizes:
    import numpy as np

    return np.tile(np.array([width_px, height_px], dtype=np.float64), (len(images), 1))


def _into_range(images: Sizes, *, short_px: float, long_px: float) -> Sizes:
    """preprocessor.resize_to_range: as large as the limits of both sides allow."""
    import numpy as np

    factors = np.minimum(short_px / images.min(axis=1), long_px / images.max(axis=1))
    sizes: Sizes = np.maximum(1.0, np.round(images * factors[:, np.newaxis]))
    return sizes


def _across_limit(images: Sizes, *, limit_px: float, shrinks: bool) -> Sizes:
    """preprocessor.resize_to_max_dimension, which only shrinks, and resize_to_min_dimension, which only enlarges."""
    import numpy as np

    sides = images.max(axis=1) if shrinks else images.min(axis=1)
    wanted = np.minimum(sides, limit_px) if shrinks else np.maximum(sides, limit_px)
    # In single precision, as there: what lies a hair below a whole number is cut down to the one before.
    factors = wanted.astype(np.float32) / sides.astype(np.float32)
    sizes: Sizes = np.floor(images.astype(np.float32) * factors[:, np.newaxis]).astype(np.float64)
    return np.maximum(1.0, sizes)


def _kept(images: Sizes) -> Sizes:
    """Neither identity_resizer nor pad_to_multiple_resizer scales an image."""
    return images
