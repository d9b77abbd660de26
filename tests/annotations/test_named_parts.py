from __future__ import annotations

from pathlib import Path

import pytest

from odrun.annotations.files import ListedFile
from odrun.annotations.named_parts import in_part_folders, parts_by_name


def files(*names: str) -> list[ListedFile]:
    return [ListedFile(name, Path("/data")) for name in names]


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train.csv", "test.csv"), ["train", "validation"]),
        (("coco_train.record", "coco_val.record"), ["train", "validation"]),
        (("Train/a.csv", "eval/a.csv"), ["train", "validation"]),
        (("train2017.csv", "a/val2017.csv"), ["train", "validation"]),
        (("train.csv", "val.csv", "test.csv", "labels.csv"), ["train", "validation", None, None]),
        (("train.csv", "labels.csv"), None),
        (("trainer.csv", "contest.csv"), None),
        (("trainer.csv", "train.csv", "test.csv"), [None, "train", "validation"]),
        ((), None),
    ],
)
def test_words_in_file_and_folder_names_tell_the_parts(names, parts):
    found = parts_by_name(files(*names))
    assert (None if found is None else [found.get(name) for name in names]) == parts


def test_a_file_is_placed_in_folders_of_its_words():
    assert in_part_folders(ListedFile("data/my_train_labels.csv", Path("/x"))) == ListedFile(
        "data/train/my_train_labels.csv", Path("/x")
    )
