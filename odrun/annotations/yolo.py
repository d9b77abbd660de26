"""YOLO text labels, as Ultralytics and darknet lay them out: folder → images as read.

Comes in: a text file for each image, a line `class cx cy w h` for each box (fractions of the image) or `class x1 y1 x2
y2 ...` for a polygon, and class names in `data.yaml`, `classes.txt` or `*.names`. Goes out: `ImageAsRead` in
fractions, unproven. Refused, as problems: lines of other numbers, classes without a name, labels whose image is not
there or has another label file.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from itertools import islice

from odrun.annotations.file_index import FileIndex
from odrun.annotations.files import IMAGE_SUFFIXES, ListedFile, Listing, beginning, read_bounded
from odrun.annotations.lookup import ImageIndex, given_split
from odrun.annotations.model import BoxAsRead, ImageAsRead, Polygons
from odrun.annotations.problems import ProblemLog
from odrun.annotations.yolo_layout import YoloLayout, is_layout_file, read_layout

LOOKS_FOR = "YOLO labels (*.txt with class cx cy w h) with their images, and data.yaml or classes.txt"
SUFFIXES = IMAGE_SUFFIXES | {".txt", ".yaml", ".yml", ".names"}
LARGEST_FILE_BYTES = 16 << 20
LABELS_TRIED = 100
_BOX_NUMBERS = 4


class _FaultyLineError(Exception):
    """A line that is left out; the message follows the file's name."""


class _FaultyLabelError(Exception):
    """A label that is left out with its image; the message follows the file's name."""

    def __init__(self, message: str, *, fault: str = "malformed_annotation") -> None:
        super().__init__(message)
        self.fault = fault


def recognizes(files: Listing) -> bool:
    """Whether one of the first text files named like an image begins with a class and four or more fractions."""
    texts = files.where(lambda file: file.suffix == ".txt" and not is_layout_file(file))
    if not texts:
        return False
    images = FileIndex(files.where(lambda file: file.is_image), lambda image: image.stem)
    labels = (file for file in texts if images.find(file.stem))
    return any(_looks_like_a_label(_first_line(file)) for file in islice(labels, LABELS_TRIED))


def read_yolo(files: Listing, problems: ProblemLog) -> Iterator[ImageAsRead]:
    """Read the labels of every image among `files`; what is wrong with a line is noted and that line left out.

    The split is that of `data.yaml`, else of folders named `train` and `val`, `valid` or `test`. An image without a
    label file is background where `data.yaml` names its folder, and not used elsewhere.
    """
    images = files.where(lambda file: file.is_image)
    labels = files.where(lambda file: file.suffix == ".txt" and not is_layout_file(file))
    layout = read_layout(files, problems)
    found = _labels_of(images, labels, layout, problems)
    parts = layout.parts or given_split(images)
    for image, number in zip(images, found, strict=True):
        part = None if parts is None else parts.get(image.name)
        annotation = labels[number - 1] if number else None
        if annotation is None and image.name not in layout.parts:
            problems.add("image_without_annotation", image.path, "has no annotation", images_lost=1)
        elif parts is not None and part is None:
            objects = 0 if annotation is None else _objects(annotation)
            problems.add(
                "annotation_outside_split", image.path, "is in no part of the split", images_lost=1, boxes_lost=objects
            )
        else:
            path = image.path if annotation is None else annotation.path
            try:
                boxes = () if annotation is None else tuple(_boxes(annotation, layout, problems))
            except _FaultyLabelError as error:
                problems.add(error.fault, path, str(error), images_lost=1)
            else:
                yield ImageAsRead(image.name, image.path, path, None, None, boxes, part, in_fractions=True)


