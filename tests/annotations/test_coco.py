from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from odrun.annotations import coco, coco_file
from odrun.annotations.coco import read_coco, recognizes
from odrun.annotations.files import Listing, list_files
from odrun.annotations.model import BoxAsRead, ImageAsRead, Keypoint, Mask, Polygons, RunLengths
from odrun.annotations.problems import ProblemLog

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}
CAT = {"id": 7, "name": "cat"}
PERSON = {"id": 1, "name": "person", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
BOX = {"id": 5, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": 0}
RING = [1.0, 2.0, 9.5, 2.0, 9.5, 8.25]


def document(
    annotations: list[Any] | None = None, images: list[Any] | None = None, categories: list[Any] | None = None
) -> str:
    return json.dumps(
        {
            "info": {"description": "odd {[ signs"},
            "images": [IMAGE] if images is None else images,
            "annotations": [BOX] if annotations is None else annotations,
            "categories": [CAT] if categories is None else categories,
        }
    )


def written(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def listed(root: Path) -> Listing:
    return list_files(root, ProblemLog()).where(lambda file: file.suffix in coco.SUFFIXES)


def read(root: Path) -> tuple[list[ImageAsRead], ProblemLog]:
    log = ProblemLog()
    return list(read_coco(listed(root), log)), log


def read_one(tmp_path: Path, **lists: list[Any]) -> tuple[tuple[BoxAsRead, ...], ProblemLog]:
    images, log = read(written(tmp_path, {"a.json": document(**lists), "a.jpg": b""}))
    return images[0].boxes, log


def told(log: ProblemLog, root: Path) -> list[tuple[str, str, int | None]]:
    return [(problem.fault, problem.file.relative_to(root).as_posix(), problem.line) for problem in log.problems]


def faults(log: ProblemLog) -> list[tuple[str, str]]:
    return [(problem.fault, problem.message) for problem in log.problems]


def boxed(
    *corners: float,
    name: str = "cat",
    is_crowd: bool = False,
    mask: Mask | None = None,
    keypoints: tuple[Keypoint, ...] = (),
) -> BoxAsRead:
    return BoxAsRead(name, *corners, False, False, is_crowd, None, mask, keypoints)


def test_a_file_becomes_images_as_read(tmp_path):
    counts = coco_mask.encode(np.asfortranarray(np.eye(30, 40, dtype=np.uint8)))["counts"].decode()
    categories = [CAT, PERSON]
    images = [IMAGE, {"id": "b", "file_name": "sub\\b.png"}, {"id": 3, "file_name": "c.jpg", "width": 5.0, "height": 0}]
    annotations = [
        BOX | {"segmentation": [RING, [0, 0, 5, 0, 5, 5, 0, 5]]},
        {"id": 6, "image_id": "b", "category_id": 1, "bbox": [0.5, 0, 2, 2], "keypoints": [1, 2.5, 2, 7, 8, 0]},
        {"id": 8, "image_id": 1, "category_id": 7, "bbox": [0, 0, 40, 30], "iscrowd": 1}
        | {"segmentation": {"size": [30, 40], "counts": counts}},
        {"id": 9, "image_id": 1, "category_id": 1, "segmentation": {"size": [30, 40], "counts": [33, 5, 1162]}},
        {"id": 10, "image_id": 1, "category_id": 7, "bbox": None, "segmentation": [RING]},
        {"id": "x", "image_id": 1.0, "category_id": 7.0, "bbox": [4, 3, 2, 1], "segmentation": [], "keypoints": []},
    ]
    written(tmp_path, {"labels/all.json": document(annotations, images, categories)})
    written(tmp_path, {"images/a.jpg": b"", "images/sub/b.png": b"", "images/c.jpg": b""})
    found, log = read(tmp_path)
    path = tmp_path / "labels/all.json"
    a = (
        boxed(1, 2, 4, 6, mask=Polygons((tuple(RING), (0.0, 0.0, 5.0, 0.0, 5.0, 5.0, 0.0, 5.0)))),
        boxed(0, 0, 40, 30, is_crowd=True, mask=RunLengths(30, 40, counts)),
        boxed(1, 3, 2, 8, name="person", mask=RunLengths(30, 40, (33, 5, 1162))),
        boxed(1, 2, 9.5, 8.25, mask=Polygons((tuple(RING),))),
        boxed(4, 3, 6, 4),
    )
    b = (boxed(0.5, 0, 2.5, 2, name="person", keypoints=(Keypoint("nose", 1, 2.5, 2), Keypoint("tail", 0, 0, 0))),)
    assert found == [
        ImageAsRead("images/a.jpg", tmp_path / "images/a.jpg", path, 40, 30, a, None),
        ImageAsRead("images/sub/b.png", tmp_path / "images/sub/b.png", path, None, None, b, None),
        ImageAsRead("images/c.jpg", tmp_path / "images/c.jpg", path, 5, None, (), None),
    ]
    assert log.problems == []


def test_boxes_and_masks_are_those_that_pycocotools_reads(tmp_path):
    rng = np.random.default_rng(3)
    pixels = rng.random((30, 40)) < 0.3
    encoded = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    annotations = [BOX | {"id": number, "bbox": rng.uniform(0, 20, 4).round(2).tolist()} for number in range(5)]
    annotations.append(BOX | {"id": 9, "segmentation": {"size": [30, 40], "counts": encoded["counts"].decode()}})
    annotations.append({"id": 10, "image_id": 1, "category_id": 7, "segmentation": annotations[-1]["segmentation"]})
    boxes, _ = read_one(tmp_path, annotations=annotations)
    own = COCO(str(tmp_path / "a.json"))
    for box, entry in zip(boxes[:-1], own.loadAnns(own.getAnnIds())[:-1], strict=True):
        x, y, width, height = entry["bbox"]
        assert (box.xmin_px, box.ymin_px, box.xmax_px, box.ymax_px) == (x, y, x + width, y + height)
    x, y, width, height = coco_mask.toBbox(encoded)
    last = boxes[-1]
    assert (last.xmin_px, last.ymin_px, last.xmax_px, last.ymax_px) == (x, y, x + width, y + height)


@pytest.mark.parametrize(
    ("area", "stated_px"), [(7.5, 7.5), (7, 7.0), (0, None), (None, None), ("7", math.nan), (10**400, math.inf)]
)
def test_the_area_is_as_it_is_stated(tmp_path, area, stated_px):
    boxes, log = read_one(tmp_path, annotations=[BOX | {"area": area}])
    assert (repr(boxes[0].area_px), log.problems) == (repr(stated_px), [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_any_encoding_of_json_is_read(tmp_path, encoding):
    content = document(categories=[CAT | {"name": "Kätzchen"}]).encode(encoding)
    root = written(tmp_path, {"a.json": content, "a.jpg": b""})
    images, log = read(root)
    assert recognizes(listed(root))
    assert ([box.class_name for box in images[0].boxes], log.problems) == (["Kätzchen"], [])


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("annotations/instances_train2017.json", "annotations/instances_val2017.json"), ["train", "validation"]),
        (("train/_annotations.coco.json", "valid/_annotations.coco.json"), ["train", "validation"]),
        (("x/my_train.json", "x/my-test.json"), ["validation", "train"]),
        (("one.json", "two.json"), [None, None]),
        (("train.json", "two.json"), [None, None]),
    ],
)
def test_words_in_names_and_folders_are_the_split(tmp_path, names, parts):
    lists = [document(images=[IMAGE | {"file_name": f"{number}.jpg"}]) for number in range(2)]
    files = dict(zip(names, lists, strict=True)) | {f"{Path(names[0]).parent}/0.jpg": b""}
    images, log = read(written(tmp_path, files | {f"{Path(names[1]).parent}/1.jpg": b""}))
    assert ([image.split for image in images], log.problems) == (parts, [])


def test_a_third_part_stays_unused_with_its_images(tmp_path):
    files = {f"{part}/_annotations.coco.json": document() for part in ("train", "valid", "test")}
    files |= {f"{part}/a.jpg": b"" for part in ("train", "valid", "test")}
    images, log = read(written(tmp_path, files))
    assert [(image.name, image.split) for image in images] == [
        ("train/a.jpg", "train"),
        ("valid/a.jpg", "validation"),
    ]
    assert told(log, tmp_path) == [("annotation_outside_split", "test/_annotations.coco.json", None)]


def test_keypoints_of_a_file_of_their_own_go_to_the_box_of_their_id(tmp_path):
    boxes = document([BOX, BOX | {"id": 6, "category_id": 1}], categories=[CAT, PERSON])
    points = {"id": 6, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [0, 0, 0, 3, 4, 1]}
    files = {
        "annotations/instances_train2017.json": boxes,
        "annotations/person_keypoints_train2017.json": document(
            [points, points | {"id": 7, "keypoints": [1]}], categories=[PERSON]
        ),
        "annotations/captions_train2017.json": json.dumps({"images": [IMAGE], "annotations": [{"caption": "x"}]}),
        "train2017/a.jpg": b"",
    }
    images, log = read(written(tmp_path, files))
    keypoints = (Keypoint("nose", 0, 0, 0), Keypoint("tail", 3, 4, 1))
    assert [image.boxes for image in images] == [
        (boxed(1, 2, 4, 6), boxed(1, 2, 4, 6, name="person", keypoints=keypoints))
    ]
    assert told(log, tmp_path) == [
        ("unused_file", "annotations/captions_train2017.json", None),
        ("bad_keypoint", "annotations/person_keypoints_train2017.json", None),
    ]


def test_keypoints_without_a_file_of_boxes_are_read_as_they_are(tmp_path):
    points = {"id": 6, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [5, 6, 2, 3, 4, 1]}
    files = {"person_keypoints_val2017.json": document([points], categories=[PERSON]), "val2017/a.jpg": b""}
    keypoints = (Keypoint("nose", 5, 6, 2), Keypoint("tail", 3, 4, 1))
    assert read(written(tmp_path, files))[0][0].boxes == (boxed(0, 0, 9, 9, name="person", keypoints=keypoints),)


NAN = math.nan


@pytest.mark.parametrize("number", [NAN, math.inf, "1", None, True, [1], 10**400])
def test_what_is_no_number_is_left_to_the_checks(tmp_path, number):
    boxes, log = read_one(tmp_path, annotations=[BOX | {"bbox": [number, 2, 3, 4]}])
    assert not math.isfinite(boxes[0].xmin_px)
    assert log.problems == []


RLE = {"size": [30, 40], "counts": [1200]}


@pytest.mark.parametrize(
    ("change", "fault", "message"),
    [
        ({"id": 4}, "duplicate_id", "annotation number 2 has the id 4 of one before it"),
        ({"id": None}, "malformed_annotation", "annotation number 2 has the id None, which is no id"),
        ({"id": True}, "malformed_annotation", "annotation number 2 has the id True, which is no id"),
        ({"image_id": 2}, "unknown_id", "annotation 5 has the image_id 2, which its file does not have"),
        ({"image_id": "1"}, "unknown_id", "annotation 5 has the image_id '1', which its file does not have, but 1"),
        ({"image_id": [1]}, "malformed_annotation", "annotation 5 has the image_id [1], which is no id"),
        ({"category_id": 8}, "unknown_id", "annotation 5 has the category_id 8, which its file does not have"),
        ({"category_id": NAN}, "malformed_annotation", "annotation 5 has the category_id nan, which is no id"),
        ({"iscrowd": 2}, "malformed_annotation", "annotation 5 has the iscrowd 2, which is neither 0 nor 1"),
        ({"bbox": [1, 2, 3]}, "malformed_annotation", None),
        ({"bbox": {"x": 1}}, "malformed_annotation", None),
        ({"bbox": []}, "malformed_annotation", "annotation 5 has neither a bbox nor a segmentation with pixels"),
        ({"bbox": [], "segmentation": RLE}, "malformed_annotation", None),
        ({"segmentation": "polygon"}, "malformed_annotation", None),
        ({"segmentation": [[1, 2, 3, 4]]}, "malformed_annotation", None),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "malformed_annotation", None),
        ({"segmentation": [[1, 2, 3, 4, 5, 6], 7]}, "malformed_annotation", None),
        ({"segmentation": [[1, 2, 3, 4, 5, NAN]]}, "bad_number", None),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "bad_number", None),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e300]]}, "bad_number", None),
        ({"segmentation": RLE | {"size": [40, 30]}}, "malformed_annotation", None),
        ({"segmentation": RLE | {"size": [30.0, 40]}}, "malformed_annotation", None),
        ({"segmentation": RLE | {"counts": [1199]}}, "malformed_annotation", None),
        ({"segmentation": RLE | {"counts": [1200.0]}}, "malformed_annotation", None),
        ({"segmentation": RLE | {"counts": "oooo"}}, "malformed_annotation", None),
        ({"segmentation": {"points": []}}, "malformed_annotation", None),
        ({"keypoints": [1, 2, 2]}, "bad_keypoint", None),
        ({"category_id": 1, "keypoints": [1, 2, 2]}, "bad_keypoint", None),
        ({"category_id": 1, "keypoints": {"nose": [1, 2]}}, "bad_keypoint", None),
    ],
)
def test_a_faulty_annotation_is_named_by_its_id_and_left_out(tmp_path, change, fault, message):
    boxes, log = read_one(tmp_path, annotations=[BOX | {"id": 4}, BOX | change], categories=[CAT, PERSON])
    assert boxes == (boxed(1, 2, 4, 6),)
    assert [kind for kind, _ in faults(log)] == [fault]
    assert message is None or faults(log)[0][1] == message


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": 1}, "duplicate_id"),
        ({"id": {}}, "malformed_annotation"),
        ({"width": "40"}, "malformed_annotation"),
        ({"height": -1}, "malformed_annotation"),
        ({"width": 4.5}, "malformed_annotation"),
        ({"file_name": "gone.jpg"}, "missing_image"),
        ({"file_name": 3}, "missing_image"),
        ({"file_name": "../../etc/passwd\n%s\0"}, "missing_image"),
    ],
)
def test_a_faulty_image_is_named_and_left_out_with_its_annotations(tmp_path, change, fault):
    images = [IMAGE, {"id": 2, "file_name": "b.jpg"} | change]
    annotations = [BOX] if fault != "missing_image" else [BOX, BOX | {"id": 6, "image_id": 2}]
    root = written(tmp_path, {"a.json": document(annotations, images), "a.jpg": b"", "b.jpg": b""})
    found, log = read(root)
    assert [image.boxes for image in found] == [(boxed(1, 2, 4, 6),)]
    told_of = [kind for kind, _ in faults(log)]
    assert told_of[0] == fault
    assert told_of[1:] in ([], ["image_without_annotation"])
    assert "\n" not in str(log.problems[0])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": None}, "empty_class"),
        ({"name": ""}, "empty_class"),
        ({"name": 3}, "malformed_annotation"),
        ({"name": "\ud800"}, "malformed_annotation"),
        ({"keypoints": "nose"}, "malformed_annotation"),
        ({"keypoints": ["nose", "nose"]}, "malformed_annotation"),
        ({"keypoints": ["nose", "\udfff"]}, "malformed_annotation"),
    ],
)
def test_a_faulty_category_is_named_once_and_its_annotations_are_left_out(tmp_path, change, fault):
    categories = [CAT, {"id": 8, "name": "dog"} | change]
    annotations = [BOX, BOX | {"id": 6, "category_id": 8}, BOX | {"id": 7, "category_id": 8}]
    boxes, log = read_one(tmp_path, annotations=annotations, categories=categories)
    assert (boxes, [kind for kind, _ in faults(log)]) == ((boxed(1, 2, 4, 6),), [fault])
    assert faults(log)[0][1].startswith("the category 8, whose annotations are left out, has ")


