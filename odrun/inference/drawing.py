"""Boxes on pictures: detections, ground truth beside them, and sheets of several pictures.

Lines and letters grow with the picture. A class has one colour in all pictures. Nothing here changes the picture given.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LEGIBLE_SIDE_PX = 480
KEYPOINT_FLOOR = 0.1
"""What CenterNet gives a keypoint that it has seen nowhere (center_net.proto, unmatched_keypoint_score)."""

# Okabe and Ito, "Color Universal Design" (2008), told apart by colour-blind people too; black is left out.
_FIRST_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN_RATIO = 0.618033988749895
_PAPER: Colour = (255, 255, 255)
_INK: Colour = (32, 32, 32)
_GAP_PX = 8


def draw_detections(
    image: Image.Image,
    boxes_px: npt.ArrayLike,
    label_ids: Sequence[int] | npt.NDArray[np.integer],
    scores: Sequence[float] | npt.NDArray[np.floating] | None,
    *,
    class_names: Mapping[int, str],
    keypoints_px: Sequence[npt.NDArray[np.float64]] | npt.NDArray[np.float64] | None = None,
    scale: int = 1,
) -> Image.Image:
    """A copy of `image`, RGB, enlarged `scale` times, with the boxes drawn, the best one on top.

    `boxes_px` has shape [n, 4]: xmin, ymin, xmax, ymax in pixels of `image`; what lies outside is cut off. `scores` (0
    to 1) are written behind the class names; `None` for a ground truth. `keypoints_px` has for each box [k, 3]: x, y in
    pixels, and score or visibility; those of no more than `KEYPOINT_FLOOR` are not drawn. Raises `ValueError` for
    lengths that differ and
    for a label id without a name.
    """
    boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4) * scale
    ids = [int(label_id) for label_id in label_ids]
    _check(len(boxes), ids, scores, class_names)
    drawn = _enlarged(image, scale)
    canvas = ImageDraw.Draw(drawn)
    width_px = max(1, round(min(drawn.size) / 240))
    font = _font(_letter_px(drawn))
    order = range(len(ids)) if scores is None else np.argsort(np.asarray(scores), kind="stable")
    for index in order:
        box = _visible(boxes[index], drawn.size)
        if box is not None:
            name = class_names[ids[index]]
            label = name if scores is None else f"{name} {float(scores[index]):.2f}"
            _draw_box(canvas, box, label, colour=class_colour(ids[index]), width_px=width_px, font=font)
            if keypoints_px is not None:
                _draw_points(canvas, keypoints_px[index], scale, class_colour(ids[index]), radius_px=2 * width_px)
    return drawn


def _draw_points(
    canvas: ImageDraw.ImageDraw, points: npt.NDArray[np.float64], scale: int, colour: Colour, *, radius_px: int
) -> None:
    for x, y, certainty in points:
        if certainty > KEYPOINT_FLOOR:
            canvas.circle((x * scale, y * scale), radius_px, fill=colour, outline=_PAPER)


def draw_side_by_side(
    left: Image.Image, right: Image.Image, *, titles: tuple[str, str] = ("ground truth", "predictions")
) -> Image.Image:
    """Two pictures of one height on white, each under its title."""
    letter_px = _letter_px(left)
    head_px = letter_px + _GAP_PX
    size = (left.width + _GAP_PX + right.width, head_px + max(left.height, right.height))
    sheet = Image.new("RGB", size, _PAPER)
    canvas = ImageDraw.Draw(sheet)
    for x_px, picture, title in ((0, left, titles[0]), (left.width + _GAP_PX, right, titles[1])):
        sheet.paste(picture, (x_px, head_px))
        canvas.text((x_px + 2, _GAP_PX // 2), _fitted(title, picture.width, _font(letter_px)), _INK, _font(letter_px))
    return sheet


def contact_sheet(pictures: Sequence[tuple[str, Image.Image]], *, columns: int, cell_width_px: int) -> Image.Image:
    """Pictures with their captions in a grid, each `cell_width_px` wide; `ValueError` if there is none."""
    if not pictures or columns < 1:
        raise ValueError("a sheet needs a picture and a column")
    letter_px = max(11, round(cell_width_px / 40))
    font = _font(letter_px)
    cells = [(caption, _resized(picture, cell_width_px)) for caption, picture in pictures]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    head_px = letter_px + _GAP_PX
    heights = [head_px + max(picture.height for _, picture in row) + _GAP_PX for row in rows]
    step_px = cell_width_px + _GAP_PX
    sheet = Image.new("RGB", (min(columns, len(cells)) * step_px - _GAP_PX, sum(heights) - _GAP_PX), _PAPER)
    canvas = ImageDraw.Draw(sheet)
    for row, top_px in zip(rows, np.cumsum([0, *heights[:-1]]).tolist(), strict=True):
        for column, (caption, picture) in enumerate(row):
            canvas.text((column * step_px + 2, top_px + 2), _fitted(caption, cell_width_px, font), _INK, font)
            sheet.paste(picture, (column * step_px, top_px + head_px))
    return sheet


def legible_scale(image: Image.Image) -> int:
    """The whole factor that brings the shorter side to at least `LEGIBLE_SIDE_PX`."""
    return max(1, -(-LEGIBLE_SIDE_PX // min(image.size)))


def class_colour(label_id: int) -> Colour:
    """The colour of a class, by its 1-based id: seven that all people tell apart, then hues far from one another."""
    if label_id <= len(_FIRST_COLOURS):
        return _FIRST_COLOURS[label_id - 1]
    red, green, blue = colorsys.hsv_to_rgb(label_id * _GOLDEN_RATIO % 1.0, 0.65 + 0.3 * (label_id % 2), 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _check(
    boxes: int, ids: Sequence[int], scores: Sequence[float] | npt.NDArray[np.floating] | None, names: Mapping[int, str]
) -> None:
    if len(ids) != boxes or (scores is not None and len(scores) != boxes):
        raise ValueError(f"{boxes} boxes, {len(ids)} label ids, {'no' if scores is None else len(scores)} scores")
    unnamed = sorted(set(ids) - set(names))
    if unnamed:
        raise ValueError(f"no class name for label ids {unnamed}")


def _enlarged(image: Image.Image, scale: int) -> Image.Image:
    rgb = image.convert("RGB")
    if scale == 1:
        return rgb if rgb is not image else image.copy()
    return rgb.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)


def _resized(image: Image.Image, width_px: int) -> Image.Image:
    height_px = max(1, round(image.height * width_px / image.width))
    return image.convert("RGB").resize((width_px, height_px), Image.Resampling.BICUBIC)


def _letter_px(image: Image.Image) -> int:
    return max(11, round(min(image.size) / 28))


@lru_cache(maxsize=64)
def _font(letter_px: int) -> Font:
    return ImageFont.load_default(letter_px)


def _visible(box: npt.NDArray[np.float64], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The part of the box on the picture; `None` if there is none or a coordinate is not a number."""
    width_px, height_px = size
    xmin, xmax = max(0.0, float(box[0])), min(width_px - 1.0, float(box[2]))
    ymin, ymax = max(0.0, float(box[1])), min(height_px - 1.0, float(box[3]))
    return (xmin, ymin, xmax, ymax) if xmin <= xmax and ymin <= ymax and np.isfinite(box).all() else None


