from __future__ import annotations

import pytest

from odrun.errors import InputError
from odrun.records.label_map import label_ids, label_map_text, read_label_map

ODD = ["cat", 'a "quoted" \\ name', "zwei\nZeilen\tund ein Tab", "katze ä 猫", "it's", "0", "# no comment {"]


def test_ids_count_from_one_in_the_order_of_the_classes():
    assert label_ids(["dog", "cat"]) == {"dog": 1, "cat": 2}


def test_the_text_is_the_od_api_s():
    assert label_map_text(["dog", "cat"]) == 'item {\n  id: 1\n  name: "dog"\n}\nitem {\n  id: 2\n  name: "cat"\n}\n'


def test_odd_names_survive_writing_and_reading(tmp_path):
    (tmp_path / "map.pbtxt").write_text(label_map_text(ODD), encoding="utf-8")
    assert read_label_map(tmp_path / "map.pbtxt") == label_ids(ODD)


def test_a_label_map_written_by_others_is_read_in_the_order_of_its_ids(tmp_path):
    text = (
        "item { id: 5 name: '/m/01' display_name: 'Dog' keypoints { id: 1 label: 'nose' } }\nitem { name: 'b' id: 2 }"
    )
    (tmp_path / "map.pbtxt").write_text(text)
    assert list(read_label_map(tmp_path / "map.pbtxt").items()) == [("b", 2), ("/m/01", 5)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "item {",
        "item { id: 'one' name: 'a' }",
        "item { id: 1 }",
        "item { name: 'a' }",
        "item { id: 0 name: 'a' }",
        "item { id: 1 name: 'a' } item { id: 1 name: 'b' }",
        "item { id: 1 name: 'a' } item { id: 2 name: 'a' }",
    ],
)
def test_what_is_no_label_map_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "map.pbtxt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_label_map(path)
    assert caught.value.where == str(path)


def test_an_absent_or_binary_file_is_refused_with_its_path(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("gone.pbtxt", "binary"):
        with pytest.raises(InputError, match="cannot be read"):
            read_label_map(tmp_path / name)
