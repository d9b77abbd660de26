"""Anchors are as large as the OD API makes them, boxes as large as its resizers, and the share is the one by hand."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odrun.errors import InputError
from odrun.pipeline.anchors import best_shape_iou, model_anchors, unreached
from odrun.pipeline.build import build
from odrun.settings import AugmentationSettings

FIXED: dict[str, Any] = {"fixed_shape_resizer": {"height": 320, "width": 640}}
PADDED = {"keep_aspect_ratio_resizer": {"min_dimension": 300, "max_dimension": 512, "pad_to_max_dimension": True}}
RANGE = {"keep_aspect_ratio_resizer": {"min_dimension": 600, "max_dimension": 1024}}
SHRINKS = {"conditional_shape_resizer": {"condition": "GREATER", "size_threshold": 333}}
ENLARGES = {"conditional_shape_resizer": {"condition": "SMALLER", "size_threshold": 333}}
RESIZERS: dict[str, Any] = {
    "fixed": FIXED,
    "padded": PADDED,
    "range": RANGE,
    "shrinks": SHRINKS,
    "enlarges": ENLARGES,
    "identity": {"identity_resizer": {}},
    "multiple": {"pad_to_multiple_resizer": {"multiple": 32}},
}
MULTISCALE: dict[str, Any] = {
    "multiscale_anchor_generator": {
        "min_level": 3,
        "max_level": 7,
        "anchor_scale": 4.0,
        "aspect_ratios": [1.0, 2.0, 0.5],
        "scales_per_octave": 3,
    }
}
SSD: dict[str, Any] = {"ssd_anchor_generator": {"num_layers": 6, "aspect_ratios": [1.0, 2.0, 0.5, 3.0, 0.3333]}}
GRID: dict[str, Any] = {
    "grid_anchor_generator": {"height": 128, "width": 256, "scales": [0.25, 0.5, 1.0], "aspect_ratios": [0.5, 1.0, 2.0]}
}
GENERATORS: dict[str, Any] = {
    "multiscale": MULTISCALE,
    "multiscale absolute": {
        "multiscale_anchor_generator": {
            **MULTISCALE["multiscale_anchor_generator"],
            "normalize_coordinates": False,
        }
    },
    "ssd": SSD,
    "ssd whole lowest layer": {
        "ssd_anchor_generator": {**SSD["ssd_anchor_generator"], "reduce_boxes_in_lowest_layer": False}
    },
    "ssd without interpolation": {
        "ssd_anchor_generator": {**SSD["ssd_anchor_generator"], "interpolated_scale_aspect_ratio": 0.0}
    },
    "ssd of another base": {
        "ssd_anchor_generator": {
            **SSD["ssd_anchor_generator"],
            "base_anchor_height": 0.5,
            "interpolated_scale_aspect_ratio": 2.0,
        }
    },
    "ssd with scales": {"ssd_anchor_generator": {**SSD["ssd_anchor_generator"], "scales": [0.1, 0.3, 0.8]}},
    "ssd with more scales than layers": {
        "ssd_anchor_generator": {"num_layers": 2, "aspect_ratios": [1.0], "scales": [0.1, 0.3, 0.8]}
    },
    "flexible": {
        "flexible_grid_anchor_generator": {
            "anchor_grid": [
                {"base_sizes": [16, 32], "aspect_ratios": [1.0, 2.0], "height_stride": 8, "width_stride": 8},
                {"base_sizes": [64], "aspect_ratios": [0.5], "height_stride": 16, "width_stride": 16},
            ]
        }
    },
    "grid": GRID,
}
MATCHER = {"argmax_matcher": {"matched_threshold": 0.45, "force_match_for_each_row": True}}
IOU = {"iou_similarity": {}}


def config(model: dict[str, Any]) -> Any:
    return build({"model": model}, AugmentationSettings(steps={}, order=None))


def ssd(generator: dict[str, Any], resizer: Any = FIXED, **fields: Any) -> Any:
    given = {"image_resizer": resizer, "anchor_generator": generator, "similarity_calculator": IOU, "matcher": MATCHER}
    return config({"ssd": given | fields})


def faster_rcnn(generator: dict[str, Any], resizer: Any = RANGE) -> Any:
    return config({"faster_rcnn": {"image_resizer": resizer, "first_stage_anchor_generator": generator}})


def sizes(message: Any) -> list[list[float]]:
    return [[round(float(side), 2) for side in size] for size in model_anchors(message).sizes_px]


def test_multiscale_anchors_by_hand() -> None:
    generator = {"min_level": 3, "max_level": 4, "anchor_scale": 4.0, "aspect_ratios": [1.0, 4.0]}
    assert sizes(ssd({"multiscale_anchor_generator": generator | {"scales_per_octave": 2}})) == [
        *([32.0, 32.0], [45.25, 45.25], [64.0, 16.0], [90.51, 22.63]),
        *([64.0, 64.0], [90.51, 90.51], [128.0, 32.0], [181.02, 45.25]),
    ]


def test_ssd_anchors_by_hand_are_parts_of_the_shorter_side() -> None:
    generator = {"num_layers": 2, "min_scale": 0.25, "max_scale": 1.0, "aspect_ratios": [4.0]}
    assert sizes(ssd({"ssd_anchor_generator": generator})) == [
        *([32.0, 32.0], [113.14, 56.57], [56.57, 113.14]),
        *([640.0, 160.0], [320.0, 320.0]),
    ]


def test_grid_anchors_by_hand() -> None:
    generator = {"height": 100, "width": 200, "scales": [0.5, 1.0], "aspect_ratios": [1.0, 4.0]}
    expected = [[100.0, 50.0], [200.0, 100.0], [200.0, 25.0], [400.0, 50.0]]
    assert sizes(faster_rcnn({"grid_anchor_generator": generator})) == expected


def test_a_padded_input_is_as_large_as_its_padding() -> None:
    generator = {"ssd_anchor_generator": {"num_layers": 1, "scales": [0.5], "aspect_ratios": [1.0]}}
    assert sizes(ssd(generator, PADDED))[0] == [51.2, 51.2]


def matching(message: Any) -> tuple[float | None, bool, str]:
    anchors = model_anchors(message)
    return anchors.matched_iou, anchors.forced, anchors.absent_because


def test_what_makes_a_match_is_read_off_the_configuration() -> None:
    assert matching(ssd(MULTISCALE)) == (0.45, True, "")
    assert matching(ssd(MULTISCALE, matcher={"argmax_matcher": {}})) == (0.5, False, "")
    ignored = {"argmax_matcher": {"ignore_thresholds": True, "force_match_for_each_row": True}}
    assert matching(ssd(MULTISCALE, matcher=ignored)) == (None, True, "")
    assert matching(ssd(MULTISCALE, matcher={"bipartite_matcher": {}})) == (None, False, "")
    assert matching(ssd(MULTISCALE, similarity_calculator={"neg_sq_dist_similarity": {}})) == (None, True, "")
    assert matching(faster_rcnn(GRID)) == (0.7, True, "")


def test_a_model_without_anchors_says_why_and_still_resizes() -> None:
    center_net = model_anchors(config({"center_net": {"num_classes": 1, "image_resizer": FIXED}}))
    assert (len(center_net.sizes_px), center_net.absent_because) == (0, "CenterNet has no anchors")
    assert center_net.in_input([[10, 10]], [[64, 32]]).tolist() == [[100, 100]]
    reason = "the anchors are parts of the input, whose size differs from image to image"
    assert matching(ssd(SSD, RANGE)) == (0.45, True, reason)
    assert matching(ssd({})) == (0.45, True, "no anchor generator is set")
    assert matching(config({"experimental_model": {}})) == (None, False, "those of experimental_model are not known")
    assert matching(config({})) == (None, False, "those of no model are not known")
    empty = {"multiscale_anchor_generator": {}}
    assert matching(ssd(empty)) == (0.45, True, "the anchor generator has no scales or no aspect ratios")


@pytest.mark.parametrize(
    "generator",
    [
        {"multiscale_anchor_generator": {"aspect_ratios": [0.0]}},
        {"multiscale_anchor_generator": {"aspect_ratios": [-1.0]}},
        {"multiscale_anchor_generator": {"aspect_ratios": [1.0], "min_level": 5000, "max_level": 5000}},
        {"ssd_anchor_generator": {"num_layers": 1, "aspect_ratios": [1.0], "reduce_boxes_in_lowest_layer": False}},
        {"ssd_anchor_generator": {"num_layers": 2, "aspect_ratios": [1.0], "scales": [-1.0, 2.0]}},
        {"grid_anchor_generator": {"aspect_ratios": [1.0], "scales": [0.0]}},
    ],
)
def test_anchors_without_a_size_are_refused(generator: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="without a size") as caught:
        model_anchors(ssd(generator))
    assert caught.value.where == f"pipeline.model.ssd.anchor_generator.{next(iter(generator))}"


def in_input(resizer: Any, box: tuple[float, float], image: tuple[int, int]) -> list[float]:
    anchors = model_anchors(ssd(MULTISCALE, resizer))
    return [round(float(side), 3) for side in anchors.in_input([box], [image])[0]]


def test_boxes_are_resized_with_their_image() -> None:
    assert in_input(FIXED, (10, 10), (1280, 160)) == [5.0, 20.0]
    assert in_input(RANGE, (10, 20), (300, 300)) == [20.0, 40.0]
    assert in_input(RANGE, (10, 20), (2048, 512)) == [5.0, 10.0]
    assert in_input(PADDED, (10, 20), (150, 200)) == [20.0, 40.0]
    assert in_input(SHRINKS, (10, 20), (666, 100)) == [5.0, 10.0]
    assert in_input(SHRINKS, (10, 20), (100, 50)) == [10.0, 20.0]
    assert in_input(ENLARGES, (10, 20), (666, 111)) == [30.0, 60.0]
    assert in_input({"identity_resizer": {}}, (10, 20), (666, 111)) == [10.0, 20.0]


def test_no_boxes_stay_none_in_every_resizer() -> None:
    for resizer in RESIZERS.values():
        assert model_anchors(ssd(MULTISCALE, resizer)).in_input([], []).shape == (0, 2)


def test_anchors_can_be_sent_to_another_process() -> None:
    for resizer in RESIZERS.values():
        anchors = model_anchors(ssd(MULTISCALE, resizer))
        sent = pickle.loads(pickle.dumps(anchors))
        sizes = np.array([[40.0, 30.0]])
        assert sent.resize(sizes).tolist() == anchors.resize(sizes).tolist()


def test_the_share_unreached_by_hand() -> None:
    anchors = np.float64([[10, 10], [100, 100]])
    boxes = np.float64([[10, 10], [10, 5], [10, 4], [20, 5], [30, 30], [100, 60]])
    assert best_shape_iou(boxes, anchors).round(3).tolist() == [1.0, 0.5, 0.4, 0.333, 0.111, 0.6]
    assert unreached(boxes, anchors, 0.5) == 0.5
    assert unreached(boxes, anchors, 0.0) == 0.0
    assert unreached(boxes, anchors, 1.0) == 5 / 6


def test_many_boxes_are_compared_in_parts_as_in_one() -> None:
    rng = np.random.default_rng(0)
    anchors, boxes = rng.uniform(1, 300, (3, 2)), rng.uniform(1, 300, (70_000, 2))
    whole = best_shape_iou(boxes, anchors)
    assert len(whole) == 70_000
    assert (whole[-5:] == best_shape_iou(boxes[-5:], anchors)).all()


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no boxes"):
        unreached(np.zeros((0, 2)), np.ones((1, 2)), 0.5)
    with pytest.raises(ValueError, match="zero-size"):
        unreached(np.ones((1, 2)), np.zeros((0, 2)), 0.5)


SIDE = st.floats(1, 500)


@settings(max_examples=100)
@given(box=st.tuples(SIDE, SIDE), anchor=st.tuples(SIDE, SIDE), shift=st.tuples(st.floats(-500, 500), SIDE))
def test_no_place_of_an_anchor_gives_more_than_the_same_centre(
    box: tuple[float, float], anchor: tuple[float, float], shift: tuple[float, float]
) -> None:
    common = 1.0
    for side, other, moved in zip(box, anchor, shift, strict=True):
        common *= max(0.0, min(side, moved + other) - max(0.0, moved))
    iou = common / (box[0] * box[1] + anchor[0] * anchor[1] - common)
    assert iou <= best_shape_iou(np.array([box]), np.array([anchor]))[0] + 1e-9


def built(generator: Any, kind: str) -> np.ndarray:
    """Widths and heights of what the OD API's generator makes at one place of each layer, in pixels of 640x320."""
    if kind == "grid":
        layers = generator.generate([(1, 1)])
    else:
        shapes = [(1, 1)] * len(generator.num_anchors_per_location())
        layers = generator.generate(shapes, im_height=320, im_width=640)
    corners = np.concatenate([layer.get().numpy() for layer in layers]).astype(np.float64)
    found = np.stack([corners[:, 3] - corners[:, 1], corners[:, 2] - corners[:, 0]], axis=1)
    absolute = kind == "grid" or "absolute" in kind
    return found if absolute else found * [640, 320]