def _labels_of(images: Listing, labels: Listing, layout: YoloLayout, problems: ProblemLog) -> array[int]:
    """The number of each image's label, from 1; 0 of an image without one."""
    index = ImageIndex(images, labels)
    found = array("I", bytes(array("I").itemsize * len(images)))
    for number, label in enumerate(labels, start=1):
        image = index.find(label, "")
        place = None if image is None else images.place(image.name)
        if image is None or place is None:
            _note_lonely(label, layout, problems)
        elif found[place]:
            message = f"speaks of {image.path}, as {labels[found[place] - 1].path} does"
            problems.add("duplicate_image", label.path, message, boxes_lost=_objects(label))
        else:
            found[place] = number
    return found


def _note_lonely(text: ListedFile, layout: YoloLayout, problems: ProblemLog) -> None:
    """A text file of no image's name: a fault where it holds boxes, else one of the notes that lie about."""
    if any(map(_looks_like_a_label, beginning(text).decode("utf-8-sig", "replace").splitlines())):
        problems.add("missing_image", text.path, "has no image of its name", boxes_lost=_objects(text))
    elif not layout.lists(text):
        problems.add("unused_file", text.path, "has no image of its name, and no boxes")


def _boxes(label: ListedFile, layout: YoloLayout, problems: ProblemLog) -> Iterator[BoxAsRead]:
    for number, line in _lines(label):
        cells = line.split()
        try:
            yield _box(cells, layout, number)
        except _FaultyLineError as error:
            problems.add("malformed_annotation", label.path, str(error), line=number, boxes_lost=1)


def _objects(label: ListedFile) -> int:
    """How many lines a label that is not used has; none that can be counted where it cannot be read."""
    try:
        return sum(1 for _ in _lines(label))
    except _FaultyLabelError:
        return 0


def _lines(label: ListedFile) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1."""
    try:
        content = read_bounded(label.path, LARGEST_FILE_BYTES)
    except OSError as error:
        raise _FaultyLabelError(f"cannot be read: {error.strerror}", fault="unreadable_file") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise _FaultyLabelError(f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1):
        if line.strip():
            yield number, line


def _box(cells: list[str], layout: YoloLayout, line: int) -> BoxAsRead:
    class_name = _class_name(cells[0], layout.names)
    numbers = [_number(cell) for cell in cells[1:]]
    mask = None
    if len(numbers) == _BOX_NUMBERS:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif layout.has_keypoints:
        raise _FaultyLineError("has a line with keypoints, which are read from COCO alone")
    elif len(numbers) >= 2 * 3 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        is_sound = all(map(math.isfinite, numbers))
        # The minimum of numbers with one that is none depends on their order.
        corners = (min(xs), min(ys), max(xs), max(ys)) if is_sound else (math.nan,) * 4
        mask = Polygons((tuple(numbers),)) if is_sound else None
    else:
        raise _FaultyLineError(
            f"has a line of a class and {len(numbers)} numbers; 4 of a box belong there, or 6 or more of a polygon"
        )
    return BoxAsRead(
        class_name=class_name,
        xmin_px=corners[0],
        ymin_px=corners[1],
        xmax_px=corners[2],
        ymax_px=corners[3],
        difficult=False,
        truncated=False,
        is_crowd=False,
        line=line,
        mask=mask,
    )


def _class_name(cell: str, names: Mapping[int, str]) -> str:
    number = _number(cell)
    if not math.isfinite(number) or number != int(number) or number < 0:
        raise _FaultyLineError(f"has the class {cell[:40]!r}, where the number of one belongs")
    if not names:
        return str(int(number))
    if int(number) not in names:
        raise _FaultyLineError(f"has the class {int(number)}; there are names for {min(names)} to {max(names)}")
    return names[int(number)]


def _number(cell: str) -> float:
    try:
        return math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan


def _first_line(file: ListedFile) -> str:
    lines = beginning(file).decode("utf-8-sig", "replace").splitlines()
    return next(filter(str.strip, lines), "")


def _looks_like_a_label(line: str) -> bool:
    cells = line.split()
    numbers = [_number(cell) for cell in cells]
    is_class = bool(cells) and cells[0].isdecimal()
    return is_class and len(cells) > _BOX_NUMBERS and all(-1 <= number <= 2 for number in numbers[1:])
