from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odrun.annotations import csv_rows, csv_table
from odrun.annotations.csv_table import read_csv, recognizes
from odrun.annotations.files import Listing
from odrun.annotations.model import BoxAsRead, ImageAsRead
from odrun.annotations.problems import ProblemLog

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
CAT = "a.jpg,40,30,cat,1,2,3,4\n"


def written(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def listed(root: Path) -> Listing:
    names = (path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())
    return Listing.of(root, names).where(lambda file: file.suffix in csv_table.SUFFIXES)


def read(root: Path) -> tuple[list[ImageAsRead], ProblemLog]:
    log = ProblemLog()
    return list(read_csv(listed(root), log)), log


def told(log: ProblemLog, root: Path) -> list[tuple[str, str, int | None]]:
    return [(problem.fault, problem.file.relative_to(root).as_posix(), problem.line) for problem in log.problems]


def boxed(name: str, *numbers: float, line: int) -> BoxAsRead:
    return BoxAsRead(name, *numbers, difficult=False, truncated=False, is_crowd=False, line=line)


def test_rows_become_images_wherever_their_rows_stand(tmp_path):
    table = HEADER + CAT + "b.jpg,50,60,dog,0.5,0,1e1,9\n" + "\n" + "a.jpg,40,30,dog,5,6,7,8\n"
    images, log = read(written(tmp_path, {"labels.csv": table, "a.jpg": b"", "b.jpg": b""}))
    path = tmp_path / "labels.csv"
    first = (boxed("cat", 1, 2, 3, 4, line=2), boxed("dog", 5, 6, 7, 8, line=5))
    second = (boxed("dog", 0.5, 0, 10, 9, line=3),)
    assert images == [
        ImageAsRead("a.jpg", tmp_path / "a.jpg", path, 40, 30, first, None),
        ImageAsRead("b.jpg", tmp_path / "b.jpg", path, 50, 60, second, None),
    ]
    assert log.problems == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_columns_in_any_order_case_and_dress_are_the_same_table(tmp_path, delimiter, encoding, line_end):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(["YMax", " class ", "note", "XMIN", "ymin", "xmax", "Filename", ""])
    writer.writerow(["4", " gréy, cat", 'say "x";\t', "1", "2", "3", "ä.jpg", ""])
    written(tmp_path, {"t.csv": stream.getvalue().encode(encoding), "ä.jpg": b""})
    images, log = read(tmp_path)
    assert (log.problems, len(images)) == ([], 1)
    assert images[0].boxes == (boxed("gréy, cat", 1, 2, 3, 4, line=2),)
    assert (images[0].width_px, images[0].height_px) == (None, None)


def test_a_row_with_neither_class_nor_box_is_an_image_without_boxes(tmp_path):
    images, log = read(written(tmp_path, {"t.csv": HEADER + "a.jpg,40,30,,,,,\n", "a.jpg": b""}))
    assert [(image.name, image.boxes, image.width_px) for image in images] == [("a.jpg", (), 40)]
    assert log.problems == []


def test_a_class_without_a_box_or_a_box_without_a_class_is_left_to_the_checks(tmp_path):
    table = HEADER + "a.jpg,,,cat,,,,\na.jpg,,,,1,2,3,4\n"
    boxes = read(written(tmp_path, {"t.csv": table, "a.jpg": b""}))[0][0].boxes
    assert boxes[1] == boxed("", 1, 2, 3, 4, line=3)
    assert (boxes[0].class_name, math.isnan(boxes[0].xmin_px)) == ("cat", True)


@pytest.mark.parametrize("text", ["nan", "inf", "", "1_0", "ten", '"1,5"'])
def test_what_is_no_number_is_read_as_none_and_left_to_the_checks(tmp_path, text):
    written(tmp_path, {"t.csv": HEADER + f"a.jpg,40,30,cat,{text},2,3,4\n", "a.jpg": b""})
    assert not math.isfinite(read(tmp_path)[0][0].boxes[0].xmin_px)


@pytest.mark.parametrize("size", ["0,0", ",", "0.0,"])
def test_a_size_that_is_not_stated_is_none_until_a_row_states_it(tmp_path, size):
    written(tmp_path, {"t.csv": HEADER + f"a.jpg,{size},cat,1,2,3,4\n", "a.jpg": b""})
    assert [(image.width_px, image.height_px) for image in read(tmp_path)[0]] == [(None, None)]
    written(tmp_path, {"t.csv": HEADER + f"a.jpg,{size},cat,1,2,3,4\n" + CAT})
    assert [(image.width_px, image.height_px) for image in read(tmp_path)[0]] == [(40, 30)]


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        ("z.jpg,40,30,cat\n", 2, "has a row of 4 cells under a header of 8"),
        ("z.jpg,40,30,black, cat,1,2,3,4\n", 2, "has a row of 9 cells under a header of 8"),
        (",40,30,cat,1,2,3,4\n", 2, "has a row without a file name"),
        ("\nz.jpg,4.5,30,cat,1,2,3,4\n", 3, "states the width '4.5'"),
        ("z.jpg,40,-1,cat,1,2,3,4\n", 2, "states the height '-1'"),
        ("z.jpg,inf,30,cat,1,2,3,4\n", 2, "states the width 'inf'"),
        (b"z.jpg,40,30,c\xe4t,1,2,3,4\n", 2, "has text that is neither UTF-8 nor UTF-16 with a byte order mark"),
        ("z.jpg,40,30,c\0t,1,2,3,4\n", 2, "has a NUL byte; save it as UTF-8"),
        (f"z.jpg,40,30,{'x' * 200_000},1,2,3,4\n", 2, "is not CSV: field larger than field limit (131072)"),
        (f"z.jpg,40,30,{'x' * (5 << 20)},1,2,3,4\n", 2, "has a line of 1048576 or more signs"),
    ],
)
def test_a_faulty_row_is_named_with_its_line_and_the_next_one_is_read(tmp_path, rows, line, message):
    content = HEADER.encode() + (rows if isinstance(rows, bytes) else rows.encode()) + CAT.encode()
    images, log = read(written(tmp_path, {"t.csv": content, "a.jpg": b"", "z.jpg": b""}))
    assert [image.name for image in images] == ["a.jpg"]
    faults = [problem for problem in log.problems if problem.fault != "image_without_annotation"]
    assert [(problem.fault, problem.line, problem.message) for problem in faults] == [
        ("malformed_annotation", line, message)
    ]


