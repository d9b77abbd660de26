"""Which image file one annotation file for many images means by a path such as `train2017/0001.jpg`.

Comes in: the images, the annotation files, and a stated path: a file name, perhaps with folders, which may be those of
Windows, of another machine, or a URL's. Goes out: the image whose last folders agree with the stated ones in most; of
several such the one in the part (`train`, `val`, `test`) that the annotation file's name and folders tell, then the one
nearest to it. Refused: an image of another part, one beside another annotation file, and a choice between two that are
as near.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import PurePosixPath

from odrun.annotations.file_index import FileIndex
from odrun.annotations.files import ListedFile, Listing
from odrun.annotations.lookup import KIND_WORDS, TRAIN_WORDS, VALIDATION_WORDS, plain

_TEST_WORDS = frozenset(("test", "testing"))
_VALIDATION_WORDS = frozenset(VALIDATION_WORDS) - _TEST_WORDS
_PART_OF_WORD = (
    dict.fromkeys(TRAIN_WORDS, "train") | dict.fromkeys(_VALIDATION_WORDS, "val") | dict.fromkeys(_TEST_WORDS, "test")
)
_Folders = tuple[str, ...]


class ImagePaths:
    """The images of a data set, to be found by the paths that annotation files state."""

    def __init__(self, images: Listing, annotations: Iterable[ListedFile]) -> None:
        self._by_name = FileIndex(images, lambda image: plain(image.file_name))
        self._homes = {_place(_folders(file.name)) for file in annotations}

    def find(self, annotation: ListedFile, stated: str) -> ListedFile | None:
        """The image that `annotation` means by `stated`; None where there is none, or more than one as near."""
        *folders, name = (part for part in ("", *stated.replace("\\", "/").split("/")) if part not in (".", ".."))
        wanted = tuple(plain(folder) for folder in folders if folder)
        ranked = []
        for image in self._by_name.find(plain(name)):
            rank = self._rank(image, wanted, annotation)
            if rank is not None:
                ranked.append(((*rank, image.file_name != name), image))
        ranked.sort(key=lambda pair: pair[0])
        if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
            return None
        return ranked[0][1]

    def _rank(self, image: ListedFile, wanted: _Folders, annotation: ListedFile) -> tuple[int, bool, int, int] | None:
        """How near an image is, the nearest first; None where it is another's."""
        folders = _folders(image.name)
        agreeing = _in_common(folders[::-1], wanted[::-1])
        # What was stated needs no other reason.
        folders = folders[: len(folders) - agreeing]
        place, home = _place(folders), _place(_folders(annotation.name))
        part, wanted_part = _parts_of_folders(folders), _parts_of_file(annotation)
        if part and wanted_part and not part & wanted_part:
            return None
        homes = [each for each in self._homes if place[: len(each)] == each]
        if homes and max(homes, key=len) != home:
            return None
        return -agreeing, not part & wanted_part, -_in_common(place, home), len(place)


def _folders(name: str) -> _Folders:
    return tuple(map(plain, PurePosixPath(name).parts[:-1]))


def _place(folders: _Folders) -> _Folders:
    return tuple(folder for folder in folders if folder not in KIND_WORDS)


def _in_common(some: _Folders, others: _Folders) -> int:
    """How many agree, from the first on."""
    pairs = zip(some, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _parts_of_folders(folders: _Folders) -> frozenset[str]:
    """The parts that folders tell: `train2017` and `images_train` do, `test tubes` does not."""
    words = (_words(folder) for folder in folders)
    telling = (each for each in words if each <= _PART_OF_WORD.keys() | KIND_WORDS)
    return frozenset(_PART_OF_WORD[word] for each in telling for word in each if word in _PART_OF_WORD)


def _parts_of_file(annotation: ListedFile) -> frozenset[str]:
    own = (_PART_OF_WORD[word] for word in _words(plain(annotation.file_name)) if word in _PART_OF_WORD)
    return frozenset(own) | _parts_of_folders(_folders(annotation.name))


def _words(name: str) -> frozenset[str]:
    return frozenset(word for word in re.split(r"[^a-z]+", name) if word)
