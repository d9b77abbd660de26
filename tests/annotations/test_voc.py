from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odrun.annotations import voc
from odrun.annotations.files import list_files
from odrun.annotations.model import BoxAsRead, ImageAsRead
from odrun.annotations.problems import ProblemLog
from odrun.annotations.readers import READERS


def xml(name: str = "a.jpg", objects: str = "", size: str = "<width>40</width><height>30</height>") -> str:
    return f"<annotation>\n<filename>{name}</filename>\n<size>{size}</size>\n{objects}</annotation>"


def cat(xmin: object = 1, ymin: object = 2, xmax: object = 3, ymax: object = 4, more: str = "") -> str:
    corners = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
    return f"<object><name>cat</name>{more}<bndbox>{corners}</bndbox></object>\n"


def written(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read(root: Path) -> tuple[list[ImageAsRead], ProblemLog]:
    log = ProblemLog()
    files = list_files(root, log).where(lambda file: file.suffix in READERS["voc"].suffixes)
    return list(READERS["voc"].read(files, log)), log


def told(log: ProblemLog, root: Path) -> list[tuple[str, str, int | None]]:
    return [(problem.fault, problem.file.relative_to(root).as_posix(), problem.line) for problem in log.problems]


def test_an_annotation_becomes_an_image_as_read(tmp_path):
    flags = "<truncated>1</truncated><difficult>0</difficult><pose>Unspecified</pose>"
    part = f"<part><name>head</name><bndbox>{cat()}</bndbox></part>"
    written(tmp_path, {"a.xml": xml(objects=cat(more=flags) + cat("1.5", more=part)), "a.jpg": b""})
    images, log = read(tmp_path)
    boxes = (
        BoxAsRead("cat", 1.0, 2.0, 3.0, 4.0, difficult=False, truncated=True, is_crowd=False, line=4),
        BoxAsRead("cat", 1.5, 2.0, 3.0, 4.0, difficult=False, truncated=False, is_crowd=False, line=5),
    )
    assert images == [ImageAsRead("a.jpg", tmp_path / "a.jpg", tmp_path / "a.xml", 40, 30, boxes, None)]
    assert log.problems == []


@pytest.mark.parametrize("text", ["1", "true", " True "])
def test_a_difficult_object_is_marked(tmp_path, text):
    written(tmp_path, {"a.xml": xml(objects=cat(more=f"<difficult>{text}</difficult>")), "a.jpg": b""})
    assert read(tmp_path)[0][0].boxes[0].difficult


@pytest.mark.parametrize("text", ["nan", "inf", "", "1_0", "ten", "1,5"])
def test_what_is_no_number_is_read_as_none_and_left_to_the_checks(tmp_path, text):
    written(tmp_path, {"a.xml": xml(objects=cat(xmin=text)), "a.jpg": b""})
    assert not math.isfinite(read(tmp_path)[0][0].boxes[0].xmin_px)


@pytest.mark.parametrize("size", ["", "<width>0</width><height>0</height>", "<width/><height/>"])
def test_a_size_that_is_not_stated_is_none(tmp_path, size):
    written(tmp_path, {"a.xml": xml(size=size), "a.jpg": b""})
    image = read(tmp_path)[0][0]
    assert (image.width_px, image.height_px) == (None, None)


@pytest.mark.parametrize(
    ("content", "fault", "line"),
    [
        (xml()[:-3], "malformed_annotation", 4),
        ("", "malformed_annotation", None),
        ("\n<annotations/>", "malformed_annotation", 2),
        (xml(objects="<object><name>cat</name></object>"), "malformed_annotation", 4),
        (xml(size="<width>4.5</width>"), "malformed_annotation", 3),
        (xml(size="<width>-4</width>"), "malformed_annotation", 3),
        (b"\xff\xfe\x00", "malformed_annotation", None),
        ("<annotation>" + "<a>" * 5000 + "</a>" * 5000 + "</annotation>", "malformed_annotation", 1),
        ('<!DOCTYPE annotation SYSTEM "x.dtd">\n' + xml(), "doctype", None),
        ("<!DOCTYPE annotation>\n" + xml(), "doctype", None),
        (xml(name="gone.jpg").replace("<annotation>", "<annotation><!-- -->"), "missing_image", 2),
        ("<annotation/>", "missing_image", None),
    ],
)
def test_a_faulty_annotation_is_named_with_its_line_and_left_out(tmp_path, content, fault, line):
    written(tmp_path, {"z.xml": content, "z.jpg": b""} if fault != "missing_image" else {"z.xml": content})
    written(tmp_path, {"a.xml": xml(), "a.jpg": b""})
    images, log = read(tmp_path)
    assert [image.name for image in images] == ["a.jpg"]
    assert [(kind, file) for kind, file, _ in told(log, tmp_path)] == [(fault, "z.xml")]
    assert line is None or told(log, tmp_path)[0][2] == line


def test_an_entity_leaks_no_file(tmp_path):
    (tmp_path / "secret").write_text("s3cret")
    entity = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    written(tmp_path, {"a.xml": entity + xml(name="&x;"), "s3cret": b"", "a.jpg": b""})
    images, log = read(tmp_path)
    assert images == []
    assert "s3cret" not in str(log.problems[0])


def test_a_bomb_of_entities_is_a_doctype(tmp_path):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "boom">{entities}]>' + xml(name="&e11;")
    written(tmp_path, {"a.xml": bomb, "a.jpg": b""})
    assert told(read(tmp_path)[1], tmp_path)[0][:2] == ("doctype", "a.xml")


