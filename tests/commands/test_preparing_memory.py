"""However many images a data set has, preparing it holds hardly more."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odrun.commands import making, preparing
from odrun.settings import DatasetSettings, SplitSettings

FEW, MANY = 300, 1500
# What is on its way between threads differs by some 100 kB from time to time; objects of each image take 600 bytes.
BYTES_AN_IMAGE = 250
SETTINGS = {"name": "pets", "classes": None, "label_map": None, "problems": {"tiny_box": "warn"}}
SPLIT = SplitSettings(validation_share=0.3, seed=0, group_by=None, fold=None)


def write_voc(folder: Path, number: int) -> None:
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>7</xmax><ymax>7</ymax>"
    objects = f"<object><name>{'cat' if number % 3 else 'dog'}</name><bndbox>{box}</bndbox></object>"
    text = f"<annotation><filename>{number:06}.jpg</filename>{objects}</annotation>"
    (folder / f"{number:06}.xml").write_text(text)


def write_yolo(folder: Path, number: int) -> None:
    (folder / f"{number:06}.txt").write_text(f"{number % 3} 0.5 0.5 0.75 0.75\n")


def data_set(folder: Path, images: int, format_name: str) -> DatasetSettings:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (images, 8, 8, 3), dtype=np.uint8)
    for number in range(images):
        Image.fromarray(pixels[number]).save(folder / f"{number:06}.jpg", "JPEG")
        {"voc": write_voc, "yolo": write_yolo}[format_name](folder, number)
    return DatasetSettings(**SETTINGS, format=format_name, path=str(folder), split=SPLIT)


def most_bytes(settings: DatasetSettings, cache: Path) -> int:
    tracemalloc.start()
    try:
        prepared = preparing.prepare(settings, cache, report=lambda _: None, progress=lambda *_: None)
        assert prepared.counts["train"].images > prepared.counts["validation"].images > 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("format_name", ["voc", "yolo"])
def test_the_most_memory_hardly_grows_with_the_images(format_name, tmp_path, monkeypatch):
    # Pictures of the data are drawn by a process of its own, if there is one.
    monkeypatch.setattr(making, "_draw", lambda drawing: None)
    for module in (making, preparing):
        monkeypatch.setattr(module, "usable_cores", lambda: 1)
    few, many = (data_set(tmp_path / str(images), images, format_name) for images in (FEW, MANY))
    # What is imported and remembered once is so the first time.
    _, of_few, of_many = (most_bytes(each, tmp_path / f"cache{turn}") for turn, each in enumerate((few, few, many)))
    assert (of_many - of_few) / (MANY - FEW) < BYTES_AN_IMAGE
