"""Images: a file's bytes → what the image is, proven by decoding it once, whole; and the bytes to store of it.

Comes in: JPEG, PNG, BMP, GIF, WebP or TIFF of any common kind of pixels; of several pictures the first. Goes out:
`ImageFacts`, and an upright 8-bit PNG of what TensorFlow does not decode to the same pixels by itself. Refused, as
`UndecodableImageError`: other formats, damage, more than `LARGEST_PIXELS`, pixels whose range no one knows.

Alpha is dropped rather than laid on white: TensorFlow drops it when it decodes to three channels, so that an image has
the same pixels in training, in an exported model and in `odrun predict`.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from odrun.annotations.orientation import upright_size

SUFFIXES_OF_FORMAT = {
    "jpeg": frozenset((".jpg", ".jpeg", ".jpe")),
    "png": frozenset((".png",)),
    "bmp": frozenset((".bmp",)),
    "gif": frozenset((".gif",)),
    "webp": frozenset((".webp",)),
    "tiff": frozenset((".tif", ".tiff")),
}
# Twice what Pillow warns of, half a gigabyte as RGB; and the longest side that libpng takes, and TensorFlow with it.
LARGEST_PIXELS = 178_956_970
LONGEST_SIDE_PX = 1_000_000

_SAMPLED_SIDE_PX = 144
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EIGHT_BIT_MODES = dict.fromkeys(("1", "L", "LA"), "L")
_EIGHT_BIT_MODES |= dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"), "RGB")
_BITS_PER_SAMPLE, _PHOTOMETRIC_INTERPRETATION, _WHITE_IS_ZERO = 258, 262, 0
# The end (\xd9) or a marker with a length: none of those that may stand among the pixels (ITU T.81, table B.1).
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_JPEG_MODES = ("RGB", "L")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Image.open is not used since what it takes depends on settings and filters that any library may change.
_READERS: dict[str, tuple[re.Pattern[bytes], Callable[[io.BytesIO], ImageFile]]] = {
    "jpeg": (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    "png": (re.compile(re.escape(_PNG_SIGNATURE)), PngImageFile),
    "bmp": (re.compile(rb"BM"), BmpImageFile),
    "gif": (re.compile(rb"GIF8[79]a"), GifImageFile),
    "webp": (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    "tiff": (re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
}
_NOT_READ = {
    "HEIC or AVIF": re.compile(rb"....ftyp(he[iv]|mif1|msf1|avi)", re.DOTALL),
    "a Git LFS pointer (git lfs pull fetches the image)": re.compile(rb"version https://git-lfs"),
    "SVG": re.compile(rb"\s*<(svg|\?xml[^>]*>\s*<svg)", re.IGNORECASE),
    "a web page": re.compile(rb"\s*<(!doctype\s+html|html)", re.IGNORECASE),
}
_DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, LookupError, TypeError, AttributeError, AssertionError, EOFError),
    *(ArithmeticError, MemoryError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
    # Raised where the user has made warnings errors.
    Warning,
)


class UndecodableImageError(Exception):
    """An image file does not decode; the message says why, in words that follow "the image"."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image file turned out to be.

    Width and height are those of the upright image. `file_format` is the real format in lower case, a key of
    `SUFFIXES_OF_FORMAT`; `mode` is Pillow's name for the kind of pixels; `orientation` is EXIF's, 1 to 8, 1 where the
    file has none; `plain` says that TensorFlow decodes the file as it is to the upright 8-bit image; `look` is the
    difference hash of that.
    """

    width_px: int
    height_px: int
    file_format: str
    mode: str
    orientation: int
    plain: bool
    look: int

    @property
    def stored_format(self) -> str:
        """What is stored of it: JPEG of a JPEG in grey or RGB, PNG of all else."""
        return "jpeg" if self.file_format == "jpeg" and self.mode in _JPEG_MODES else "png"


@dataclass(frozen=True, slots=True)
class _Decoded:
    """An image as 8-bit grey or RGB, to be turned by `turn`; size and `mode` are those of the file's own pixels."""

    image: Image.Image
    size: tuple[int, int]
    file_format: str
    mode: str
    orientation: int
    turn: Image.Transpose | None

    def turned(self, image: Image.Image) -> Image.Image:
        return image if self.turn is None else image.transpose(self.turn)