def test_a_doctype_in_another_encoding_is_found(tmp_path):
    content = ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE annotation>' + xml()).encode("utf-16")
    written(tmp_path, {"a.xml": content, "a.jpg": b""})
    assert told(read(tmp_path)[1], tmp_path)[0][0] == "doctype"


def test_a_file_too_large_to_be_an_annotation_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(voc, "LARGEST_FILE_BYTES", 1 << 20)
    written(tmp_path, {"a.xml": xml() + " " * (1 << 20), "a.jpg": b""})
    images, log = read(tmp_path)
    assert (images, str(log.problems[0])) == ([], f"{tmp_path / 'a.xml'}: is larger than 1 MiB")


def test_image_sets_are_the_split(tmp_path):
    files = {f"VOC/Annotations/{stem}.xml": xml(f"{stem}.jpg") for stem in ("a", "b 1", "c")}
    files |= {f"VOC/JPEGImages/{stem}.jpg": b"" for stem in ("a", "b 1", "c")}
    files |= {"VOC/ImageSets/Main/train.txt": "a  1\n\n", "VOC/ImageSets/Main/val.txt": "b 1\n"}
    images, log = read(written(tmp_path, files))
    assert [(image.name, image.split) for image in images] == [
        ("VOC/JPEGImages/a.jpg", "train"),
        ("VOC/JPEGImages/b 1.jpg", "validation"),
    ]
    assert told(log, tmp_path) == [("annotation_outside_split", "VOC/Annotations/c.xml", None)]


def test_an_image_set_that_names_nothing_is_told_with_its_line(tmp_path):
    files = {"Annotations/a.xml": xml(), "Annotations/b.xml": xml("b.jpg"), "JPEGImages/a.jpg": b""}
    files |= {"JPEGImages/b.jpg": b"", "ImageSets/Main/trainval.txt": "a\ngone\n", "ImageSets/Main/test.txt": "b\n"}
    images, log = read(written(tmp_path, files))
    assert [image.split for image in images] == ["train", "validation"]
    assert told(log, tmp_path) == [("missing_annotation", "ImageSets/Main/trainval.txt", 2)]


def test_part_folders_are_the_split_and_a_third_part_stays_unused(tmp_path):
    files = {f"{part}/a.xml": xml() for part in ("train", "valid", "test")}
    files |= {f"{part}/a.jpg": b"" for part in ("train", "valid", "test")}
    images, log = read(written(tmp_path, files))
    assert [(image.name, image.split) for image in images] == [
        ("train/a.jpg", "train"),
        ("valid/a.jpg", "validation"),
    ]
    assert told(log, tmp_path) == [("annotation_outside_split", "test/a.xml", None)]


def test_an_image_without_annotation_is_named(tmp_path):
    written(tmp_path, {"a.xml": xml(), "a.jpg": b"", "a.png": b"", "b.jpg": b""})
    assert told(read(tmp_path)[1], tmp_path) == [
        ("image_without_annotation", "a.png", None),
        ("image_without_annotation", "b.jpg", None),
    ]


TAGS = ("annotation", "filename", "size", "width", "height", "object", "name", "bndbox", "xmin", "ymin", "xmax", "ymax")
TEXTS = st.one_of(
    st.sampled_from(["a.jpg", "40", "nan", "-1e309", "&lt;", "&x;", "<![CDATA[x]]>", "<!-- -->", "<?x?>", ""]),
    st.text(max_size=8),
)
ELEMENTS = st.recursive(
    TEXTS,
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>", st.sampled_from(TAGS), st.lists(inner, max_size=5)
    ),
    max_leaves=20,
)
DOCUMENTS = st.one_of(
    st.binary(max_size=200),
    ELEMENTS.map(lambda text: f"<annotation>{text}</annotation>".encode("utf-8", "replace")),
    st.tuples(st.just(xml(objects=cat()).encode()), st.integers(0, 220), st.binary(max_size=4)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DOCUMENTS)
def test_whatever_the_bytes_the_reader_answers_with_an_image_or_a_problem(tmp_path, content):
    written(tmp_path, {"a.xml": content, "a.jpg": b""})
    images, log = read(tmp_path)
    assert (len(images), len(log.problems)) in ((1, 0), (0, 1))
