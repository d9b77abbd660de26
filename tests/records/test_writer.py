from __future__ import annotations

import hashlib
import io
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.annotations.kept import KeptImage, Place
from odrun.annotations.keypoint_slots import NO_KEYPOINTS
from odrun.annotations.model import AnnotatedImage, Box
from odrun.annotations.parallel import Workers
from odrun.errors import InputError
from odrun.records import writer
from odrun.records.example import image_example
from odrun.records.index import RecordIndex
from odrun.records.label_map import read_label_map
from odrun.records.manifest import Ledger, PartCounts, Station, load
from odrun.records.writer import Plan, write_records

PIXELS = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def image(folder: Path, name: str, *classes: str, kind: str = "JPEG") -> AnnotatedImage:
    Image.fromarray(PIXELS).save(folder / name, kind)
    content = (folder / name).read_bytes()
    return AnnotatedImage(
        name=name,
        image_path=folder / name,
        annotation_path=folder / "a.xml",
        width_px=40,
        height_px=30,
        stored_format="jpeg" if kind == "JPEG" else "png",
        re_encoded=kind != "JPEG",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        look=0,
        boxes=tuple(Box(class_name, 1, 2, 3, 4) for class_name in classes),
        split=None,
    )


def plan_of(folder: Path, train: Sequence[AnnotatedImage], validation: Sequence[AnnotatedImage], **changes) -> Plan:
    """A plan, and its images in `folder/spool`."""
    parts = {}
    with (folder / "spool").open("wb") as spool:
        for part, images in (("train", train), ("validation", validation)):
            parts[part] = []
            for each in images:
                blob = pickle.dumps(each)
                place = Place(spool.tell(), len(blob))
                spool.write(blob)
                counts = tuple(Counter(box.class_name for box in each.boxes).items())
                digest = bytes.fromhex(each.sha256)
                parts[part].append(KeptImage(each.name, counts, None, digest, 0, each.size_bytes, 0, (), place))
    names = {"cat": "cat", "dog": "dog"}
    values = {"parts": parts, "classes": ("dog", "cat"), "names": names, "has_masks": False, "keypoints": NO_KEYPOINTS}
    return Plan(**(values | changes))


def images_of(folder: Path) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    train = [image(folder, name, "cat", "dog") for name in ("a.jpg", "b.jpg", "c.jpg")]
    return train, [image(folder, "d.jpg", "cat")]


def plan(folder: Path) -> Plan:
    return plan_of(folder, *images_of(folder))


def written(data: Plan, target: Path, workers: int = 1) -> Path:
    target.mkdir()
    stations = {name: Station(4, 7) for name in ("read", "written")}
    with Workers(workers) as at_work:
        write_records(
            data,
            target,
            target.parent / "spool",
            fingerprint="f00d",
            problems={},
            ledger=Ledger(stations),
            workers=at_work,
            progress=lambda _: None,
        )
    return target


def test_the_folder_holds_records_label_map_and_manifest(tmp_path):
    train, validation = images_of(tmp_path)
    folder = written(plan_of(tmp_path, train, validation), tmp_path / "out")
    assert read_label_map(folder / "label_map.pbtxt") == {"dog": 1, "cat": 2}
    found = load(folder)
    assert found is not None
    assert (found.classes, found.counts) == (
        ("dog", "cat"),
        {"train": PartCounts(3, 6), "validation": PartCounts(1, 1)},
    )
    examples = [
        image_example(
            each, each.image_path.read_bytes(), sha256=each.sha256, label_ids={"dog": 1, "cat": 2}, source_id=number
        )
        for number, each in enumerate([*train, *validation], start=1)
    ]
    assert list(RecordIndex([folder / "train-00000-of-00001.tfrecord"], pattern="")) == examples[:3]
    assert list(RecordIndex([folder / "validation-00000-of-00001.tfrecord"], pattern="")) == examples[3:]


def test_the_number_of_workers_does_not_change_a_byte(tmp_path):
    data = plan(tmp_path)
    one, other = (written(data, tmp_path / f"out{workers}", workers) for workers in (1, 2))
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }


def test_large_parts_are_cut_into_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SHARD_BYTES", 1)
    names = sorted(path.name for path in written(plan(tmp_path), tmp_path / "out").glob("*.tfrecord"))
    assert names == [
        *(f"train-0000{number}-of-00003.tfrecord" for number in range(3)),
        "validation-00000-of-00001.tfrecord",
    ]


def test_an_image_that_tensorflow_does_not_take_is_stored_as_png(tmp_path):
    data = plan_of(tmp_path, [image(tmp_path, "a.bmp", "cat", kind="BMP")], [image(tmp_path, "b.jpg", "cat")])
    content = RecordIndex([written(data, tmp_path / "out") / "train-00000-of-00001.tfrecord"], pattern="")[0]
    start = content.index(b"\x89PNG")
    stored = Image.open(io.BytesIO(content[start:]))
    assert np.array_equal(np.asarray(stored), PIXELS)
    assert b"\x0a\x03png" in content


def test_classes_are_stored_as_they_are_called_in_the_records(tmp_path):
    train, validation = images_of(tmp_path)
    data = plan_of(tmp_path, train, validation, classes=("pet",), names={"cat": "pet", "dog": "pet"})
    folder = written(data, tmp_path / "out")
    content = RecordIndex([folder / "validation-00000-of-00001.tfrecord"], pattern="")[0]
    assert b"pet" in content
    assert b"\x03cat" not in content


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("fault", ["changed", "gone"])
def test_an_image_that_is_not_what_was_checked_stops_the_writing(tmp_path, fault, workers):
    data = plan(tmp_path)
    if fault == "gone":
        (tmp_path / "b.jpg").unlink()
    else:
        (tmp_path / "b.jpg").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"changed since|any more") as caught:
        written(data, tmp_path / "out", workers)
    assert caught.value.where == str(tmp_path / "b.jpg")
