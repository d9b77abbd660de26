"""Labelled images, whatever format they came in: first as read (unproven), then as checked.

Pixel convention: a corner is a distance from the image's left or top edge in pixels, 0 to width or height, as the OD
API's `create_pascal_tf_record` takes Pascal VOC's numbers (it divides them by the image's size as they are). The
original VOC counts pixels from 1 and includes the last, so its boxes lie up to one pixel right of and below the object;
labelImg and most tools write distances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

TRAIN = "train"
VALIDATION = "validation"
SPLITS = (TRAIN, VALIDATION)
STORED_FORMATS = ("jpeg", "png")


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A named point of an object, in pixels; `visibility` as in COCO: 0 not labelled, 1 hidden, 2 visible."""

    name: str
    x_px: float
    y_px: float
    visibility: int


@dataclass(frozen=True, slots=True)
class Polygons:
    """An object's mask as polygons: each ring is x1, y1, x2, y2, ... in pixels, three points or more."""

    rings_px: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class RunLengths:
    """An object's mask in COCO's run-length encoding.

    `counts` is COCO's compressed text, or the lengths of alternating runs of zeros and ones down the columns.
    """

    height_px: int
    width_px: int
    counts: str | tuple[int, ...]


Mask: TypeAlias = Polygons | RunLengths


@dataclass(frozen=True, slots=True)
class BoxAsRead:
    """A box as an annotation file has it; nothing is promised of its numbers (NaN where there is none).

    `line` is the line of the file the box starts in, None where the format has no lines. `area_px` is the object's area
    if the file states it (COCO's is that of the mask), in square pixels.
    """

    class_name: str
    xmin_px: float
    ymin_px: float
    xmax_px: float
    ymax_px: float
    difficult: bool
    truncated: bool
    is_crowd: bool
    line: int | None
    mask: Mask | None = None
    keypoints: tuple[Keypoint, ...] = ()
    area_px: float | None = None


@dataclass(frozen=True, slots=True)
class ImageAsRead:
    """An image that an annotation speaks of, not yet opened.

    `name` is its path below the data set's folder, with slashes; `width_px` and `height_px` are what the annotation
    states, None where it does not; `split` is one of `SPLITS`, or None where the data brings no split. With
    `in_fractions` the corners and masks of its boxes are fractions of the upright image instead of pixels.
    """

    name: str
    image_path: Path
    annotation_path: Path
    width_px: int | None
    height_px: int | None
    boxes: tuple[BoxAsRead, ...]
    split: str | None
    in_fractions: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A box inside its image, with an area above zero; corners in pixels (see the module's convention).

    `stated_area_px` is the area of the object in it as the annotation has it; None where it has none, or another box.

    Raises:
        ValueError: a corner is not finite or negative, the box is empty or inverted, or the class has no name.
    """

    class_name: str
    xmin_px: float
    ymin_px: float
    xmax_px: float
    ymax_px: float
    difficult: bool = False
    truncated: bool = False
    is_crowd: bool = False
    mask: Mask | None = None
    keypoints: tuple[Keypoint, ...] = ()
    stated_area_px: float | None = None

    def __post_init__(self) -> None:
        corners = (self.xmin_px, self.ymin_px, self.xmax_px, self.ymax_px)
        if not all(math.isfinite(corner) and corner >= 0 for corner in corners):
            raise ValueError(f"the corners of a box are finite and 0 or more, not {corners}")
        if self.xmin_px >= self.xmax_px or self.ymin_px >= self.ymax_px:
            raise ValueError(f"a box has an area above zero, {corners} has none")
        if not self.class_name:
            raise ValueError("a box has a class")

    @property
    def area_px(self) -> float:
        """The area of the box itself, whatever of it the object covers, in square pixels."""
        return (self.xmax_px - self.xmin_px) * (self.ymax_px - self.ymin_px)


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image that was decoded, with the boxes that lie in it.

    `stored_format` is what the records hold, one of `STORED_FORMATS`; `re_encoded` says that the file has another
    encoding. `sha256` and `size_bytes` are of the file, `look` is its difference hash (64 bits).

    Raises:
        ValueError: a size is not above zero, a box leaves the image, or the format is none that is stored.
    """

    name: str
    image_path: Path
    annotation_path: Path
    width_px: int
    height_px: int
    stored_format: str
    re_encoded: bool
    sha256: str
    size_bytes: int
    look: int
    boxes: tuple[Box, ...]
    split: str | None

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"{self.name}: an image of {self.width_px}x{self.height_px} pixels")
        if self.stored_format not in STORED_FORMATS:
            raise ValueError(f"{self.name}: {self.stored_format} is not stored")
        if any(box.xmax_px > self.width_px or box.ymax_px > self.height_px for box in self.boxes):
            raise ValueError(f"{self.name}: a box leaves the image")

    @property
    def class_names(self) -> frozenset[str]:
        """The classes that it has a box of."""
        return frozenset(box.class_name for box in self.boxes)
