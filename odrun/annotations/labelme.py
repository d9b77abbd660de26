"""LabelMe JSON, a file for each image: folder → images as read.

Comes in: rectangles, polygons and circles with their labels. Goes out: `ImageAsRead`, unproven; polygons and circles
become masks with the box around them. Refused, as problems: JSON that is malformed, an annotation whose image is not
there (a picture that is embedded in the JSON is not read), shapes of other kinds. Of a stated path only the last part
counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence

from odrun.annotations.file_index import FileWords
from odrun.annotations.files import IMAGE_SUFFIXES, ListedFile, Listing, beginning, read_bounded
from odrun.annotations.lookup import USED, ImageIndex, given_split, note_unused
from odrun.annotations.model import BoxAsRead, ImageAsRead, Polygons
from odrun.annotations.problems import ProblemLog

LOOKS_FOR = "LabelMe annotations (*.json with shapes) with their images"
SUFFIXES = IMAGE_SUFFIXES | {".json"}
LARGEST_FILE_BYTES = 256 << 20
CIRCLE_POINTS = 64
"""Corners of the polygon that stands for a circle: it covers more than 99.8 % of it."""
_Point = tuple[float, float]


class _FaultyAnnotationError(Exception):
    def __init__(self, message: str, *, line: int | None = None, fault: str = "malformed_annotation") -> None:
        super().__init__(message)
        self.fault = fault
        self.line = line


def recognizes(files: Sequence[ListedFile]) -> bool:
    """Whether one of the JSON files has shapes near its beginning."""
    return any(b'"shapes"' in beginning(file) for file in files if file.suffix == ".json")


def read_labelme(files: Listing, problems: ProblemLog) -> Iterator[ImageAsRead]:
    """Read every annotation among `files`; what is wrong with one, or with a shape of it, is noted and that left out.

    The split is that of folders named `train` and `val`, `valid`, `validation` or `test`, if there are both.
    """
    annotations = files.where(lambda file: file.suffix == ".json")
    images = files.where(lambda file: file.is_image)
    parts = given_split(annotations)
    index = ImageIndex(images, annotations)
    used = FileWords(images)
    left_out = {}
    for annotation in annotations:
        objects = 0
        try:
            content = _content(annotation)
            if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
                problems.add("unused_file", annotation.path, "is no LabelMe annotation: it has no shapes")
                continue
            objects = len(content["shapes"])
            if parts is not None and annotation.name not in parts:
                raise _FaultyAnnotationError("is in no part of the split", fault="annotation_outside_split")
            image = _image(annotation, content, index, None if parts is None else parts[annotation.name], problems)
        except _FaultyAnnotationError as error:
            problems.add(error.fault, annotation.path, str(error), line=error.line, boxes_lost=objects)
            left_out[annotation.stem] = error.fault
        else:
            used[image.name] = USED
            yield image
    note_unused(images, used, lambda image: left_out.get(image.stem), problems)


def _content(annotation: ListedFile) -> object:
    try:
        encoded = read_bounded(annotation.path, LARGEST_FILE_BYTES)
    except OSError as error:
        raise _FaultyAnnotationError(f"cannot be read: {error.strerror}", fault="unreadable_file") from error
    if len(encoded) > LARGEST_FILE_BYTES:
        raise _FaultyAnnotationError(f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
    try:
        return json.loads(encoded)
    except json.JSONDecodeError as error:
        raise _FaultyAnnotationError(f"is no JSON: {error.msg}", line=error.lineno) from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _FaultyAnnotationError("is no JSON that can be read") from error
    except MemoryError as error:
        raise _FaultyAnnotationError(
            f"has {len(encoded) / 1e6:.0f} MB, for which there is too little memory"
        ) from error


def _image(
    annotation: ListedFile, content: Mapping[str, object], index: ImageIndex, split: str | None, problems: ProblemLog
) -> ImageAsRead:
    stated = content.get("imagePath")
    image = index.find(annotation, stated if isinstance(stated, str) else "")
    if image is None:
        embedded = ", and the picture in the JSON is not read" if content.get("imageData") else ""
        raise _FaultyAnnotationError(
            f"names the image {str(stated)[:100]!r}, which is not there{embedded}", fault="missing_image"
        )
    shapes = content["shapes"]
    assert isinstance(shapes, list)
    boxes = [_sound(number, shape, annotation, problems) for number, shape in enumerate(shapes, start=1)]
    return ImageAsRead(
        name=image.name,
        image_path=image.path,
        annotation_path=annotation.path,
        width_px=_side(content.get("imageWidth")),
        height_px=_side(content.get("imageHeight")),
        boxes=tuple(box for box in boxes if box is not None),
        split=split,
    )


def _sound(number: int, shape: object, annotation: ListedFile, problems: ProblemLog) -> BoxAsRead | None:
    try:
        return _box(shape)
    except _FaultyAnnotationError as error:
        problems.add(error.fault, annotation.path, f"shape {number} {error}", boxes_lost=1)
        return None


def _box(shape: object) -> BoxAsRead:
    if not isinstance(shape, dict):
        raise _FaultyAnnotationError("is no mapping")
    label, kind = shape.get("label"), shape.get("shape_type", "polygon")
    points = _points(shape.get("points"))
    mask = None
    if kind == "rectangle" and len(points) in (2, 4):
        corners = _around(points)
    elif kind == "polygon" and len(points) >= 3:
        corners, mask = _around(points), _polygon(points)
    elif kind == "circle" and len(points) == 2:
        rim = _rim(*points)
        corners, mask = _around(rim), _polygon(rim)
    else:
        raise _FaultyAnnotationError(
            f"is a {str(kind)[:40]!r} of {len(points)} points; rectangles, polygons and circles are read"
        )
    return BoxAsRead(
        class_name=label if isinstance(label, str) else "",
        xmin_px=corners[0],
        ymin_px=corners[1],
        xmax_px=corners[2],
        ymax_px=corners[3],
        difficult=False,
        truncated=False,
        is_crowd=False,
        line=None,
        mask=mask,
    )


def _points(given: object) -> list[_Point]:
    if not isinstance(given, list):
        raise _FaultyAnnotationError("has no list of points")
    points = []
    for point in given:
        if not isinstance(point, list) or len(point) != 2:
            raise _FaultyAnnotationError("has a point that is no pair of numbers")
        points.append((_number(point[0]), _number(point[1])))
    return points


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _around(points: Sequence[_Point]) -> tuple[float, float, float, float]:
    """xmin, ymin, xmax, ymax; not a number where a point has one that is none."""
    if not all(math.isfinite(value) for point in points for value in point):
        return (math.nan,) * 4
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _polygon(points: Sequence[_Point]) -> Polygons | None:
    ring = tuple(value for point in points for value in point)
    return Polygons((ring,)) if all(map(math.isfinite, ring)) else None


def _rim(centre: _Point, on_rim: _Point) -> list[_Point]:
    radius = math.hypot(on_rim[0] - centre[0], on_rim[1] - centre[1])
    angles = [2 * math.pi * number / CIRCLE_POINTS for number in range(CIRCLE_POINTS)]
    return [(centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)) for angle in angles]


def _side(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
