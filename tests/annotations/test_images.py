from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile, ImageOps

from odrun.annotations.images import ImageFacts, UndecodableImageError, as_stored, difference_hash, inspect_image

NOISE = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE)
SMOOTH = Image.fromarray(NOISE[:9, :12]).resize((200, 150), Image.Resampling.BICUBIC)
DEEP = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def oriented(orientation: object) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def tiff(planes: np.ndarray, *, bits: int = 16, photometric: int, order: str = "<") -> bytes:
    """A TIFF with one strip of the bytes of `planes`, [height, width, samples], unpacked 16-bit samples."""
    samples = planes.shape[2]
    strip = planes.astype(f"{order}u2").tobytes()
    tags = [
        (256, 3, 1, planes.shape[1]),
        (257, 3, 1, planes.shape[0]),
        (258, 3, samples, bits if samples == 1 else 8),
        (262, 3, 1, photometric),
        (273, 4, 1, 8 + 2 * samples),
        (277, 3, 1, samples),
        (278, 3, 1, planes.shape[0]),
        (279, 4, 1, len(strip)),
    ]
    body = struct.pack(f"{order}{samples}H", *[bits] * samples) + strip
    start = 8 + len(body)
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + struct.pack(
            f"{order}HH" if kind == 3 and count == 1 else f"{order}I",
            *((value, 0) if kind == 3 and count == 1 else (value,)),
        )
        for tag, kind, count, value in tags
    )
    begin = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, start)
    return begin + body + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("kind", "mode", "plain"),
    [
        *(("JPEG", mode, True) for mode in ("RGB", "L")),
        ("JPEG", "CMYK", False),
        *(("PNG", mode, True) for mode in ("RGB", "L", "P", "RGBA", "LA", "1")),
        ("GIF", "P", False),
        *(("BMP", mode, False) for mode in ("RGB", "L", "P", "1")),
        ("WEBP", "RGB", False),
        *(("TIFF", mode, False) for mode in ("RGB", "L", "P", "RGBA", "CMYK", "1")),
    ],
)
def test_an_image_tells_its_real_format_and_whether_it_is_stored_as_it_is(kind, mode, plain):
    facts = inspect_image(encoded(PICTURE.convert(mode), kind))
    assert facts == ImageFacts(40, 30, kind.lower(), mode, 1, plain, facts.look)


def test_a_phone_s_jpeg_with_a_second_picture_is_a_jpeg():
    content = encoded(PICTURE, "MPO", save_all=True, append_images=[PICTURE])
    assert Image.open(io.BytesIO(content)).format == "MPO"
    assert inspect_image(content) == inspect_image(encoded(PICTURE, "JPEG"))


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("MPO", {})]
)
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_image_is_stored_upright(kind, options, orientation):
    content = encoded(SMOOTH, kind, exif=oriented(orientation), **options)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    facts = inspect_image(content)
    stored = as_stored(content)
    assert (facts.width_px, facts.height_px) == wanted.shape[1::-1]
    assert (facts.orientation, facts.plain) == (orientation, False)
    again = inspect_image(stored)
    assert again.file_format == facts.stored_format == ("jpeg" if kind in ("JPEG", "MPO") else "png")
    largest = np.abs(pixels(stored).astype(int) - wanted).max()
    assert largest <= (12 if facts.stored_format == "jpeg" else 0)
    assert (again.width_px, again.height_px, again.orientation) == (facts.width_px, facts.height_px, 1)
    assert bin(facts.look ^ again.look).count("1") <= 3


def test_an_orientation_behind_a_png_s_pixels_counts():
    content = encoded(PICTURE, "PNG")
    exif = chunk(b"eXIf", oriented(6).tobytes()[6:])
    assert inspect_image(content[:-12] + exif + content[-12:]).orientation == 6


@pytest.mark.parametrize(
    ("kind", "value"), [(3, b"\0\0"), (3, b"\x09\0"), (2, b"6\0"), (7, b"\x06\0"), (9, b"\xfa\xff\xff\xff")]
)
def test_an_orientation_that_there_is_not_turns_nothing(kind, value):
    entry = struct.pack("<HHHI", 1, ExifTags.Base.Orientation, kind, 1) + value.ljust(4, b"\0")
    facts = inspect_image(encoded(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + entry + bytes(4)))
    assert (facts.orientation, facts.plain, facts.width_px) == (1, True, 40)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.binary(min_size=1, max_size=40), st.sampled_from(["JPEG", "PNG", "WEBP"]))
