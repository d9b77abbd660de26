from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from odrun.annotations.found import coco_detections
from odrun.commands.predict import picture_names, predict
from odrun.compat.autograph import library_code_unconverted
from odrun.errors import InputError
from odrun.export.saved_model import export_saved_model
from odrun.inference.detector import Detector
from odrun.inference.sources import SourceImage
from odrun.runs.directory import RunDirectory
from odrun.settings import PathSettings, PredictJob

SIZE_PX = (120, 90)


@pytest.fixture(scope="module")
def run(as_built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `predict` needs of a finished run: its configuration, label map and export."""
    built = as_built()
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "trained")
    label_map = built.tiny.data.label_map
    with library_code_unconverted():
        export_saved_model(built.trainer.model, built.tiny.pipeline, label_map=label_map, folder=run.export)
    run.config.write_text("dataset: {}\n")
    shutil.copyfile(run.export / "pipeline.config", run.pipeline_config)
    shutil.copyfile(label_map, run.label_map)
    return run.path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, one of them in a subfolder, and a second one in order, `b.png`, that does not decode."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate(("a.jpg", "c.png", "sub/d.jpg")):
        (folder / name).parent.mkdir(exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(SIZE_PX, Image.Resampling.BICUBIC).save(folder / name)
    (folder / "b.png").write_bytes(b"\x89PNG and nothing else")
    return folder


@dataclass(frozen=True)
class Results:
    """The directory that `predict` made, and what it said on the terminal."""

    path: Path
    said: str


@pytest.fixture(scope="module")
def results(run: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        path = predicted(run, photos, tmp_path_factory.mktemp("outputs") / "out")
    return Results(path, said.getvalue())


def predicted(run: Path, source: Path, out: Path, *, min_score: float = 0.0) -> Path:
    job = PredictJob(
        run=str(run),
        source=str(source),
        min_score=min_score,
        paths=PathSettings(outputs=str(out.parent), cache=str(out.parent / "cache")),
        verbose=False,
    )
    predict(job, directory=RunDirectory(out), overrides=(), config_text="min_score: 0.0\n")
    return out


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def detections(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "detections.json").read_text())


def named(*names: str) -> list[SourceImage]:
    return [SourceImage(name, Path(name)) for name in names]


@pytest.mark.parametrize(
    ("images", "pictures"),
    [
        (("a.png", "b.JPEG", "sub/a.png"), ["a.jpg", "b.jpg", "sub/a.jpg"]),
        (("a.jpg", "a.png", "b.png"), ["a.jpg.jpg", "a.png.jpg", "b.jpg"]),
        (("a.jpg", "a.png", "a.png.jpg"), ["a.jpg.jpg", "a.png.jpg", "a.png.jpg.jpg"]),
        (("shot.1.png", "shot.2.png"), ["shot.1.jpg", "shot.2.jpg"]),
        (("nameless",), ["nameless.jpg"]),
    ],
)
def test_each_image_has_a_picture_of_its_own_name(images: tuple[str, ...], pictures: list[str]) -> None:
    assert picture_names(named(*images)) == pictures


def test_every_image_that_decodes_gets_a_picture_and_one_file_all_detections(results: Results) -> None:
    assert files(results.path) == [
        "config.yaml",
        "detections.json",
        "images/a.jpg",
        "images/c.jpg",
        "images/sub/d.jpg",
        "log.txt",
    ]
    assert (results.path / "config.yaml").read_text() == "min_score: 0.0\n"


def test_the_detections_are_those_of_the_exported_model_with_the_name_of_the_file(
    run: Path, photos: Path, results: Results
) -> None:
    detector = Detector(run / "export", keypoints={})
    expected = [
        {**entry, "file_name": name}
        for image_id, name in ((1, "a.jpg"), (3, "c.png"), (4, "sub/d.jpg"))
        for entry in coco_detections(image_id, detector.detect(np.asarray(Image.open(photos / name).convert("RGB"))))
    ]

    assert len(expected) > 3
    assert detections(results.path) == expected
    assert set(expected[0]) == {"image_id", "category_id", "bbox", "score", "file_name"}


def test_pictures_are_large_enough_to_read(results: Results) -> None:
    with Image.open(results.path / "images" / "a.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", (SIZE_PX[0] * 6, SIZE_PX[1] * 6))


def test_an_image_that_does_not_decode_is_named_and_counted(photos: Path, results: Results) -> None:
    assert f"left out {photos / 'b.png'}: the image is none of JPEG" in results.said
    count = len(detections(results.path))
    assert f"done: {count} objects with a score from 0 up in 3 images, 1 left out\n" in results.said


def test_the_closing_lines_name_what_was_written(results: Results) -> None:
    for name in ("images", "detections.json", "log.txt"):
        assert f"{results.path / name}\n" in results.said


def test_the_least_score_rules_what_is_drawn_and_not_what_is_told(
    run: Path, photos: Path, results: Results, tmp_path: Path
) -> None:
    nothing_drawn = predicted(run, photos, tmp_path / "out", min_score=1.0)

    assert (nothing_drawn / "detections.json").read_bytes() == (results.path / "detections.json").read_bytes()
    pictures = [(path / "images" / "a.jpg").read_bytes() for path in (nothing_drawn, results.path)]
    assert pictures[0] != pictures[1]


def test_images_of_which_none_decodes_are_an_input_error_that_leaves_nothing_behind(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (broken / name).write_bytes(b"\xff\xd8 not a picture")

    with pytest.raises(InputError, match="the image is none of JPEG") as refusal:
        predicted(run, broken, tmp_path / "out")

    assert refusal.value.where == str(broken / "a.jpg")
    assert not (tmp_path / "out").exists()


def without_export(run: Path, copy: Path) -> None:
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("export", "checkpoints"))


def without_label_map(run: Path, copy: Path) -> None:
    without_export(run, copy)
    (copy / "label_map.pbtxt").unlink()


@pytest.mark.parametrize(
    ("make", "what"),
    [(without_export, "the run has no exported model"), (without_label_map, "label_map.pbtxt missing")],
)
def test_a_run_that_has_not_what_is_needed_is_refused_and_leaves_nothing_behind(
    make: Callable[[Path, Path], None], what: str, run: Path, photos: Path, tmp_path: Path
) -> None:
    make(run, tmp_path / "poor")

    with pytest.raises(InputError, match=what) as refusal:
        predicted(tmp_path / "poor", photos, tmp_path / "out")

    assert str(tmp_path / "poor") in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_a_source_without_images_is_refused_before_a_directory_is_made(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(InputError, match="there is no image to detect in"):
        predicted(run, tmp_path / "empty", tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_directory_that_holds_results_is_not_written_into(run: Path, photos: Path, results: Results) -> None:
    before = {name: (results.path / name).read_bytes() for name in files(results.path)}

    with pytest.raises(InputError, match="already holds a run"):
        predicted(run, photos, results.path)

    assert {name: (results.path / name).read_bytes() for name in files(results.path)} == before
