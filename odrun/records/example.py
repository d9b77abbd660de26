"""An annotated image as the bytes of a `tf.train.Example` with the OD API's feature keys.

Keys and their meaning: `object_detection/core/standard_fields.py` (TfExampleFields). The bytes equal what TensorFlow's
own message gives with deterministic serialization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from odrun.annotations.model import AnnotatedImage
from odrun.records.messages import Example

Feature = Sequence[bytes] | Sequence[float] | Sequence[int]


def example_bytes(
    image: AnnotatedImage, encoded: bytes, sha256: str, label_ids: Mapping[str, int], source_id: int
) -> bytes:
    """Serialize `image`, whose JPEG or PNG bytes are `encoded` and have the digest `sha256`.

    `label_ids` gives the label id (1-based) of each class; `source_id` is unique over the data set and stands in
    `image/source_id` as a decimal number. Corners are stored as fractions of the width and height.
    """
    width, height, boxes = image.width_px, image.height_px, image.boxes
    example = Example()
    features = _Features(example)
    features.put_bytes("image/encoded", [encoded])
    features.put_bytes("image/filename", [image.name.encode("utf-8", "replace")])
    features.put_bytes("image/format", [image.stored_format.encode()])
    features.put_bytes("image/key/sha256", [sha256.encode()])
    features.put_bytes("image/source_id", [str(source_id).encode()])
    features.put_ints("image/height", [height])
    features.put_ints("image/width", [width])
    features.put_floats("image/object/bbox/xmin", [box.xmin_px / width for box in boxes])
    features.put_floats("image/object/bbox/xmax", [box.xmax_px / width for box in boxes])
    features.put_floats("image/object/bbox/ymin", [box.ymin_px / height for box in boxes])
    features.put_floats("image/object/bbox/ymax", [box.ymax_px / height for box in boxes])
    features.put_floats("image/object/area", [box.area_px for box in boxes])
    features.put_bytes("image/object/class/text", [box.class_name.encode() for box in boxes])
    features.put_ints("image/object/class/label", [label_ids[box.class_name] for box in boxes])
    features.put_ints("image/object/difficult", [int(box.difficult) for box in boxes])
    features.put_ints("image/object/truncated", [int(box.truncated) for box in boxes])
    features.put_ints("image/object/is_crowd", [int(box.is_crowd) for box in boxes])
    return example.SerializeToString(deterministic=True)