def test_entries_that_are_no_objects_are_named_by_their_number(tmp_path):
    boxes, log = read_one(tmp_path, annotations=[BOX, [BOX], None], images=[IMAGE, "a.jpg"], categories=[CAT, 7])
    assert boxes == (boxed(1, 2, 4, 6),)
    assert [(kind, message[:20]) for kind, message in faults(log)] == [
        ("malformed_annotation", "category number 2 is"),
        ("malformed_annotation", "image number 2 is 'a"),
        ("malformed_annotation", "annotation number 2 "),
        ("malformed_annotation", "annotation number 3 "),
    ]


@pytest.mark.parametrize(
    ("content", "fault", "line"),
    [
        (json.dumps(json.loads(document()), indent=1)[:-30], "malformed_annotation", True),
        ("", "malformed_annotation", 1),
        ("\n\nimages: []", "malformed_annotation", 3),
        (b"\x80\x81\x82\x83", "malformed_annotation", None),
        (b"\x00", "malformed_annotation", 1),
        ("[" * 100_000, "malformed_annotation", None),
        ('{"images": [' + '{"a":' * 100_000, "malformed_annotation", None),
        ('{"images": [' + "1" * 5000 + "]}", "malformed_annotation", None),
        ('{"images": {}, "annotations": [], "categories": []}', "malformed_annotation", None),
        ('{"images": [], "annotations": null, "categories": []}', "malformed_annotation", None),
        ('{"name": "odd", "version": "1", "categories": ["Other"]}', "unused_file", None),
        ('{"version": "5", "shapes": [], "imagePath": "a.jpg"}', "unused_file", None),
        ('[{"image": "a.jpg", "annotations": []}]', "unused_file", None),
        ("3", "unused_file", None),
    ],
)
def test_a_faulty_file_is_named_and_left_out(tmp_path, content, fault, line):
    images, log = read(written(tmp_path, {"a.json": document(), "a.jpg": b"", "z.json": content, "b.jpg": b""}))
    assert [image.name for image in images] == ["a.jpg"]
    assert (log.problems[0].fault, log.problems[0].file.name) == (fault, "z.json")
    assert log.problems[0].line == line if line is not True else (log.problems[0].line or 0) > 10
    # Of what an unread file speaks of, nothing is known.
    assert [problem.fault for problem in log.problems[1:]] == ["image_without_annotation"] * (fault == "unused_file")


