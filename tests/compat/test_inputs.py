"""Batches by number: those of the OD API's own input, whatever was drawn before."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import IMAGE, TRUE_SHAPE, DetectionModel
from odrun.compat.inputs import evaluation_batches, training_batches
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, RunFailedError
from odrun.records.index import RecordIndex
from odrun.training.inputs import TrainingInput
from odrun.training.order import Order

# isort: split
from object_detection import inputs
from tensorflow.python.autograph.core import config as autograph_config

MANY_DRAWS = (
    "+augmentation.steps.random_horizontal_flip={}",
    "+augmentation.steps.random_adjust_hue={}",
    "+augmentation.steps.random_adjust_brightness={}",
    "+augmentation.steps.random_image_scale={}",
    "+augmentation.steps.random_jitter_boxes={}",
    "+augmentation.steps.random_black_patches={}",
    "+augmentation.steps.random_distort_color={}",
    "+augmentation.steps.ssd_random_crop={}",
    "augmentation.order=null",
)


def test_batches_have_the_size_and_the_parts_that_the_pipeline_asks_for(built: Any, batches_of: Any) -> None:
    with library_code_unconverted():
        features, labels = next(batches_of(built.tiny, built.trainer.model))

    assert built.tiny.pipeline.train_config.batch_size == 2
    assert features[IMAGE].shape == (2, 160, 160, 3)
    assert features[TRUE_SHAPE].numpy().tolist() == [[160, 160, 3]] * 2
    assert labels["groundtruth_boxes"].shape == (2, 100, 4)


def test_no_batches_have_the_tuner_that_now_and_then_holds_up_the_end_of_a_run(built: Any) -> None:
    def read(number: int) -> bytes:
        raise AssertionError(f"sample {number} is not asked for")

    pipeline, network = built.tiny.pipeline, built.trainer.model.network
    training = training_batches(pipeline, network, read, batch_size=2, first_number=0, seed=0)
    evaluation = evaluation_batches(pipeline, network, read, count=3, batch_size=2)

    for batches in (training, evaluation):
        assert batches.options().autotune.enabled is False


@pytest.mark.parametrize("height", [-1, 8])
def test_an_image_size_that_the_engine_cannot_take_is_told_as_a_setting(
    height: int, batches_of: Any, compose_tiny: Callable[..., Any]
) -> None:
    tiny = compose_tiny(f"pipeline.model.ssd.image_resizer.fixed_shape_resizer.height={height}")
    model = DetectionModel(tiny.pipeline, is_training=True)

    def build() -> None:
        features, _ = next(batches_of(tiny, model))
        model.build(features)

    with library_code_unconverted(), pytest.raises(InputError, match="the Object Detection API cannot") as refused:
        build()

    assert "Exception encountered" not in refused.value.what
    assert refused.value.where is not None
    assert refused.value.where.startswith("pipeline")


@pytest.mark.slow
def test_an_augmentation_that_is_written_for_conversion_works_within_the_context(
    built: Any, compose_tiny: Callable[..., Any], batches_of: Any
) -> None:
    tiny = compose_tiny("+augmentation.steps.random_square_crop_by_scale={}")

    with library_code_unconverted():
        before = autograph_config.CONVERSION_RULES
        features, _ = next(batches_of(tiny, built.trainer.model))
        assert autograph_config.CONVERSION_RULES is before

    assert features[IMAGE].shape == (2, 160, 160, 3)


def equal(one: Any, other: Any) -> bool:
    pairs = [(a, b) for part in (0, 1) for a, b in ((one[part][key], other[part][key]) for key in one[part])]
    return all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)


def test_without_shuffling_and_draws_the_batches_are_those_of_the_engine(
    built: Any, compose_tiny: Callable[..., Any], batches_of: Any
) -> None:
    tiny = compose_tiny("augmentation=none", "+pipeline.train_input_reader.shuffle=false", "train.batch_size=3")
    with library_code_unconverted():
        ours = list(islice(batches_of(tiny, built.trainer.model), 3))
        theirs = inputs.train_input(
            train_config=tiny.pipeline.train_config,
            train_input_config=tiny.pipeline.train_input_reader,
            model_config=tiny.pipeline.model,
            model=built.trainer.model.network,
        )

    for one, other in zip(ours, islice(theirs, 3), strict=True):
        assert set(one[0]) == set(other[0])
        assert set(one[1]) == set(other[1])
        assert equal(one, other)


@pytest.mark.slow
def test_a_batch_with_many_draws_is_a_function_of_seed_and_step_alone(
    built: Any, compose_tiny: Callable[..., Any], batches_of: Any
) -> None:
    tiny = compose_tiny(*MANY_DRAWS)
    with library_code_unconverted():
        whole = list(islice(batches_of(tiny, built.trainer.model), 6))
        resumed = list(islice(batches_of(tiny, built.trainer.model, first_step=4), 3))
        other_seed = next(batches_of(compose_tiny(*MANY_DRAWS, "train.seed=1"), built.trainer.model))

    assert all(equal(one, other) for one, other in zip(whole[3:], resumed, strict=True))
    assert not equal(whole[0], other_seed)
    # Eight images make four steps: the fifth has the images of another order and other draws.
    assert len({batch[0][IMAGE].numpy().tobytes() for batch in whole}) == 6


def test_evaluation_batches_are_full_unaugmented_and_in_order(built: Any, compose_tiny: Callable[..., Any]) -> None:
    tiny = compose_tiny(*MANY_DRAWS)
    records = RecordIndex.matching(tiny.data.validation_records)
    with library_code_unconverted():
        batches = list(
            evaluation_batches(
                tiny.pipeline, built.trainer.model.network, records.__getitem__, count=len(records), batch_size=3
            )
        )
        plain = list(
            evaluation_batches(
                built.tiny.pipeline, built.trainer.model.network, records.__getitem__, count=len(records), batch_size=1
            )
        )

    images = np.concatenate([features[IMAGE].numpy() for features, _ in batches])
    expected = np.concatenate([features[IMAGE].numpy() for features, _ in plain])
    np.testing.assert_array_equal(images, np.concatenate([expected, expected[:2]]))


class Records(list):
    def where(self, number: int) -> str:
        return f"record {number}"


def example(**features: list[Any]) -> bytes:
    made = tf.train.Example()
    for name, values in features.items():
        key = {"image": "image/encoded", "label": "image/object/class/label"}[name]
        kind = made.features.feature[key]
        (kind.bytes_list if name == "image" else kind.int64_list).value.extend(values)
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (b"no example", "is no tf.train.Example"),
        (b"", "has no image"),
        (example(label=[1]), "has no image"),
        (example(image=[b"jpeg"], label=[1, 3]), "has the label 3, and there are the classes 1 to 2"),
        (example(image=[b"jpeg"], label=[0]), "has the label 0"),
        (example(image=[b"no jpeg"], label=[1]), "a batch cannot be made"),
    ],
    ids=["no example", "empty", "no image", "unknown class", "class 0", "no jpeg"],
)
def test_a_record_that_cannot_be_used_fails_the_run_by_its_name(record: bytes, fault: str, built: Any) -> None:
    order = Order((0,), batch_size=1, seed=0)
    source = TrainingInput(Records([record]), order, num_classes=2)

    with library_code_unconverted():
        batches = source.batches(built.tiny.pipeline, built.trainer.model.network, first_step=1)
        with pytest.raises(RunFailedError, match=fault) as failure:
            next(batches)

    assert failure.value.where in ("record 0", "pipeline.train_input_reader")
    assert "Traceback" not in str(failure.value)


@pytest.mark.slow
def test_a_process_that_fails_in_the_midst_of_reading_ends(compose_tiny: Callable[..., Any], tmp_path: Any) -> None:
    """Fast reading by many threads, an error that nobody catches, and the end of the interpreter."""
    program = """
    import pathlib, pickle, sys
    import odrun.compat
    odrun.compat.load()
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2
    from odrun.commands.fitting import training_input
    from odrun.compat.autograph import library_code_unconverted
    from odrun.compat.engine import DetectionModel
    job, data, text = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
    pipeline = pipeline_pb2.TrainEvalPipelineConfig()
    text_format.Parse(text, pipeline)
    with library_code_unconverted(), training_input(job, pipeline, data) as source:
        model = DetectionModel(pipeline, is_training=True)
        batches = source.batches(pipeline, model.network, first_step=1)
        for _ in range(50):
            next(batches)
        raise RuntimeError("planted")
    """
    tiny = compose_tiny("train.batch_size=8")
    given = tmp_path / "given.pickle"
    given.write_bytes(pickle.dumps((tiny.job, tiny.data, str(tiny.pipeline))))

    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), given],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ended.returncode == 1
    assert "planted" in ended.stderr