def test_a_quote_that_is_not_closed_is_named_where_it_opens(tmp_path):
    content = HEADER + CAT + 'b.jpg,40,30,"cat,1,2,3,4\n' + CAT
    images, log = read(written(tmp_path, {"t.csv": content, "a.jpg": b"", "b.jpg": b""}))
    assert [len(image.boxes) for image in images] == [1]
    assert told(log, tmp_path)[0] == ("malformed_annotation", "t.csv", 3)
    assert log.problems[0].message.endswith("(up to line 4)")


def test_a_cell_of_several_lines_moves_no_line_number(tmp_path):
    content = "note," + HEADER + '"one\n\ntwo",' + CAT + "," + CAT
    images, log = read(written(tmp_path, {"t.csv": content, "a.jpg": b""}))
    assert ([box.line for box in images[0].boxes], log.problems) == ([2, 5], [])


def test_rows_of_one_image_that_state_other_sizes_are_faulty(tmp_path):
    content = HEADER + CAT + "a.jpg,41,30,dog,1,2,3,4\n" + "a.jpg,,30,dog,1,2,3,4\n"
    images, log = read(written(tmp_path, {"t.csv": content, "a.jpg": b""}))
    assert ([box.line for box in images[0].boxes], images[0].width_px) == ([2, 4], 40)
    assert told(log, tmp_path) == [("malformed_annotation", "t.csv", 3)]
    assert "41" in log.problems[0].message


def test_an_image_of_faulty_rows_alone_is_no_image_without_boxes(tmp_path):
    images, log = read(written(tmp_path, {"t.csv": HEADER + "a.jpg,x,30,cat,1,2,3,4\n", "a.jpg": b""}))
    assert (images, told(log, tmp_path)) == ([], [("malformed_annotation", "t.csv", 2)])


def test_an_image_that_is_not_there_is_told_once_with_its_first_line(tmp_path):
    rows = "gone%s\u2028.jpg,40,30,cat,1,2,3,4\n"
    images, log = read(written(tmp_path, {"t.csv": HEADER + CAT + rows * 3, "a.jpg": b""}))
    assert ([image.name for image in images], told(log, tmp_path)) == (["a.jpg"], [("missing_image", "t.csv", 3)])
    assert str(log.problems[0]).isprintable()


