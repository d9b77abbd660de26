from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from PIL import Image

from odrun.annotations.files import ListedFile
from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.annotations.problems import FAULTS, Policies, Policy, ProblemLog
from odrun.errors import InputError
from odrun.records.example import bytes_feature, example_bytes, float_feature, int_feature
from odrun.records.index import RecordIndex
from odrun.records.label_map import label_map_text
from odrun.records.manifest import PartCounts
from odrun.records.ready import CHECKED, ReadyRecords, ready_records
from odrun.records.record_files import recognizes
from odrun.records.shards import framed

CLASSES = ("cat", "dog")
BOX, OTHER = (0.25, 0.25, 0.5, 0.75), (0.25, 0.25, 0.5, 1)


def image(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 20), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def record(
    shade: int, *boxes: tuple[float, ...], label_id: int = 1, width_px: int = 40, keypoints: int | None = None
) -> bytes:
    features = {
        "image/encoded": bytes_feature([image(shade)]),
        "image/source_id": bytes_feature([b"a.jpg"]),
        "image/width": int_feature([width_px]),
        "image/object/class/label": int_feature([label_id] * len(boxes)),
    }
    for number, name in enumerate(("xmin", "ymin", "xmax", "ymax")):
        features[f"image/object/bbox/{name}"] = float_feature([box[number] for box in boxes])
    if keypoints is not None:
        features |= {f"image/object/keypoint/{axis}": float_feature([0.5] * keypoints) for axis in "xy"}
        features["image/object/keypoint/visibility"] = int_feature([2] * keypoints)
    return example_bytes(features)


def written(root: Path, files: dict[str, list[bytes] | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else b"".join(map(framed, content)))
    return root


TRAIN = [record(1, BOX), record(2, BOX, OTHER, label_id=2)]
VAL = [record(3, BOX)]
LABEL_MAP = label_map_text(CLASSES).encode()
SOUND: dict[str, list[bytes] | bytes] = {"train.record": TRAIN, "val.record": VAL, "label_map.pbtxt": LABEL_MAP}


def ready(root: Path, label_map: Path | None = None, **policies: str) -> tuple[ReadyRecords, ProblemLog]:
    log = ProblemLog(Policies(policies))
    return ready_records(root, label_map, log, progress=lambda done, total: None), log


def told(log: ProblemLog, root: Path) -> list[tuple[str, str, str]]:
    return [(problem.fault, problem.file.relative_to(root).as_posix(), problem.message) for problem in log.problems]


def test_records_are_found_checked_counted_and_named_by_patterns(tmp_path):
    seen: list[tuple[int, int]] = []
    log = ProblemLog()
    root = written(tmp_path / "a [1]", SOUND)
    found = ready_records(root, None, log, progress=lambda done, total: seen.append((done, total)))
    assert found == ReadyRecords(
        fingerprint=found.fingerprint,
        train_records=f"{tmp_path}/a \\[1\\]/train.record",
        validation_records=f"{tmp_path}/a \\[1\\]/val.record",
        label_map=root / "label_map.pbtxt",
        classes=CLASSES,
        counts={"train": PartCounts(2, 3), "validation": PartCounts(1, 1)},
        masks=0,
        posed=0,
        keypoints=NO_KEYPOINTS,
    )
    assert (log.problems, seen) == ([], [(1, 3), (2, 3), (3, 3)])


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (["train.tfrecord"], ["test.tfrecords"]),
        ([f"coco_train.record-0000{n}-of-00002" for n in range(2)], ["coco_val.record-00000-of-00001"]),
        (["train/Cats.tfrecord"], ["valid/Cats.tfrecord"]),
        (["records/TRAIN.TFRecord-0-of-1"], ["records/eval.record"]),
    ],
)
def test_names_of_files_and_folders_tell_the_parts(tmp_path, train, validation):
    files: dict[str, list[bytes] | bytes] = {"label_map.pbtxt": LABEL_MAP}
    files |= {name: [record(number, BOX)] for number, name in enumerate((*train, *validation))}
    found, log = ready(written(tmp_path, files))
    assert log.problems == []
    for pattern, names in ((found.train_records, train), (found.validation_records, validation)):
        contents = [files[name] for name in names]
        assert [[payload] for payload in RecordIndex.matching(pattern)] == contents


def test_a_relative_folder_gives_absolute_patterns(tmp_path, monkeypatch):
    written(tmp_path / "data", SOUND)
    monkeypatch.chdir(tmp_path)
    assert ready(Path("data"))[0].train_records == f"{tmp_path}/data/train.record"


