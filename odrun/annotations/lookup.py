"""Which image file an annotation means, in the folder layouts people have.

An image belongs to an annotation by its place: the folder's path below the data set without the words that only say
what kind of file lies there (`images`, `annotations`, `JPEGImages`, ...). So `train/labels/a.xml`, `labels/train/a.xml`
and `train/a.xml` all find `train/a.jpg`, `train/images/a.jpg` or `images/train/a.jpg`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Container, Iterable
from functools import cached_property, lru_cache
from pathlib import PurePosixPath

from odrun.annotations.file_index import FileIndex, FileWords
from odrun.annotations.files import ListedFile, Listing
from odrun.annotations.model import TRAIN, VALIDATION
from odrun.annotations.problems import ProblemLog

KIND_WORDS = frozenset(
    (
        *("annotation", "annotations", "annots", "labels", "xml", "xmls", "voc", "labelimg"),
        *("image", "images", "img", "imgs", "jpegimages", "jpg", "jpgs", "photos", "pictures", "data"),
    )
)
TRAIN_WORDS = frozenset(("train", "training"))
VALIDATION_WORDS = ("val", "valid", "validation", "eval", "test", "testing")
USED = "used"


class ImageIndex:
    """Finds image files by the name an annotation gives and the place it lies in."""

    def __init__(self, images: Listing, annotations: Iterable[ListedFile]) -> None:
        self._images = images
        self._annotated_places = {_place(file) for file in annotations}
        self._by_stem_at_place = FileIndex(images, lambda image: f"{_place(image)}/{plain(image.stem)}")

    def find(self, annotation: ListedFile, stated_name: str) -> ListedFile | None:
        """The image that `annotation` means by `stated_name` (a file name, perhaps with folders, perhaps empty).

        Looked for by that name at the annotation's place, then by the annotation's own stem there, then by that name
        in the whole data set if it is unique and lies where no annotations lie. None where nothing is found.
        """
        place = _place(annotation)
        stated = PurePosixPath(stated_name.replace("\\", "/"))
        candidates = (
            _named(stated.name, self._at(place, stated.stem))
            or (self._at(place, stated.name) if stated.name and not stated.suffix else ())
            or self._at(place, annotation.stem)
        )
        if candidates:
            return min(candidates, key=lambda image: _distance(image, annotation, stated.name))
        elsewhere = self._anywhere.find(plain(stated.name))
        if len(elsewhere) == 1 and _place(elsewhere[0]) not in self._annotated_places:
            return elsewhere[0]
        return None

    def _at(self, place: str, stem: str) -> list[ListedFile]:
        return self._by_stem_at_place.find(f"{place}/{plain(stem)}")

    @cached_property
    def _anywhere(self) -> FileIndex:
        return FileIndex(self._images, lambda image: plain(image.file_name))


def given_split(annotations: Listing) -> FileWords | None:
    """Annotation name → part, read off folders named like `train` and `val`; None unless both are there.

    `val`, `valid`, `validation` and `eval` come before `test`: where both lie beside `train`, `test` stays unused.
    """
    folders = {folder: _words(folder) for folder in {file.folder for file in annotations}}
    present: frozenset[str] = frozenset().union(*folders.values())
    held_back = [word for word in VALIDATION_WORDS if word in present]
    if not held_back or not TRAIN_WORDS & present:
        return None
    tests = frozenset(("test", "testing"))
    chosen = frozenset(word for word in held_back if word not in tests) or frozenset(held_back)
    parts = FileWords(annotations)
    for file in annotations:
        words = folders[file.folder]
        if words & chosen:
            parts[file.name] = VALIDATION
        elif words & TRAIN_WORDS:
            parts[file.name] = TRAIN
    return parts


def note_unused(
    images: Iterable[ListedFile],
    used: Container[str],
    fault_of: Callable[[ListedFile], str | None],
    problems: ProblemLog,
) -> None:
    """Count each image that is not among the names `used` as lost to the fault of its annotation, which `fault_of`
    tells; one that has no annotation (None) is noted."""
    for image in images:
        if image.name in used:
            continue
        fault = fault_of(image)
        if fault is not None:
            problems.lost.add(fault, images=1)
        else:
            problems.add("image_without_annotation", image.path, "has no annotation", images_lost=1)


def _named(name: str, images: Iterable[ListedFile]) -> tuple[ListedFile, ...]:
    return tuple(image for image in images if plain(image.file_name) == plain(name))


def _words(folder: str) -> frozenset[str]:
    return frozenset(folder.lower().split("/"))


def _place(file: ListedFile) -> str:
    return _place_of_folder(file.folder)


@lru_cache(maxsize=1 << 10)
def _place_of_folder(folder: str) -> str:
    return "/".join(part for part in map(plain, folder.split("/")) if part and part not in KIND_WORDS)


def plain(name: str) -> str:
    """A name as file systems compare it that know neither case nor ways of writing an accent."""
    return unicodedata.normalize("NFC", name).casefold()


def _distance(image: ListedFile, annotation: ListedFile, stated: str) -> tuple[bool, bool, str]:
    return (image.file_name != stated, image.folder != annotation.folder, image.name)
