from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.errors import InputError
from odrun.inference.sources import find_images


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "sub/c.jpeg"):
        Image.new("RGB", (8, 6), (200, 10, 10)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def names(source: object) -> list[str]:
    return [image.name for image in find_images(str(source))]


def test_a_folder_gives_its_images_and_those_of_its_subfolders_sorted(photos: Path) -> None:
    assert names(photos) == ["a.PNG", "b.jpg", "sub/c.jpeg"]


def test_a_glob_gives_what_it_matches(photos: Path) -> None:
    assert names(photos / "*.jpg") == ["b.jpg"]
    assert names(photos / "**" / "*.jp*g") == ["b.jpg", "sub/c.jpeg"]


def test_a_file_is_taken_as_it_is_named(photos: Path) -> None:
    assert names(photos / "b.jpg") == ["b.jpg"]


def test_nothing_to_detect_in_is_refused_with_what_was_given(tmp_path: Path) -> None:
    for source, what in ((tmp_path, "there is no image"), (tmp_path / "absent", "there is no such file")):
        with pytest.raises(InputError, match=what) as refusal:
            find_images(str(source))
        assert refusal.value.where == f"source={source}"


def test_pixels_are_rgb_and_upright(tmp_path: Path) -> None:
    image = Image.new("L", (8, 6), 100)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)

    pixels = find_images(str(tmp_path / "turned.jpg"))[0].pixels()

    assert pixels.shape == (8, 6, 3)
    assert pixels.dtype == np.uint8


def test_16_bits_keep_their_upper_8_as_in_the_records(tmp_path: Path) -> None:
    grey = np.array([[0, 0x7FFF, 0x8000, 0xFFFF]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")

    assert find_images(str(tmp_path / "deep.png"))[0].pixels()[0, :, 0].tolist() == [0, 127, 128, 255]


def test_an_image_that_does_not_decode_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")

    with pytest.raises(InputError, match="the image is none of JPEG") as refusal:
        find_images(str(tmp_path))[0].pixels()

    assert refusal.value.where == str(tmp_path / "broken.jpg")
