"""The identity of images in records of any program."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.compat.tensorflow import tf
from odrun.evaluation.records import ValidationRecords
from odrun.records.example import bytes_feature, example_bytes, float_feature, int_feature
from odrun.records.shards import framed


def example(source_ids: list[bytes] | None) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 20)).save(stream, "PNG")
    corners = {"xmin": 0.25, "ymin": 0.5, "xmax": 0.5, "ymax": 1.0}
    features = {f"image/object/bbox/{name}": float_feature([value]) for name, value in corners.items()}
    features |= {"image/encoded": bytes_feature([stream.getvalue()]), "image/object/class/label": int_feature([2])}
    if source_ids is not None:
        features["image/source_id"] = bytes_feature(source_ids)
    return example_bytes(features)


def image_ids(folder: Path, files: list[list[list[bytes] | None]]) -> list[int]:
    for number, ids in enumerate(files):
        (folder / f"val-{number}.record").write_bytes(b"".join(framed(example(each)) for each in ids))
    records = ValidationRecords(f"{folder}/val-*.record")
    return [records.truth(number).image_id for number in range(len(records))]


def test_numbers_of_their_own_are_the_ids_whatever_their_order(tmp_path):
    assert image_ids(tmp_path, [[[b"7"], [b"000000397133"]], [[b"1"]]]) == [7, 397133, 1]


@pytest.mark.parametrize(
    "source_ids",
    [
        [[b"1"], [b"b.jpg"], [b"3"]],
        [[b"5"], [b"6"], [b"05"]],
        [[b"5"], [b"6"], None],
        [[b"5"], [b"6"], []],
        [[b"5"], [b"6"], [b"7", b"8"]],
        [[b"5"], [b"6"], [b""]],
        [[b"5"], [b"6"], [b"-7"]],
        [[b"5"], [b"6"], [b"7 "]],
        [[b"5"], [b"6"], [b"9" * 19]],
        [[b"5"], [b"6"], ["\N{ARABIC-INDIC DIGIT SEVEN}".encode()]],
    ],
)
def test_positions_over_all_files_are_the_ids_where_a_source_id_is_no_number_of_its_own(tmp_path, source_ids):
    assert image_ids(tmp_path, [source_ids[:2], source_ids[2:]]) == [1, 2, 3]


def test_the_records_are_read_for_their_ids_once_and_no_further_than_needed(tmp_path, monkeypatch):
    (tmp_path / "val.record").write_bytes(b"".join(framed(example([name])) for name in (b"1", b"b.jpg", b"3")))
    records = ValidationRecords(f"{tmp_path}/val.record")
    read: list[int] = []
    payload = ValidationRecords.payload
    monkeypatch.setattr(ValidationRecords, "payload", lambda self, number: read.append(number) or payload(self, number))
    assert [records.truth(number).image_id for number in (2, 0)] == [3, 1]
    assert read == [2, 0, 1, 0]


@pytest.mark.parametrize(
    ("areas", "taken"),
    [([55.5], [55.5]), ([], None), ([55.5, 1], None), ([-1], None), ([801], None), ([float("nan")], None)],
)
def test_the_area_is_the_record_s_where_it_can_be_one(tmp_path, areas, taken):
    """The image has 40x20 pixels."""
    stored = tf.train.Example.FromString(example(None))
    stored.features.feature["image/object/area"].float_list.value.extend(areas)
    (tmp_path / "val.record").write_bytes(framed(stored.SerializeToString()))
    areas_px = ValidationRecords(f"{tmp_path}/val.record").truth(0).areas_px
    assert (None if areas_px is None else areas_px.tolist()) == taken


def test_a_record_without_crowds_tells_its_boxes_in_pixels(tmp_path):
    (tmp_path / "val.record").write_bytes(framed(example(None)))
    truth = ValidationRecords(f"{tmp_path}/val.record").truth(0)
    np.testing.assert_allclose(truth.boxes_px, [[10, 10, 20, 20]])
    assert (truth.label_ids.tolist(), truth.is_crowd.tolist()) == ([2], [False])