def inspect_image(content: bytes) -> ImageFacts:
    """Decode an encoded image, all of it, and measure it.

    Raises:
        UndecodableImageError: it is of no format in `SUFFIXES_OF_FORMAT`, is damaged or cut off, has more pixels than
            `LARGEST_PIXELS` (seen before they are decoded), or pixels of which no 8-bit image can be made.
    """
    decoded = _decode(content, look_will_do=True)
    width_px, height_px = upright_size(*decoded.size, _UPRIGHT if decoded.turn is None else decoded.orientation)
    taken = decoded.file_format == "png" or (decoded.file_format == "jpeg" and decoded.mode in _JPEG_MODES)
    return ImageFacts(
        width_px=width_px,
        height_px=height_px,
        file_format=decoded.file_format,
        mode=decoded.mode,
        orientation=decoded.orientation,
        plain=taken and decoded.orientation == _UPRIGHT,
        look=difference_hash(decoded.turned(_sampled(decoded.image))),
    )


def as_stored(content: bytes) -> bytes:
    """An encoded image as an upright 8-bit one, RGB or grey; 16-bit pixels keep their upper 8 bits.

    A JPEG that only has to be turned becomes a JPEG of quality 95 with whole colours: as a PNG a photograph is five
    times as large and takes five times as long to decode. All else becomes a PNG, which loses nothing.

    Raises:
        UndecodableImageError: as of `inspect_image`.
    """
    decoded = _decode(content)
    stream = io.BytesIO()
    upright = decoded.turned(decoded.image)
    if decoded.file_format == "jpeg" and decoded.mode in _JPEG_MODES:
        upright.save(stream, "JPEG", quality=95, subsampling=0)
    else:
        upright.save(stream, "PNG")
    return stream.getvalue()


def upright_pixels(content: bytes) -> npt.NDArray[np.uint8]:
    """The pixels of an encoded image as a model sees them in training: RGB, upright, uint8 [height, width, 3].

    Raises:
        UndecodableImageError: as of `inspect_image`.
    """
    decoded = _decode(content)
    return np.asarray(decoded.turned(decoded.image).convert("RGB"))


