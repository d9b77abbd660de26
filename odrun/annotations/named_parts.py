"""The split that files of many images each bring by their names: `train_labels.csv` and `test_labels.csv`, say.

Comes in: the files. Goes out: which of them belong to which part, by the words of `odrun.annotations.lookup` in the
names of the folders and in the files' own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from odrun.annotations.files import ListedFile, Listing
from odrun.annotations.lookup import TRAIN_WORDS, VALIDATION_WORDS, given_split

_PART_WORDS = TRAIN_WORDS | frozenset(VALIDATION_WORDS)


def parts_by_name(files: Iterable[ListedFile]) -> dict[str, str] | None:
    """File name → part; None unless both parts are there, and without the files that belong to neither.

    Words rank as in `given_split`. A word counts where no letter adjoins it: in `train2017.csv`, not in `trainer.csv`.
    """
    moved = {in_part_folders(file).name: file for file in files}
    parts = given_split(Listing.of(Path(), moved))
    return None if parts is None else {moved[name].name: part for name, part in parts.items()}


def in_part_folders(file: ListedFile) -> ListedFile:
    """`file` as if it lay in folders of the part words in its name: `train_labels.csv` in `train/`."""
    place = PurePosixPath(file.name)
    words = [word for word in re.split(r"[^a-z]+", place.name.lower()) if word in _PART_WORDS]
    return ListedFile(str(place.parent.joinpath(*words, place.name)), file.root)
