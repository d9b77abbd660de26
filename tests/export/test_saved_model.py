from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odrun.annotations.found import FoundBoxes
from odrun.compat.autograph import library_code_unconverted
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, RunFailedError
from odrun.export import saved_model
from odrun.export.saved_model import export_saved_model, prove_equal
from odrun.inference.detector import Detector
from odrun.training.checkpoints import Checkpoints

# isort: split
from object_detection.meta_architectures.ssd_meta_arch import SSDMetaArch


@pytest.fixture(scope="module")
def exported(as_built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = as_built()
    folder = tmp_path_factory.mktemp("run")
    Checkpoints(built.trainer, folder=folder / "checkpoints", best=folder / "best", keep=1).save_best(4)
    with library_code_unconverted():
        export_saved_model(
            built.tiny.pipeline,
            checkpoint_dir=folder / "best",
            label_map=built.tiny.data.label_map,
            folder=folder / "export",
        )
    return folder / "export"


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (120, 200, 3), dtype=np.uint8)


def test_the_export_is_laid_out_as_the_engine_does_it_with_the_label_map(exported: Path, built: Any) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        "checkpoint",
        "label_map.pbtxt",
        "pipeline.config",
        "saved_model",
    ]
    assert (exported / "checkpoint" / "ckpt-0.index").is_file()
    assert (exported / "saved_model" / "saved_model.pb").is_file()
    assert (exported / "label_map.pbtxt").read_bytes() == built.tiny.data.label_map.read_bytes()
    assert [path.name for path in exported.parent.iterdir() if path.name.startswith(".")] == []


def test_the_model_is_traced_for_its_signature_and_for_the_file_and_no_more(
    built: Any, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = []
    published = SSDMetaArch.postprocess
    monkeypatch.setattr(SSDMetaArch, "postprocess", lambda *given: traced.append(1) or published(*given))
    with library_code_unconverted():
        export_saved_model(
            built.tiny.pipeline,
            checkpoint_dir=exported.parent / "best",
            label_map=built.tiny.data.label_map,
            folder=tmp_path / "export",
        )
    assert len(traced) == 2


def test_the_export_is_proven_equal_to_the_model(exported: Path, built: Any) -> None:
    parity = prove_equal(built.trainer.model, exported, [image(1), image(2)])
    assert parity.latency_ms > 0
    assert parity.size_mb == pytest.approx(
        sum(path.stat().st_size for path in (exported / "saved_model").rglob("*") if path.is_file()) / 1e6
    )

    assert parity.images == 2
    assert parity.largest < 1e-4


def test_an_export_with_other_weights_is_found_out(exported: Path, built: Any) -> None:
    kernels = [variable for variable in built.trainer.model.trainable_variables if "ClassPredictor" in variable.name]
    before = [kernel.numpy() for kernel in kernels]
    for kernel in kernels:
        kernel.assign(kernel + 0.5)
    try:
        with pytest.raises(RunFailedError, match="the exported model is not equal to the checkpoint"):
            prove_equal(built.trainer.model, exported, [image(1)])
    finally:
        for kernel, value in zip(kernels, before, strict=True):
            kernel.assign(value)


def test_a_detector_finds_in_an_image_of_any_size_what_lies_in_it(exported: Path) -> None:
    found = Detector(exported, keypoints={}).detect(image(3))

    assert isinstance(found, FoundBoxes)
    assert len(found.scores) > 0
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert found.boxes_px[:, [0, 2]].max() <= 200
    assert found.boxes_px[:, [1, 3]].max() <= 120


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no readable exported model"):
        Detector(tmp_path, keypoints={})


def test_a_saved_model_of_something_else_is_refused(tmp_path: Path) -> None:
    from odrun.compat.tensorflow import tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "saved_model"))

    with pytest.raises(InputError, match="this model was not exported for detection"):
        Detector(tmp_path, keypoints={})


def test_a_new_export_takes_the_place_of_an_older_one(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(pipeline: object, *, checkpoint_dir: Path, output_dir: Path) -> None:
        (output_dir / "saved_model.pb").write_text("new")

    (tmp_path / "export" / "saved_model").mkdir(parents=True)
    (tmp_path / "label_map.pbtxt").touch()
    monkeypatch.setattr(saved_model, "export_inference_graph", write)
    export_saved_model(
        built.tiny.pipeline,
        checkpoint_dir=tmp_path,
        label_map=tmp_path / "label_map.pbtxt",
        folder=tmp_path / "export",
    )

    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == ["label_map.pbtxt", "saved_model.pb"]


def test_a_failed_export_leaves_nothing_behind_and_tells_why(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(pipeline: object, *, checkpoint_dir: Path, output_dir: Path) -> None:
        (output_dir / "saved_model.pb").write_text("half")
        raise tf.errors.ResourceExhaustedError(None, None, f"{output_dir}; No space left on device")

    monkeypatch.setattr(saved_model, "export_inference_graph", write_half)
    with pytest.raises(RunFailedError, match=r"the export cannot be written: .*No space left") as failure:
        export_saved_model(built.tiny.pipeline, checkpoint_dir=tmp_path, label_map=tmp_path, folder=tmp_path / "export")

    assert failure.value.where == str(tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def _saved(built: Any, best: Path) -> Path:
    Checkpoints(built.trainer, folder=best.parent / "checkpoints", best=best, keep=1).save_best(1)
    return best