@settings(max_examples=100, deadline=None)
def test_exif_data_that_nothing_reads_turn_nothing(garbage, kind):
    facts = inspect_image(encoded(PICTURE, kind, exif=b"Exif\0\0" + garbage))
    assert (facts.orientation, facts.width_px) == (1, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("kept", [0.4, 0.9])
def test_a_file_cut_off_does_not_decode(kind, kept):
    content = encoded(PICTURE, kind)
    with pytest.raises(UndecodableImageError, match=r"^(does not decode|is cut off)"):
        inspect_image(content[: int(len(content) * kept)])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_download_that_ended_early_and_is_filled_with_zeros_does_not_decode(kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    content = encoded(PICTURE, kind)
    with pytest.raises(UndecodableImageError, match=r"is cut off|is damaged"):
        inspect_image(content[:-40] + bytes(40))


def test_a_thumbnail_s_end_is_not_the_jpeg_s_own():
    inner = encoded(PICTURE, "JPEG")
    content = encoded(PICTURE, "JPEG", extra=b"\xff\xe9" + struct.pack(">H", len(inner) + 2) + inner)
    assert inspect_image(content).plain
    with pytest.raises(UndecodableImageError, match="is cut off"):
        inspect_image(content[:-2] + bytes(40))


def test_a_marker_among_a_jpeg_s_pixels_that_swallows_the_end_is_seen():
    content = bytearray(encoded(PICTURE, "JPEG"))
    content[-60:-56] = b"\xff\xe1\xff\x00"
    with pytest.raises(UndecodableImageError, match="is cut off"):
        inspect_image(bytes(content))


def test_what_stands_behind_an_image_s_end_is_passed_over():
    for kind in ("JPEG", "PNG"):
        content = encoded(PICTURE, kind)
        assert inspect_image(content + b"\xff\xda\xff junk") == inspect_image(content)


def test_a_png_whose_checksum_is_wrong_is_damaged():
    content = bytearray(encoded(PICTURE, "PNG"))
    content[-16] ^= 1
    with pytest.raises(UndecodableImageError, match=r"is damaged \(the checksum of its IDAT chunk"):
        inspect_image(bytes(content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"no image", "is none of JPEG, PNG, BMP, GIF, WEBP, TIFF"),
        (b"P6 1 1 255 abc", "is none of JPEG, PNG"),
        (b"<?xml version='1.0'?>\n<svg/>", "is SVG, none of JPEG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC or AVIF, none of JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer .git lfs pull fetches the image."),
        (b"<!DOCTYPE html><html>404", "is a web page, none of JPEG"),
        (b"\xff\xd8\xff", "is cut off"),
        (b"\x89PNG\r\n\x1a\n", "is cut off"),
        (b"BM", "does not decode"),
        (b"GIF89a", "does not decode"),
        (b"II*\0", "does not decode"),
        (b"RIFF\x04\0\0\0WEBP", "does not decode"),
        (png_of_size(0, 10), "does not decode"),
    ],
)
def test_what_is_no_image_is_named(content, words):
    for function in (inspect_image, as_stored):
        with pytest.raises(UndecodableImageError, match=f"^{words}"):
            function(content)


@pytest.mark.parametrize("guard", [None, 1000, Image.MAX_IMAGE_PIXELS])
def test_a_bomb_is_refused_before_its_pixels_are_allocated(guard, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", guard)
    monkeypatch.setattr(Image.core, "new", lambda *_: pytest.fail("pixels were allocated"))
    tracemalloc.start()
    message = "^is 50000x50000 pixels large; at most 178956970 pixels in all are decoded$"
    with pytest.raises(UndecodableImageError, match=message):
        inspect_image(png_of_size(50_000, 50_000))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_side_that_tensorflow_does_not_take_is_refused():
    with pytest.raises(UndecodableImageError, match=r"^is 1000001x1 pixels large; at most 1000000 pixels a side"):
        inspect_image(encoded(Image.new("1", (1_000_001, 1)), "BMP"))


def test_what_pillow_is_set_to_does_not_matter(monkeypatch):
    content = encoded(PICTURE, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect_image(content).plain


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("RGBA", "LA", "P", "1")),
        *(("BMP", mode) for mode in ("RGB", "L", "P", "1")),
        ("GIF", "P"),
        *(("TIFF", mode) for mode in ("RGB", "L", "P", "RGBA", "CMYK", "1")),
        ("JPEG", "CMYK"),
        ("WEBP", "RGBA"),
    ],
)
def test_re_encoding_keeps_every_pixel(kind, mode):
    content = encoded(PICTURE.convert(mode), kind)
    stored = Image.open(io.BytesIO(as_stored(content)))
    wanted = Image.open(io.BytesIO(content))
    assert (stored.format, stored.mode) == ("PNG", "L" if mode in ("L", "LA", "1") else "RGB")
    assert np.array_equal(np.asarray(stored), np.asarray(wanted.convert(stored.mode)))


def test_alpha_is_dropped_and_not_laid_on_white():
    clear = PICTURE.convert("RGBA")
    clear.putalpha(0)
    for content in (encoded(clear, "PNG"), encoded(clear, "WEBP", lossless=True, exact=True), encoded(clear, "TIFF")):
        assert np.array_equal(pixels(as_stored(content)), NOISE)


def test_nothing_but_the_pixels_is_stored():
    content = encoded(PICTURE.convert("P"), "PNG", icc_profile=b"garbage", transparency=3, dpi=(72, 72), gamma=0.5)
    stored = Image.open(io.BytesIO(as_stored(content)))
    stored.load()
    assert stored.info == {}


