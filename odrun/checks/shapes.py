"""The model's input against its architecture, and the boxes of the data against input and anchors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from odrun.annotations.model import TRAIN
from odrun.checks.finding import Finding
from odrun.pipeline.anchors import model_anchors, unreached
from odrun.records.statistics import BoxStatistics

_IMAGES, _ANCHORS = "image size", "anchors"
UNREACHED_SHARE = 0.25
TINY_PX, TINY_SHARE = 8, 0.25
# check_min_image_dim in models/ssd_{mobilenet_v1,mobilenet_v2,resnet_v1,efficientnet}*_feature_extractor.py of the
# OD API: pyramids of ResNet and EfficientNet take no smaller side, other SSD extractors 33.
_PYRAMID_SIDE_PX, _OTHER_SIDE_PX = 129, 33


def check_image_size(pipeline: Any) -> Iterator[Finding]:
    """The sides of the model's input against the least that its extractor takes and, of EfficientDet, its strides."""
    kind = pipeline.model.WhichOneof("model")
    resizer = getattr(pipeline.model, kind).image_resizer
    shape = resizer.WhichOneof("image_resizer_oneof")
    sides = {"fixed_shape_resizer": ("height", "width"), "keep_aspect_ratio_resizer": ("max_dimension",)}
    if shape not in sides or kind != "ssd":
        return
    extractor = pipeline.model.ssd.feature_extractor.type
    least = _PYRAMID_SIDE_PX if "resnet" in extractor or "bifpn" in extractor else _OTHER_SIDE_PX
    # BiFPN adds layers of neighbouring levels, which have to be exact multiples of one another.
    multiple = 2**pipeline.model.ssd.feature_extractor.bifpn.max_level if "bifpn" in extractor else 1
    for name in sides[shape]:
        side = getattr(getattr(resizer, shape), name)
        key = f"pipeline.model.ssd.image_resizer.{shape}.{name}"
        if side < least:
            yield Finding(_IMAGES, "error", f"{key} is {side}, and {extractor} takes {least} or more", f"{key}={least}")
        elif side % multiple and pipeline.model.ssd.feature_extractor.pad_to_multiple % multiple:
            fitting = -(-side // multiple) * multiple
            what = f"{key} is {side}, and the levels of {extractor} need a multiple of {multiple}"
            yield Finding(_IMAGES, "error", what, f"{key}={fitting}")


def check_box_sizes(pipeline: Any, statistics: BoxStatistics) -> Iterator[Finding]:
    """The boxes to train on, in the model's input, against its anchors and against what can be seen of them."""
    if not statistics.boxes(TRAIN):
        return
    anchors = model_anchors(pipeline)
    sizes = anchors.in_input(statistics.box_sizes_px(TRAIN), statistics.box_image_sizes_px(TRAIN))
    tiny = float((sizes.min(axis=1) < TINY_PX).mean())
    if tiny > TINY_SHARE:
        what = f"{tiny:.0%} of the boxes are less than {TINY_PX} pixels wide or high in the model's input"
        yield Finding(_IMAGES, "warning", what, "a model with larger images: odrun zoo list, model=NAME")
    if anchors.matched_iou is None or not len(anchors.sizes_px):
        return
    share = unreached(sizes, anchors.sizes_px, anchors.matched_iou)
    width, height = np.median(sizes, axis=0)
    if share > UNREACHED_SHARE:
        fate = "one anchor learns of each" if anchors.forced else "nothing is learnt of them"
        what = (
            f"{share:.0%} of the boxes have no anchor of IoU {anchors.matched_iou:g} or more with their shape: {fate}; "
            f"the median box has {width:.0f}x{height:.0f} pixels in the model's input"
        )
        yield Finding(_ANCHORS, "warning", what, "set scales and aspect ratios of the anchor generator below pipeline.")
    else:
        yield Finding(_ANCHORS, "note", f"{share:.0%} of the boxes have a shape that no anchor has")
