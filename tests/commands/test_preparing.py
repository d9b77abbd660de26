from __future__ import annotations

import errno
import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.annotations import digits
from odrun.annotations.problems import FAULTS
from odrun.commands.preparing import prepare
from odrun.errors import InputError
from odrun.records import writer
from odrun.records.index import RecordIndex
from odrun.records.manifest import Ledger, PartCounts, PreparedData, Station
from odrun.settings import DatasetSettings, SplitSettings


class Told:
    """What a command reported, and how far it said it was."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[str, int, int, str]] = []

    def step(self, name: str, done: int, total: int, unit: str) -> None:
        self.steps.append((name, done, total, unit))


def dataset(folder: Path | None, **changes) -> DatasetSettings:
    split = {"validation_share": 0.3, "seed": 0, "group_by": None, "fold": None} | changes.pop("split", {})
    values = {"name": "pets", "format": "voc", "path": None if folder is None else str(folder), "classes": None}
    values |= {"label_map": None, "problems": {}, "split": SplitSettings(**split)}
    return DatasetSettings(**(values | changes))


def prepared(settings: DatasetSettings, cache: Path, told: Told | None = None) -> PreparedData:
    told = told or Told()
    return prepare(settings, cache, report=told.lines.append, progress=told.step)


def jpeg(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def xml(image: str, *corners: tuple[float, float, float, float], name: str = "cat") -> str:
    boxes = "".join(
        f"\n<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in corners
    )
    size = "<size><width>40</width><height>30</height></size>"
    return f"<annotation><filename>{image}</filename>{size}{boxes}\n</annotation>"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    folder = tmp_path / "pets folder"
    folder.mkdir()
    for number in range(10):
        add(
            folder, f"{number}", jpeg(number), xml(f"{number}.jpg", (1, 2, 30, 20), name="cat" if number % 2 else "dog")
        )
    return folder


def add(folder: Path, stem: str, image: bytes | None, annotation: str) -> None:
    (folder / f"{stem}.xml").write_text(annotation)
    if image is not None:
        (folder / f"{stem}.jpg").write_bytes(image)


def files_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix != ".lock")


def refusal(settings: DatasetSettings, cache: Path) -> str:
    with pytest.raises(InputError) as caught:
        prepared(settings, cache)
    assert caught.value.exit_status == 2
    assert caught.value.remedy
    assert {name.partition("/")[0] for name in files_in(cache)} <= {"records", "digests", "problems", "archives"}
    assert not [name for name in files_in(cache) if name.startswith("records/")]
    return str(caught.value)


def test_a_folder_of_pascal_voc_becomes_records(pets, tmp_path):
    told = Told()
    found = prepared(dataset(pets), tmp_path / "cache", told)
    assert (found.classes, found.problems) == (("cat", "dog"), {})
    assert sum(part.images for part in found.counts.values()) == 10
    assert files_in(found.folder) == [
        "boxes.png",
        "classes.png",
        "label_map.pbtxt",
        "manifest.json",
        "problems.csv",
        "samples.png",
        "statistics.npz",
        "train-00000-of-00001.tfrecord",
        "validation-00000-of-00001.tfrecord",
    ]
    assert found.folder == tmp_path / "cache" / "records" / f"pets-{found.fingerprint[:16]}"
    payloads = [
        payload for path in sorted(found.folder.glob("*.tfrecord")) for payload in RecordIndex([path], pattern="")
    ]
    assert sum(jpeg(number) in payload for number in range(10) for payload in payloads) == 10
    assert told.steps == [
        ("checking", 10, 10, "image"),
        ("writing", 7, 10, "image"),
        ("writing", 10, 10, "image"),
    ]
    assert told.lines == [
        f"{found.counts['train'].images} train images with {found.counts['train'].boxes} boxes, "
        f"{found.counts['validation'].images} validation images with {found.counts['validation'].boxes} boxes, "
        f"2 classes; records written to {found.folder}"
    ]


def test_a_second_run_finds_the_records_and_decodes_nothing(pets, tmp_path, monkeypatch):
    first = prepared(dataset(pets), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
    told = Told()
    assert prepared(dataset(pets), tmp_path, told) == first
    assert told.lines[0].endswith(f"records found in {first.folder}")
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


def test_the_same_data_give_the_same_bytes_wherever_they_lie(pets, tmp_path):
    shutil.copytree(pets, tmp_path / "copy")
    one, other = prepared(dataset(pets), tmp_path / "a"), prepared(dataset(tmp_path / "copy"), tmp_path / "b")
    assert {path.name: path.read_bytes() for path in one.folder.iterdir()} == {
        path.name: path.read_bytes() for path in other.folder.iterdir()
    }


def test_changed_data_or_options_give_other_records(pets, tmp_path):
    options = ({}, {"split": {"seed": 1}}, {"split": {"validation_share": 0.4}}, {"classes": ["dog", "cat"]})
    fingerprints = [prepared(dataset(pets, **changes), tmp_path).fingerprint for changes in options]
    add(pets, "3", jpeg(3), xml("3.jpg", (1, 2, 30, 21)))
    fingerprints.append(prepared(dataset(pets), tmp_path).fingerprint)
    assert len(set(fingerprints)) == 5


def test_the_order_of_dataset_classes_is_the_order_of_the_ids(pets, tmp_path):
    found = prepared(dataset(pets, classes=["dog", "cat"]), tmp_path)
    assert found.label_map.read_text() == 'item {\n  id: 1\n  name: "dog"\n}\nitem {\n  id: 2\n  name: "cat"\n}\n'


def test_damaged_records_are_written_again(pets, tmp_path):
    first = prepared(dataset(pets), tmp_path)
    shard = first.folder / "train-00000-of-00001.tfrecord"
    content = shard.read_bytes()
    shard.write_bytes(content[:100])
    assert prepared(dataset(pets), tmp_path) == first
    assert shard.read_bytes() == content


def test_a_file_that_cannot_be_read_is_refused_although_records_lie_in_the_cache(pets, tmp_path):
    prepared(dataset(pets), tmp_path)
    (pets / "new.jpg").symlink_to(pets / "nowhere")
    with pytest.raises(InputError, match=r"new\.jpg: cannot be read"):
        prepared(dataset(pets), tmp_path)


def test_what_was_mended_or_odd_is_counted_and_told_also_from_the_cache(pets, tmp_path):
    add(pets, "clipped", jpeg(20), xml("clipped.jpg", (1, 2, 42, 31)))
    add(pets, "copy", jpeg(3), xml("copy.jpg", (1, 2, 30, 20)))
    add(pets, "empty", jpeg(21), xml("empty.jpg"))
    told, again = Told(), Told()
    found = prepared(dataset(pets), tmp_path, told)
    (duplicate,) = [fault for fault in found.problems if "duplicate" in fault]
    assert found.problems == {"clipped_box": 1, "image_without_boxes": 1, duplicate: 1}
    assert told.lines[1] == (
        f"problems that do not stand in the way: 1 clipped_box, 1 {duplicate}, 1 image_without_boxes; "
        f"see {found.folder / 'problems.csv'}"
    )
    listed = (found.folder / "problems.csv").read_text()
    assert f"clipped_box,fix,{pets / 'clipped.xml'},2," in listed
    assert "has the same bytes as" in listed
    prepared(dataset(pets), tmp_path, again)
    assert again.lines[1] == told.lines[1]


BAD_ANNOTATIONS = {
    "malformed_annotation": xml("bad.jpg", (1, 2, 30, 20))[:-4],
    "doctype": "<!DOCTYPE annotation>" + xml("bad.jpg"),
    "unknown_class": xml("bad.jpg", (1, 2, 30, 20), name="dgo"),
    "empty_class": xml("bad.jpg", (1, 2, 30, 20), name=""),
    "inverted_box": xml("bad.jpg", (30, 2, 1, 20)),
    "empty_box": xml("bad.jpg", (1, 2, 1, 20)),
    "outside_box": xml("bad.jpg", (1, 2, 50, 20)),
    "bad_number": xml("bad.jpg", (float("nan"), 2, 30, 20)),
    "size_mismatch": xml("bad.jpg", (1, 2, 30, 20)).replace("<width>40", "<width>41"),
}


@pytest.mark.parametrize("fault", BAD_ANNOTATIONS)
def test_a_bad_annotation_is_refused_by_file_and_fault(pets, tmp_path, fault):
    add(pets, "bad", jpeg(30), BAD_ANNOTATIONS[fault])
    message = refusal(dataset(pets, classes=["cat", "dog"]), tmp_path / "cache")
    assert f"1 {fault}  {FAULTS[fault].meaning}" in message
    assert f"  {pets / 'bad.xml'}" in message
    assert FAULTS[fault].remedy in message


def test_the_list_of_all_faults_is_kept_where_the_message_says(pets, tmp_path):
    for number in range(30):
        add(pets, f"bad{number}", jpeg(30 + number), xml(f"bad{number}.jpg", (30, 2, 1, 20)))
    message = refusal(dataset(pets), tmp_path / "cache")
    (listing,) = (tmp_path / "cache" / "problems").iterdir()
    assert f"  all of them: {listing}" in message.splitlines()
    assert listing.read_text().count("inverted_box,error,") == 30


def test_faults_with_the_policy_drop_are_left_out_and_every_loss_is_in_the_ledger(pets, tmp_path):
    add(pets, "bad", jpeg(30), xml("bad.jpg", (30, 2, 1, 20), (1, 2, 30, 20)))
    add(pets, "broken", jpeg(31)[:300], xml("broken.jpg", (1, 2, 30, 20)))
    add(pets, "copy", jpeg(3), xml("copy.jpg", (1, 2, 30, 20)))
    add(pets, "lost", None, xml("lost.jpg", (1, 2, 30, 20), (2, 2, 30, 20)))
    (pets / "bare.jpg").write_bytes(jpeg(32))
    (pets / "notes.md").touch()
    faults = ("inverted_box", "undecodable_image", "duplicate_content", "duplicate_across_split", "missing_image")
    drops = dict.fromkeys(faults, "drop")
    found = prepared(dataset(pets, problems=drops), tmp_path)
    (duplicate,) = [fault for fault in found.problems if "duplicate" in fault]
    mended = {"image_without_annotation": 1, "inverted_box": 1, "missing_image": 1, "undecodable_image": 1}
    assert found.problems == mended | {duplicate: 1, "unused_file": 1}
    assert found.ledger == Ledger(
        {
            "files": Station(14, 16),
            "read": Station(13, 14, {"image_without_annotation": 1}, {"missing_image": 2}),
            "kept": Station(12, 12, {"undecodable_image": 1}, {"inverted_box": 1, "undecodable_image": 1}),
            "written": Station(11, 11, {duplicate: 1}, {duplicate: 1}),
        }
    )
    assert found.ledger.unexplained() == {}


def test_classes_can_be_renamed_and_merged(pets, tmp_path):
    found = prepared(dataset(pets, classes={"pet": ["cat", "dog"]}), tmp_path)
    assert (found.classes, found.counts["train"].boxes + found.counts["validation"].boxes) == (("pet",), 10)


def test_spellings_of_one_class_in_the_data_are_one_class(pets, tmp_path):
    add(pets, "odd", jpeg(40), xml("odd.jpg", (1, 2, 30, 20), name=" CAT"))
    found = prepared(dataset(pets), tmp_path)
    assert (found.classes, found.problems) == (("cat", "dog"), {"class_spelling": 1})


def test_fractions_of_pixels_are_told_in_a_format_of_whole_ones_and_taken(pets, tmp_path):
    add(pets, "odd", jpeg(40), xml("odd.jpg", (1.5, 2, 30, 20)))
    found = prepared(dataset(pets), tmp_path)
    assert (found.problems, found.ledger.stations["written"].boxes) == ({"fractional_box": 1}, 11)


def test_a_given_label_map_fixes_the_ids(pets, tmp_path):
    label_map = tmp_path / "map.pbtxt"
    label_map.write_text("item { id: 2 name: 'cat' } item { id: 1 name: 'dog' } item { id: 3 name: 'owl' }")
    found = prepared(dataset(pets, label_map=str(label_map)), tmp_path)
    assert (found.classes, found.problems) == (("dog", "cat", "owl"), {"class_without_boxes": 1})


COCO = {
    "images": [{"id": number, "file_name": f"{number}.jpg", "width": 40, "height": 30} for number in range(10)],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    "annotations": [
        {"id": number, "image_id": number, "category_id": 1 + number % 2, "bbox": [1, 2, 29, 18], "iscrowd": 0}
        for number in range(10)
    ],
}
CSV = "filename,width,height,class,xmin,ymin,xmax,ymax\n" + "".join(
    f"{number}.jpg,40,30,{'cat' if number % 2 else 'dog'},1,2,30,20\n" for number in range(10)
)


@pytest.mark.parametrize(("name", "content"), [("boxes.json", json.dumps(COCO)), ("boxes.csv", CSV)])
def test_other_formats_of_the_same_labels_give_the_same_records(pets, tmp_path, name, content):
    voc = prepared(dataset(pets), tmp_path)
    for annotation in pets.glob("*.xml"):
        annotation.unlink()
    (pets / name).write_text(content)
    other = prepared(dataset(pets, format="auto"), tmp_path)
    assert (other.classes, other.counts, other.problems) == (voc.classes, voc.counts, {})
    for part in ("train", "validation"):
        shards = [found.folder / f"{part}-00000-of-00001.tfrecord" for found in (voc, other)]
        assert shards[0].read_bytes() == shards[1].read_bytes()


def test_records_that_are_ready_are_used_where_they_lie(pets, tmp_path):
    made = prepared(dataset(pets), tmp_path / "cache")
    folder = tmp_path / "ready"
    folder.mkdir()
    for path in (*made.folder.glob("*.tfrecord"), made.label_map):
        shutil.copy(path, folder)
    shutil.copy(next(made.folder.glob("validation-*")), folder / "test.tfrecord")
    unused = made.counts["validation"].images
    told = Told()
    found = prepared(dataset(folder, format="auto"), tmp_path / "cache", told)
    assert (found.folder, found.classes, found.counts) == (folder, made.classes, made.counts)
    assert found.label_map == folder / "label_map.pbtxt"
    assert found.ledger == Ledger(
        {
            "files": Station(10 + unused, 10),
            "read": Station(10, 10, {"annotation_outside_split": unused}),
            "written": Station(10, 10),
        }
    )
    assert found.ledger.unexplained() == {}
    assert f"records used in {folder}" in told.lines[-2]
    assert told.steps[-1] == ("checking", 10, 10, "record")


def test_a_data_set_can_be_an_archive(pets, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", pets)
    found = prepared(dataset(Path(archive)), tmp_path / "cache")
    assert found.fingerprint == prepared(dataset(pets), tmp_path / "cache").fingerprint


def test_a_format_is_found_out(pets, tmp_path):
    told = Told()
    assert (
        prepared(dataset(pets, format="auto"), tmp_path, told).fingerprint
        == prepared(dataset(pets), tmp_path).fingerprint
    )
    assert told.lines[0] == f"{pets} looks like the format voc"


def test_folds_hold_back_each_image_once(pets, tmp_path):
    held = [
        prepared(dataset(pets, split={"fold": f"{fold}/2"}), tmp_path).counts["validation"].images for fold in (0, 1)
    ]
    assert sum(held) == 10


def test_a_missing_and_a_broken_image_are_refused_by_file(pets, tmp_path):
    add(pets, "gone", None, xml("gone.jpg"))
    add(pets, "broken", jpeg(3)[:300], xml("broken.jpg"))
    message = refusal(dataset(pets), tmp_path / "cache")
    assert f"{pets / 'gone.xml'}:1: names the image 'gone.jpg', which is not there" in message
    assert f"{pets / 'broken.jpg'}: " in message


def test_all_faults_are_told_at_once_and_counted(pets, tmp_path):
    for number in range(30):
        add(pets, f"bad{number}", jpeg(30 + number), xml(f"bad{number}.jpg", (30, 2, 1, 20), (5, 5, 5, 9)))
    add(pets, "last", jpeg(99), "<annotation>")
    message = refusal(dataset(pets), tmp_path / "cache")
    assert "The data set has 61 faults" in message
    assert "30 inverted_box" in message
    assert f"{pets / 'last.xml'}:1: is not well-formed XML" in message
    assert "and 41 more" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "vco"}, "did you mean voc"),
        ({"path": None}, "dataset.path=DIR"),
        ({"format": "digits", "path": "/my/images"}, "dataset=folder dataset.path=DIR"),
        ({"path": "/no/such/folder"}, "/no/such/folder"),
        ({"path": __file__}, "the archive is damaged or not a .tar.gz"),
    ],
)
def test_a_format_or_folder_that_is_not_there_is_refused_with_the_remedy(tmp_path, changes, words):
    assert words in refusal(dataset(tmp_path, **changes), tmp_path / "cache")


def test_an_empty_folder_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.jpg").write_bytes(jpeg(0))
    message = refusal(dataset(tmp_path / "empty"), tmp_path / "cache")
    assert "looked for Pascal VOC annotations (*.xml)" in message
    assert "found 1 images without annotations" in message


def test_data_without_any_box_are_refused(tmp_path):
    (tmp_path / "data").mkdir()
    add(tmp_path / "data", "a", jpeg(0), xml("a.jpg"))
    assert "None of the images has a box" in refusal(dataset(tmp_path / "data"), tmp_path / "cache")


def test_one_image_alone_cannot_be_split(tmp_path):
    (tmp_path / "data").mkdir()
    add(tmp_path / "data", "a", jpeg(0), xml("a.jpg", (1, 2, 3, 4)))
    assert "1 usable images" in refusal(dataset(tmp_path / "data"), tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_refused_by_path(pets, tmp_path):
    (tmp_path / "file").touch()
    message = refusal(dataset(pets), tmp_path / "file" / "cache")
    assert str(tmp_path / "file") in message
    assert "paths.cache=DIR" in message


def test_a_disk_with_too_little_room_is_refused_before_anything_is_written(pets, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    needed = int(sum(len(jpeg(number)) for number in range(10)) * 1.2)
    for free, fits in ((needed - 1, False), (needed, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        if fits:
            assert prepared(dataset(pets), tmp_path / "cache").folder.is_dir()
        else:
            assert "too little room" in refusal(dataset(pets), tmp_path / "cache")


def test_a_disk_that_fills_while_writing_leaves_nothing(pets, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "manifest_text", full)
    assert "The disk of the cache is full" in refusal(dataset(pets), tmp_path / "cache")


def test_a_stop_while_writing_leaves_nothing(pets, tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "manifest_text", stop)
    with pytest.raises(KeyboardInterrupt):
        prepared(dataset(pets), tmp_path / "cache")
    assert not [name for name in files_in(tmp_path / "cache") if name.startswith("records/")]


def test_a_name_with_signs_is_made_plain_in_the_folder_s(pets, tmp_path):
    assert prepared(dataset(pets, name="../my pets/ä"), tmp_path).folder.name.startswith(".._my_pets_-")


def test_the_embedded_digits_go_the_same_way_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "SCENES", {"train": 12, "validation": 6})
    told = Told()
    found = prepared(dataset(None, name="digits", format="digits"), tmp_path, told)
    assert {part: count.images for part, count in found.counts.items()} == {"train": 12, "validation": 6}
    assert set(found.classes) <= set("0123456789")
    assert told.lines[0] == f"18 scenes of handwritten digits written to {tmp_path / 'digits-1'}"
    monkeypatch.setattr(digits, "write_digits", lambda _: pytest.fail("they were written again"))
    assert prepared(dataset(None, name="digits", format="digits"), tmp_path) == found
    as_voc = prepared(dataset(tmp_path / "digits-1"), tmp_path)
    assert as_voc.fingerprint == found.fingerprint
    assert as_voc.counts["train"] == PartCounts(12, found.counts["train"].boxes)


def test_two_processes_at_once_make_the_records_once(pets, tmp_path):
    program = (
        "import sys; from pathlib import Path; from odrun.commands.preparing import prepare;"
        "from odrun.settings import DatasetSettings, SplitSettings;"
        "split = SplitSettings(0.3, 0, None, None);"
        "dataset = DatasetSettings('pets', 'voc', sys.argv[1], None, None, split, {});"
        "print(prepare(dataset, Path(sys.argv[2]), report=lambda line: None, progress=lambda *_: None).folder)"
    )
    command = [sys.executable, "-c", program, str(pets), str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [run.communicate(timeout=60)[0] for run in runs]
    assert answers == [f"{prepared(dataset(pets), tmp_path).folder}\n"] * 2
    assert len([path for path in (tmp_path / "records").iterdir() if path.suffix != ".lock"]) == 1


def test_neither_tensorflow_nor_a_config_library_is_imported():
    probe = (
        "import sys; import odrun.commands.preparing, odrun.annotations.digits as d; next(d.scenes('train'));"
        "print([name for name in ('tensorflow', 'hydra', 'omegaconf', 'yaml', 'sklearn') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_folder_for_temporary_files_that_cannot_be_written_is_told(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    told = refusal(dataset(pets), tmp_path / "cache")
    assert "Temporary files cannot be written: No such file or directory." in told