def _draw_box(
    canvas: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    label: str,
    *,
    colour: Colour,
    width_px: int,
    font: Font,
) -> None:
    """The box, and its label on a plate above it; inside of it at the upper rim, moved left at the right rim."""
    canvas.rectangle(box, outline=colour, width=width_px)
    picture_width_px = canvas.im.size[0]
    left, top, right, bottom = font.getbbox(label)
    plate_width_px, plate_height_px = right - left + 4, bottom - top + 4
    x_px = max(0.0, min(box[0], picture_width_px - plate_width_px))
    y_px = box[1] - plate_height_px if box[1] >= plate_height_px else box[1]
    canvas.rectangle((x_px, y_px, x_px + plate_width_px, y_px + plate_height_px), fill=colour)
    canvas.text((x_px + 2 - left, y_px + 2 - top), label, _letter_colour(colour), font)


def _letter_colour(plate: Colour) -> Colour:
    """Black or white, whichever differs more from the plate by its luma (ITU-R BT.601)."""
    red, green, blue = plate
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else (255, 255, 255)


def _fitted(text: str, width_px: int, font: Font) -> str:
    """The text, cut at its start where it is wider than `width_px`: the end of a path tells more."""
    if font.getbbox(text)[2] <= width_px - 4:
        return text
    kept = text
    while kept and font.getbbox(f"...{kept}")[2] > width_px - 4:
        kept = kept[1:]
    return f"...{kept}"
