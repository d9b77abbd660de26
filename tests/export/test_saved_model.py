from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odrun.annotations.found import FoundBoxes
from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import DetectionModel, Detections
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, RunFailedError
from odrun.export import saved_model
from odrun.export.saved_model import Sample, export_saved_model, prove_equal
from odrun.inference.detector import Detector

# isort: split
from object_detection.meta_architectures.ssd_meta_arch import SSDMetaArch


@pytest.fixture(scope="module")
def exported(as_built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = as_built()
    folder = tmp_path_factory.mktemp("run")
    label_map = built.tiny.data.label_map
    with library_code_unconverted():
        export_saved_model(built.trainer.model, built.tiny.pipeline, label_map=label_map, folder=folder / "export")
    return folder / "export"


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (120, 200, 3), dtype=np.uint8)


def sample(model: DetectionModel, seed: int, *, scores_off: float = 0.0) -> Sample:
    """An image with what the model finds in it; its scores may be told as higher than they are."""
    pixels, true_shape = model.preprocess(tf.constant(image(seed)))
    found = Detections(*(part.numpy() for part in model.detect(pixels[tf.newaxis], true_shape[tf.newaxis])))
    return image(seed), found._replace(scores=found.scores + np.float32(scores_off))


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


def test_the_model_is_traced_once_for_its_signature_and_its_file(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = []
    published = SSDMetaArch.postprocess
    monkeypatch.setattr(SSDMetaArch, "postprocess", lambda *given: traced.append(1) or published(*given))
    label_map = built.tiny.data.label_map
    with library_code_unconverted():
        export_saved_model(built.trainer.model, built.tiny.pipeline, label_map=label_map, folder=tmp_path / "export")
    assert len(traced) == 1


def test_the_engines_own_program_makes_the_same_model_of_the_checkpoint(built: Any, tmp_path: Path) -> None:
    """Trained for a step, which leaves the network in the state of training, and with the truth of its batch."""
    from object_detection import exporter_lib_v2

    model, label_map = built.trainer.model, built.tiny.data.label_map
    with library_code_unconverted():
        built.trainer.train(*built.batch)
        export_saved_model(model, built.tiny.pipeline, label_map=label_map, folder=tmp_path / "export")
        exporter_lib_v2.export_inference_graph(
            "image_tensor", built.tiny.pipeline, str(tmp_path / "export" / "checkpoint"), str(tmp_path / "engine")
        )
    ours, theirs = (tf.saved_model.load(str(tmp_path / name / "saved_model")) for name in ("export", "engine"))
    ours, theirs = ours.signatures["serving_default"], theirs.signatures["serving_default"]

    assert ours.structured_input_signature == theirs.structured_input_signature
    assert ours.structured_outputs == theirs.structured_outputs
    pixels = tf.constant(image(4)[np.newaxis])
    found, expected = ours(input_tensor=pixels), theirs(input_tensor=pixels)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)


def test_the_export_is_proven_equal_to_the_model(exported: Path, built: Any) -> None:
    model = built.trainer.model
    parity = prove_equal(model, exported, [sample(model, 1), sample(model, 2)])
    assert parity.latency_ms > 0
    assert parity.size_mb == pytest.approx(
        sum(path.stat().st_size for path in (exported / "saved_model").rglob("*") if path.is_file()) / 1e6
    )

    assert parity.images == 2
    assert parity.largest < 1e-4


def test_where_a_batch_came_out_otherwise_the_image_alone_decides(
    exported: Path, built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built.trainer.model
    same, other = sample(model, 1), sample(model, 2, scores_off=0.1)
    asked = []
    published = model.detect
    monkeypatch.setattr(model, "detect", lambda *given: asked.append(1) or published(*given))

    assert prove_equal(model, exported, [same]).largest < 1e-4
    assert asked == [], "what agrees is not looked at again"
    assert prove_equal(model, exported, [same, other]).largest < 1e-4
    assert asked == [1]


def test_an_export_with_other_weights_is_found_out(exported: Path, built: Any) -> None:
    model = built.trainer.model
    kernels = [variable for variable in model.trainable_variables if "ClassPredictor" in variable.name]
    before = [kernel.numpy() for kernel in kernels]
    for kernel in kernels:
        kernel.assign(kernel + 0.5)
    try:
        with pytest.raises(RunFailedError, match="the exported model is not equal to the checkpoint"):
            prove_equal(model, exported, [sample(model, 1)])
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
    def write(model: object, pipeline: object, *, output_dir: Path) -> None:
        (output_dir / "saved_model.pb").write_text("new")

    (tmp_path / "export" / "saved_model").mkdir(parents=True)
    (tmp_path / "label_map.pbtxt").touch()
    monkeypatch.setattr(saved_model, "export_inference_graph", write)
    export_saved_model(
        built.trainer.model, built.tiny.pipeline, label_map=tmp_path / "label_map.pbtxt", folder=tmp_path / "export"
    )

    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == ["label_map.pbtxt", "saved_model.pb"]


def test_a_failed_export_leaves_nothing_behind_and_tells_why(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(model: object, pipeline: object, *, output_dir: Path) -> None:
        (output_dir / "saved_model.pb").write_text("half")
        raise tf.errors.ResourceExhaustedError(None, None, f"{output_dir}; No space left on device")

    monkeypatch.setattr(saved_model, "export_inference_graph", write_half)
    with pytest.raises(RunFailedError, match=r"the export cannot be written: .*No space left") as failure:
        export_saved_model(built.trainer.model, built.tiny.pipeline, label_map=tmp_path, folder=tmp_path / "export")

    assert failure.value.where == str(tmp_path / "export")
    assert list(tmp_path.iterdir()) == []
