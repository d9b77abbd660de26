"""One record that another program wrote → what is wrong with it.

Comes in: the payload of a record in the OD API's layout and the classes. Goes out: faults, by the keys of
`odrun.annotations.problems.FAULTS`, with words that follow "the record". Nothing is mended: records are used as they
are. A key may be absent where the OD API's `TfExampleDecoder` takes that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from odrun.annotations.border import CLIPPED_PX, CLIPPED_SHARE
from odrun.annotations.checks import SMALLEST_SIDE_PX, TINY_PX
from odrun.annotations.images import ImageFacts, UndecodableImageError, inspect_image
from odrun.annotations.orientation import upright_size
from odrun.records.example_reading import BYTES, FLOATS, INTEGERS, ExampleFeatures, parsed

_CORNERS = tuple(f"image/object/bbox/{name}" for name in ("xmin", "ymin", "xmax", "ymax"))
_AREAS = "image/object/area"
_LABELS = "image/object/class/label"
_MASKS = "image/object/mask"
_KEYPOINTS = {
    f"image/object/keypoint/{name}": kind for name, kind in (("x", FLOATS), ("y", FLOATS), ("visibility", INTEGERS))
}
_TEXTS = "image/object/class/text"
_PNG = b"\x89PNG"
_ONE_VALUE = {
    "image/encoded": BYTES,
    "image/filename": BYTES,
    "image/format": BYTES,
    "image/height": INTEGERS,
    "image/key/sha256": BYTES,
    "image/source_id": BYTES,
    "image/width": INTEGERS,
}
# Of these a record may have none though it has boxes.
_OPTIONAL_LISTS = {
    _TEXTS: BYTES,
    _AREAS: FLOATS,
    "image/object/difficult": INTEGERS,
    "image/object/group_of": INTEGERS,
    "image/object/is_crowd": INTEGERS,
    "image/object/weight": FLOATS,
}
RECORD_FAULTS = frozenset(
    (
        *("bad_area", "bad_number", "class_spelling", "clipped_box", "duplicate_box", "empty_box"),
        *("image_without_boxes", "inverted_box", "malformed_annotation", "outside_box", "size_mismatch", "tiny_box"),
        *("turned_image", "undecodable_image", "unknown_id"),
    )
)
_DECODED_BY_TENSORFLOW = ("jpeg", "png", "gif", "bmp")
# What a corner on the border may gain when it is rounded to 32 bits.
_ROUNDING = 1e-6
_Found = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """What was found in a record: its boxes counted, (fault, message) pairs, digests of all of it and of its image.

    `image_digest` is empty where there is no image. `masks` is `boxes` if each has a PNG, else 0; so is `posed` if each
    has a value in all slots of keypoints.
    """

    boxes: int
    faults: tuple[_Found, ...]
    digest: bytes
    image_digest: bytes
    masks: int = 0
    posed: int = 0


def check_record(payload: bytes, classes: Sequence[Sequence[str]], *, keypoint_slots: int = 0) -> CheckedRecord:
    """Parse a record, decode its image and measure its boxes.

    `classes` has all names of the class with the label id 1 first, and so on; a box has `keypoint_slots` keypoints.
    """
    digest = hashlib.sha256(payload).digest()
    encoded = b""
    boxes = masks = posed = 0
    try:
        features = parsed(payload)
        _refuse_other_layout(features)
        encoded = features.encoded
        boxes = len(features.labels)
        masks = _masks(features)
        posed = boxes if keypoint_slots and _keypoint_counts(features) == {boxes * keypoint_slots} else 0
        found = tuple(_faults(features, inspect_image(encoded), classes))
    except UndecodableImageError as error:
        found = (("undecodable_image", f"has an image that {error}"),)
    except ValueError as error:
        found = (("malformed_annotation", str(error)),)
    return CheckedRecord(boxes, found, digest, hashlib.sha256(encoded).digest() if encoded else b"", masks, posed)


def _refuse_other_layout(features: ExampleFeatures) -> None:
    """ValueError for values of another type or number than the OD API's decoder takes."""
    for key, kind in _ONE_VALUE.items():
        count = features.count(key, kind)
        if features.kind(key) is not None and count != 1:
            raise ValueError(f"has {count} values in {key}, where one belongs")
    counts = {key: len(features.floats(key)) for key in _CORNERS} | {_LABELS: len(features.labels)}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} {key.rsplit('/', 1)[-1]}" for key, count in counts.items())
        raise ValueError(f"has lists of different lengths in image/object: {told}")
    for key, kind in _OPTIONAL_LISTS.items():
        count = features.count(key, kind)
        if count not in (0, counts[_LABELS]):
            raise ValueError(f"has {count} values in {key} for {counts[_LABELS]} boxes")


