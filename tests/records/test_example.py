from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from odrun.annotations.keypoint_slots import KeypointSlots
from odrun.annotations.model import AnnotatedImage, Box, Keypoint, Polygons
from odrun.records.example import bytes_feature, example_bytes, float_feature, image_example, int_feature
from odrun.records.masks import mask_pixels, mask_png


def test_a_feature_of_bytes_is_the_wire_format_s():
    assert bytes_feature([b"ab", b""]) == bytes.fromhex("0a06 0a02 6162 0a00")


def test_numbers_are_packed():
    assert float_feature([1.5, -2.0]) == bytes.fromhex("120a 0a08") + struct.pack("<2f", 1.5, -2.0)
    assert int_feature([1, 300, -1]) == bytes.fromhex("1a0f 0a0d 01 ac02 ffffffffffffffffff01")


def test_a_feature_without_values_keeps_its_kind():
    assert (bytes_feature([]), float_feature([]), int_feature([])) == (b"\x0a\x00", b"\x12\x00", b"\x1a\x00")


def test_features_are_written_in_the_order_of_their_keys():
    one, other = int_feature([1]), int_feature([2])
    assert example_bytes({"b": one, "a": other}) == example_bytes({"a": other, "b": one})
    assert example_bytes({"a": one}) == bytes.fromhex("0a0c 0a0a 0a0161 1205 1a03 0a01 01")


def test_an_image_without_boxes_is_written_with_empty_lists():
    image = AnnotatedImage("a.jpg", Path("a"), Path("a"), 4, 3, "jpeg", False, "0", 1, 0, (), None)
    content = image_example(image, b"", sha256="0", label_ids={}, source_id=7)
    assert b"image/object/bbox/xmin\x12\x02\x12\x00" in content
    assert b"image/source_id\x12\x05\x0a\x03\x0a\x017" in content


def test_a_name_that_is_not_utf_8_does_not_stop_the_writing():
    image = AnnotatedImage("\udcff.jpg", Path("a"), Path("a"), 4, 3, "jpeg", False, "0", 1, 0, (), None)
    assert b"?.jpg" in image_example(image, b"", sha256="0", label_ids={}, source_id=7)


def test_corners_are_fractions_of_the_image():
    image = AnnotatedImage(
        "a", Path("a"), Path("a"), 40, 20, "png", False, "0", 1, 0, (Box("cat", 10, 5, 40, 20),), None
    )
    content = image_example(image, b"", sha256="0", label_ids={"cat": 3}, source_id=1)
    for key, value in (("xmin", 0.25), ("ymin", 0.25), ("xmax", 1.0), ("ymax", 1.0)):
        assert f"image/object/bbox/{key}".encode() + b"\x12\x08" + float_feature([value]) in content
    assert b"image/object/class/label\x12\x05" + int_feature([3]) in content
    assert b"image/object/area\x12\x08" + float_feature([450.0]) in content


NOSE, TAIL = Keypoint("nose", 10, 5, 2), Keypoint("tail", 30, 15, 1)
MASKED = Box("cat", 10, 5, 40, 20, mask=Polygons(((10, 5, 40, 5, 40, 20),)), keypoints=(TAIL, NOSE))
PLAIN = Box("cat", 1, 2, 3, 4, difficult=True)


def content(*boxes: Box, **more) -> bytes:
    image = AnnotatedImage("a", Path("a"), Path("a"), 40, 20, "png", False, "0", 1, 0, boxes, None)
    return image_example(image, b"x", sha256="0", label_ids={"cat": 3}, source_id=1, **more)


def field(feature: bytes) -> bytes:
    """A feature as it follows its key."""
    return example_bytes({"": feature}).split(b"\x0a\x00", 1)[1]


def test_masks_and_keypoints_do_not_change_the_bytes_where_they_are_not_asked_for():
    assert content(MASKED, PLAIN) == content(replace(MASKED, mask=None, keypoints=()), PLAIN)
    digest = hashlib.sha256(content(MASKED, PLAIN)).hexdigest()
    assert digest == "f5cfa67a21da5faa3b21b629b0326a8065c1a0e7e5f2bda42083421fba5c3984"


def test_every_box_has_a_mask_where_one_has():
    masks = [mask_png(box, height_px=20, width_px=40) for box in (MASKED, PLAIN)]
    assert masks[0] != masks[1]
    assert b"image/object/mask" + field(bytes_feature(masks)) in content(MASKED, PLAIN, has_masks=True)
    assert b"image/object/mask" + field(bytes_feature([])) in content(has_masks=True)


def test_the_area_is_the_stated_one_else_the_mask_s_else_the_box_s():
    """The triangle covers half of its box of 30x15 pixels: by pycocotools' filling 212 pixels."""
    covered = int(np.count_nonzero(mask_pixels(MASKED, height_px=20, width_px=40)))
    assert covered == pytest.approx(30 * 15 / 2, rel=0.1)
    stated = replace(MASKED, stated_area_px=99.5)
    areas = b"image/object/area" + field(float_feature([covered, 4, 99.5]))
    assert areas in content(MASKED, PLAIN, stated, has_masks=True)
    assert b"image/object/area" + field(float_feature([450, 4, 99.5])) in content(MASKED, PLAIN, stated)


def test_every_box_has_every_slot_and_fills_those_of_its_class():
    slots = KeypointSlots({MASKED.class_name: ("nose", "ear", "tail")})
    found = content(MASKED, PLAIN, keypoints=slots)
    for key, feature in (
        ("x", float_feature([0.25, 0, 0.75, 0, 0, 0])),
        ("y", float_feature([0.25, 0, 0.75, 0, 0, 0])),
        ("visibility", int_feature([2, 0, 1, 0, 0, 0])),
        ("text", bytes_feature([b"nose", b"ear", b"tail"] * 2)),
        ("num", int_feature([2, 0])),
    ):
        assert f"image/object/keypoint/{key}".encode() + field(feature) in found
