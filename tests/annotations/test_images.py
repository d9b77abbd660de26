from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.annotations.images import UndecodableImageError, as_png, difference_hash, inspect_image

NOISE = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def saved(path: Path, mode: str = "RGB", kind: str = "JPEG") -> Path:
    Image.fromarray(NOISE).convert(mode).save(path, kind)
    return path


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "mode", "plain"),
    [
        ("JPEG", "RGB", True),
        ("JPEG", "L", True),
        ("JPEG", "CMYK", False),
        ("PNG", "RGB", True),
        ("PNG", "P", False),
        ("PNG", "RGBA", False),
        ("GIF", "P", False),
        ("BMP", "RGB", False),
        ("WEBP", "RGB", False),
        ("TIFF", "L", False),
    ],
)
def test_an_image_tells_its_real_format_and_whether_it_is_stored_as_it_is(tmp_path, kind, mode, plain):
    facts = inspect_image(saved(tmp_path / "a.xyz", mode, kind))
    assert (facts.width_px, facts.height_px, facts.file_format, facts.mode, facts.plain) == (
        40,
        30,
        kind.lower(),
        mode,
        plain,
    )


def test_a_phone_s_jpeg_with_a_second_picture_is_a_jpeg(tmp_path):
    picture = Image.fromarray(NOISE)
    picture.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[picture])
    assert Image.open(tmp_path / "a.jpg").format == "MPO"
    assert inspect_image(tmp_path / "a.jpg").file_format == "jpeg"


def test_a_file_cut_off_does_not_decode(tmp_path):
    for kind in ("JPEG", "PNG"):
        path = saved(tmp_path / f"a.{kind}", kind=kind)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(UndecodableImageError, match="does not decode"):
            inspect_image(path)


@pytest.mark.parametrize("content", [b"", b"no image", b"<svg/>", b"P6 1 1 255 abc"])
def test_what_is_no_image_does_not_decode(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UndecodableImageError, match="is none of JPEG, PNG"):
        inspect_image(tmp_path / "a.jpg")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_of_size(50_000, 50_000))
    with pytest.raises(UndecodableImageError, match="has more than 89478485 pixels"):
        inspect_image(tmp_path / "bomb.png")


def test_a_missing_file_is_the_system_s_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        inspect_image(tmp_path / "gone.jpg")


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("BMP", "RGB"), ("GIF", "P"), ("TIFF", "L")])
def test_re_encoding_keeps_every_pixel(tmp_path, kind, mode):
    path = saved(tmp_path / "a", mode, kind)
    kept = Image.open(io.BytesIO(as_png(path.read_bytes())))
    wanted = Image.open(path)
    assert kept.format == "PNG"
    assert np.array_equal(np.asarray(kept), np.asarray(wanted if mode == "L" else wanted.convert("RGB")))


def test_sixteen_bit_grey_keeps_its_upper_eight(tmp_path):
    deep = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50
    Image.fromarray(deep).save(tmp_path / "deep.png")
    kept = Image.open(io.BytesIO(as_png((tmp_path / "deep.png").read_bytes())))
    assert np.array_equal(np.asarray(kept), (deep >> 8).astype(np.uint8))


def test_the_difference_hash_reads_left_darker_than_right():
    ramp = np.tile(np.arange(0, 180, 2, dtype=np.uint8), (80, 1))
    assert difference_hash(Image.fromarray(ramp)) == 2**64 - 1
    assert difference_hash(Image.fromarray(ramp[:, ::-1])) == 0


def test_a_scaled_and_brightened_copy_has_nearly_the_same_hash():
    picture = Image.fromarray(NOISE).resize((200, 150), Image.Resampling.BICUBIC)
    copy = picture.resize((120, 90)).point(lambda value: value * 0.9 + 10)
    assert bin(difference_hash(picture) ^ difference_hash(copy)).count("1") <= 3