def test_of_an_animation_the_first_frame_is_stored():
    frames = {"append_images": [PICTURE.transpose(Image.Transpose.ROTATE_180)], "save_all": True}
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        assert np.array_equal(pixels(as_stored(encoded(PICTURE, kind, **frames, **options))), NOISE)
    still, moving = (encoded(PICTURE.convert("P"), "GIF", **options) for options in ({}, frames))
    assert np.array_equal(pixels(as_stored(moving)), pixels(as_stored(still)))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (encoded(Image.fromarray(DEEP), "PNG"), DEEP >> 8),
        (encoded(Image.fromarray(DEEP), "TIFF"), DEEP >> 8),
        (encoded(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"), DEEP >> 8),
        (tiff(DEEP[..., None], photometric=1, order=">"), DEEP >> 8),
        (tiff(DEEP[..., None], photometric=0), 255 - (DEEP >> 8)),
        (tiff(NOISE.astype(np.uint16) * 256 + 77, photometric=2), NOISE),
        (tiff(NOISE.astype(np.uint16) * 256 + 77, photometric=2, order=">"), NOISE),
    ],
    ids=["png", "tiff", "tiff lzw", "tiff big-endian", "tiff white is 0", "tiff rgb", "tiff rgb big-endian"],
)
def test_sixteen_bits_keep_their_upper_eight(content, wanted):
    assert np.array_equal(pixels(as_stored(content)), wanted.astype(np.uint8))


@pytest.mark.parametrize(("mode", "kind"), [("F", "TIFF"), ("I", "TIFF"), ("LAB", "TIFF")])
def test_pixels_of_which_no_eight_bits_can_be_made_are_refused(mode, kind):
    with pytest.raises(UndecodableImageError, match=f"^has pixels of mode {mode}, whose range is not known"):
        inspect_image(encoded(Image.new(mode, (4, 3)), kind))


@st.composite
def damaged(draw):
    mode, kind = draw(st.sampled_from([("RGB", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("RGB", "BMP"), ("RGB", "TIFF")]))
    content = bytearray(encoded(PICTURE.convert(mode), kind, **({} if kind == "GIF" else {"exif": oriented(6)})))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1) | st.integers(0, min(len(content) - 1, 150)))
        content[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(content[: draw(st.integers(1, 2 * len(content)))])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
@given(damaged())
@settings(max_examples=100, deadline=None)
def test_damage_is_told_or_does_no_harm(content):
    try:
        facts = inspect_image(content)
    except UndecodableImageError as error:
        assert str(error).split()[0] in ("is", "has", "does")  # noqa: PT017  both ends are right
        with pytest.raises(UndecodableImageError):
            as_stored(content)
        return
    stored = inspect_image(as_stored(content))
    assert (stored.width_px, stored.height_px, stored.plain) == (facts.width_px, facts.height_px, True)


def test_the_difference_hash_reads_left_darker_than_right():
    ramp = np.tile(np.arange(0, 180, 2, dtype=np.uint8), (80, 1))
    assert difference_hash(Image.fromarray(ramp)) == 2**64 - 1
    assert difference_hash(Image.fromarray(ramp[:, ::-1])) == 0


def test_a_scaled_and_brightened_copy_has_nearly_the_same_hash():
    for scale in (0.6, 2, 8):
        size = (int(SMOOTH.width * scale), int(SMOOTH.height * scale))
        copy = SMOOTH.resize(size).point(lambda value: value * 0.9 + 10)
        assert bin(difference_hash(SMOOTH) ^ difference_hash(copy)).count("1") <= 3


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("scale", [1, 5, 12])
def test_a_jpeg_of_any_size_is_measured_whole_and_looks_like_its_pixels(mode, progressive, scale):
    picture = SMOOTH.convert(mode).resize((SMOOTH.width * scale + 3, SMOOTH.height * scale + 1))
    facts = inspect_image(encoded(picture, "JPEG", quality=90, progressive=progressive))
    assert (facts.width_px, facts.height_px, facts.mode, facts.plain) == (*picture.size, mode, True)
    assert bin(facts.look ^ inspect_image(encoded(picture, "PNG")).look).count("1") <= 1


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_is_refused_where_decoding_all_its_pixels_refuses_it(progressive):
    content = encoded(SMOOTH.resize((800, 600)), "JPEG", progressive=progressive)
    generator = np.random.default_rng(1)
    taken = []
    for _ in range(120):
        damaged = bytearray(content)
        # Most damage is taken as noise; that in the tables, which come first, is not.
        start = int(generator.integers(2, 700))
        damaged[start : start + 2] = generator.bytes(3)
        taken.append((is_taken(inspect_image, bytes(damaged)), is_taken(as_stored, bytes(damaged))))
    assert set(taken) == {(True, True), (False, False)}


def is_taken(read, content):
    try:
        read(content)
    except UndecodableImageError:
        return False
    return True


def test_other_pictures_have_other_hashes():
    other = Image.fromarray(NOISE[15:24, 20:32]).resize((200, 150), Image.Resampling.BICUBIC)
    assert bin(difference_hash(SMOOTH) ^ difference_hash(other)).count("1") > 15
