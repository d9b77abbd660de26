"""The sheet shows the images upright with their boxes where they are, in the colours of their classes."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.annotations.images import inspect_image
from odrun.annotations.model import AnnotatedImage, Box, Keypoint
from odrun.errors import InputError
from odrun.inference.drawing import class_colour
from odrun.records.manifest import SAMPLES_SHEET
from odrun.report.dataset_samples import write_samples

CLASSES = ("cat", "dog")
SIDE = 420
HEAD = 11 + 8
GAP = 8


def encoded(picture: Image.Image, file_format: str = "PNG", *, orientation: int = 1) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(stream, file_format, exif=exif)
    return stream.getvalue()


def image(
    folder: Path, content: bytes, *boxes: tuple[str, float, float, float, float], name: str = "a"
) -> AnnotatedImage:
    facts = inspect_image(content)
    folder.mkdir(exist_ok=True)
    path = folder / "image"
    path.write_bytes(content)
    return AnnotatedImage(
        name=name,
        image_path=path,
        annotation_path=path,
        width_px=facts.width_px,
        height_px=facts.height_px,
        stored_format=facts.stored_format,
        re_encoded=not facts.plain,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        look=facts.look,
        boxes=tuple(Box(*box) for box in boxes),
        split=None,
    )


def half_red(width: int = 100, height: int = 50) -> Image.Image:
    """Grey, its left half red."""
    picture = Image.new("RGB", (width, height), (90, 90, 90))
    picture.paste((200, 0, 0), (0, 0, width // 2, height))
    return picture


def sheet(images: list[AnnotatedImage], folder: Path, classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    path = write_samples(images, folder, classes=classes)
    assert path == folder / SAMPLES_SHEET
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture)


def test_a_box_lies_where_it_is_in_the_colour_of_its_class(tmp_path: Path) -> None:
    pixels = sheet([image(tmp_path / "a", encoded(half_red()), ("dog", 50, 25, 75, 40))], tmp_path)
    assert pixels.shape == (HEAD + 210, SIDE, 3)
    colour = list(class_colour(2))
    assert pixels[HEAD + 140, 210].tolist() == colour
    assert pixels[HEAD + 168, 260].tolist() == colour
    assert pixels[HEAD + 140, 260].tolist() == [90, 90, 90]
    assert pixels[HEAD + 20, 20].tolist() == [200, 0, 0]


def test_labelled_keypoints_are_drawn_and_others_not(tmp_path: Path) -> None:
    plain = image(tmp_path, encoded(half_red()), ("dog", 20, 10, 80, 40))
    points = (Keypoint("nose", 50, 25, 2), Keypoint("tail", 30, 25, 0))
    posed = replace(plain, boxes=(replace(plain.boxes[0], keypoints=points),))
    drawn = sheet([posed], tmp_path)
    factor = SIDE / 100
    assert tuple(drawn[HEAD + round(25 * factor), round(50 * factor)]) == class_colour(2)
    assert tuple(drawn[HEAD + round(25 * factor), round(30 * factor)]) == (200, 0, 0)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_image_is_shown_upright(tmp_path: Path, orientation: int) -> None:
    content = encoded(half_red(), "JPEG", orientation=orientation)
    pixels = sheet([image(tmp_path / "a", content)], tmp_path)
    # Where the stored left half lies once the image is turned.
    if orientation in (1, 3):
        left, right = pixels[HEAD + 100, 100], pixels[HEAD + 100, 320]
        red, grey = (left, right) if orientation == 1 else (right, left)
    else:
        top, bottom = pixels[HEAD + 100, 210], pixels[HEAD + 320, 210]
        red, grey = (top, bottom) if orientation == 6 else (bottom, top)
    assert red[0] > 150
    assert red[1] < 60
    assert np.abs(grey.astype(int) - 90).max() < 30


def test_a_narrow_image_stands_in_the_middle_on_white(tmp_path: Path) -> None:
    pixels = sheet([image(tmp_path / "a", encoded(Image.new("RGB", (50, 100), (9, 9, 9))))], tmp_path)
    row = pixels[HEAD + 200]
    assert row[[0, 100, 319, 419]].tolist() == [[255] * 3] * 4
    assert row[[110, 210, 310]].tolist() == [[9] * 3] * 3


@pytest.mark.parametrize(("given", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (5, 3, 2), (16, 4, 4), (40, 4, 4)])
def test_as_many_images_as_fit_stand_in_rows(tmp_path: Path, given: int, columns: int, rows: int) -> None:
    images = [image(tmp_path / str(number), encoded(half_red(20, 10))) for number in range(given)]
    height, width, _ = sheet(images, tmp_path).shape
    assert width == columns * (SIDE + GAP) - GAP
    assert height == rows * (HEAD + 210 + GAP) - GAP


def test_of_many_images_some_from_all_over_are_shown(tmp_path: Path) -> None:
    greys = [image(tmp_path / str(n), encoded(Image.new("L", (10, 10), 4 * n))) for n in range(48)]
    pixels = sheet(greys, tmp_path)
    centres = [HEAD + SIDE // 2 + row * (HEAD + SIDE + GAP) for row in range(4)]
    shown = [int(pixels[y, SIDE // 2 + column * (SIDE + GAP), 0]) for y in centres for column in range(4)]
    assert shown == [4 * n for n in range(0, 48, 3)]


def test_pixels_of_sixteen_bits_keep_their_brightness(tmp_path: Path) -> None:
    grey = Image.fromarray(np.full((10, 10), 100 * 256, dtype=np.uint16))
    assert sheet([image(tmp_path / "a", encoded(grey))], tmp_path)[HEAD + 200, 200].tolist() == [100] * 3


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (2, 3000)])
def test_images_of_any_shape_are_drawn(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    one = image(tmp_path / "a", encoded(Image.new("RGB", size)), ("cat", 0, 0, width, height))
    pixels = sheet([one], tmp_path)
    assert pixels.shape[1] == SIDE
    assert pixels.shape[0] <= HEAD + SIDE


@pytest.mark.parametrize("name", ["x" * 5000, "a\nb", "猫", "\udcff", "%s", "é", " "])
def test_odd_names_are_drawn(tmp_path: Path, name: str) -> None:
    one = image(tmp_path / "a", encoded(half_red()), (name, 10, 10, 20, 20), name=f"{name}.jpg")
    assert sheet([one], tmp_path, classes=(name,)).shape == (HEAD + 210, SIDE, 3)


def test_the_same_images_give_the_same_bytes_and_one_file(tmp_path: Path) -> None:
    one = image(tmp_path / "a", encoded(half_red(), "JPEG"), ("cat", 10, 10, 20, 20))
    first, second = (write_samples([one], tmp_path / name, classes=CLASSES) for name in ("x", "y"))
    assert first.read_bytes() == second.read_bytes()
    assert list((tmp_path / "x").iterdir()) == [first]


def test_an_image_that_changed_or_went_is_refused(tmp_path: Path) -> None:
    one = image(tmp_path / "a", encoded(half_red()))
    with pytest.raises(InputError, match="has changed since it was checked") as caught:
        write_samples([replace(one, sha256="f" * 64)], tmp_path / "out", classes=CLASSES)
    assert caught.value.where == str(one.image_path)
    one.image_path.unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        write_samples([one], tmp_path / "out", classes=CLASSES)
    assert not (tmp_path / "out").exists()


def test_no_image_and_an_unknown_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a sheet needs a picture"):
        write_samples([], tmp_path, classes=CLASSES)
    one = image(tmp_path / "a", encoded(half_red()), ("ox", 10, 10, 20, 20))
    with pytest.raises(ValueError, match=r"without a label id: \['ox'\]"):
        write_samples([one], tmp_path, classes=CLASSES)
