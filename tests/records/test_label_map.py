from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from odrun.annotations.classes import class_map
from odrun.errors import InputError
from odrun.records.label_map import (
    LARGEST_FILE_BYTES,
    label_ids,
    label_map_classes,
    label_map_text,
    read_label_map,
)

ODD = ["cat", 'a "quoted" \\ name', "zwei\nZeilen\tund ein Tab", "katze ä 猫", "it's", "0", "# no comment {"]
COCO = """item {
  name: "/m/01g317"
  id: 1
  display_name: "person"
}
item {
  name: "/m/0199g"
  id: 2
  display_name: "bicycle"
}
"""


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "map.pbtxt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_ids_count_from_one_in_the_order_of_the_classes():
    assert label_ids(["dog", "cat"]) == {"dog": 1, "cat": 2}


def test_the_text_is_the_od_api_s():
    assert label_map_text(["dog", "cat"]) == 'item {\n  id: 1\n  name: "dog"\n}\nitem {\n  id: 2\n  name: "cat"\n}\n'


def test_odd_names_survive_writing_and_reading(tmp_path):
    assert read_label_map(written(tmp_path, label_map_text(ODD))) == label_ids(ODD)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, unique=True))
def test_any_names_survive_writing_and_reading(names):
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), label_map_text(names))
        assert read_label_map(path) == label_ids(names)
        assert list(label_map_classes(path)) == names


def test_a_label_map_written_by_others_is_read_in_the_order_of_its_ids(tmp_path):
    text = (
        "item { id: 5 name: '/m/01' display_name: 'Dog' keypoints { id: 1 label: 'nose' } }\nitem { name: 'b' id: 2 }"
    )
    assert list(read_label_map(written(tmp_path, text)).items()) == [("b", 2), ("/m/01", 5)]


def test_display_names_are_taken_if_each_item_has_one_of_its_own(tmp_path):
    assert read_label_map(written(tmp_path, COCO)) == {"person": 1, "bicycle": 2}
    assert read_label_map(written(tmp_path, COCO.replace('"bicycle"', '"person"'))) == {"/m/01g317": 1, "/m/0199g": 2}


def test_a_display_name_stands_in_for_a_missing_name(tmp_path):
    path = written(tmp_path, "item { id: 1 name: 'cat' } item { id: 2 display_name: 'dog' }")
    assert read_label_map(path) == {"cat": 1, "dog": 2}


def test_data_may_name_the_classes_of_a_label_map_in_either_way(tmp_path):
    classes = class_map(label_map_classes(written(tmp_path, COCO)))
    assert classes.names == ("person", "bicycle")
    assert [classes.resolve(text).name for text in ("/m/0199g", "bicycle", "person")] == ["bicycle"] * 2 + ["person"]


def test_the_background_s_item_is_left_out(tmp_path):
    path = written(tmp_path, "item { id: 0 name: 'background' } item { id: 1 name: 'cat' }")
    assert read_label_map(path) == {"cat": 1}
    with pytest.raises(InputError, match="has no class"):
        read_label_map(written(tmp_path, "item { id: 0 name: 'background' }"))


@pytest.mark.parametrize(("ids", "absent"), [((2, 3), 1), ((1, 3), 2), ((1, 90), 2)])
def test_classes_of_a_data_set_have_ids_without_gaps(tmp_path, ids, absent):
    path = written(tmp_path, "".join(f"item {{ id: {number} name: 'c{number}' }}\n" for number in ids))
    assert list(read_label_map(path).values()) == list(ids)
    with pytest.raises(InputError, match=f"has no id {absent}, though") as caught:
        label_map_classes(path)
    assert (caught.value.where, "from 1 to 2" in str(caught.value.remedy)) == (str(path), True)


def test_a_text_that_means_two_classes_is_refused(tmp_path):
    path = written(tmp_path, COCO.replace("/m/0199g", "person"))
    with pytest.raises(InputError, match="calls both 'person' and 'bicycle' 'person'"):
        label_map_classes(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no class"),
        ("item {", "cannot be read, line 1"),
        ("item {\n  id: 'one' name: 'a' }", "cannot be read, line 2: .*integer"),
        ("item { id: 1 }", "item 1 of 1 has no name and the id 1"),
        ("item { name: 'a' }", "item 1 of 1 has 'a' and the id 0"),
        ("item { id: 1 name: ' ' }", "item 1 of 1 has no name"),
        ("item { id: 0 name: 'a' }", "item 1 of 1 has 'a' and the id 0"),
        ("item { id: 2 name: 'b' } item { id: -1 name: 'a' }", "item 2 of 2 has 'a' and the id -1"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "has the id 1 twice"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "has the name 'a' twice"),
        ("item { id: 1 name: 'a' name: 'b' }", "line 1: .*multiple"),
        ("item {\n id: 99999999999\n name: 'a' }", "line 2: .*out of range"),
        ("item { id: 1 name: '\\xff' }", "line 1"),
        ("item { id: 1 x " + "{ a " * 20000, "nested too deeply"),
        ("item {\n id: 1\n name: 'a\n}", "line 3: .*ending quote"),
        ("\x00\x1b[31m", "line 1"),
    ],
)
def test_what_is_no_label_map_is_refused_with_its_path_and_the_place(tmp_path, text, told):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=told) as caught:
        read_label_map(path)
    assert caught.value.where == str(path)
    assert caught.value.what.isprintable()


def test_typographic_quotes_are_told_by_line_and_remedy(tmp_path):
    path = written(tmp_path, "item {\n  id: 1\n  name: “cat”\n}\n")
    with pytest.raises(InputError, match=r"line 3: .*“") as caught:
        read_label_map(path)
    assert caught.value.remedy == "write straight quotes, 'CLASS'"


def test_a_byte_order_mark_is_passed_over(tmp_path):
    assert read_label_map(written(tmp_path, b"\xef\xbb\xbfitem { id: 1 name: 'a' }\r\n")) == {"a": 1}


def test_an_absent_or_binary_file_is_refused_with_its_path(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    for name in ("gone.pbtxt", "binary", "folder"):
        with pytest.raises(InputError, match="cannot be read") as caught:
            read_label_map(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


def test_bytes_that_are_no_text_are_told_by_line(tmp_path):
    with pytest.raises(InputError, match="line 2 is not UTF-8"):
        read_label_map(written(tmp_path, b"item {\n name: '\xe9' }"))


def test_a_file_of_another_kind_is_not_read_whole(tmp_path):
    path = tmp_path / "weights"
    with path.open("wb") as stream:
        stream.truncate(LARGEST_FILE_BYTES + 1)
    with pytest.raises(InputError, match="larger than 16 MiB"):
        read_label_map(path)


PIECES = st.sampled_from(
    [
        "item",
        " { ",
        " } ",
        "\n",
        "id:",
        " 1",
        " 2",
        "name:",
        '"a"',
        "'b'",
        "[",
        "]",
        "<",
        ">",
        "“",
        "display_name:",
        "#",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces).encode()), st.binary(max_size=60)))
@example(b"[type.googleapis.com/LabelMap] { }")
@example(b"item { id: 1 name: '\\ud800' }")
def test_whatever_a_file_holds_it_is_a_label_map_or_an_input_error(content):
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), content)
        try:
            classes = label_map_classes(path)
        except InputError:
            return
        assert list(read_label_map(path)) == list(classes)
        assert class_map(classes).names == tuple(classes)
