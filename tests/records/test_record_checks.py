from __future__ import annotations

import hashlib
import io
import math
import struct
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from odrun.annotations.problems import FAULTS
from odrun.records.example import bytes_feature, example_bytes, float_feature, int_feature
from odrun.records.record_checks import RECORD_FAULTS, check_record

CLASSES = (("cat",), ("dog", "/m/0bt9lr"))
BOX = (0.25, 0.25, 0.5, 0.75)


@cache
def encoded(
    image_format: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (40, 20), orientation: int = 1
) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new(mode, size).save(stream, image_format, exif=exif)
    return stream.getvalue()


def record(*boxes: tuple[float, ...], image: bytes | None = None, **changed: bytes | None) -> bytes:
    """A record as `create_pascal_tf_record` writes it; `changed` by the last part of the key, None leaves it out."""
    features = {
        "image/height": int_feature([20]),
        "image/width": int_feature([40]),
        "image/filename": bytes_feature([b"a.jpg"]),
        "image/source_id": bytes_feature([b"a.jpg"]),
        "image/key/sha256": bytes_feature([b"00"]),
        "image/encoded": bytes_feature([encoded() if image is None else image]),
        "image/format": bytes_feature([b"jpeg"]),
        "image/object/class/text": bytes_feature([b"dog"] * len(boxes)),
        "image/object/class/label": int_feature([2] * len(boxes)),
        "image/object/difficult": int_feature([0] * len(boxes)),
        "image/object/view": bytes_feature([b"Unspecified"] * len(boxes)),
    }
    for number, name in enumerate(("xmin", "ymin", "xmax", "ymax")):
        features[f"image/object/bbox/{name}"] = float_feature([box[number] for box in boxes])
    for name, feature in changed.items():
        key = next((key for key in features if key.endswith(f"/{name}")), f"image/object/{name}")
        features[key] = b"" if feature is None else feature
        if feature is None:
            del features[key]
    return example_bytes(features)


def faults(payload: bytes) -> list[str]:
    return [fault for fault, _ in check_record(payload, CLASSES).faults]


def told(payload: bytes) -> str:
    (message,) = (message for _, message in check_record(payload, CLASSES).faults)
    return message


def test_a_sound_record_is_counted_and_digested():
    payload = record(BOX, (0, 0, 1, 1))
    checked = check_record(payload, CLASSES)
    assert (checked.boxes, checked.faults) == (2, ())
    assert checked.digest == hashlib.sha256(payload).digest()
    assert checked.image_digest == hashlib.sha256(encoded()).digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"text": None},
        {"text": bytes_feature([])},
        {"text": bytes_feature([b"/m/0bt9lr"])},
        {"source_id": None},
        {"filename": None},
        {"width": None, "height": None},
        {"difficult": int_feature([])},
        {"is_crowd": int_feature([1])},
        {"mask": bytes_feature([b"x", b"y"])},
    ],
)
def test_what_the_engine_does_without_may_be_absent(changed):
    assert faults(record(BOX, **changed)) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoded": None}, "has no image/encoded"),
        ({"encoded": bytes_feature([b""])}, "has no image/encoded"),
        ({"encoded": int_feature([1])}, "has integers in image/encoded, where byte strings belong"),
        ({"source_id": int_feature([1])}, "has integers in image/source_id, where byte strings belong"),
        ({"source_id": bytes_feature([])}, "has 0 values in image/source_id, where one belongs"),
        ({"width": int_feature([40, 40])}, "has 2 values in image/width, where one belongs"),
        ({"xmin": None}, "has lists of different lengths in image/object: 0 xmin, 1 ymin, 1 xmax, 1 ymax, 1 label"),
        (
            {"label": int_feature([])},
            "has lists of different lengths in image/object: 1 xmin, 1 ymin, 1 xmax, 1 ymax, 0 l",
        ),
        ({"label": float_feature([2])}, "has floats in image/object/class/label, where integers belong"),
        ({"ymax": int_feature([1])}, "has integers in image/object/bbox/ymax, where floats belong"),
        ({"text": bytes_feature([b"dog"] * 2)}, "has 2 values in image/object/class/text for 1 boxes"),
        ({"difficult": int_feature([0, 0])}, "has 2 values in image/object/difficult for 1 boxes"),
        ({"area": float_feature([1, 2, 3])}, "has 3 values in image/object/area for 1 boxes"),
    ],
)
def test_a_record_of_another_layout_is_malformed(changed, message):
    payload = record(BOX, **changed)
    assert faults(payload) == ["malformed_annotation"]
    assert told(payload).startswith(message)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((math.nan, 0, 1, 1), "bad_number"),
        ((0, 0, math.inf, 1), "bad_number"),
        ((0.5, 0, 0.25, 1), "inverted_box"),
        ((0, 0.5, 1, 0.25), "inverted_box"),
        ((0.5, 0, 0.5, 1), "empty_box"),
        ((0, 0, 1, 0.0004), "empty_box"),
        ((10, 5, 30, 15), "outside_box"),
        ((-0.1, 0, 1, 1), "outside_box"),
        ((0, 0, 1, 1.2), "outside_box"),
        ((1.0, 0, 1.04, 1), "outside_box"),
        ((-0.04, 0, 0, 1), "outside_box"),
        ((0, 0, 1.04, 1), "clipped_box"),
        ((0, -0.09, 1, 1), "clipped_box"),
        ((0, 0, 1 + 2e-7, 1), None),
        ((0, 0, 0.049, 1), "tiny_box"),
        ((0, 0, 1, 0.099), "tiny_box"),
        ((0.1, 0.1, 0.15, 0.2), None),
    ],
)
def test_an_odd_box_is_named_with_its_corners(box, fault):
    assert faults(record(BOX, box)) == ([] if fault is None else [fault])
    if fault is not None:
        assert f"{struct.unpack('f', struct.pack('f', box[2]))[0]:.6g}" in told(record(BOX, box))