def test_a_file_too_large_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(coco_file, "LARGEST_FILE_BYTES", 1 << 20)
    images, log = read(written(tmp_path, {"a.json": document() + " " * (1 << 20), "a.jpg": b""}))
    assert (images, str(log.problems[0])) == ([], f"{tmp_path / 'a.json'}: is larger than 1 MiB")


def test_a_file_that_memory_is_too_short_for_is_a_problem(tmp_path, monkeypatch):
    def short(content: bytes) -> object:
        raise MemoryError

    monkeypatch.setattr(coco_file.json, "loads", short)
    images, log = read(written(tmp_path, {"a.json": document() + " " * 1_000_000}))
    assert (images, str(log.problems[0])) == (
        [],
        f"{tmp_path / 'a.json'}: has 1 MB, for which there is too little memory",
    )


def test_a_link_to_nothing_and_one_without_end_are_problems(tmp_path):
    (tmp_path / "a.json").symlink_to(tmp_path / "gone.json")
    (tmp_path / "b.json").symlink_to("/dev/zero")
    log = ProblemLog()
    assert list(read_coco(Listing.of(tmp_path, ("a.json", "b.json")), log)) == []
    assert told(log, tmp_path) == [
        ("unreadable_file", "a.json", None),
        ("malformed_annotation", "b.json", 1),
    ]


