from __future__ import annotations

import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odrun.records.example import bytes_feature, example_bytes, float_feature, int_feature
from odrun.records.example_reading import BYTES, FLOATS, INTEGERS, parsed

CONTENT = example_bytes(
    {
        "image/encoded": bytes_feature([b"\xff\xd8"]),
        "image/object/class/label": int_feature([3, -1, 1 << 40]),
        "image/object/bbox/xmin": float_feature([0.5, float("inf")]),
        "empty": bytes_feature([]),
    }
)


def test_what_the_writer_writes_is_read_again():
    features = parsed(CONTENT)
    assert (features.encoded, features.labels) == (b"\xff\xd8", [3, -1, 1 << 40])
    assert features.floats("image/object/bbox/xmin") == [0.5, float("inf")]
    assert (features.kind("image/encoded"), features.kind("empty"), features.kind("absent")) == (BYTES, BYTES, None)
    assert (features.floats("absent"), features.integers("absent"), features.byte_strings("empty")) == ([], [], [])


def test_values_of_another_type_are_refused():
    with pytest.raises(ValueError, match="has floats in image/object/bbox/xmin, where integers belong"):
        parsed(CONTENT).integers("image/object/bbox/xmin")
    with pytest.raises(ValueError, match="has byte strings in empty, where floats belong"):
        parsed(CONTENT).count("empty", FLOATS)
    assert parsed(CONTENT).count("image/object/class/label", INTEGERS) == 3


@pytest.mark.parametrize("images", [[], [b""], [b"a", b"b"]])
def test_an_example_without_one_image_has_none(images):
    with pytest.raises(ValueError, match="has no image/encoded"):
        _ = parsed(example_bytes({"image/encoded": bytes_feature(images)})).encoded


@pytest.mark.parametrize("payload", [b"\x00", b"text", CONTENT[:-3], b"\x0a\x05\x0a\x03\x0a\x01\xff" + b"\x0a\x80"])
def test_what_is_no_example_is_refused(payload):
    with pytest.raises(ValueError, match=r"is no tf\.train\.Example"):
        parsed(payload)


def test_tensorflow_reads_and_writes_the_same_message():
    tf = pytest.importorskip("tensorflow")
    theirs = tf.train.Example.FromString(CONTENT)
    assert list(theirs.features.feature["image/object/class/label"].int64_list.value) == parsed(CONTENT).labels
    # Without the option "packed", as some programs write numbers.
    unpacked = b"\x1a\x04\x08\x03\x08\x07"
    features = b"\x0a" + bytes([len(unpacked) + 5]) + b"\x0a\x01k\x12" + bytes([len(unpacked)]) + unpacked
    payload = b"\x0a" + bytes([len(features)]) + features
    assert list(tf.train.Example.FromString(payload).features.feature["k"].int64_list.value) == [3, 7]
    assert parsed(payload).integers("k") == [3, 7]


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.tuples(st.integers(0, len(CONTENT)), st.binary(max_size=4)).map(
            lambda cut: CONTENT[: cut[0]] + cut[1] + CONTENT[cut[0] + len(cut[1]) :]
        ),
        st.integers(1, sys.getrecursionlimit() * 3).map(lambda depth: b"\x0b" * depth),
    )
)
def test_whatever_the_bytes_they_are_read_or_refused(payload):
    with suppress(ValueError):
        features = parsed(payload)
        for key in ("image/encoded", "image/object/class/label", "empty"):
            assert features.count(key, BYTES) == len(features.byte_strings(key))