@pytest.mark.parametrize(
    ("label_id", "text", "fault"),
    [
        (0, b"dog", "unknown_id"),
        (3, b"dog", "unknown_id"),
        (-1, b"dog", "unknown_id"),
        (1, b"dog", "unknown_id"),
        (2, b"", "unknown_id"),
        (2, b"d\xffg", "unknown_id"),
        (2, b" Dog", "class_spelling"),
    ],
)
def test_a_label_that_the_label_map_does_not_have_is_named_once_a_record(label_id, text, fault):
    payload = record(BOX, (*BOX[:2], 1, 1), label=int_feature([label_id] * 2), text=bytes_feature([text] * 2))
    assert faults(payload) == [fault]
    assert f"the label id {label_id}" in told(payload)


@pytest.mark.parametrize(
    "image",
    [
        b"no image",
        encoded()[:-20],
        encoded("JPEG")[:200],
        encoded("WEBP"),
        encoded("TIFF"),
        encoded("BMP", "L"),
    ],
)
def test_an_image_that_tensorflow_does_not_decode_is_named(image):
    assert faults(record(BOX, image=image)) == ["undecodable_image"]


@pytest.mark.parametrize(
    ("image_format", "mode"), [("JPEG", "L"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("BMP", "RGB")]
)
def test_an_image_that_tensorflow_decodes_is_taken(image_format, mode):
    assert faults(record(BOX, image=encoded(image_format, mode))) == []


def test_the_image_is_measured_as_it_is_stored():
    assert faults(record(BOX, image=encoded("JPEG", orientation=6))) == ["turned_image"]
    assert faults(record(BOX, image=encoded(size=(20, 40)))) == ["size_mismatch", "size_mismatch"]


def test_a_record_without_boxes_is_background():
    absent = dict.fromkeys(("xmin", "ymin", "xmax", "ymax", "label", "text", "difficult", "view"))
    assert faults(record()) == faults(record(**absent)) == ["image_without_boxes"]


def test_bytes_that_are_no_example_have_digests_all_the_same():
    checked = check_record(b"no example", CLASSES)
    assert (checked.boxes, checked.image_digest) == (0, b"")
    assert checked.faults == (("malformed_annotation", "is no tf.train.Example"),)
    assert checked.digest == hashlib.sha256(b"no example").digest()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1000), st.binary(max_size=6), st.lists(st.tuples(*[st.floats(width=32)] * 4), max_size=3))
def test_whatever_the_bytes_only_known_faults_come_of_them(place, replaced, boxes):
    payload = record(*boxes)
    payload = payload[:place] + replaced + payload[place + len(replaced) :]
    assert set(faults(payload)) <= RECORD_FAULTS <= set(FAULTS)


@pytest.mark.parametrize("area", [-1, 801, math.nan])
def test_an_area_that_cannot_be_is_named(area):
    assert faults(record(BOX, (*BOX[:2], 1, 1), area=float_feature([100, area]))) == ["bad_area"]
    assert faults(record(BOX, area=float_feature([800]))) == []


def test_a_box_that_stands_more_than_once_is_named_once():
    assert faults(record(BOX, BOX, BOX)) == ["duplicate_box"]
    assert faults(record(BOX, BOX, label=int_feature([1, 2]), text=None)) == []
