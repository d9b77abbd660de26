from __future__ import annotations

import hashlib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from PIL import Image

from odrun.annotations import digits
from odrun.annotations.digits import LARGEST_PX, SCENE_PX, SMALLEST_PX, write_digits
from odrun.annotations.model import Box
from odrun.errors import InputError

XML_DIGEST = "dfe32ae000612ea4a7012ff58898eea544aca1ee065d3163fce60e9088a28f83"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("digits")
    write_digits(target)
    return target


@pytest.fixture(scope="module")
def boxes(folder: Path) -> dict[str, list[Box]]:
    return {path.relative_to(folder).as_posix(): boxes_of(path) for path in sorted(folder.rglob("*.xml"))}


def boxes_of(path: Path) -> list[Box]:
    root = etree.parse(path)
    return [
        Box(
            found.findtext("name"),
            *(float(found.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")),
        )
        for found in root.iterfind("object")
    ]


def test_there_are_600_training_and_120_validation_scenes_of_160_pixels(folder):
    counts = {part: len(list((folder / part).glob("*.jpg"))) for part in ("train", "val")}
    assert counts == {"train": 600, "val": 120}
    for path in sorted(folder.rglob("*.jpg"))[::40]:
        with Image.open(path) as scene:
            assert (scene.format, scene.mode, scene.size) == ("JPEG", "RGB", (160, 160))
        assert path.with_suffix(".xml").is_file()


def test_the_annotations_are_the_same_on_every_machine(folder):
    texts = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.xml")))
    assert hashlib.sha256(texts).hexdigest() == XML_DIGEST


def test_writing_twice_gives_the_same_bytes(folder, tmp_path):
    scenes = digits.scenes("validation")
    for number in range(5):
        scene = next(scenes)
        Image.fromarray(scene.pixels).save(tmp_path / "again.jpg", "JPEG", quality=90)
        assert (tmp_path / "again.jpg").read_bytes() == (folder / "val" / f"{number:04d}.jpg").read_bytes()


def test_a_scene_has_one_to_four_digits_of_24_to_64_pixels_within_it(boxes):
    assert {len(found) for found in boxes.values()} == {1, 2, 3, 4}
    for box in (box for found in boxes.values() for box in found):
        assert SMALLEST_PX <= max(box.xmax_px - box.xmin_px, box.ymax_px - box.ymin_px) <= LARGEST_PX
        assert box.xmax_px <= SCENE_PX
        assert box.ymax_px <= SCENE_PX


def test_digits_do_not_overlap(boxes):
    for found in boxes.values():
        for one, other in combinations(found, 2):
            apart_x = one.xmax_px <= other.xmin_px or other.xmax_px <= one.xmin_px
            apart_y = one.ymax_px <= other.ymin_px or other.ymax_px <= one.ymin_px
            assert apart_x or apart_y


def test_all_ten_classes_are_in_both_parts(boxes):
    for part in ("train", "val"):
        names = {box.class_name for name, found in boxes.items() if name.startswith(part) for box in found}
        assert names == set("0123456789")


def test_ink_is_cut_where_it_can_be_seen():
    chance = np.random.default_rng(0)
    for glyph in digits._glyphs("validation")[0][:60]:
        ink = digits._ink(glyph, chance)
        edges = (ink[0], ink[-1], ink[:, 0], ink[:, -1])
        assert min(int(edge.max()) for edge in edges) >= 48


def test_boxes_lie_exactly_around_what_is_painted(monkeypatch):
    monkeypatch.setattr(digits, "_ink", lambda *_: np.full((40, 30), 255, np.uint8))
    scene = digits._scene([np.zeros((8, 8), np.uint8)], ["7"], np.random.default_rng(3))
    box = scene.boxes[0]
    left, top, right, bottom = (int(side) for side in (box.xmin_px, box.ymin_px, box.xmax_px, box.ymax_px))
    assert (right - left, bottom - top) == (30, 40)
    shown = scene.pixels.astype(float)
    ground, ink = np.median(shown, axis=(0, 1)), np.median(shown[top:bottom, left:right], axis=(0, 1))
    inner = (
        shown[top, left:right],
        shown[bottom - 1, left:right],
        shown[top:bottom, left],
        shown[top:bottom, right - 1],
    )
    outer = (
        shown[top - 1, left:right],
        shown[bottom, left:right],
        shown[top:bottom, left - 1],
        shown[top:bottom, right],
    )
    assert all(np.abs(edge.mean(axis=0) - ink).max() < 20 for edge in inner)
    assert all(np.abs(edge.mean(axis=0) - ground).max() < 20 for edge in outer)
    assert np.abs(ink - ground).max() >= 60


def test_without_scikit_learn_the_remedy_is_told(monkeypatch):
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install scikit-learn"):
        next(digits.scenes("train"))


def test_the_parts_are_made_from_disjoint_digits_that_are_scikit_learn_s():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    made = [
        (glyph.tobytes(), label)
        for part in ("train", "validation")
        for glyph, label in zip(*digits._glyphs(part), strict=True)
    ]
    real = [
        ((image.reshape(8, 8) * (255 / 16)).round().astype(np.uint8).tobytes(), label)
        for image, label in zip(images, labels.tolist(), strict=True)
    ]
    assert sorted(made) == sorted(real)
    assert len(digits._glyphs("validation")[0]) == 304