def test_an_image_named_like_the_table_is_not_taken_for_a_missing_one(tmp_path):
    images, log = read(written(tmp_path, {"labels.csv": HEADER + CAT, "labels.jpg": b""}))
    assert (images, told(log, tmp_path)[0]) == ([], ("missing_image", "labels.csv", 2))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("filename,class,xmin,ymin,xmax\n", "has no column ymax; it has 'filename, class, xmin, ymin, xmax', needed"),
        ("image;width;height;label;xmin;ymin;xmax;ymax\n", "has no column filename and no class; it has 'image, "),
        (HEADER.replace("width", "xmin"), "has the column xmin twice"),
        (HEADER.replace(",", "\0"), "has a NUL byte; save it as UTF-8"),
        ("x" * (2 << 20), "has a line of 1048576 or more signs"),
    ],
)
def test_a_table_without_a_sound_header_is_named_and_left_out(tmp_path, header, message):
    content = header if isinstance(header, bytes) else header.encode()
    images, log = read(written(tmp_path, {"t.csv": content, "b.csv": HEADER + CAT, "a.jpg": b""}))
    assert [image.name for image in images] == ["a.jpg"]
    assert told(log, tmp_path) == [("malformed_annotation", "t.csv", 1)]
    assert log.problems[0].message.startswith(message)


@pytest.mark.parametrize("content", ["", "\n\n", "id,name\n1,cat\n", "ImageID,XMin,XMax,YMin,YMax\n", '"', b"\xff\xfe"])
def test_another_csv_file_is_unused_and_tells_no_split(tmp_path, content):
    written(tmp_path, {"train.csv": HEADER + CAT, "val.csv": content, "a.jpg": b""})
    images, log = read(tmp_path)
    assert [image.split for image in images] == [None]
    assert told(log, tmp_path) == [("unused_file", "val.csv", None)]


def test_a_table_that_cannot_be_opened_is_told(tmp_path):
    written(tmp_path, {"a.jpg": b""})
    (tmp_path / "t.csv").symlink_to(tmp_path / "nowhere")
    assert told(read(tmp_path)[1], tmp_path)[0] == ("unreadable_file", "t.csv", None)


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ("train_labels.csv", "test_labels.csv"),
        ("data/Train.csv", "data/valid.csv"),
        ("train/_annotations.csv", "valid/_annotations.csv"),
        ("labels-train2017.csv", "labels-val2017.csv"),
    ],
)
def test_the_split_is_told_by_names_of_tables_or_folders(tmp_path, train, validation):
    written(tmp_path, {train: HEADER + CAT, validation: HEADER + CAT.replace("a.jpg", "b.jpg")})
    written(tmp_path, {"images/a.jpg": b"", "images/b.jpg": b""})
    images, log = read(tmp_path)
    assert {image.name: image.split for image in images} == {"images/a.jpg": "train", "images/b.jpg": "validation"}
    assert log.problems == []


def test_a_table_in_no_part_is_told_and_its_images_with_it(tmp_path):
    files = {f"{name}.csv": HEADER + CAT.replace("a.jpg", f"{name}.jpg") for name in ("train", "val", "test")}
    files |= {f"{name}.jpg": "" for name in ("train", "val", "test")}
    images, log = read(written(tmp_path, files))
    assert [(image.name, image.split) for image in images] == [("train.jpg", "train"), ("val.jpg", "validation")]
    assert told(log, tmp_path) == [("annotation_outside_split", "test.csv", None)]


def test_tables_side_by_side_mean_the_images_of_their_own_part(tmp_path):
    written(tmp_path, {f"data/{part}_labels.csv": HEADER + CAT for part in ("train", "test")})
    written(tmp_path, {f"images/{part}/a.jpg": b"" for part in ("train", "test")})
    images, log = read(tmp_path)
    assert {image.name: image.split for image in images} == {
        "images/train/a.jpg": "train",
        "images/test/a.jpg": "validation",
    }
    assert log.problems == []


@pytest.mark.parametrize(
    "stated", ["cats/1.jpg", "./cats//1.jpg", "cats\\1.jpg", "Cats/1.JPG", "../data/cats/1.jpg", "data/cats/1.jpg"]
)
def test_a_path_means_the_file_there_and_not_another_one_of_its_name(tmp_path, stated):
    written(tmp_path, {"data/t.csv": HEADER + CAT.replace("a.jpg", stated)})
    written(tmp_path, {"data/cats/1.jpg": b"", "data/dogs/1.jpg": b"", "1.jpg": b""})
    assert [image.name for image in read(tmp_path)[0]] == ["data/cats/1.jpg"]


@pytest.mark.parametrize("stated", ["C:\\old\\place\\a.jpg", "/old/place/a.jpg", "A.JPG", "../../../a.jpg"])
def test_a_path_of_another_machine_is_looked_for_by_its_file_name(tmp_path, stated):
    written(tmp_path, {"t.csv": HEADER + CAT.replace("a.jpg", stated), "frames/a.jpg": b""})
    assert [image.name for image in read(tmp_path)[0]] == ["frames/a.jpg"]


