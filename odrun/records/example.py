"""An annotated image as the bytes of a `tf.train.Example` with the OD API's feature keys.

The keys are those of `object_detection/core/standard_fields.py` (TfExampleFields). The message is encoded here, by the
protobuf wire format (https://protobuf.dev/programming-guides/encoding), and equals byte for byte what TensorFlow's own
`tf.train.Example` gives with deterministic serialization (whose order differs only where a key begins another one).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.annotations.model import AnnotatedImage, Box, Keypoint
from odrun.records.masks import encoded_png, mask_pixels

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def image_example(
    image: AnnotatedImage,
    encoded: bytes,
    *,
    sha256: str,
    label_ids: Mapping[str, int],
    source_id: int,
    has_masks: bool = False,
    keypoints: KeypointSlots = NO_KEYPOINTS,
) -> bytes:
    """As `image_example_pieces`, in one piece."""
    pieces = image_example_pieces(
        image,
        encoded,
        sha256=sha256,
        label_ids=label_ids,
        source_id=source_id,
        has_masks=has_masks,
        keypoints=keypoints,
    )
    return b"".join(pieces)


def image_example_pieces(
    image: AnnotatedImage,
    encoded: bytes,
    *,
    sha256: str,
    label_ids: Mapping[str, int],
    source_id: int,
    has_masks: bool = False,
    keypoints: KeypointSlots = NO_KEYPOINTS,
) -> tuple[bytes, bytes, bytes]:
    """Serialize `image`, whose JPEG or PNG bytes are `encoded` and have the hexadecimal digest `sha256`.

    The message is what the pieces make one after another: what stands before `encoded`, that itself, and the rest. To
    join them copies the image, which takes longer than all else here.

    `label_ids` gives the label id (1-based) of each class; `source_id` is unique over the data set and stands in
    `image/source_id` as a decimal number. Corners are stored as fractions of the width and height, areas in pixels:
    those that the annotations state (COCO's are of the masks), else with `has_masks` those of the masks, else of the
    boxes.

    With `has_masks` every box gets a mask (of one that has none, the box itself), and with `keypoint_names` all of
    these points, in this order; one that an object has not is stored as not labelled (visibility 0), which the OD API
    reads as NaN.

    Raises:
        ValueError: a mask in run lengths is for an image of another size.
    """
    width, height, boxes = image.width_px, image.height_px, image.boxes
    areas, masks = _masked(image) if has_masks else ([_area_px(box) for box in boxes], [])
    features = {
        "image/filename": bytes_feature([image.name.encode("utf-8", "replace")]),
        "image/format": bytes_feature([image.stored_format.encode()]),
        "image/height": int_feature([height]),
        "image/key/sha256": bytes_feature([sha256.encode()]),
        "image/object/area": float_feature(areas),
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
    if has_masks:
        features["image/object/mask"] = bytes_feature(masks)
    if keypoints:
        features |= _keypoint_features(image, keypoints)
    # By its key the image comes first.
    rest = _entries(features)
    key, size = _field(1, b"image/encoded"), len(encoded)
    opened = _opened(1, size)
    opened = _opened(_BYTES_LIST, len(opened) + size) + opened
    opened = key + _opened(2, len(opened) + size) + opened
    opened = _opened(1, len(opened) + size) + opened
    return _opened(1, len(opened) + size + len(rest)) + opened, encoded, rest


def example_bytes(features: Mapping[str, bytes]) -> bytes:
    """Serialize an Example out of serialized features, in the order of their keys."""
    return _field(1, _entries(features))


def bytes_feature(values: Sequence[bytes]) -> bytes:
    """Serialize a Feature that holds byte strings."""
    return _field(_BYTES_LIST, b"".join(_field(1, value) for value in values))


def float_feature(values: Sequence[float]) -> bytes:
    """Serialize a Feature that holds numbers, rounded to 32 bits."""
    return _field(_FLOAT_LIST, _packed(struct.pack(f"<{len(values)}f", *values)))


def int_feature(values: Sequence[int]) -> bytes:
    """Serialize a Feature that holds integers of 64 bits, with their sign."""
    return _field(_INT64_LIST, _packed(b"".join(_varint(value & (1 << 64) - 1) for value in values)))


def _area_px(box: Box) -> float:
    return box.area_px if box.stated_area_px is None else box.stated_area_px


def _masked(image: AnnotatedImage) -> tuple[list[float], list[bytes]]:
    """The area of each object and its mask as PNG."""
    areas, masks = [], []
    for box in image.boxes:
        pixels = mask_pixels(box, height_px=image.height_px, width_px=image.width_px)
        measured = box.mask is not None and box.stated_area_px is None
        areas.append(float(np.count_nonzero(pixels)) if measured else _area_px(box))
        masks.append(encoded_png(pixels))
    return areas, masks


def _keypoint_features(image: AnnotatedImage, slots: KeypointSlots) -> dict[str, bytes]:
    """The features that the OD API's `TfExampleDecoder` reads, object after object."""
    named = slots.flat
    points = [_points(box, named) for box in image.boxes]
    flat = [point for each in points for point in each]
    return {
        "image/object/keypoint/num": int_feature([sum(point.visibility > 0 for point in each) for each in points]),
        "image/object/keypoint/text": bytes_feature([point.name.encode() for point in flat]),
        "image/object/keypoint/visibility": int_feature([point.visibility for point in flat]),
        "image/object/keypoint/x": float_feature([point.x_px / image.width_px for point in flat]),
        "image/object/keypoint/y": float_feature([point.y_px / image.height_px for point in flat]),
    }


def _points(box: Box, slots: Sequence[tuple[str, str]]) -> list[Keypoint]:
    """A keypoint for each slot."""
    own = {point.name: point for point in box.keypoints}
    return [
        own[name] if class_name == box.class_name and name in own else Keypoint(name, 0.0, 0.0, 0)
        for class_name, name in slots
    ]


def _packed(payload: bytes) -> bytes:
    return _field(1, payload) if payload else b""


def _entries(features: Mapping[str, bytes]) -> bytes:
    return b"".join(
        _field(1, _field(1, key.encode()) + _field(2, feature)) for key, feature in sorted(features.items())
    )


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field (wire type 2)."""
    return _opened(number, len(payload)) + payload


def _opened(number: int, size: int) -> bytes:
    """What stands before the payload of such a field."""
    return bytes([number << 3 | 2]) + _varint(size)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
