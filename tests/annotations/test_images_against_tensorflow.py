"""What is stored of an image, as it is or re-encoded, TensorFlow decodes to Pillow's pixels, upright and 8-bit."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from odrun.annotations.images import UndecodableImageError, as_stored, inspect_image

RNG = np.random.default_rng(1)
NOISE = RNG.integers(0, 256, (30, 41, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (30, 41, 4), dtype=np.uint16)
PICTURE = Image.fromarray(NOISE[:6, :8, :3]).resize((100, 75), Image.Resampling.BICUBIC)
# TensorFlow's default is the faster and less exact cosine transform.
JPEG_TOLERANCE = 12


@pytest.fixture(scope="module")
def tf():
    from odrun.compat.tensorflow import tf

    return tf


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(depth: int, colour: int, *between: bytes) -> bytes:
    """A PNG of noise with a bit depth and colour type that Pillow does not write; `between` comes before the pixels."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    rows = DEEP[..., :samples].astype(">u2") if depth == 16 else NOISE[..., :samples]
    length = -(-41 * samples * depth // 8)
    lines = b"".join(b"\0" + row.tobytes()[:length] for row in rows)
    header = struct.pack(">IIBBBBB", 41, 30, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *between, chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def eight_bits(content: bytes) -> np.ndarray:
    """Pillow's upright pixels, int [height, width, 3], without alpha."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB")).astype(int)


def clear(image: Image.Image) -> Image.Image:
    with_alpha = image.convert("RGBA")
    with_alpha.putalpha(image.convert("L").point(lambda value: 255 - value))
    return with_alpha


TRANSPARENT_COLOUR = chunk(b"tRNS", struct.pack(">HHH", *map(int, NOISE[0, 0, :3])))
JPEGS = {
    **{mode: encoded(PICTURE.convert(mode), "JPEG", quality=90) for mode in ("RGB", "L", "CMYK", "1")},
    "progressive": encoded(PICTURE, "JPEG", progressive=True),
    "4:4:4": encoded(PICTURE, "JPEG", subsampling=0),
    "not YCbCr": encoded(PICTURE, "JPEG", keep_rgb=True),
    "restarts": encoded(PICTURE, "JPEG", restart_marker_blocks=1),
    "with another behind": encoded(PICTURE, "MPO", save_all=True, append_images=[PICTURE]),
}
PNGS = {
    **{mode: encoded(PICTURE.convert(mode), "PNG") for mode in ("RGB", "L", "P", "1")},
    "RGBA": encoded(clear(PICTURE), "PNG"),
    "LA": encoded(clear(PICTURE).convert("LA"), "PNG"),
    **{f"{bits}-bit palette": encoded(PICTURE.quantize(2**bits), "PNG", bits=bits) for bits in (1, 2, 4)},
    "palette with alphas": encoded(PICTURE.convert("P"), "PNG", transparency=bytes(range(200))),
    "palette with a clear colour": encoded(PICTURE.convert("P"), "PNG", transparency=3),
    "RGB with a clear colour": png(8, 2, TRANSPARENT_COLOUR),
    **{f"{depth}-bit grey": png(depth, 0) for depth in (2, 4, 16)},
    **{f"16-bit of type {colour}": png(16, colour) for colour in (2, 4, 6)},
    "gamma": png(8, 2, chunk(b"gAMA", struct.pack(">I", 100_000))),
    "significant bits": png(8, 2, chunk(b"sBIT", bytes([5, 5, 5]))),
    "background": png(8, 6, chunk(b"bKGD", struct.pack(">HHH", 255, 0, 0))),
    "animated": encoded(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
    "animated, default first": encoded(
        PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)], default_image=True
    ),
}
OTHERS = {
    **{f"GIF {mode}": encoded(PICTURE.convert(mode), "GIF") for mode in ("P", "L", "RGBA")},
    "GIF animated": encoded(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    **{f"BMP {mode}": encoded(PICTURE.convert(mode), "BMP") for mode in ("RGB", "L", "P", "1")},
    "WebP": encoded(PICTURE, "WEBP"),
    "WebP with alpha": encoded(clear(PICTURE), "WEBP"),
    **{f"TIFF {mode}": encoded(PICTURE.convert(mode), "TIFF") for mode in ("RGB", "L", "P", "CMYK", "1")},
    "TIFF with alpha": encoded(clear(PICTURE), "TIFF"),
    "TIFF 16-bit": encoded(Image.fromarray(DEEP[..., 0]), "TIFF"),
}
TURNED = {
    f"{kind} turned {orientation}": encoded(PICTURE, kind, exif=oriented(orientation))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF")
    for orientation in range(2, 9)
}


@pytest.mark.parametrize("content", PNGS.values(), ids=PNGS)
def test_any_upright_png_is_stored_as_it_is(tf, content):
    assert inspect_image(content).plain
    for decode in (tf.io.decode_png, tf.io.decode_image):
        assert np.array_equal(decode(content, channels=3).numpy(), eight_bits(content))
    assert np.array_equal(eight_bits(as_stored(content)), eight_bits(content))


@pytest.mark.parametrize("kind", JPEGS)
def test_a_grey_or_rgb_jpeg_is_stored_as_it_is(tf, kind):
    content = JPEGS[kind]
    assert inspect_image(content).plain == (kind != "CMYK")
    stored = as_stored(content) if kind == "CMYK" else content
    decoded = tf.io.decode_image(stored, channels=3, expand_animations=False).numpy()
    assert np.abs(decoded - eight_bits(content)).max() <= JPEG_TOLERANCE
    if kind != "CMYK":
        exact = tf.io.decode_jpeg(stored, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        assert np.array_equal(exact, eight_bits(content))


@pytest.mark.parametrize("content", [*OTHERS.values(), *TURNED.values()], ids=[*OTHERS, *TURNED])
def test_all_else_is_re_encoded_to_the_upright_pixels(tf, content):
    facts = inspect_image(content)
    decoded = tf.io.decode_image(as_stored(content), channels=3, expand_animations=False).numpy()
    assert not facts.plain
    assert decoded.shape == (facts.height_px, facts.width_px, 3)
    # A turned JPEG stays a JPEG, and TensorFlow's quick transform differs from Pillow's exact one.
    largest = np.abs(decoded.astype(int) - eight_bits(content)).max()
    assert largest <= (24 if facts.stored_format == "jpeg" else 0)


def test_without_adobe_s_marker_tensorflow_reads_cmyk_the_other_way_round(tf):
    content = JPEGS["CMYK"]
    start = content.index(b"\xff\xee")
    bare = content[:start] + content[start + 2 + int.from_bytes(content[start + 2 : start + 4], "big") :]
    assert np.abs(tf.io.decode_jpeg(bare, channels=3).numpy() - eight_bits(bare)).max() > 100
    assert np.array_equal(tf.io.decode_png(as_stored(bare), channels=3).numpy(), eight_bits(bare))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_stored_of_a_damaged_image_tensorflow_decodes(tf, data):
    contents = [JPEGS["RGB"], JPEGS["L"], JPEGS["progressive"], PNGS["RGB"], PNGS["P"], OTHERS["TIFF RGB"]]
    content = bytearray(data.draw(st.sampled_from(contents)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    damaged = bytes(content[: data.draw(st.integers(len(content) - 50, 2 * len(content)))])
    try:
        facts = inspect_image(damaged)
    except UndecodableImageError:
        return
    stored = damaged if facts.plain else as_stored(damaged)
    decoded = tf.io.decode_image(stored, channels=3, expand_animations=False).numpy()
    assert decoded.shape == (facts.height_px, facts.width_px, 3)