def test_a_name_without_ending_means_the_image_of_that_stem(tmp_path):
    written(tmp_path, {"t.csv": HEADER + CAT.replace("a.jpg", "a.1") + CAT.replace("a.jpg", "b")})
    images, log = read(written(tmp_path, {"images/a.1.jpg": b"", "images/b.png": b""}))
    assert [image.name for image in images] == ["images/b.png"]
    assert told(log, tmp_path)[0] == ("missing_image", "t.csv", 2)


def test_two_names_of_one_image_are_told_and_the_path_goes_before_the_file_name(tmp_path):
    rows = "".join(CAT.replace("a.jpg", stated) for stated in ("cats/1.jpg", "dogs/1.jpg"))
    images, log = read(written(tmp_path, {"t.csv": HEADER + rows, "dogs/1.jpg": b""}))
    assert [(image.name, image.boxes[0].line) for image in images] == [("dogs/1.jpg", 3)]
    assert told(log, tmp_path) == [("duplicate_image", "t.csv", 2)]


def test_an_image_without_rows_is_named(tmp_path):
    written(tmp_path, {"t.csv": HEADER + CAT, "a.jpg": b"", "b.jpg": b""})
    assert told(read(tmp_path)[1], tmp_path) == [("image_without_annotation", "b.jpg", None)]


def test_only_a_folder_with_such_a_table_is_recognized(tmp_path):
    written(tmp_path, {"b.csv": "id,name\n", "a.jpg": b""})
    assert not recognizes(listed(tmp_path))
    written(tmp_path, {"c.csv": HEADER.replace(",", ";")})
    assert recognizes(listed(tmp_path))


@pytest.mark.parametrize("column", ["filename", "class", "xmin", "ymax"])
def test_a_table_with_a_column_missing_is_recognized_so_that_it_is_told(tmp_path, column):
    written(tmp_path, {"t.csv": HEADER.replace(column, "other"), "b.csv": "ab\0\n", "c.csv": "a,b,class\n"})
    assert recognizes(listed(tmp_path))
    assert [problem.message.partition(";")[0] for problem in read(tmp_path)[1].problems if problem.line] == [
        "has a NUL byte",
        f"has no column {column}",
    ]


CELLS = st.one_of(
    st.sampled_from(
        ["a.jpg", "40", "nan", "-1e309", '"', '"a\nb"', "", ",", ";", "\n", "\0", "\ud800", "../..", "cat"]
    ),
    st.text(max_size=6),
)
TABLES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.lists(CELLS, min_size=7, max_size=9).map(",".join), max_size=6).map(
        lambda lines: (HEADER + "\n".join(lines)).encode("utf-8", "surrogatepass")
    ),
    st.tuples(st.just((HEADER + CAT * 3).encode("utf-16")), st.integers(0, 300), st.binary(max_size=4)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES)
def test_whatever_the_bytes_the_reader_answers_with_images_or_problems(tmp_path, content):
    written(tmp_path, {"t.csv": content, "a.jpg": b""})
    recognizes(listed(tmp_path))
    images, log = read(tmp_path)
    assert [image.name for image in images] in (["a.jpg"], [])
    assert all(str(problem).isprintable() for problem in log.problems)
    assert images or log.problems


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"), min_size=1).filter(
                str.strip
            ),
            st.tuples(*[st.floats(allow_nan=False)] * 4),
        ),
        max_size=20,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_what_is_written_as_csv_is_read_again(tmp_path, boxes, delimiter, encoding):
    with (tmp_path / "t.csv").open("w", encoding=encoding, newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(["filename", "class", "xmin", "ymin", "xmax", "ymax"])
        writer.writerows([f"{stem}.jpg", name, *map(repr, corners)] for stem, name, corners in boxes)
    written(tmp_path, {f"{stem}.jpg": b"" for stem in "abc"})
    found = {
        image.name: [(box.class_name, box.xmin_px, box.ymax_px) for box in image.boxes] for image in read(tmp_path)[0]
    }
    assert found == {
        f"{stem}.jpg": [(name.strip(), corners[0], corners[3]) for owner, name, corners in boxes if owner == stem]
        for stem in dict.fromkeys(owner for owner, _, _ in boxes)
    }


def test_lines_are_cut_at_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "LONGEST_LINE", 80)
    written(tmp_path, {"t.csv": HEADER + CAT.replace("cat", "c" * 200) + CAT, "a.jpg": b""})
    images, log = read(tmp_path)
    assert ([box.line for box in images[0].boxes], told(log, tmp_path)[0][2]) == ([3], 2)