def test_anchors_and_resized_images_are_those_of_the_od_api() -> None:
    from odrun.compat.tensorflow import tf  # isort: skip
    from object_detection.builders import anchor_generator_builder, image_resizer_builder

    for kind, generator in GENERATORS.items():
        message = ssd(generator)
        anchors = model_anchors(message)
        real = built(anchor_generator_builder.build(message.model.ssd.anchor_generator), kind)
        np.testing.assert_allclose(anchors.sizes_px, real, rtol=1e-5, err_msg=kind)
    for kind, resizer in RESIZERS.items():
        message = ssd(MULTISCALE, resizer)
        resize = image_resizer_builder.build(message.model.ssd.image_resizer)
        for width, height in ((640, 480), (333, 500), (1920, 1080), (100, 100), (701, 97), (4, 900)):
            real_shape = resize(tf.zeros((height, width, 3)))[-1].numpy()[:2]
            mine = model_anchors(message).in_input([[width, height]], [[width, height]])[0]
            assert mine.tolist() == pytest.approx([real_shape[1], real_shape[0]]), (kind, width, height)


def test_proposals_are_matched_from_the_iou_that_is_claimed() -> None:
    import odrun.compat.tensorflow  # noqa: F401 # isort: skip
    from object_detection.core import target_assigner

    matcher = target_assigner.create_target_assigner("FasterRCNN", "proposal")._matcher
    claimed = model_anchors(faster_rcnn(GRID))
    assert (matcher._matched_threshold, matcher._force_match_for_each_row) == (claimed.matched_iou, claimed.forced)
