"""How many boxes a data set has, of which classes and sizes: collected image by image, and kept beside the records.

Comes in: proven images, one after another, each with its part. Goes out: counts and arrays of sizes, and
`statistics.npz` (compressed, readable without pickle, the same bytes for the same images in the same order), so that a
run can draw its plots without reading a record again. A box costs 12 bytes of memory and an image 12. Refused, as
`InputError`: a file that is not such a one.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from odrun.annotations.model import SPLITS, AnnotatedImage
from odrun.errors import InputError
from odrun.runs.files import whole_file

STATISTICS_NAME = "statistics.npz"

Number = TypeVar("Number", np.uint32, np.float32)

_LAYOUT = 1
# Beyond damage that the archive's checksums find: what NumPy and zipfile raise of headers that make no sense.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, SyntaxError, MemoryError, OverflowError),
    *(NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
)


def _float32s() -> array[float]:
    return array("f")


def _uint32s() -> array[int]:
    return array("I")


@dataclass
class _Part:
    """Of each image its width, height and number of boxes; of each box its class, and its width and height in pixels.

    Boxes stand in the order of their images, so that the counts tell which image a box is of.
    """

    image_sizes_px: array[int] = field(default_factory=_uint32s)
    boxes_per_image: array[int] = field(default_factory=_uint32s)
    box_classes: array[int] = field(default_factory=_uint32s)
    box_sizes_px: array[float] = field(default_factory=_float32s)


class BoxStatistics:
    """What is counted and measured of the images added so far; a part is one of `SPLITS`.

    Crowd boxes and difficult ones count like all others. Classes are called as in the images that were added.
    """

    def __init__(self) -> None:
        self._classes: dict[str, int] = {}
        self._parts = {part: _Part() for part in SPLITS}

    def add(self, part: str, image: AnnotatedImage, names: Mapping[str, str] | None = None) -> None:
        """Count and measure the boxes of one image; `names` has what its classes are called, if not as they are there.

        Raises:
            KeyError: the part is none.
        """
        known = self._parts[part]
        known.image_sizes_px.extend((image.width_px, image.height_px))
        known.boxes_per_image.append(len(image.boxes))
        for box in image.boxes:
            name = box.class_name if names is None else names[box.class_name]
            known.box_classes.append(self._classes.setdefault(name, len(self._classes)))
            known.box_sizes_px.extend((box.xmax_px - box.xmin_px, box.ymax_px - box.ymin_px))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that any box has, in the order in which they came."""
        return tuple(self._classes)

    def images(self, part: str) -> int:
        """How many images the part has."""
        return len(self._parts[part].boxes_per_image)

    def boxes(self, part: str) -> int:
        """How many boxes the part has."""
        return len(self._parts[part].box_classes)

    def boxes_of_classes(self, part: str) -> dict[str, int]:
        """How many boxes of each class the part has; every class of `classes` is a key."""
        return self._by_class(np.array(self._parts[part].box_classes, dtype=np.int64))

    def images_of_classes(self, part: str) -> dict[str, int]:
        """How many images of the part have a box of each class; every class of `classes` is a key."""
        known = self._parts[part]
        image_of_box = np.repeat(np.arange(self.images(part)), self.boxes_per_image(part))
        pairs = np.unique(image_of_box * max(1, len(self._classes)) + np.array(known.box_classes, dtype=np.int64))
        return self._by_class(pairs % max(1, len(self._classes)))

    def boxes_per_image(self, part: str) -> npt.NDArray[np.int64]:
        """[images]: how many boxes each image has."""
        return np.array(self._parts[part].boxes_per_image, dtype=np.int64)

    def image_sizes_px(self, part: str) -> npt.NDArray[np.int64]:
        """[images, 2]: width and height of each image, in pixels."""
        return np.array(self._parts[part].image_sizes_px, dtype=np.int64).reshape(-1, 2)

    def box_sizes_px(self, part: str) -> npt.NDArray[np.float32]:
        """[boxes, 2]: width and height of each box, in pixels of its image."""
        return np.array(self._parts[part].box_sizes_px, dtype=np.float32).reshape(-1, 2)

    def box_image_sizes_px(self, part: str) -> npt.NDArray[np.int64]:
        """[boxes, 2]: width and height of the image that each box lies in, in pixels."""
        return np.repeat(self.image_sizes_px(part), self.boxes_per_image(part), axis=0)

    def box_sizes_fraction(self, part: str) -> npt.NDArray[np.float32]:
        """[boxes, 2]: width and height of each box, as fractions (0 to 1) of its image's."""
        fractions = np.divide(self.box_sizes_px(part), self.box_image_sizes_px(part), dtype=np.float32)
        return np.asarray(fractions, dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write all of it to `path`, as a whole.

        Raises:
            OSError: the file cannot be written.
        """
        classes = json.dumps([_LAYOUT, *self._classes]).encode()
        arrays: dict[str, npt.NDArray[np.generic]] = {"classes": np.frombuffer(classes, dtype=np.uint8)}
        for part in SPLITS:
            known = self._parts[part]
            arrays[f"{part}_image_sizes_px"] = self.image_sizes_px(part).astype(np.uint32)
            arrays[f"{part}_boxes_per_image"] = self.boxes_per_image(part).astype(np.uint32)
            arrays[f"{part}_box_classes"] = np.array(known.box_classes, dtype=np.uint32)
            arrays[f"{part}_box_sizes_px"] = self.box_sizes_px(part)
        with whole_file(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> BoxStatistics:
        """What `save` wrote to `path`.

        Raises:
            InputError: there is no such file, or it is not whole, or another version wrote it.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls._restored({name: stored[name] for name in stored.files})
        except _UNREADABLE as error:
            raise InputError(
                f"The statistics of the prepared data cannot be read: {str(error) or type(error).__name__}.",
                where=str(path),
                remedy="remove the folder that holds them and run odrun prepare again",
            ) from error

    @classmethod
    def _restored(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> BoxStatistics:
        layout, *classes = json.loads(arrays["classes"].tobytes())
        if layout != _LAYOUT:
            raise ValueError(f"layout {layout!r}, not {_LAYOUT}")
        statistics = cls()
        statistics._classes = {str(name): index for index, name in enumerate(classes)}
        for part in SPLITS:
            images = _whole(arrays, f"{part}_image_sizes_px", np.uint32, 2)
            counts = _whole(arrays, f"{part}_boxes_per_image", np.uint32)
            indices = _whole(arrays, f"{part}_box_classes", np.uint32)
            sizes = _whole(arrays, f"{part}_box_sizes_px", np.float32, 2)
            agree = len(images) == len(counts) and counts.sum(dtype=np.int64) == len(indices) == len(sizes)
            if not agree or (indices >= len(statistics._classes)).any() or not (images > 0).all():
                raise ValueError(f"the arrays of {part} do not fit one another")
            if not (np.isfinite(sizes) & (sizes >= 0)).all():
                raise ValueError(f"the boxes of {part} have sizes that are none")
            statistics._parts[part] = _Part(
                array("I", images.ravel().tolist()),
                array("I", counts.tolist()),
                array("I", indices.tolist()),
                array("f", sizes.ravel().tolist()),
            )
        return statistics

    def _by_class(self, indices: npt.NDArray[np.int64]) -> dict[str, int]:
        counts = np.bincount(indices, minlength=len(self._classes))
        return {name: int(counts[index]) for name, index in self._classes.items()}


def _whole(
    arrays: Mapping[str, npt.NDArray[np.generic]], name: str, dtype: type[Number], columns: int | None = None
) -> npt.NDArray[Number]:
    """The array `name`, of the type and the shape that it is saved with: [n], or [n, columns]."""
    found = arrays[name]
    if found.dtype != dtype or found.shape[1:] != (() if columns is None else (columns,)) or not found.ndim:
        raise ValueError(f"{name} is an array {found.dtype}{list(found.shape)}")
    return np.asarray(found, dtype=dtype)
