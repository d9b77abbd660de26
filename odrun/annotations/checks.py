"""Images as read → images proven: every file decoded, every box measured against its image and the classes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from odrun.annotations.files import FileContent
from odrun.annotations.images import SUFFIXES_OF_FORMAT, ImageFacts, UndecodableImageError, inspect_image
from odrun.annotations.model import AnnotatedImage, Box, BoxAsRead, ImageAsRead
from odrun.annotations.problems import ProblemLog
from odrun.annotations.threads import map_in_order
from odrun.errors import nearest

CLIPPED_PX = 2.0
CLIPPED_SHARE = 0.01
# Below this, both edges may become the same 32-bit fraction of a large image.
SMALLEST_SIDE_PX = 0.01
_LONGEST_HINT = 100


def check_images(
    images: Sequence[ImageAsRead],
    contents: Mapping[str, FileContent],
    classes: Sequence[str] | None,
    problems: ProblemLog,
    *,
    workers: int,
    progress: Callable[[int, int], None],
) -> list[AnnotatedImage]:
    """Decode each image once and keep what is sound, sorted by name; all that is wrong goes to `problems`.

    `contents` has the digest of each image by its name; `classes` are the valid class names, None where all are.
    `progress` is told how many of how many images are done.
    """
    unproven = [image for image in _once_each(images, problems) if image.name in contents]
    checked = []
    for done, (image, facts) in enumerate(_inspections(unproven, workers), start=1):
        progress(done, len(unproven))
        if isinstance(facts, str):
            problems.add("undecodable_image", image.image_path, facts)
            continue
        _note_format(image, facts, problems)
        boxes = _checked_boxes(image, facts, classes, problems)
        checked.append(_annotated(image, facts, contents[image.name], boxes))
    return sorted(checked, key=lambda image: image.name)


def check_classes(
    images: Sequence[AnnotatedImage], classes: Sequence[str] | None, source: Path, problems: ProblemLog
) -> tuple[str, ...]:
    """The classes in the order of their label ids: `classes` as given, else all that have a box, sorted.

    A given class that has no box is noted with `source`, the data set's folder.
    """
    present: frozenset[str] = frozenset().union(*(image.class_names for image in images))
    if classes is None:
        return tuple(sorted(present))
    for name in classes:
        if name not in present:
            problems.add("class_without_boxes", source, f"has no box of the class {name!r}")
    return tuple(classes)


def _once_each(images: Sequence[ImageAsRead], problems: ProblemLog) -> list[ImageAsRead]:
    first: dict[str, ImageAsRead] = {}
    for image in images:
        if image.name in first:
            other = first[image.name].annotation_path
            problems.add("duplicate_image", image.annotation_path, f"speaks of {image.image_path}, as {other} does")
        else:
            first[image.name] = image
    return list(first.values())


def _inspections(images: Sequence[ImageAsRead], workers: int) -> Iterator[tuple[ImageAsRead, ImageFacts | str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield from zip(images, map_in_order(_inspect, images, workers=workers), strict=True)


def _inspect(image: ImageAsRead) -> ImageFacts | str:
    try:
        return inspect_image(image.image_path)
    except UndecodableImageError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _note_format(image: ImageAsRead, facts: ImageFacts, problems: ProblemLog) -> None:
    if image.image_path.suffix.lower() not in SUFFIXES_OF_FORMAT[facts.file_format]:
        problems.add("wrong_extension", image.image_path, f"is {facts.file_format.upper()}")
    if not facts.plain:
        problems.add("re_encoded_image", image.image_path, f"is {facts.file_format.upper()} of mode {facts.mode}")


def _checked_boxes(
    image: ImageAsRead, facts: ImageFacts, classes: Sequence[str] | None, problems: ProblemLog
) -> tuple[Box, ...]:
    """The sound boxes; none where the image has not the stated size, since then no box can be judged."""
    stated = (image.width_px or facts.width_px, image.height_px or facts.height_px)
    if stated != (facts.width_px, facts.height_px):
        message = f"states {stated[0]}x{stated[1]} pixels, {image.name} has {facts.width_px}x{facts.height_px}"
        problems.add("size_mismatch", image.annotation_path, message)
        return ()
    if not image.boxes:
        problems.add("image_without_boxes", image.image_path, "has no boxes")
    boxes = []
    for box in image.boxes:
        fault = _class_fault(box, classes) or _shape_fault(box)
        if fault is None:
            clipped, fault = _inside(box, facts.width_px, facts.height_px)
            boxes += clipped
        if fault is not None:
            problems.add(fault[0], image.annotation_path, fault[1], line=box.line)
    return tuple(boxes)


def _class_fault(box: BoxAsRead, classes: Sequence[str] | None) -> tuple[str, str] | None:
    if not box.class_name:
        return "empty_class", "a box without a class name"
    if classes is not None and box.class_name not in classes:
        return "unknown_class", f"the class {box.class_name!r} is not in dataset.classes ({_close(box, classes)})"
    return None


def _close(box: BoxAsRead, classes: Sequence[str]) -> str:
    same = [name for name in classes if name.casefold() == box.class_name.casefold()]
    hint = f"did you mean {same[0]}" if same else nearest(box.class_name, classes)
    return hint if len(hint) <= _LONGEST_HINT else f"none of its {len(classes)} names is close"


def _shape_fault(box: BoxAsRead) -> tuple[str, str] | None:
    corners = {"xmin": box.xmin_px, "ymin": box.ymin_px, "xmax": box.xmax_px, "ymax": box.ymax_px}
    for name, value in corners.items():
        if not math.isfinite(value):
            return "bad_number", f"the {name} of a box is no finite number"
    if box.xmin_px > box.xmax_px:
        return "inverted_box", f"a box has xmin {box.xmin_px:g} above xmax {box.xmax_px:g}"
    if box.ymin_px > box.ymax_px:
        return "inverted_box", f"a box has ymin {box.ymin_px:g} above ymax {box.ymax_px:g}"
    if min(box.xmax_px - box.xmin_px, box.ymax_px - box.ymin_px) < SMALLEST_SIDE_PX:
        return "empty_box", f"a box is {box.xmax_px - box.xmin_px:g}x{box.ymax_px - box.ymin_px:g} pixels large"
    return None


def _inside(box: BoxAsRead, width_px: int, height_px: int) -> tuple[list[Box], tuple[str, str] | None]:
    """The box cut at the image's border if it leaves it by little, and the fault where it leaves it at all."""
    beyond_x = max(-box.xmin_px, box.xmax_px - width_px, 0.0)
    beyond_y = max(-box.ymin_px, box.ymax_px - height_px, 0.0)
    corners = f"({box.xmin_px:g}, {box.ymin_px:g}, {box.xmax_px:g}, {box.ymax_px:g})"
    where = f"the box {corners} leaves the image of {width_px}x{height_px} pixels"
    if beyond_x > _tolerance(width_px) or beyond_y > _tolerance(height_px):
        return [], ("outside_box", where)
    xmin_px, ymin_px = max(box.xmin_px, 0.0), max(box.ymin_px, 0.0)
    xmax_px, ymax_px = min(box.xmax_px, float(width_px)), min(box.ymax_px, float(height_px))
    if min(xmax_px - xmin_px, ymax_px - ymin_px) < SMALLEST_SIDE_PX:
        return [], ("outside_box", where)
    kept = Box(box.class_name, xmin_px, ymin_px, xmax_px, ymax_px, box.difficult, box.truncated, box.is_crowd)
    return [kept], ("clipped_box", where) if beyond_x or beyond_y else None


def _tolerance(side_px: int) -> float:
    return max(CLIPPED_PX, CLIPPED_SHARE * side_px)


def _annotated(image: ImageAsRead, facts: ImageFacts, content: FileContent, boxes: tuple[Box, ...]) -> AnnotatedImage:
    return AnnotatedImage(
        name=image.name,
        image_path=image.image_path,
        annotation_path=image.annotation_path,
        width_px=facts.width_px,
        height_px=facts.height_px,
        stored_format=facts.file_format if facts.plain else "png",
        re_encoded=not facts.plain,
        sha256=content.sha256,
        size_bytes=content.size_bytes,
        look=facts.look,
        boxes=boxes,
        split=image.split,
    )
