"""The embedded data set: scenes of scikit-learn's real handwritten digits, as ordinary Pascal VOC XML and JPEG files.

600 training and 120 validation scenes of 160x160 pixels, each with 1 to 4 digits whose longer side is 24 to 64 pixels,
not overlapping, in a random ink on a tinted, noisy ground; boxes are measured on the rendered ink. The two parts are
made from disjoint digits. Same code, same scenes: all chance comes from one seeded generator.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lxml import etree
from PIL import Image

from odrun.annotations.model import TRAIN, VALIDATION, Box
from odrun.errors import InputError

SCENE_PX = 160
SCENES = {TRAIN: 600, VALIDATION: 120}
FOLDERS = {TRAIN: "train", VALIDATION: "val"}
SMALLEST_PX, LARGEST_PX = 24, 64
MOST_DIGITS = 4
BYTES_NEEDED = 16 << 20
_SEED = 1998
_INK_ALPHA = 48
_LEAST_CONTRAST = 60.0
_GAP_PX = 2
_PLACING_TRIES = 60
_JPEG_QUALITY = 90
_LUMA = np.array((0.299, 0.587, 0.114))

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A rendered scene: `pixels` of shape [160, 160, 3], and a box around each digit's ink."""

    pixels: Pixels
    boxes: tuple[Box, ...]


def write_digits(folder: Path) -> None:
    """Write the data set into `folder`, in sub-folders `train` and `val`, an XML file beside each JPEG file.

    About 7 MB in 1,440 files; whole or not at all is the caller's care.

    Raises:
        InputError: scikit-learn is not installed.
        OSError: the folder cannot be written.
    """
    for part, name in FOLDERS.items():
        (folder / name).mkdir(parents=True)
        for number, scene in enumerate(scenes(part)):
            stem = f"{number:04d}"
            Image.fromarray(scene.pixels).save(folder / name / f"{stem}.jpg", "JPEG", quality=_JPEG_QUALITY)
            (folder / name / f"{stem}.xml").write_bytes(voc_xml(f"{stem}.jpg", name, scene.boxes))


def scenes(part: str) -> Iterator[Scene]:
    """Render the scenes of `part`, one of `SPLITS`, one after the other."""
    glyphs, labels = _glyphs(part)
    chance = np.random.Generator(np.random.PCG64([_SEED, list(SCENES).index(part)]))
    order: list[int] = []
    for _ in range(SCENES[part]):
        wanted = int(chance.integers(1, MOST_DIGITS + 1))
        while len(order) < wanted:
            order += chance.permutation(len(glyphs)).tolist()
        chosen, order = order[:wanted], order[wanted:]
        yield _scene([glyphs[index] for index in chosen], [str(labels[index]) for index in chosen], chance)


def voc_xml(file_name: str, folder_name: str, boxes: tuple[Box, ...]) -> bytes:
    """The Pascal VOC annotation of a scene, as labelImg writes one."""
    root = etree.Element("annotation")
    _texts(root, folder=folder_name, filename=file_name)
    _texts(etree.SubElement(root, "size"), width=SCENE_PX, height=SCENE_PX, depth=3)
    _texts(root, segmented=0)
    for box in boxes:
        element = etree.SubElement(root, "object")
        _texts(element, name=box.class_name, pose="Unspecified", truncated=0, difficult=0)
        corners = {"xmin": box.xmin_px, "ymin": box.ymin_px, "xmax": box.xmax_px, "ymax": box.ymax_px}
        _texts(etree.SubElement(element, "bndbox"), **{name: int(value) for name, value in corners.items()})
    etree.indent(root)
    return etree.tostring(root, encoding="utf-8") + b"\n"