def test_a_third_part_stays_unused_and_an_empty_shard_is_none(tmp_path):
    written(tmp_path, SOUND | {"test.record": [b"no example"], "train.record": b""})
    written(tmp_path, {"train.record-00000-of-00002": TRAIN, "train.record-00001-of-00002": b""})
    found, log = ready(tmp_path)
    assert told(log, tmp_path) == [("annotation_outside_split", "test.record", "is in no part of the split")]
    assert (found.train_records, found.counts["train"]) == (f"{tmp_path}/train.record*", PartCounts(2, 3))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.record": None}, "do not tell which to train on"),
        ({"train.record": None, "a.record": TRAIN}, "do not tell which to train on"),
        ({"train.record": None, "val.record": None}, "has no TFRecord files"),
        ({"train.record": b""}, "The train records hold no record"),
        ({"train.record": [record(1)]}, "None of the training records has a box"),
        ({"label_map.pbtxt": None}, "There is no label map"),
        ({"label_map.pbtxt": LABEL_MAP.replace(b"id: 2", b"id: 3")}, "has no id 2"),
        ({"other.pbtxt": label_map_text(("dog", "cat")).encode()}, "2 label maps beside the records that differ"),
        ({"x/train.record": TRAIN}, "no names that one pattern tells from all others"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_with_a_remedy(tmp_path, files, message):
    kept = {name: content for name, content in (SOUND | files).items() if content is not None}
    with pytest.raises(InputError, match=message) as caught:
        ready(written(tmp_path, kept))
    assert caught.value.where is not None
    assert caught.value.remedy is not None


def test_a_single_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="records are not split"):
        ready(written(tmp_path, SOUND) / "train.record")


def test_label_maps_that_say_the_same_are_one_and_a_given_one_goes_before(tmp_path):
    written(tmp_path, SOUND | {"train/a.pbtxt": LABEL_MAP})
    assert ready(tmp_path)[0].label_map == tmp_path / "label_map.pbtxt"
    written(tmp_path, {"other.txt": label_map_text(("a", "b", "c")).encode()})
    found, _ = ready(tmp_path, tmp_path / "other.txt")
    assert (found.label_map, found.classes) == (tmp_path / "other.txt", ("a", "b", "c"))


def test_faulty_records_are_told_with_their_numbers(tmp_path):
    odd = [record(5, (0.5, 0, 0.25, 1)), b"no example", record(6, BOX, label_id=3), record(7, BOX, OTHER)]
    found, log = ready(written(tmp_path, SOUND | {"train.record": [*TRAIN, *odd]}))
    assert [(fault, file, message.split(" has ")[0]) for fault, file, message in told(log, tmp_path)] == [
        ("inverted_box", "train.record", "record 2"),
        ("malformed_annotation", "train.record", "record 3 is no tf.train.Example"),
        ("unknown_id", "train.record", "record 4"),
    ]
    assert found.counts["train"] == PartCounts(6, 7)
    with pytest.raises(InputError, match="The data set has 3 faults"):
        log.refuse_errors(tmp_path)


def test_a_damaged_record_is_told_and_the_others_are_read(tmp_path):
    content = bytearray(b"".join(map(framed, TRAIN)))
    content[40] ^= 1
    _, log = ready(written(tmp_path, SOUND | {"train.record": bytes(content)}))
    ((fault, file, message),) = told(log, tmp_path)
    assert (fault, file) == ("malformed_annotation", "train.record")
    assert message.startswith("record 0 is damaged")
    assert "does not fit its checksum" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"".join(map(framed, TRAIN))[:-3], "record 1 is cut off"),
        (b"PK\3\4 a zip file of some length", "record 0 has a length that does not fit its checksum"),
        (gzip.compress(framed(TRAIN[0])), "is packed with gzip; unpack it"),
    ],
)
def test_a_file_that_is_no_record_file_is_told(tmp_path, content, message):
    _, log = ready(written(tmp_path, SOUND | {"train.record": content}))
    assert told(log, tmp_path) == [("malformed_annotation", "train.record", message)]


def test_a_file_that_cannot_be_opened_is_told(tmp_path):
    written(tmp_path, SOUND | {"train.record-00000-of-00002": TRAIN})
    (tmp_path / "train.record").unlink()
    (tmp_path / "train.record-00001-of-00002").symlink_to(tmp_path / "nowhere")
    _, log = ready(tmp_path)
    assert told(log, tmp_path) == [
        ("unreadable_file", "train.record-00001-of-00002", "cannot be read: No such file or directory")
    ]


def test_an_image_that_is_there_twice_is_told_with_its_first_place(tmp_path):
    files = SOUND | {"train.record": [*TRAIN, TRAIN[0]], "val.record": [*VAL, record(2, BOX)]}
    _, log = ready(written(tmp_path, files))
    assert told(log, tmp_path) == [
        ("duplicate_content", "train.record", f"record 2 has the image of {tmp_path}/train.record, record 0"),
        ("duplicate_across_split", "val.record", f"record 1 has the image of {tmp_path}/train.record, record 1"),
    ]


@pytest.mark.parametrize(
    ("fault", "policy"),
    [
        (fault, policy.value)
        for fault in sorted(CHECKED)
        for policy in FAULTS[fault].policies
        if policy in (Policy.DROP, Policy.FIX)
    ],
)
def test_what_would_be_dropped_or_mended_is_refused_since_nothing_is_written(tmp_path, fault, policy):
    written(tmp_path, SOUND)
    with pytest.raises(InputError, match="used as they are") as caught:
        ready(tmp_path, **{fault: policy})
    assert caught.value.where == f"dataset.problems.{fault}={policy}"


