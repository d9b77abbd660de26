"""The formats that labelled images are read from, by the name that `dataset.format` gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from odrun.annotations import coco, csv_table, labelme, voc, yolo
from odrun.annotations.files import Listing
from odrun.annotations.model import ImageAsRead
from odrun.annotations.problems import ProblemLog
from odrun.errors import InputError


@dataclass(frozen=True)
class Reader:
    """How a format is read.

    `read` takes the listed files with one of `suffixes`, `recognizes` tells whether files look like the format,
    `looks_for` says what it needs, and `is_whole` that its boxes are counted in whole pixels.
    """

    read: Callable[[Listing, ProblemLog], Iterator[ImageAsRead]]
    recognizes: Callable[[Listing], bool]
    suffixes: frozenset[str]
    looks_for: str
    is_whole: bool


READERS: dict[str, Reader] = {
    "voc": Reader(voc.read_voc, voc.recognizes, voc.SUFFIXES, voc.LOOKS_FOR, is_whole=True),
    "coco": Reader(coco.read_coco, coco.recognizes, coco.SUFFIXES, coco.LOOKS_FOR, is_whole=False),
    "yolo": Reader(yolo.read_yolo, yolo.recognizes, yolo.SUFFIXES, yolo.LOOKS_FOR, is_whole=False),
    "labelme": Reader(labelme.read_labelme, labelme.recognizes, labelme.SUFFIXES, labelme.LOOKS_FOR, is_whole=False),
    "csv": Reader(csv_table.read_csv, csv_table.recognizes, csv_table.SUFFIXES, csv_table.LOOKS_FOR, is_whole=True),
}


def read_images(reader: Reader, files: Listing, problems: ProblemLog) -> Iterator[ImageAsRead]:
    """The images of a format, and a note on each box with fractions of a pixel where it has whole ones."""
    for image in reader.read(files, problems):
        if reader.is_whole:
            for box in image.boxes:
                corners = (box.xmin_px, box.ymin_px, box.xmax_px, box.ymax_px)
                if any(math.isfinite(corner) and corner != int(corner) for corner in corners):
                    shown = ", ".join(f"{corner:g}" for corner in corners)
                    message = f"the box ({shown}) has fractions of a pixel"
                    problems.add("fractional_box", image.annotation_path, message, line=box.line)
        yield image


def recognized(files: Listing, folder: Path) -> str:
    """The format that the files of `folder` look like.

    Raises:
        InputError: they look like none, or like several.
    """
    found = [name for name, reader in READERS.items() if reader.recognizes(files)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"The folder looks like several formats: {', '.join(found)}.",
            where=str(folder),
            remedy=f"say which one is meant: dataset.format={found[0]}",
        )
    needs = "\n".join(f"  {name}: {reader.looks_for}" for name, reader in READERS.items())
    images = sum(file.is_image for file in files)
    raise InputError(
        f"The folder has no annotations that odrun knows, {len(files)} files and {images} images. It reads\n{needs}",
        where=str(folder),
        remedy="set dataset.path=DIR to the folder that holds the annotations and images",
    )