def _faults(features: ExampleFeatures, facts: ImageFacts, classes: Sequence[Sequence[str]]) -> Iterator[_Found]:
    size_px = upright_size(facts.width_px, facts.height_px, facts.orientation)
    yield from _image_faults(features, facts, size_px)
    boxes = np.array([features.floats(key) for key in _CORNERS], np.float64).T
    if not len(boxes):
        yield "image_without_boxes", "has no boxes"
    for number, fault, message in _box_faults(boxes, size_px):
        corners = ", ".join(f"{corner:.6g}" for corner in boxes[number])
        yield fault, f"has a box {message}: {corners} (xmin, ymin, xmax, ymax as fractions)"
    yield from _repeated_boxes(features, boxes)
    areas_px = np.array(features.floats(_AREAS), np.float64)
    for area_px in areas_px[~are_areas(areas_px, *size_px)][:1]:
        yield "bad_area", f"has an object of {area_px:g} square pixels ({_AREAS}); its boxes' areas are taken"
    yield from _class_faults(features, classes)


def _masks(features: ExampleFeatures) -> int:
    if features.kind(_MASKS) != BYTES:
        return 0
    masks = features.byte_strings(_MASKS)
    return len(masks) if len(masks) == len(features.labels) and all(mask.startswith(_PNG) for mask in masks) else 0


def _keypoint_counts(features: ExampleFeatures) -> set[int]:
    """How many values there are of each kind; -1 where they are of another type."""
    kinds = {key: features.kind(key) for key in _KEYPOINTS}
    return {features.count(key, kind) if kinds[key] in (kind, None) else -1 for key, kind in _KEYPOINTS.items()}


def _image_faults(features: ExampleFeatures, facts: ImageFacts, size_px: tuple[int, int]) -> Iterator[_Found]:
    if facts.file_format not in _DECODED_BY_TENSORFLOW or (facts.file_format == "bmp" and facts.mode != "RGB"):
        yield "undecodable_image", f"has an image that TensorFlow does not decode: {facts.file_format}, {facts.mode}"
    if facts.orientation != 1:
        message = (
            f"has an image with the EXIF orientation {facts.orientation}, which is passed over: it is used as stored"
        )
        yield "turned_image", message
    for key, side_px in zip(("image/width", "image/height"), size_px, strict=True):
        stated = features.integers(key)
        if stated and stated[0] != side_px:
            yield "size_mismatch", f"states {key} {stated[0]}, its image has {side_px} pixels there"


def _box_faults(boxes: npt.NDArray[np.float64], size_px: tuple[int, int]) -> Iterator[tuple[int, str, str]]:
    """The number, the fault and its words of each faulty box of [n, 4] as xmin, ymin, xmax, ymax in fractions."""
    sides_px = np.array(size_px, np.float64)
    tolerance = np.maximum(CLIPPED_SHARE, CLIPPED_PX / sides_px)
    for number, box in enumerate(boxes):
        low, high = box[:2], box[2:]
        beyond = np.maximum(-low, high - 1)
        if not np.isfinite(box).all():
            yield number, "bad_number", "with a corner that is no finite number"
        elif (low > high).any():
            yield number, "inverted_box", "whose minimum lies above its maximum"
        elif ((high - low) * sides_px < SMALLEST_SIDE_PX).any():
            yield number, "empty_box", "without area"
        elif (beyond > tolerance).any() or (low >= 1).any() or (high <= 0).any():
            yield number, "outside_box", "that leaves its image"
        elif (beyond > _ROUNDING).any():
            yield number, "clipped_box", "that leaves its image by little, and is used as it is"
        elif ((high - low + _ROUNDING) * sides_px < TINY_PX).any():
            yield number, "tiny_box", f"with a side shorter than {TINY_PX:g} pixels"


def _repeated_boxes(features: ExampleFeatures, boxes: npt.NDArray[np.float64]) -> Iterator[_Found]:
    keys = [(label_id, *corners) for label_id, corners in zip(features.labels, boxes.tolist(), strict=True)]
    for (label_id, *corners), count in Counter(keys).items():
        if count > 1:
            shown = ", ".join(f"{corner:.6g}" for corner in corners)
            yield "duplicate_box", f"has a box with the label id {label_id} {count} times: {shown}"


def are_areas(areas_px: npt.NDArray[np.float64], width_px: int, height_px: int) -> npt.NDArray[np.bool_]:
    """Of each number whether it can be the area, in square pixels, of an object in an image of that size."""
    return np.isfinite(areas_px) & (areas_px >= 0) & (areas_px <= width_px * height_px)


def _class_faults(features: ExampleFeatures, classes: Sequence[Sequence[str]]) -> Iterator[_Found]:
    """Each odd label id, and each odd pair of id and text, once."""
    texts = features.byte_strings(_TEXTS)
    pairs = zip(features.labels, texts, strict=True) if texts else ((label, None) for label in features.labels)
    for label_id, encoded in dict.fromkeys(pairs):
        if not 1 <= label_id <= len(classes):
            yield "unknown_id", f"has the label id {label_id}, and the label map has the ids 1 to {len(classes)}"
            continue
        names = classes[label_id - 1]
        text = None if encoded is None else encoded.decode("utf-8", "replace")
        if text is None or text in names:
            continue
        alike = text.strip().casefold() in [name.strip().casefold() for name in names]
        shown = repr(text) if len(text) <= 100 else f"{text[:100]!r}..."
        message = f"calls a box with the label id {label_id} {shown}, the label map {names[0]!r}"
        yield "class_spelling" if alike else "unknown_id", message