def test_what_is_mended_elsewhere_by_default_is_here_nothing_but_taken_as_it_is():
    assert {fault for fault in CHECKED if Policies()[fault] is Policy.FIX} == {
        *("bad_area", "class_spelling", "clipped_box", "turned_image")
    }
    assert not [fault for fault in CHECKED if Policies()[fault] is Policy.DROP]


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - CHECKED))
def test_a_policy_of_what_is_not_looked_for_is_refused_and_not_passed_over(tmp_path, fault):
    policy = FAULTS[fault].policies[0].value
    with pytest.raises(InputError, match=f"{fault} is not looked for") as caught:
        ready(written(tmp_path, SOUND), **{fault: policy})
    assert caught.value.where == f"dataset.problems.{fault}={policy}"


@pytest.mark.parametrize(
    ("fault", "policy", "odd"),
    [
        ("tiny_box", "error", record(9, (0, 0, 0.04, 1))),
        ("duplicate_box", "error", record(9, BOX, BOX)),
        ("clipped_box", "error", record(9, (0, 0, 1.04, 1))),
        ("image_without_boxes", "error", record(9)),
        ("size_mismatch", "warn", record(9, BOX, width_px=41)),
    ],
)
def test_a_policy_that_can_be_kept_is_kept(tmp_path, fault, policy, odd):
    folder = written(tmp_path, SOUND | {"train.record": [*TRAIN, odd]})
    _, log = ready(folder, **{fault: policy})
    assert log.counts(*Policy) == log.counts(Policy(policy)) == {fault: 1}


def test_what_harms_nobody_is_taken_and_told(tmp_path):
    _, log = ready(written(tmp_path, SOUND | {"train.record": [*TRAIN, record(9, (0, 0, 1.01, 1))]}))
    assert [fault for fault, _, _ in told(log, tmp_path)] == ["clipped_box"]
    log.refuse_errors(tmp_path)


def test_the_fingerprint_depends_on_records_parts_and_classes_and_not_on_the_place(tmp_path):
    prints = [
        ready(written(tmp_path / str(number), SOUND | changed))[0].fingerprint
        for number, changed in enumerate(
            (
                {},
                {"train.record": TRAIN[::-1]},
                {"train.record": TRAIN[:1], "val.record": [*TRAIN[1:], *VAL]},
                {"label_map.pbtxt": label_map_text(("cat", "cow")).encode()},
            )
        )
    ]
    assert len(set(prints)) == 4
    assert ready(written(tmp_path / "again", SOUND))[0].fingerprint == prints[0]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.record", True),
        ("a.TFRecords", True),
        ("x/train.record-00000-of-00010", True),
        ("train-00000-of-00001.tfrecord", True),
        ("a.record.bak", False),
        ("record", False),
        ("a.records.csv", False),
    ],
)
def test_record_files_are_known_by_their_names(name, is_one):
    assert recognizes([ListedFile("a.jpg", Path()), ListedFile(name, Path())]) == is_one


POSES = KeypointSlots({"dog": ("nose", "tail")})


@pytest.mark.parametrize(("of_the_last", "posed"), [(2, 4), (1, 3), (0, 3), (None, 3)])
def test_boxes_in_records_with_all_keypoints_of_the_label_map_are_counted(
    of_the_last: int | None, posed: int, tmp_path: Path
) -> None:
    files: dict[str, list[bytes] | bytes] = {
        "train.record": [record(1, BOX, keypoints=2), record(2, BOX, OTHER, label_id=2, keypoints=4)],
        "val.record": [record(3, BOX, keypoints=of_the_last)],
        "label_map.pbtxt": label_map_text(CLASSES, POSES).encode(),
    }
    found, log = ready(written(tmp_path, files))
    assert (found.keypoints, found.posed, log.problems) == (POSES, posed, [])


def test_keypoints_that_a_label_map_does_not_name_are_none(tmp_path: Path) -> None:
    files = SOUND | {"val.record": [record(3, BOX, keypoints=2)]}
    found, _ = ready(written(tmp_path, files))
    assert (found.keypoints, found.posed) == (NO_KEYPOINTS, 0)


def test_a_label_map_whose_keypoints_are_not_numbered_in_its_order_is_refused(tmp_path: Path) -> None:
    odd = label_map_text(CLASSES, POSES).replace("id: 1\n    label", "id: 5\n    label").encode()
    with pytest.raises(InputError, match="has keypoints with the ids 0, 5"):
        ready(written(tmp_path, SOUND | {"label_map.pbtxt": odd}))


def test_keypoints_of_a_class_with_a_machine_s_name_are_found_by_that(tmp_path: Path) -> None:
    person = b"""item { id: 1 name: '/m/01g317' display_name: 'person' keypoints { id: 0 label: 'nose' } }"""
    files = {"label_map.pbtxt": person, "train.record": [record(1, BOX, keypoints=1)], "val.record": VAL}
    found, _ = ready(written(tmp_path, dict(files)))
    assert found.keypoints == KeypointSlots({"person": ("nose",)}, {"person": "/m/01g317"})
