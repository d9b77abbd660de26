from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from odrun.annotations.files import list_files
from odrun.annotations.model import BoxAsRead, ImageAsRead, Polygons
from odrun.annotations.problems import Policies, ProblemLog
from odrun.annotations.yolo import read_yolo, recognizes

BOX = "1 0.5 0.5 0.25 0.4\n"


def put(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def picture(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(folder / name)


def read(folder: Path) -> tuple[list[ImageAsRead], ProblemLog]:
    log = ProblemLog()
    return list(read_yolo(list_files(folder, log), log)), log


def box(name: str, *corners: float, line: int = 1, mask: Polygons | None = None) -> BoxAsRead:
    return BoxAsRead(name, *corners, difficult=False, truncated=False, is_crowd=False, line=line, mask=mask)


def told(log: ProblemLog) -> list[tuple[str, str, int | None]]:
    return [(problem.fault, problem.file.name, problem.line) for problem in log.problems]


def test_darknet_s_layout_is_read_whole(tmp_path):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", f"{BOX}\n0 0.1 0.2 0.5 0.2 0.5 1.0\n")
    put(tmp_path, "classes.txt", "cat\ndog\n")
    images, log = read(tmp_path)
    polygon = Polygons(((0.1, 0.2, 0.5, 0.2, 0.5, 1.0),))
    boxes = (box("dog", 0.375, 0.3, 0.625, 0.7), box("cat", 0.1, 0.2, 0.5, 1, line=3, mask=polygon))
    assert images == [
        ImageAsRead("a.jpg", tmp_path / "a.jpg", tmp_path / "a.txt", None, None, boxes, None, in_fractions=True)
    ]
    assert log.problems == []


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}", "\n  0: cat\n  1: dog"])
def test_the_layout_of_ultralytics_brings_names_and_split(tmp_path, names):
    for part in ("train", "val"):
        picture(tmp_path, f"images/{part}/a.jpg")
        put(tmp_path, f"labels/{part}/a.txt", BOX)
    picture(tmp_path, "images/train/background.jpg")
    put(tmp_path, "data.yaml", f"path: ../datasets/mine\ntrain: images/train\nval: images/val\nnc: 2\nnames: {names}\n")
    images, log = read(tmp_path)
    assert [(image.name, image.split, [each.class_name for each in image.boxes]) for image in images] == [
        ("images/train/a.jpg", "train", ["dog"]),
        ("images/train/background.jpg", "train", []),
        ("images/val/a.jpg", "validation", ["dog"]),
    ]
    assert log.problems == []


def test_paths_of_another_machine_and_lists_of_images_are_matched_by_their_ends(tmp_path):
    for part in ("train", "valid"):
        picture(tmp_path, f"{part}/images/a.jpg")
        put(tmp_path, f"{part}/labels/a.txt", BOX)
    put(
        tmp_path,
        "data.yaml",
        "train: ../train/images\nval: C:\\\\data\\\\valid\\\\images\nnames: [cat, dog]\n".replace("\\\\", "/"),
    )
    assert [image.split for image in read(tmp_path)[0]] == ["train", "validation"]
    put(tmp_path, "train.txt", "/home/me/data/train/images/a.jpg\n")
    put(tmp_path, "val.txt", "./valid/images/a.jpg\n")
    put(tmp_path, "data.yaml", "train: train.txt\nval: [val.txt]\nnames: [cat, dog]\n")
    assert [image.split for image in read(tmp_path)[0]] == ["train", "validation"]


def test_without_names_classes_are_called_by_their_numbers(tmp_path):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", BOX)
    assert [each.class_name for each in read(tmp_path)[0][0].boxes] == ["1"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.2", "a class and 3 numbers"),
        ("0 0.5 0.5 0.2 0.2 0.9", "a class and 5 numbers"),
        ("7 0.5 0.5 0.2 0.2", "has the class 7; there are names for 0 to 1"),
        ("cat 0.5 0.5 0.2 0.2", "has the class 'cat'"),
        ("-1 0.5 0.5 0.2 0.2", "has the class '-1'"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_by_number_and_the_others_are_read(tmp_path, line, words):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "classes.txt", "cat\ndog\n")
    put(tmp_path, "a.txt", f"{BOX}{line}\n")
    (image,), log = read(tmp_path)
    assert (len(image.boxes), told(log)) == (1, [("malformed_annotation", "a.txt", 2)])
    assert words in log.problems[0].message


@pytest.mark.parametrize("line", ["0 nan x 0.2 0.2", "0 0.1 0.1 0.9 0.1 nan 0.9", "0 inf 0.1 0.9 0.1 0.5 0.9"])
def test_numbers_that_are_none_are_left_to_the_checks(tmp_path, line):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", f"{line}\n")
    (image,), log = read(tmp_path)
    assert math.isnan(image.boxes[0].xmin_px)
    assert log.problems == []


def test_what_belongs_to_nothing_is_named(tmp_path):
    picture(tmp_path, "lonely.jpg")
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", "")
    put(tmp_path, "gone.txt", BOX)
    put(tmp_path, "notes.txt", "Taken in the yard.\n")
    images, log = read(tmp_path)
    assert [(image.name, image.boxes) for image in images] == [("a.jpg", ())]
    assert sorted(told(log)) == [
        ("image_without_annotation", "lonely.jpg", None),
        ("missing_image", "gone.txt", None),
        ("unused_file", "notes.txt", None),
    ]


def test_a_second_label_of_an_image_is_told(tmp_path):
    picture(tmp_path, "images/a.jpg")
    put(tmp_path, "images/a.txt", BOX)
    put(tmp_path, "labels/a.txt", f"{BOX}{BOX}")
    (image,), log = read(tmp_path)
    assert len(image.boxes) == 1
    assert [(problem.fault, problem.file) for problem in log.problems] == [
        ("duplicate_image", tmp_path / "labels/a.txt")
    ]


@pytest.mark.parametrize("name", ["no", "1.0", "2024-01-01", "null", "0x10"])
def test_a_class_that_yaml_could_take_for_another_value_keeps_its_name(tmp_path, name):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", "0 0.5 0.5 0.25 0.4\n")
    put(tmp_path, "data.yaml", f"names: [{name}]\n")
    assert read(tmp_path)[0][0].boxes[0].class_name == name


def test_an_image_whose_label_is_too_large_is_left_out_and_no_background(tmp_path):
    picture(tmp_path, "a.jpg")
    with (tmp_path / "a.txt").open("wb") as stream:
        stream.truncate((16 << 20) + 1)
    images, log = read(tmp_path)
    assert (images, told(log), log.lost.images) == (
        [],
        [("malformed_annotation", "a.txt", None)],
        {"malformed_annotation": 1},
    )


def test_keypoints_are_not_taken_for_a_polygon_where_that_fault_is_dropped(tmp_path):
    picture(tmp_path, "a.jpg")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.2 0.2 0.4 0.4 1 0.5 0.5 1\n0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text("names: [a]\nkpt_shape: [2, 3]\n")
    log = ProblemLog(Policies({"malformed_annotation": "drop"}))
    (image,) = read_yolo(list_files(tmp_path, log), log)
    assert ([box.line for box in image.boxes], log.lost.boxes) == ([2], {"malformed_annotation": 1})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("names: [a, b", "is no YAML"),
        ("a: &a [x]\nnames: *a\n", "has an alias"),
        (f"names: {'[' * 100_000}", "is nested too deeply"),
        ("names: [a, b]\nkpt_shape: [17, 3]\n", "read from COCO alone"),
        ("? [a]\n: b\nnames: [a]\n", "is no YAML"),
        ("names: 3\n", "no list or mapping"),
        (f"names: {{{'9' * 500}: a}}\n", "no list or mapping"),
        ("#" * (1 << 20) + "#", "is larger than 1 MiB"),
    ],
)
def test_a_data_yaml_that_cannot_be_read_is_told(tmp_path, content, words):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", BOX)
    put(tmp_path, "data.yaml", content)
    _, log = read(tmp_path)
    assert [(problem.fault, problem.file.name) for problem in log.problems] == [("malformed_annotation", "data.yaml")]
    assert words in log.problems[0].message


def test_yolo_is_recognized_by_a_label_and_not_by_other_texts(tmp_path):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", "hello world\n")
    assert not recognizes(list_files(tmp_path, ProblemLog()))
    picture(tmp_path, "b.jpg")
    put(tmp_path, "b.txt", f"\n{BOX}")
    assert recognizes(list_files(tmp_path, ProblemLog()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    label=st.binary(max_size=60),
    names=st.one_of(
        st.binary(max_size=60),
        st.text(st.characters(codec="utf-8"), max_size=60).map(lambda text: f"names: {text}".encode()),
        st.text(st.characters(codec="utf-8"), max_size=40).map(
            lambda text: f"names: [a]\ntrain: {text!r}\nval: [{text!r}]".encode()
        ),
    ),
)
def test_whatever_the_files_hold_is_a_problem_and_no_traceback(tmp_path, label, names):
    picture(tmp_path, "a.jpg")
    put(tmp_path, "a.txt", label)
    put(tmp_path, "data.yaml", names)
    images, _ = read(tmp_path)
    assert [image.name for image in images] == ["a.jpg"]
