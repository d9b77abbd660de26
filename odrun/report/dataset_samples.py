"""A sheet of sample images with their labelled boxes, as a PNG file written whole.

Comes in: some proven images. The same images give the same bytes. Refused, as `InputError`: an image whose file is no
longer the one that was checked.
"""

from __future__ import annotations

import hashlib
import io
import math
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from odrun.annotations.images import as_stored
from odrun.annotations.model import AnnotatedImage
from odrun.errors import InputError
from odrun.inference.drawing import contact_sheet, draw_detections
from odrun.records.manifest import SAMPLES_SHEET
from odrun.report.dataset_plots import shown_name
from odrun.runs.files import whole_file

_MOST_SAMPLES = 16
_SAMPLE_PX = 420
_LONGEST_CAPTION = 60


def write_samples(images: Sequence[AnnotatedImage], folder: Path, *, classes: Sequence[str]) -> Path:
    """Write `samples.png`: up to 16 images, upright, with their labelled boxes; of more, as many from all over.

    `classes` stand in the order of their label ids, which give the colours.

    Raises:
        InputError: an image's file cannot be read, or is not the one that was checked.
        ValueError: there is no image, or a box has a class that is not among `classes`.
    """
    number = min(len(images), _MOST_SAMPLES)
    chosen = [images[index * len(images) // number] for index in range(number)]
    unknown = sorted({name for image in chosen for name in image.class_names} - set(classes))
    if unknown:
        raise ValueError(f"classes without a label id: {unknown}")
    drawn = [(_caption(image.name), _sample(image, classes)) for image in chosen]
    sheet = contact_sheet(drawn, columns=max(1, math.ceil(math.sqrt(number))), cell_width_px=_SAMPLE_PX)
    with whole_file(folder / SAMPLES_SHEET) as temporary:
        # Of photographs a file 2 % larger in a third of the time.
        sheet.save(temporary, "PNG", compress_type=zlib.Z_RLE)
    return folder / SAMPLES_SHEET


def _sample(image: AnnotatedImage, classes: Sequence[str]) -> Image.Image:
    """The image with its boxes and keypoints, as large as a cell of the sheet allows, on white where it is narrower."""
    factor = _SAMPLE_PX / max(image.width_px, image.height_px)
    size = (max(1, round(image.width_px * factor)), max(1, round(image.height_px * factor)))
    picture = _pixels(image, size).resize(size, Image.Resampling.BICUBIC)
    boxes = np.array([(box.xmin_px, box.ymin_px, box.xmax_px, box.ymax_px) for box in image.boxes]).reshape(-1, 4)
    scale = np.array([size[0] / image.width_px, size[1] / image.height_px])
    points = [[(point.x_px, point.y_px, point.visibility) for point in box.keypoints] for box in image.boxes]
    keypoints = [np.array(each, np.float64).reshape(-1, 3) * [*scale, 1] for each in points]
    label_ids = [classes.index(box.class_name) + 1 for box in image.boxes]
    names = {label_id: shown_name(classes[label_id - 1], label_id, _picture_has) for label_id in label_ids}
    drawn = draw_detections(
        picture, boxes * np.tile(scale, 2), label_ids, None, class_names=names, keypoints_px=keypoints
    )
    cell = Image.new("RGB", (_SAMPLE_PX, size[1]), "white")
    cell.paste(drawn, ((_SAMPLE_PX - size[0]) // 2, 0))
    return cell


def _pixels(image: AnnotatedImage, size: tuple[int, int]) -> Image.Image:
    """The image as the records hold it, RGB; a JPEG decoded no larger than is needed for `size`."""
    try:
        content = image.image_path.read_bytes()
    except OSError as error:
        raise _changed(image, f"cannot be read any more: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise _changed(image, "has changed since it was checked")
    if image.stored_format == "jpeg":
        photograph = JpegImageFile(io.BytesIO(as_stored(content) if image.re_encoded else content))
        photograph.draft("RGB", size)
        return photograph.convert("RGB")
    # Also of a PNG that is stored as it is: Pillow would cut pixels of 16 bits to white.
    return PngImageFile(io.BytesIO(as_stored(content))).convert("RGB")


def _changed(image: AnnotatedImage, how: str) -> InputError:
    return InputError(
        f"An image {how}; no sheet of samples was written.",
        where=str(image.image_path),
        remedy="let no other program write to the data set, and run again",
    )


def _caption(name: str) -> str:
    """The end of an image's name, which the sheet cuts further."""
    return "".join(
        letter if letter.isprintable() and _picture_has(letter) else "?" for letter in name[-_LONGEST_CAPTION:]
    )


@lru_cache(maxsize=4096)
def _picture_has(letter: str) -> bool:
    """Whether the letter looks otherwise than one that no font has."""
    font = ImageFont.load_default(24)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return letter.isascii()
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))