def difference_hash(image: Image.Image) -> int:
    """64 bits, each whether a cell of a 9x8 grey version is darker than its right neighbour; `image` is grey or RGB.

    Images that look alike differ in few bits (N. Krawetz, "Kind of Like That", 2013).
    """
    small = np.asarray(_sampled(image).convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(small[:, :-1] < small[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")


def _sampled(image: Image.Image) -> Image.Image:
    """Every n-th pixel: enough for each cell of the hash to be a mean over 16x18 of them, at a fifth of the time."""
    size = (min(image.width, _SAMPLED_SIDE_PX), min(image.height, _SAMPLED_SIDE_PX))
    return image.resize(size, Image.Resampling.NEAREST)


def _decode(content: bytes, *, look_will_do: bool = False) -> _Decoded:
    """The pixels; with `look_will_do` of a JPEG its brightness alone, of the smallest size that the hash needs.

    All of the file is decoded as well: what is left out is the transform of coefficients to pixels, which cannot fail.
    """
    file_format = _format(content)
    try:
        _prove_end(content, file_format)
        image = _READERS[file_format][1](io.BytesIO(content))
        _refuse_bomb(image)
        # Pillow turns a TIFF when it decodes it, and forgets the orientation; a PNG may state it behind its pixels.
        turned_by_pillow = _orientation(image) if file_format == "tiff" else None
        of_file = image.size, image.mode
        is_drafted = look_will_do and file_format == "jpeg" and image.mode in _JPEG_MODES
        if is_drafted:
            image.draft("L", (_SAMPLED_SIDE_PX, _SAMPLED_SIDE_PX))
        image.load()
        orientation = turned_by_pillow or _orientation(image)
        # Profiles and transparent colours would change the conversion, and be stored.
        image.info = {}
        size, mode = of_file if is_drafted else (image.size, image.mode)
        eight_bits = _eight_bits(image)
    except _DECODING_ERRORS as error:
        raise UndecodableImageError(f"does not decode ({str(error) or type(error).__name__})") from error
    turn = None if turned_by_pillow else _TURNS.get(orientation)
    return _Decoded(eight_bits, size, file_format, mode, orientation, turn)


def _format(content: bytes) -> str:
    if not content:
        raise UndecodableImageError("is empty")
    found = next((name for name, (begin, _) in _READERS.items() if begin.match(content)), None)
    if found is None:
        other = next((name for name, begin in _NOT_READ.items() if begin.match(content)), None)
        known = ", ".join(name.upper() for name in _READERS)
        raise UndecodableImageError(f"is {other}, none of {known}" if other else f"is none of {known}")
    return found


def _prove_end(content: bytes, file_format: str) -> None:
    """Refuse what Pillow takes and TensorFlow does not: no end (JPEG, PNG), a wrong checksum (PNG)."""
    if file_format == "png":
        start, kind = len(_PNG_SIGNATURE), b""
        while kind != b"IEND":
            end = start + 8 + int.from_bytes(content[start : start + 4], "big")
            kind, checksum = content[start + 4 : start + 8], content[end : end + 4]
            if len(checksum) < 4:
                raise UndecodableImageError("is cut off (it has no end chunk)")
            if zlib.crc32(content[start + 4 : end]) != int.from_bytes(checksum, "big"):
                raise UndecodableImageError(f"is damaged (the checksum of its {ascii(kind)[2:-1]} chunk is wrong)")
            start = end + 4
    if file_format == "jpeg":
        marker = _JPEG_MARKER.search(content, 2)
        while marker is not None and marker[1] != b"\xd9":
            length = int.from_bytes(content[marker.end() : marker.end() + 2], "big")
            marker = _JPEG_MARKER.search(content, marker.end() + length)
        if marker is None:
            raise UndecodableImageError("is cut off (it has no end marker)")


def _refuse_bomb(image: Image.Image) -> None:
    size = f"is {image.width}x{image.height} pixels large"
    if image.width * image.height > LARGEST_PIXELS:
        raise UndecodableImageError(f"{size}; at most {LARGEST_PIXELS} pixels in all are decoded")
    if max(image.size) > LONGEST_SIDE_PX:
        raise UndecodableImageError(f"{size}; at most {LONGEST_SIDE_PX} pixels a side are decoded")


def _orientation(image: Image.Image) -> int:
    try:
        stated = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except _DECODING_ERRORS:
        # Viewers pass over Exif data that they cannot read.
        return _UPRIGHT
    return int(stated) if stated in range(1, 9) else _UPRIGHT


def _eight_bits(image: ImageFile) -> Image.Image:
    mode = image.mode
    if mode in _EIGHT_BIT_MODES:
        return image if mode == _EIGHT_BIT_MODES[mode] else image.convert(_EIGHT_BIT_MODES[mode])
    if not mode.startswith("I;16"):
        raise UndecodableImageError(f"has pixels of mode {mode}, whose range is not known; save it with 8 bits")
    return _upper_bits(image)


def _upper_bits(image: ImageFile) -> Image.Image:
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    upper = (np.asarray(image) >> (tags.get(_BITS_PER_SAMPLE, (16,))[0] - 8)).astype(np.uint8)
    return Image.fromarray(255 - upper if tags.get(_PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO else upper)
