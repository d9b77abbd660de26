"""Which image file an annotation means, in the folder layouts people have.

An image belongs to an annotation by its place: the folder's path below the data set without the words that only say
what kind of file lies there (`images`, `annotations`, `JPEGImages`, ...). So `train/labels/a.xml`, `labels/train/a.xml`
and `train/a.xml` all find `train/a.jpg`, `train/images/a.jpg` or `images/train/a.jpg`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from odrun.annotations.files import ListedFile
from odrun.annotations.model import TRAIN, VALIDATION

KIND_WORDS = frozenset(
    (
        *("annotation", "annotations", "annots", "labels", "xml", "xmls", "voc", "labelimg"),
        *("image", "images", "img", "imgs", "jpegimages", "jpg", "jpgs", "photos", "pictures", "data"),
    )
)
TRAIN_WORDS = frozenset(("train", "training"))
VALIDATION_WORDS = ("val", "valid", "validation", "eval", "test", "testing")


class ImageIndex:
    """Finds image files by the name an annotation gives and the place it lies in."""

    def __init__(self, images: Iterable[ListedFile], annotations: Iterable[ListedFile]) -> None:
        self._by_name: dict[tuple[tuple[str, ...], str], list[ListedFile]] = {}
        self._by_stem: dict[tuple[tuple[str, ...], str], list[ListedFile]] = {}
        self._anywhere: dict[str, list[ListedFile]] = {}
        self._annotated_places = {_place(file) for file in annotations}
        for image in images:
            place, name = _place(image), image.path.name
            self._by_name.setdefault((place, _plain(name)), []).append(image)
            self._by_stem.setdefault((place, _plain(image.path.stem)), []).append(image)
            self._anywhere.setdefault(_plain(name), []).append(image)

    def find(self, annotation: ListedFile, stated_name: str) -> ListedFile | None:
        """The image that `annotation` means by `stated_name` (a file name, perhaps with folders, perhaps empty).

        Looked for by that name at the annotation's place, then by the annotation's own stem there, then by that name
        in the whole data set if it is unique and lies where no annotations lie. None where nothing is found.
        """
        place = _place(annotation)
        stated = PurePosixPath(stated_name.replace("\\", "/")).name
        candidates = (
            self._by_name.get((place, _plain(stated)), [])
            or (self._by_stem.get((place, _plain(stated)), []) if stated and not PurePosixPath(stated).suffix else [])
            or self._by_stem.get((place, _plain(annotation.path.stem)), [])
        )
        if candidates:
            return min(candidates, key=lambda image: _distance(image, annotation, stated))
        elsewhere = self._anywhere.get(_plain(stated), [])
        if len(elsewhere) == 1 and _place(elsewhere[0]) not in self._annotated_places:
            return elsewhere[0]
        return None


def given_split(annotations: list[ListedFile]) -> dict[str, str] | None:
    """Annotation name → part, read off folders named like `train` and `val`; None unless both are there.

    `val`, `valid`, `validation` and `eval` come before `test`: where both lie beside `train`, `test` stays unused.
    """
    folders = {file.name: frozenset(map(str.lower, PurePosixPath(file.name).parts[:-1])) for file in annotations}
    present: frozenset[str] = frozenset().union(*folders.values())
    held_back = [word for word in VALIDATION_WORDS if word in present]
    if not held_back or not TRAIN_WORDS & present:
        return None
    tests = frozenset(("test", "testing"))
    chosen = frozenset(word for word in held_back if word not in tests) or frozenset(held_back)
    parts = {}
    for name, words in folders.items():
        if words & chosen:
            parts[name] = VALIDATION
        elif words & TRAIN_WORDS:
            parts[name] = TRAIN
    return parts


def _place(file: ListedFile) -> tuple[str, ...]:
    return tuple(part for part in map(_plain, PurePosixPath(file.name).parts[:-1]) if part not in KIND_WORDS)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _distance(image: ListedFile, annotation: ListedFile, stated: str) -> tuple[bool, bool, str]:
    return (image.path.name != stated, image.path.parent != annotation.path.parent, image.name)