def _glyphs(part: str) -> tuple[list[Pixels], list[int]]:
    """The 8x8 digits of a part and what they show; each sixth of every class, in a random order, is validation's."""
    table = _digits_table()
    order = np.random.Generator(np.random.PCG64(_SEED)).permutation(len(table))
    seen = dict.fromkeys(range(10), 0)
    chosen = []
    for index in order.tolist():
        label = int(table[index, -1])
        in_validation = seen[label] % 6 == 0
        seen[label] += 1
        if in_validation == (part == VALIDATION):
            chosen.append(index)
    glyphs = [(table[index, :-1].reshape(8, 8) * (255 / 16)).round().astype(np.uint8) for index in chosen]
    return glyphs, [int(table[index, -1]) for index in chosen]


def _digits_table() -> Numbers:
    """The table behind `sklearn.datasets.load_digits`, without that import of 4 s: [1797, 64 pixels and the digit]."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "The embedded data set is made from scikit-learn's digits, and scikit-learn is not installed.",
            where="dataset=digits",
            remedy="pip install scikit-learn",
        )
    path = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    return np.loadtxt(path, delimiter=",")


def _scene(glyphs: list[Pixels], names: list[str], chance: np.random.Generator) -> Scene:
    inks: list[Pixels] = []
    corners: list[tuple[int, int]] = []
    while len(corners) < len(glyphs):
        inks = [_ink(glyph, chance) for glyph in glyphs]
        corners = _corners(inks, chance)
    ground_colour, ink_colours = _colours(len(glyphs), chance)
    canvas = np.broadcast_to(ground_colour, (SCENE_PX, SCENE_PX, 3)).copy()
    boxes = []
    for ink, (top, left), colour, name in zip(inks, corners, ink_colours, names, strict=True):
        height, width = ink.shape
        opacity = ink[..., None] / 255
        patch = canvas[top : top + height, left : left + width]
        patch += opacity * (colour - patch)
        boxes.append(Box(name, left, top, left + width, top + height))
    canvas += chance.normal(0, chance.uniform(6, 18), canvas.shape)
    return Scene(canvas.clip(0, 255).round().astype(np.uint8), tuple(boxes))


def _ink(glyph: Pixels, chance: np.random.Generator) -> Pixels:
    """The digit smoothly enlarged, as opacities cut tight to what is visible."""
    cells = np.pad(_tight(glyph), 1)
    longest = max(cells.shape) - 2
    while True:
        scale = chance.uniform(SMALLEST_PX, LARGEST_PX) / longest
        size = (round(cells.shape[1] * scale), round(cells.shape[0] * scale))
        enlarged = np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC))
        ink = _tight(np.where(enlarged >= _INK_ALPHA, enlarged, 0).astype(np.uint8))
        if SMALLEST_PX <= max(ink.shape) <= LARGEST_PX:
            return ink


def _tight(ink: Pixels) -> Pixels:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _corners(inks: list[Pixels], chance: np.random.Generator) -> list[tuple[int, int]]:
    """A top left corner for each ink so that none overlap; fewer where one does not find room."""
    taken = np.zeros((SCENE_PX, SCENE_PX), dtype=bool)
    corners: list[tuple[int, int]] = []
    for height, width in (ink.shape for ink in inks):
        for _ in range(_PLACING_TRIES):
            top = int(chance.integers(0, SCENE_PX - height + 1))
            left = int(chance.integers(0, SCENE_PX - width + 1))
            if not taken[top : top + height, left : left + width].any():
                break
        else:
            return corners
        corners.append((top, left))
        around = (max(top - _GAP_PX, 0), max(left - _GAP_PX, 0))
        taken[around[0] : top + height + _GAP_PX, around[1] : left + width + _GAP_PX] = True
    return corners


def _colours(digits: int, chance: np.random.Generator) -> tuple[Numbers, list[Numbers]]:
    """A ground, and an ink for each digit that differs from it in brightness by a random amount, enough to be seen."""
    ground = chance.uniform(30, 225, 3)
    inks: list[Numbers] = []
    while len(inks) < digits:
        ink = chance.uniform(0, 255, 3)
        if abs(float((ink - ground) @ _LUMA)) >= _LEAST_CONTRAST:
            inks.append(ink)
    return ground, inks


def _texts(parent: etree._Element, **texts: object) -> None:
    for name, text in texts.items():
        etree.SubElement(parent, name).text = str(text)
