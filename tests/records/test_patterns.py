from __future__ import annotations

from pathlib import Path

import pytest

from odrun.records.patterns import pattern_of


def made(folder: Path, names: list[str]) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


@pytest.mark.parametrize(
    ("names", "others", "pattern"),
    [
        (["train.record"], ["train.records"], "train.record"),
        ([f"train.record-{n:05d}-of-00011" for n in range(11)], ["val.record"], "train.record-000*-of-00011"),
        (["a/x.record", "b/x.record"], [], "*/x.record"),
        (["train/aab.record", "train/ab.record"], ["val/a.record"], "train/a*b.record"),
        (["train/1.record", "train/2.record"], [], "train/*.record"),
        (["a[1].record", "a[2].record"], ["a1.record"], r"a\[*\].record"),
        (["a*b.record"], ["a-b.record"], r"a\*b.record"),
        (["train-1.record", "train-2.record"], ["train-2.record~"], "train-*.record"),
        (["train-1.record", "train-2.record"], ["train-3.record"], None),
        (["train/a.record", "train/b/a.record"], [], None),
        (["gone.record"], [], None),
    ],
)
def test_a_pattern_means_the_files_and_no_others_or_there_is_none(tmp_path, names, others, pattern):
    made(tmp_path, others)
    found = pattern_of(made(tmp_path, names) if pattern or others else [tmp_path / name for name in names])
    assert found == (None if pattern is None else f"{tmp_path}/{pattern}")


def test_signs_of_a_glob_in_the_folder_are_escaped_as_tensorflow_has_it(tmp_path):
    files = made(tmp_path / "a [1]*?", ["1.record", "2.record"])
    assert pattern_of(files) == f"{tmp_path}/a \\[1\\]\\*\\?/*.record"
    tf = pytest.importorskip("tensorflow")
    assert sorted(tf.io.gfile.glob(pattern_of(files))) == sorted(map(str, files))


def test_no_files_have_no_pattern():
    assert pattern_of([]) is None
