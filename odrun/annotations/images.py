"""Images: each is decoded once, whole, to prove it, and measured on the way."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

READ_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
SUFFIXES_OF_FORMAT = {
    "jpeg": frozenset((".jpg", ".jpeg", ".jpe")),
    "png": frozenset((".png",)),
    "bmp": frozenset((".bmp",)),
    "gif": frozenset((".gif",)),
    "webp": frozenset((".webp",)),
    "tiff": frozenset((".tif", ".tiff")),
}
_PLAIN_MODES = frozenset(("RGB", "L"))
_DECODING_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class UndecodableImageError(Exception):
    """An image file does not decode; the message says why, in words that follow "the image"."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image file turned out to be.

    `file_format` is its real format in lower case, a key of `SUFFIXES_OF_FORMAT`; `mode` is Pillow's name for its kind
    of pixels; `plain` says that TensorFlow decodes the file as it is, to 8 bits; `look` is the difference hash.
    """

    width_px: int
    height_px: int
    file_format: str
    mode: str
    plain: bool
    look: int


def inspect_image(path: Path) -> ImageFacts:
    """Decode the image at `path` and measure it.

    Raises:
        UndecodableImageError: it is no image of `READ_FORMATS`, is damaged or cut off, or has more pixels than
            Pillow's guard against decompression bombs takes.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as stream:
        content = stream.read()
    image = _decode(content)
    file_format = _format(image)
    return ImageFacts(
        width_px=image.width,
        height_px=image.height,
        file_format=file_format,
        mode=image.mode,
        plain=file_format in ("jpeg", "png") and image.mode in _PLAIN_MODES,
        look=difference_hash(image),
    )


def as_png(content: bytes) -> bytes:
    """The first frame of an encoded image as an 8-bit RGB or grey PNG; 16-bit grey keeps its upper 8 bits.

    Raises:
        UndecodableImageError: as of `inspect_image`.
    """
    image = _decode(content)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode != "L":
        image = image.convert("RGB")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def difference_hash(image: Image.Image) -> int:
    """64 bits, each whether a cell of a 9x8 grey version is darker than its right neighbour.

    Images that look alike differ in few bits (N. Krawetz, "Kind of Like That", 2013).
    """
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(small[:, :-1] < small[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")


def _format(image: Image.Image) -> str:
    # Phones write JPEGs with further pictures behind the first; Pillow calls those MPO.
    return "jpeg" if image.format == "MPO" else str(image.format).lower()


def _decode(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=READ_FORMATS)
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UndecodableImageError(f"has more than {Image.MAX_IMAGE_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise UndecodableImageError(f"is none of {', '.join(READ_FORMATS)}") from error
    except _DECODING_ERRORS as error:
        raise UndecodableImageError(f"does not decode ({error})") from error
    return image
