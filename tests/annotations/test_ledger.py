"""Whatever is wrong with labelled images, of every format: each image and box is kept, or counted as lost once.

The tests count what they write themselves: an image is a file, a box an object in an annotation file that can be
parsed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from odrun.annotations.classes import class_map
from odrun.annotations.digests import KnownDigests, read_contents
from odrun.annotations.files import list_files
from odrun.annotations.gathering import Gathered, gather
from odrun.annotations.kept import KeptImage
from odrun.annotations.parallel import Workers
from odrun.annotations.problems import FAULTS, Policies, Policy, ProblemLog
from odrun.annotations.readers import READERS, read_images

DROPS = {name: "drop" for name, fault in FAULTS.items() if Policy.DROP in fault.policies}
CORNERS = (
    (1, 2, 30, 20),
    (2, 2, 31, 21),
    (30, 2, 1, 20),
    (5, 5, 5, 9),
    (-1, 2, 30, 20),
    (90, 90, 99, 99),
    (1, 2, 1.5, 20),
    ("nan", 2, 30, 20),
    ("", 2, 30, 20),
    ("1,5", 2, 30, 20),
    ("1e400", 2, 30, 20),
    None,
)
"""Of images of 40x30 pixels; None is an object that breaks its format."""
CLASSES = ("cat", "dog", " CAT", "cow", "")


@dataclass(frozen=True)
class Labelled:
    """An image of random data: how its file is, how its annotation is, where both lie, and its objects."""

    image: str
    annotation: str
    folder: str
    objects: tuple[tuple[str, tuple | None], ...]


LABELLED = st.builds(
    Labelled,
    image=st.sampled_from(["sound"] * 4 + ["broken", "absent"]),
    annotation=st.sampled_from(["sound"] * 5 + ["absent", "malformed", "wrong size", "faulty size", "twice"]),
    folder=st.sampled_from(["", "train/", "val/", "test/"]),
    objects=st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CORNERS[:2] + CORNERS)), max_size=4).map(
        tuple
    ),
)


def write_image(root: Path, number: int, labelled: Labelled) -> None:
    path = root / f"{labelled.folder}{number}.jpg"
    path.parent.mkdir(exist_ok=True)
    if labelled.image == "absent":
        return
    Image.new("RGB", (40, 30), (number * 20, 9, 9)).save(path)
    if labelled.image == "broken":
        path.write_bytes(path.read_bytes()[:99])


def stated_width(labelled: Labelled) -> object:
    return {"wrong size": 77, "faulty size": "wide"}.get(labelled.annotation, 40)


def write_voc(root: Path, data: Sequence[Labelled]) -> int:
    boxes = 0
    for number, each in enumerate(data):
        if each.annotation == "absent":
            continue
        text = f"<annotation><filename>{number}.jpg</filename><size><width>{stated_width(each)}</width></size>"
        for name, corners in each.objects:
            text += f"<object><name>{name}</name>"
            if corners is not None:
                sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
                text += f"<bndbox>{''.join(f'<{side}>{value}</{side}>' for side, value in sides)}</bndbox>"
            text += "</object>"
        text += "" if each.annotation == "malformed" else "</annotation>"
        times = 2 if each.annotation == "twice" else 1
        for time in range(times):
            (root / f"{each.folder}{number}{'-again' * time}.xml").write_text(text)
        boxes += 0 if each.annotation == "malformed" else times * len(each.objects)
    return boxes


def numbers(corners: tuple) -> list[object]:
    return [float(value) if isinstance(value, (int, float)) else value for value in corners]


def write_labelme(root: Path, data: Sequence[Labelled]) -> int:
    boxes = 0
    for number, each in enumerate(data):
        if each.annotation == "absent":
            continue
        shapes = [
            {"label": name, "shape_type": "line" if corners is None else "rectangle"}
            | {"points": [[1, 1], [2, 2]] if corners is None else [numbers(corners)[:2], numbers(corners)[2:]]}
            for name, corners in each.objects
        ]
        text = json.dumps({"imagePath": f"{number}.jpg", "imageWidth": stated_width(each), "shapes": shapes})
        times = 2 if each.annotation == "twice" else 1
        for time in range(times):
            path = root / f"{each.folder}{number}{'-again' * time}.json"
            path.write_text(text[:-1] if each.annotation == "malformed" else text)
        boxes += 0 if each.annotation == "malformed" else times * len(each.objects)
    return boxes


def write_yolo(root: Path, data: Sequence[Labelled]) -> int:
    (root / "classes.txt").write_text("cat\ndog\n CAT\ncow\n")
    boxes = 0
    for number, each in enumerate(data):
        if each.annotation == "absent":
            continue
        lines = []
        is_label = each.image != "absent"
        for name, corners in each.objects:
            xmin, ymin, xmax, ymax = corners or ("", "", "", "")
            is_box = corners is not None and not isinstance(xmin, str)
            fractions = (
                [(xmin + xmax) / 80, (ymin + ymax) / 60, (xmax - xmin) / 40, (ymax - ymin) / 30]
                if is_box
                else [xmin, 9]
            )
            lines.append(" ".join(map(str, [CLASSES.index(name), *fractions])))
            # Without an image of its name it is a label only if some line looks like one.
            is_label |= is_box and all(-1 <= fraction <= 2 for fraction in fractions)
        path = root / f"{each.folder}{number}.txt"
        path.write_text("\r\n".join(lines))
        boxes += len(lines) if is_label else 0
    return boxes


def write_csv(root: Path, data: Sequence[Labelled]) -> int:
    boxes = 0
    tables: dict[str, list[str]] = {}
    for number, each in enumerate(data):
        if each.annotation == "absent":
            continue
        rows = tables.setdefault(each.folder, [])
        # A row of neither class nor box is a background image.
        objects = [item for item in each.objects if item[1] is None or any([item[0], *item[1]])]
        for name, corners in objects:
            cells = [f"{number}.jpg", stated_width(each), "", name, *(corners or ("x",))]
            rows.append(",".join(f'"{cell}"' for cell in cells))
        if not objects and each.annotation not in ("wrong size", "faulty size"):
            rows.append(f"{number}.jpg,,,,,,,")
        boxes += len(objects)
    for folder, rows in tables.items():
        header = "filename,width,height,class,xmin,ymin,xmax,ymax"
        (root / f"{folder}labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return boxes


def write_coco(root: Path, data: Sequence[Labelled]) -> int:
    boxes = 0
    documents: dict[str, dict] = {}
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
    for number, each in enumerate(data):
        document = documents.setdefault(each.folder, {"images": [], "annotations": [], "categories": categories})
        if each.annotation == "absent":
            continue
        entry = {"id": number, "file_name": f"{number}.jpg", "width": stated_width(each)}
        # Of a malformed one nobody can say which image it means.
        entry |= {"id": None} if each.annotation == "malformed" else {}
        document["images"] += [entry] * (2 if each.annotation == "twice" else 1)
        for place, (name, corners) in enumerate(each.objects):
            x, y, right, below = numbers(corners) if corners else (0, 0, 0, 0)
            sized = [right - x, below - y] if not isinstance(x, str) else [right, below]
            document["annotations"].append(
                {"id": 100 * number + place % 3, "image_id": number, "category_id": CLASSES.index(name), "iscrowd": 1}
                | ({"bbox": [x, y, *sized]} if corners else {"bbox": "none"})
            )
            boxes += 1
    for folder, document in documents.items():
        (root / f"{folder}labels.json").write_text(json.dumps(document))
    return boxes


WRITERS: dict[str, Callable[[Path, Sequence[Labelled]], int]] = {
    "voc": write_voc,
    "coco": write_coco,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "csv": write_csv,
}


def gathered(root: Path, format_name: str) -> tuple[Gathered, list[KeptImage], ProblemLog, int]:
    """What the format's reader and the checks keep of a folder, and how many images are there."""
    problems = ProblemLog(Policies(DROPS))
    files = list_files(root, problems)
    contents = read_contents(files, problems, KnownDigests(root / "no digests"), workers=1)
    images = read_images(READERS[format_name], files, problems)
    with tempfile.TemporaryFile() as spool, tempfile.TemporaryFile() as facts, Workers(1) as workers:
        found = gather(
            images,
            contents,
            class_map(["cat", "dog"]),
            problems,
            spool,
            facts,
            workers=workers,
            progress=lambda done: None,
        )
        return found, [*found.kept], problems, sum(file.is_image for file in files)


def test_every_format_has_random_data() -> None:
    assert set(WRITERS) == set(READERS)


@pytest.mark.parametrize("format_name", WRITERS)
@settings(deadline=None, max_examples=150)
@given(data=st.lists(LABELLED, min_size=1, max_size=6))
def test_each_image_and_box_is_kept_or_lost_once(format_name: str, data: list[Labelled]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, labelled in enumerate(data):
            write_image(root, number, labelled)
        boxes = WRITERS[format_name](root, data)
        found, kept, problems, images = gathered(root, format_name)
    told = {problem.fault for problem in problems.problems}
    assert images == found.images_read + problems.lost.images.total(), problems.problems
    assert boxes == found.boxes_read + problems.lost.boxes.total(), problems.problems
    assert found.images_read == len(kept) + found.lost.images.total()
    assert found.boxes_read == sum(image.boxes for image in kept) + found.lost.boxes.total()
    for lost in (problems.lost, found.lost):
        assert {*lost.images, *lost.boxes} <= told
