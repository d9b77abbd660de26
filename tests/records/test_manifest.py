from __future__ import annotations

import json
from pathlib import Path

import pytest

from odrun.annotations.digests import FileContent
from odrun.annotations.keypoint_slots import KeypointSlots
from odrun.records import manifest
from odrun.records.manifest import Ledger, PartCounts, PreparedData, Station, fingerprint_of, load, manifest_text

COUNTS = {"train": PartCounts(2, 5), "validation": PartCounts(1, 0)}
SHARDS = {
    "train": ["train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord"],
    "validation": ["validation-00000-of-00001.tfrecord"],
}
LEDGER = Ledger(
    {
        "files": Station(5, 11),
        "read": Station(4, 9, {"image_without_annotation": 1}, {"unknown_id": 2}),
        "written": Station(3, 5, {"undecodable_image": 1}, {"undecodable_image": 3, "empty_box": 1}),
    }
)
CONTENTS = {"a.jpg": FileContent("01", 3), "b.xml": FileContent("02", 4)}


def prepared(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "label_map.pbtxt").write_text("item {}")
    shards = {part: [folder / name for name in names] for part, names in SHARDS.items()}
    for path in (path for paths in shards.values() for path in paths):
        path.write_bytes(b"record")
    text = manifest_text(
        "f00d",
        ("dög", "cat"),
        COUNTS,
        shards,
        {"clipped_box": 3},
        LEDGER,
        masks=4,
        keypoints=KeypointSlots({"cat": ("tail", "nose")}),
    )
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return folder


def test_what_was_written_is_loaded(tmp_path):
    folder = prepared(tmp_path / "digits")
    assert load(folder) == PreparedData(
        folder=folder,
        fingerprint="f00d",
        train_records=f"{folder}/train-?????-of-00002.tfrecord",
        validation_records=f"{folder}/validation-?????-of-00001.tfrecord",
        label_map=folder / "label_map.pbtxt",
        classes=("dög", "cat"),
        counts=COUNTS,
        problems={"clipped_box": 3},
        listing=folder / "problems.csv",
        ledger=LEDGER,
        masks=4,
        keypoints=KeypointSlots({"cat": ("tail", "nose")}),
    )


def test_a_folder_that_was_moved_is_loaded_from_where_it_is(tmp_path):
    prepared(tmp_path / "old").rename(tmp_path / "new")
    found = load(tmp_path / "new")
    assert found is not None
    assert found.train_records.startswith(str(tmp_path / "new"))


def test_signs_of_a_glob_in_the_path_are_escaped(tmp_path):
    found = load(prepared(tmp_path / "a [1]*"))
    assert found is not None
    assert found.validation_records == f"{tmp_path}/a \\[1\\]\\*/validation-?????-of-00001.tfrecord"


@pytest.mark.parametrize("name", ["manifest.json", "label_map.pbtxt", *SHARDS["train"], *SHARDS["validation"]])
def test_a_folder_with_a_part_missing_is_not_loaded(tmp_path, name):
    (prepared(tmp_path) / name).unlink()
    assert load(tmp_path) is None


def test_a_folder_with_a_torn_shard_is_not_loaded(tmp_path):
    (prepared(tmp_path) / SHARDS["train"][0]).write_bytes(b"rec")
    assert load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"writer_version": 1}', "null"])
def test_a_torn_manifest_is_not_loaded(tmp_path, text):
    (prepared(tmp_path) / "manifest.json").write_text(text)
    assert load(tmp_path) is None


def test_records_of_another_writer_s_version_are_not_loaded(tmp_path, monkeypatch):
    prepared(tmp_path)
    monkeypatch.setattr(manifest, "WRITER_VERSION", 99)
    assert load(tmp_path) is None


def test_the_manifest_is_readable_json_with_the_size_of_each_shard(tmp_path):
    content = json.loads((prepared(tmp_path) / "manifest.json").read_text(encoding="utf-8"))
    assert content["parts"]["train"] == {"images": 2, "boxes": 5, "shards": dict.fromkeys(SHARDS["train"], 6)}


def fingerprint(contents, options):
    return fingerprint_of(sorted(contents.items()), options)


def test_the_fingerprint_does_not_depend_on_the_order_of_options():
    assert fingerprint(CONTENTS, {"a": 1, "b": 2}) == fingerprint(CONTENTS, {"b": 2, "a": 1})


def test_files_out_of_the_order_of_their_names_have_no_fingerprint():
    with pytest.raises(ValueError, match="comes after"):
        fingerprint_of(sorted(CONTENTS.items(), reverse=True), {})


@pytest.mark.parametrize(
    ("contents", "options"),
    [
        (CONTENTS, {"seed": 1}),
        (CONTENTS | {"c.jpg": FileContent("03", 1)}, {"seed": 0}),
        (CONTENTS | {"a.jpg": FileContent("03", 3)}, {"seed": 0}),
        ({"a.jpg": CONTENTS["a.jpg"]}, {"seed": 0}),
        ({"A.jpg": CONTENTS["a.jpg"], "b.xml": CONTENTS["b.xml"]}, {"seed": 0}),
    ],
)
def test_the_fingerprint_depends_on_names_contents_and_options(contents, options):
    assert fingerprint(contents, options) != fingerprint(CONTENTS, {"seed": 0})


def test_the_fingerprint_depends_on_the_writer_s_version(monkeypatch):
    before = fingerprint(CONTENTS, {})
    monkeypatch.setattr(manifest, "WRITER_VERSION", 99)
    assert fingerprint(CONTENTS, {}) != before


def test_a_ledger_says_what_no_fault_explains():
    assert LEDGER.unexplained() == {}
    lost = Ledger({**LEDGER.stations, "written": Station(3, 5, {}, {"empty_box": 1})})
    assert lost.unexplained() == {"written": (1, 3)}


def test_a_further_station_is_explained_by_its_reason():
    evaluated = Station(1, 1, boxes_left_out={"crowd": 1})
    further = LEDGER.further("decoded", Station(1, 2), "not_trained_on").further("evaluated", evaluated, "none")
    assert further.stations == {
        **LEDGER.stations,
        "decoded": Station(1, 2, {"not_trained_on": 2}, {"not_trained_on": 3}),
        "evaluated": evaluated,
    }
    assert further.unexplained() == {}
