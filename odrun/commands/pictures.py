"""Evaluated validation images → pictures of the predictions beside the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from odrun.evaluation.detections import EvaluatedImage
from odrun.inference.drawing import contact_sheet, draw_detections, draw_side_by_side, legible_scale
from odrun.runs.files import whole_file
from odrun.tracking.tracker import Picture, PictureBox

MIN_SCORE = 0.3
SHEET = "sheet.jpg"

_SHEET_COLUMNS = 2
_SHEET_CELL_PX = 900


def draw_evaluated(images: Sequence[EvaluatedImage], classes: Mapping[int, str], folder: Path) -> tuple[Picture, ...]:
    """Write `<image id>.jpg` (truth | predictions from `MIN_SCORE` up) for each image, and `sheet.jpg` with all.

    Returns what trackers that draw boxes themselves need; the picture without boxes is `<image id>_plain.png`.
    """
    drawn = [(f"image {image.truth.image_id}", _side_by_side(image, classes)) for image in images]
    pictures = tuple(
        _written(image, picture, classes, folder) for image, (_, picture) in zip(images, drawn, strict=True)
    )
    if drawn:
        _save(contact_sheet(drawn, columns=_SHEET_COLUMNS, cell_width_px=_SHEET_CELL_PX), folder / SHEET)
    return pictures


def _side_by_side(image: EvaluatedImage, classes: Mapping[int, str]) -> Image.Image:
    plain = Image.fromarray(image.pixels)
    scale = legible_scale(plain)
    shown = image.found.from_score(MIN_SCORE)
    truth = draw_detections(
        plain,
        image.truth.boxes_px,
        image.truth.label_ids,
        None,
        class_names=classes,
        keypoints_px=image.truth.keypoints_px,
        scale=scale,
    )
    found = draw_detections(
        plain,
        shown.boxes_px,
        shown.label_ids,
        shown.scores,
        class_names=classes,
        keypoints_px=shown.keypoints_px,
        scale=scale,
    )
    return draw_side_by_side(truth, found)


def _written(image: EvaluatedImage, drawn: Image.Image, classes: Mapping[int, str], folder: Path) -> Picture:
    name = str(image.truth.image_id)
    plain_path, drawn_path = folder / f"{name}_plain.png", folder / f"{name}.jpg"
    _save(Image.fromarray(image.pixels), plain_path)
    _save(drawn, drawn_path)
    shown = image.found.from_score(MIN_SCORE)
    return Picture(
        name=name,
        image=plain_path,
        drawn=drawn_path,
        class_names=classes,
        ground_truth=_boxes(image.truth.boxes_px, image.truth.label_ids, None),
        predictions=_boxes(shown.boxes_px, shown.label_ids, shown.scores),
    )


def _boxes(
    boxes_px: npt.NDArray[np.float64], label_ids: npt.NDArray[np.integer], scores: npt.NDArray[np.float32] | None
) -> tuple[PictureBox, ...]:
    return tuple(
        PictureBox(
            xmin_px=float(box[0]),
            ymin_px=float(box[1]),
            xmax_px=float(box[2]),
            ymax_px=float(box[3]),
            label_id=int(label_id),
            score=None if scores is None else float(scores[index]),
        )
        for index, (box, label_id) in enumerate(zip(boxes_px, label_ids, strict=True))
    )


def _save(picture: Image.Image, path: Path) -> None:
    with whole_file(path) as temporary:
        picture.save(temporary, format="PNG" if path.suffix == ".png" else "JPEG", quality=90)
