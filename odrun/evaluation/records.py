"""Validation records → what they say of their images.

Comes in: TFRecord files in the OD API's layout. Goes out: the truth and the pixels of each image. An image's identity
everywhere is its `image/source_id`, where that is a number of its own in every record; other programs write file names
there (`create_pascal_tf_record`), and then the identity is the record's position, from 1.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from odrun.annotations.found import to_pixels
from odrun.annotations.found_masks import encoded_mask
from odrun.annotations.model import RunLengths
from odrun.compat.tensorflow import tf
from odrun.errors import RunFailedError
from odrun.records.index import RecordIndex
from odrun.records.record_checks import are_areas

# More digits do not fit the 64 bits that evaluation libraries number images with.
_DECIMAL = re.compile(rb"\d{1,18}")


@dataclass(frozen=True)
class TrueImage:
    """One validation image as its record tells it.

    Shapes: `boxes_px` float64 [n, 4] as xmin, ymin, xmax, ymax in pixels; `label_ids` int64 [n], 1-based; `is_crowd`
    bool [n]. Where they are asked for, `masks` are of the image's size, and `keypoints_px` is float64 [n, slots, 3]: x,
    y in pixels and COCO's visibility. `areas_px` float64 [n]: the objects' areas in
    square pixels, as the record has them, which may be those of masks; None where it has none that can be.
    """

    image_id: int
    height_px: int
    width_px: int
    boxes_px: npt.NDArray[np.float64]
    label_ids: npt.NDArray[np.int64]
    is_crowd: npt.NDArray[np.bool_]
    masks: tuple[RunLengths, ...] | None = None
    keypoints_px: npt.NDArray[np.float64] | None = None
    areas_px: npt.NDArray[np.float64] | None = None


class ValidationRecords:
    """The validation images below a glob of record files, by number in their order; with masks and keypoints if asked.

    `keypoint_slots` is how many each box has of them.

    Raises:
        InputError: no record file matches the glob, or one is damaged.
    """

    def __init__(self, pattern: str, *, has_masks: bool = False, keypoint_slots: int = 0) -> None:
        self._has_masks = has_masks
        self._keypoint_slots = keypoint_slots
        self._index = RecordIndex.matching(pattern)

    def __len__(self) -> int:
        return len(self._index)

    def payload(self, number: int) -> bytes:
        """The serialized `tf.train.Example` of image `number`."""
        return self._index[number]

    def truth(self, number: int) -> TrueImage:
        """What the record of image `number` says."""
        features = self._features(number)
        with Image.open(io.BytesIO(_bytes(features, "image/encoded"))) as image:
            width_px, height_px = image.size
        label_ids = np.array(features["image/object/class/label"].int64_list.value, np.int64)
        crowds = features["image/object/is_crowd"].int64_list.value
        is_crowd = np.zeros(len(label_ids), bool)
        is_crowd[: len(crowds)] = np.array(crowds, bool)
        corners = [features[f"image/object/bbox/{name}"].float_list.value for name in ("ymin", "xmin", "ymax", "xmax")]
        areas = np.array(features["image/object/area"].float_list.value, np.float64)
        boxes = np.array(corners, np.float32).reshape(4, -1).T
        return TrueImage(
            image_id=self._image_ids[number],
            height_px=height_px,
            width_px=width_px,
            boxes_px=to_pixels(boxes, height_px=height_px, width_px=width_px),
            label_ids=label_ids,
            is_crowd=is_crowd,
            masks=_masks(features) if self._has_masks else None,
            keypoints_px=_keypoints(features, self._keypoint_slots, (width_px, height_px))
            if self._keypoint_slots
            else None,
            areas_px=areas if len(areas) == len(label_ids) and are_areas(areas, width_px, height_px).all() else None,
        )

    def pixels(self, number: int) -> npt.NDArray[np.uint8]:
        """Image `number` as uint8 [height, width, 3]."""
        encoded = _bytes(self._features(number), "image/encoded")
        decoded: npt.NDArray[np.uint8] = tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()
        return decoded

    @cached_property
    def _image_ids(self) -> Sequence[int]:
        """The id of every image; for that the records are read once, up to the first whose source id is none."""
        ids: dict[int, None] = {}
        for number in range(len(self)):
            values = self._features(number)["image/source_id"].bytes_list.value
            if len(values) != 1 or not _DECIMAL.fullmatch(values[0]) or int(values[0]) in ids:
                return range(1, len(self) + 1)
            ids[int(values[0])] = None
        return tuple(ids)

    def _features(self, number: int) -> Any:
        return tf.train.Example.FromString(self.payload(number)).features.feature


def _bytes(features: Any, key: str) -> bytes:
    values: Sequence[bytes] = features[key].bytes_list.value
    if len(values) != 1:
        raise RunFailedError(f"a validation record has no {key}", remedy="prepare the records again")
    return values[0]


def _masks(features: Any) -> tuple[RunLengths, ...]:
    encoded = features["image/object/mask"].bytes_list.value
    return tuple(encoded_mask(np.asarray(Image.open(io.BytesIO(png)).convert("L")) > 0) for png in encoded)


def _keypoints(features: Any, slots: int, size_px: tuple[int, int]) -> npt.NDArray[np.float64]:
    places = [
        np.array(features[f"image/object/keypoint/{name}"].float_list.value, np.float64) * side_px
        for name, side_px in zip("xy", size_px, strict=True)
    ]
    visibilities = np.array(features["image/object/keypoint/visibility"].int64_list.value, np.float64)
    return np.stack([*places, visibilities], axis=-1).reshape(-1, slots, 3)
