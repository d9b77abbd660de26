"""FILE, DIR or GLOB → the images to detect in, sorted, under names that are unique."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from odrun.annotations.images import UndecodableImageError, upright_pixels
from odrun.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class SourceImage:
    """An image file; `name` is its path relative to the source, in POSIX form."""

    name: str
    path: Path

    def pixels(self) -> npt.NDArray[np.uint8]:
        """RGB pixels, uint8 [height, width, 3], upright, as an image of the training data is read.

        Raises:
            InputError: the file does not decode.
        """
        try:
            return upright_pixels(self.path.read_bytes())
        except OSError as error:
            what = f"the image cannot be read: {(error.strerror or str(error)).lower()}"
            raise InputError(what, where=str(self.path), remedy="give yourself the right to read it") from error
        except UndecodableImageError as error:
            what = f"the image {error}"
            raise InputError(what, where=str(self.path), remedy="remove it, or save it anew") from error


def find_images(source: str) -> tuple[SourceImage, ...]:
    """The images of a file, of a folder (with its subfolders) or of a glob, sorted by name.

    Raises:
        InputError: nothing is there, or nothing there is an image.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return (SourceImage(path.name, path),)
    if path.is_dir():
        found, root = (file for file in path.rglob("*") if _is_image(file)), path
    else:
        matches = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207  the pattern may be absolute
        found = (match for match in matches if match.is_file() and _is_image(match))
        root = Path(os.path.commonpath([match.parent for match in matches])) if matches else path.parent
    images = tuple(sorted((SourceImage(file.relative_to(root).as_posix(), file) for file in found), key=_by_name))
    if not images:
        raise InputError(
            "there is no image to detect in" if path.exists() else "there is no such file, folder or match",
            where=f"source={source}",
            remedy=f"name a file, folder or glob with images ({' '.join(SUFFIXES)})",
        )
    return images


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _by_name(image: SourceImage) -> str:
    return image.name
