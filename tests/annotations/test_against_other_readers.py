"""What odrun reads is what globox and supervision read, of files that globox writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import supervision
from globox import Annotation, AnnotationSet, BoundingBox
from PIL import Image

from odrun.annotations.checks import check_image
from odrun.annotations.classes import class_map
from odrun.annotations.digests import FileContent
from odrun.annotations.files import list_files
from odrun.annotations.problems import Policies, Policy, ProblemLog
from odrun.annotations.readers import READERS, read_images, recognized

SIZES = {"a.jpg": (320, 240), "b.jpg": (200, 333), "c.jpg": (97, 41)}
CLASSES = ("cat", "dog", "old horse")
Boxes = dict[str, list[tuple[str, tuple[float, ...]]]]
"""Image → class and xmin, ymin, xmax, ymax in pixels of each box, sorted."""


def truth() -> AnnotationSet:
    chance = np.random.default_rng(5)
    annotations = []
    for name, (width, height) in SIZES.items():
        boxes = []
        for _ in range(5):
            xmin, ymin = int(chance.integers(1, width - 20)), int(chance.integers(1, height - 20))
            xmax, ymax = int(chance.integers(xmin + 4, width)), int(chance.integers(ymin + 4, height))
            boxes.append(BoundingBox(label=str(chance.choice(CLASSES)), xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax))
        annotations.append(Annotation(image_id=name, image_size=(width, height), boxes=boxes))
    return AnnotationSet(annotations)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name, size in SIZES.items():
        Image.new("RGB", size, "gray").save(tmp_path / "images" / name)
    return tmp_path


def by_odrun(folder: Path, format_name: str) -> Boxes:
    log = ProblemLog()
    files = list_files(folder, log)
    assert recognized(files, folder) == format_name
    found = {}
    for image in read_images(READERS[format_name], files, log):
        content = image.image_path.read_bytes()
        listed = FileContent(hashlib.sha256(content).hexdigest(), len(content))
        checked = check_image(image, listed, class_map(None), Policies()).image
        assert checked is not None
        corners = [(box.class_name, (box.xmin_px, box.ymin_px, box.xmax_px, box.ymax_px)) for box in checked.boxes]
        found[image.image_path.name] = sorted(corners)
    assert log.counts(Policy.ERROR) == {}
    return found


def by_globox(read: AnnotationSet) -> Boxes:
    return {
        Path(image.image_id).with_suffix(".jpg").name: sorted(
            (str(box.label), (box.xmin, box.ymin, box.xmax, box.ymax)) for box in image.boxes
        )
        for image in read
    }


def by_supervision(read: supervision.DetectionDataset) -> Boxes:
    return {
        Path(path).name: sorted(
            (read.classes[number], tuple(corners))
            for number, corners in zip(found.class_id, found.xyxy.tolist(), strict=True)
        )
        for path, _, found in read
    }


def same(one: Boxes, other: Boxes, within_px: float) -> bool:
    if one.keys() != other.keys():
        return False
    for name, boxes in one.items():
        if [label for label, _ in boxes] != [label for label, _ in other[name]]:
            return False
        corners, others = ([place for _, place in each] for each in (boxes, other[name]))
        if not np.allclose(corners, others, atol=within_px):
            return False
    return True


def written_as_voc(folder: Path) -> AnnotationSet:
    truth().save_pascal_voc(folder / "annotations")
    return AnnotationSet.from_pascal_voc(folder / "annotations")


def written_as_coco(folder: Path) -> AnnotationSet:
    truth().save_coco(folder / "annotations.json", auto_ids=True)
    return AnnotationSet.from_coco(folder / "annotations.json")


def written_as_yolo(folder: Path) -> AnnotationSet:
    numbers = {name: number for number, name in enumerate(CLASSES)}
    truth().save_yolo_v5(folder / "labels", label_to_id=numbers)
    (folder / "data.yaml").write_text(f"names: {list(CLASSES)}\n")
    read = AnnotationSet.from_yolo_v5(folder / "labels", image_folder=folder / "images")
    return read.map_labels({str(number): name for name, number in numbers.items()})


def written_as_labelme(folder: Path) -> AnnotationSet:
    truth().save_labelme(folder / "annotations")
    return AnnotationSet.from_labelme(folder / "annotations")


WRITTEN: dict[str, Callable[[Path], AnnotationSet]] = {
    "voc": written_as_voc,
    "coco": written_as_coco,
    "yolo": written_as_yolo,
    "labelme": written_as_labelme,
}


@pytest.mark.parametrize("format_name", WRITTEN)
def test_boxes_are_those_that_globox_wrote_and_reads(pictures: Path, format_name: str) -> None:
    read = WRITTEN[format_name](pictures)
    found = by_odrun(pictures, format_name)
    assert sum(map(len, found.values())) == 15
    assert same(found, by_globox(truth()), within_px=1e-3)
    assert same(found, by_globox(read), within_px=1e-3)


def test_boxes_are_those_that_supervision_reads(pictures: Path) -> None:
    images = str(pictures / "images")
    written_as_coco(pictures)
    coco = supervision.DetectionDataset.from_coco(images, str(pictures / "annotations.json"))
    assert same(by_odrun(pictures, "coco"), by_supervision(coco), within_px=1e-3)
    (pictures / "annotations.json").unlink()
    written_as_yolo(pictures)
    yolo = supervision.DetectionDataset.from_yolo(images, str(pictures / "labels"), str(pictures / "data.yaml"))
    assert same(by_odrun(pictures, "yolo"), by_supervision(yolo), within_px=1e-3)