@pytest.mark.parametrize(
    ("content", "is_coco"),
    [
        (document(), True),
        (document(annotations=[], images=[], categories=[]), True),
        ('{"info": {}, "licenses": [{"id": 1}],\n "categories":\n[\n{"id": 0}], "images": []', True),
        ('{"categories": [{"id": 0}],' + 16384 * " ", True),
        ('{"categories": [{"id": 0, "name": "cat"}], "info": {"contributor": "Label Studio"}}', False),
        ('{"name": "odd", "categories": ["Other"]}', False),
        ('[{"images": [{"id": 1}]}]', False),
        ('{"version": "5", "shapes": [{"label": "cat"}]}', False),
        ("", False),
        (b"\xff\xfe\x00", False),
    ],
)
def test_coco_is_recognized_by_its_lists(tmp_path, content, is_coco):
    assert recognizes(listed(written(tmp_path, {"x.json": content, "a.xml": document()}))) is is_coco


VALUES = st.recursive(
    st.one_of(
        st.sampled_from([None, True, 0, 1, 5, 7, -1, 1.5, NAN, math.inf, 10**400, 2**70, "a.jpg", "cat", "\ud800", ""]),
        st.sampled_from([[1, 2, 3, 4], [RING], RLE, [1200], "0", [0, 1200]]),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


def changed(entry: dict[str, Any], *more: str) -> st.SearchStrategy[Any]:
    keys = st.sampled_from([*entry, *more])
    return st.one_of(st.dictionaries(keys, VALUES, max_size=2).map(lambda change: entry | change), VALUES)


DOCUMENTS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        document,
        st.lists(changed(BOX, "segmentation", "keypoints"), max_size=4),
        st.lists(changed(IMAGE), max_size=2),
        st.lists(changed(CAT, "keypoints"), max_size=2),
    ).map(str.encode),
    st.tuples(st.integers(0, 300), st.binary(max_size=3)).map(
        lambda cut: document().encode()[: cut[0]] + cut[1] + document().encode()[cut[0] + len(cut[1]) :]
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DOCUMENTS)
def test_whatever_the_bytes_the_reader_answers_with_images_or_problems(tmp_path, content):
    images, log = read(written(tmp_path, {"a.json": content, "a.jpg": b""}))
    assert len(images) <= 2
    assert images or log.problems
    for box in (box for image in images for box in image.boxes):
        assert box.class_name.encode()
        assert isinstance(box.mask, RunLengths | Polygons | None)
