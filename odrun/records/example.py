"""An annotated image as the bytes of a `tf.train.Example` with the OD API's feature keys.

The keys are those of `object_detection/core/standard_fields.py` (TfExampleFields). The message is encoded here, by the
protobuf wire format (https://protobuf.dev/programming-guides/encoding), and equals byte for byte what TensorFlow's own
`tf.train.Example` gives with deterministic serialization (whose order differs only where a key begins another one).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from odrun.annotations.model import AnnotatedImage

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def image_example(
    image: AnnotatedImage, encoded: bytes, *, sha256: str, label_ids: Mapping[str, int], source_id: int
) -> bytes:
    """Serialize `image`, whose JPEG or PNG bytes are `encoded` and have the hexadecimal digest `sha256`.

    `label_ids` gives the label id (1-based) of each class; `source_id` is unique over the data set and stands in
    `image/source_id` as a decimal number. Corners are stored as fractions of the width and height, areas in pixels.
    """
    width, height, boxes = image.width_px, image.height_px, image.boxes
    return example_bytes(
        {
            "image/encoded": bytes_feature([encoded]),
            "image/filename": bytes_feature([image.name.encode("utf-8", "replace")]),
            "image/format": bytes_feature([image.stored_format.encode()]),
            "image/height": int_feature([height]),
            "image/key/sha256": bytes_feature([sha256.encode()]),
            "image/object/area": float_feature([box.area_px for box in boxes]),
            "image/object/bbox/xmax": float_feature([box.xmax_px / width for box in boxes]),
            "image/object/bbox/xmin": float_feature([box.xmin_px / width for box in boxes]),
            "image/object/bbox/ymax": float_feature([box.ymax_px / height for box in boxes]),
            "image/object/bbox/ymin": float_feature([box.ymin_px / height for box in boxes]),
            "image/object/class/label": int_feature([label_ids[box.class_name] for box in boxes]),
            "image/object/class/text": bytes_feature([box.class_name.encode() for box in boxes]),
            "image/object/difficult": int_feature([box.difficult for box in boxes]),
            "image/object/is_crowd": int_feature([box.is_crowd for box in boxes]),
            "image/object/truncated": int_feature([box.truncated for box in boxes]),
            "image/source_id": bytes_feature([str(source_id).encode()]),
            "image/width": int_feature([width]),
        }
    )


def example_bytes(features: Mapping[str, bytes]) -> bytes:
    """Serialize an Example out of serialized features, in the order of their keys."""
    entries = b"".join(
        _field(1, _field(1, key.encode()) + _field(2, feature)) for key, feature in sorted(features.items())
    )
    return _field(1, entries)


def bytes_feature(values: Sequence[bytes]) -> bytes:
    """Serialize a Feature that holds byte strings."""
    return _field(_BYTES_LIST, b"".join(_field(1, value) for value in values))


def float_feature(values: Sequence[float]) -> bytes:
    """Serialize a Feature that holds numbers, rounded to 32 bits."""
    return _field(_FLOAT_LIST, _packed(struct.pack(f"<{len(values)}f", *values)))


def int_feature(values: Sequence[int]) -> bytes:
    """Serialize a Feature that holds integers of 64 bits, with their sign."""
    return _field(_INT64_LIST, _packed(b"".join(_varint(value & (1 << 64) - 1) for value in values)))


def _packed(payload: bytes) -> bytes:
    return _field(1, payload) if payload else b""


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field (wire type 2)."""
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
