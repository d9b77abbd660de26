"""What the loop does is the same for every architecture, and its steps are those of the OD API's own program."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from odrun.commands.course import Course
from odrun.commands.fitting import fit
from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import TOTAL_LOSS, DetectionModel, optimizer_and_rate, seed_everything
from odrun.compat.tensorflow import tf
from odrun.errors import InterruptedRunError
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.training.step import Trainer

BATCHES = 20
RESIZER = "image_resizer { fixed_shape_resizer { height: 128 width: 128 } }"
GRADIENT_DESCENT = """
use_moving_average: false
momentum_optimizer {
  momentum_optimizer_value: 0.0
  learning_rate { constant_learning_rate { learning_rate: 1.0 } }
}
"""
# The samplers of both stages take all that there is, so that nothing is drawn.
FASTER_RCNN = f"""
faster_rcnn {{
  {RESIZER}
  feature_extractor {{ type: "faster_rcnn_resnet50_keras" batch_norm_trainable: true }}
  first_stage_anchor_generator {{
    grid_anchor_generator {{ scales: [0.25, 0.5] aspect_ratios: [0.5, 1.0, 2.0] height_stride: 16 width_stride: 16 }}
  }}
  first_stage_box_predictor_conv_hyperparams {{
    op: CONV
    regularizer {{ l2_regularizer {{ weight: 0.0 }} }}
    initializer {{ truncated_normal_initializer {{ stddev: 0.01 }} }}
  }}
  first_stage_max_proposals: 16
  first_stage_minibatch_size: 2000
  initial_crop_size: 14
  maxpool_kernel_size: 2
  maxpool_stride: 2
  second_stage_batch_size: 16
  second_stage_balance_fraction: 1.0
  second_stage_box_predictor {{
    mask_rcnn_box_predictor {{
      fc_hyperparams {{
        op: FC
        regularizer {{ l2_regularizer {{ weight: 0.0 }} }}
        initializer {{ variance_scaling_initializer {{ factor: 1.0 uniform: true mode: FAN_AVG }} }}
      }}
    }}
  }}
  second_stage_post_processing {{
    batch_non_max_suppression {{ iou_threshold: 0.6 max_detections_per_class: 20 max_total_detections: 20 }}
    score_converter: SOFTMAX
  }}
}}
"""
CENTER_NET = f"""
center_net {{
  {RESIZER}
  feature_extractor {{ type: "mobilenet_v2_fpn" }}
  object_detection_task {{
    task_loss_weight: 1.0
    offset_loss_weight: 1.0
    scale_loss_weight: 0.1
    localization_loss {{ l1_localization_loss {{}} }}
  }}
  object_center_params {{
    object_center_loss_weight: 1.0
    classification_loss {{ penalty_reduced_logistic_focal_loss {{ alpha: 2.0 beta: 4.0 }} }}
    min_box_overlap_iou: 0.7
    max_box_predictions: 20
  }}
}}
"""


def of_architecture(name: str, compose_tiny: Callable[..., Any]) -> Any:
    """A tiny job with the model of an architecture in a small form."""
    tiny = compose_tiny(
        "train.steps=2",
        "train.checkpoint.every=1",
        "eval.every=null",
        "pipeline.train_config.gradient_clipping_by_norm=0",
        "eval.pictures=1",
    )
    model = tiny.pipeline.model
    if name == "efficient_det":
        extractor = model.ssd.feature_extractor
        extractor.type = "ssd_efficientnet-b0_bifpn_keras"
        extractor.ClearField("fpn")
        extractor.ClearField("depth_multiplier")
        extractor.ClearField("use_depthwise")
        # The pyramid halves the image seven times; the least that it takes is more than 128.
        resizer = model.ssd.image_resizer.fixed_shape_resizer
        resizer.height = resizer.width = 256
        text_format.Merge("bifpn { min_level: 3 max_level: 7 num_iterations: 1 num_filters: 16 }", extractor)
        model.ssd.anchor_generator.multiscale_anchor_generator.max_level = 7
    elif name != "ssd":
        model.Clear()
        text_format.Merge({"faster_rcnn": FASTER_RCNN, "center_net": CENTER_NET}[name], model)
        getattr(model, name).num_classes = 2
    return tiny


@pytest.fixture
def deterministic_operations() -> Iterator[None]:
    """Operations without races: that of `tf.image.crop_and_resize`'s gradient on several threads loses updates."""
    from tensorflow.python.framework import config

    config.enable_op_determinism()
    yield
    config.disable_op_determinism()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["ssd", "faster_rcnn", "center_net"])
def test_losses_and_gradients_are_those_of_the_engines_own_step(
    architecture: str, compose_tiny: Callable[..., Any], batches_of: Any, deterministic_operations: None
) -> None:
    """A step of plain gradient descent at rate 1 takes the gradient off the weights, which is how both are seen."""
    from object_detection.model_lib_v2 import eager_train_step

    tiny = of_architecture(architecture, compose_tiny)
    config = tiny.pipeline.train_config
    config.optimizer.Clear()
    text_format.Merge(GRADIENT_DESCENT, config.optimizer)
    seed_everything(1)
    with library_code_unconverted():
        model = DetectionModel(tiny.pipeline, is_training=True)
        trainer = Trainer(model, tiny.pipeline)
        batches = list(islice(batches_of(tiny, model), BATCHES))
        trainer.build(batches[0][0])
        step = tf.Variable(0, dtype=tf.int64, trainable=False)
        optimizer, _ = optimizer_and_rate(tiny.pipeline, step=step, scale=tf.Variable(1.0))
        optimizer._create_all_weights(model.trainable_variables)
        theirs = tf.function(
            lambda features, labels: eager_train_step(
                model.network,
                features,
                labels,
                config.unpad_groundtruth_tensors,
                optimizer,
                training_step=step,
                add_regularization_loss=config.add_regularization_loss,
            ),
            autograph=False,
        )
        # The engine's step makes its counter one of the network's variables.
        variables, trained = list(model.network.variables), model.trainable_variables
        start, before = ([variable.numpy() for variable in these] for these in (variables, trained))
        for features, labels in batches:
            outcomes = []
            for train in (lambda features, labels: trainer.train(features, labels).losses, theirs):
                for variable, value in zip(variables, start, strict=True):
                    variable.assign(value)
                losses = {name: float(value) for name, value in train(features, labels).items()}
                outcomes.append((losses, [old - new.numpy() for old, new in zip(before, trained, strict=True)]))
            (our_losses, our_gradients), (their_losses, their_gradients) = outcomes
            assert our_losses == pytest.approx(their_losses, rel=1e-4)
            assert our_losses[TOTAL_LOSS] > 0
            scale = max(float(np.linalg.norm(gradient)) for gradient in their_gradients)
            for ours, other, variable in zip(our_gradients, their_gradients, trained, strict=True):
                difference, norm = np.linalg.norm(ours - other), np.linalg.norm(other)
                assert difference <= 1e-4 * norm + 1e-6 * scale, variable.name


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["ssd", "efficient_det", "faster_rcnn", "center_net"])
def test_every_architecture_trains_evaluates_saves_resumes_and_is_exported(
    architecture: str, compose_tiny: Callable[..., Any], impatient_terminal: type[io.StringIO], tmp_path: Path
) -> None:
    directory = RunDirectory(tmp_path / "run")

    def run(stream: io.StringIO, resumed_at: int) -> None:
        tiny = of_architecture(architecture, compose_tiny)
        with Course(directory) as course:
            terminal = Terminal(stream)
            fit(
                tiny.job,
                tiny.pipeline,
                tiny.data,
                directory=directory,
                course=course,
                terminal=terminal,
                resumed_at=resumed_at,
            )

    with pytest.raises(InterruptedRunError):
        run(impatient_terminal(), 0)
    run(io.StringIO(), 1)

    names = {file.relative_to(directory.path).as_posix() for file in directory.path.rglob("*") if file.is_file()}
    assert {
        "checkpoints/ckpt-1.index",
        "checkpoints/ckpt-2.index",
        "checkpoints/best/ckpt-2.index",
        "eval/2/metrics.json",
        "export/saved_model/saved_model.pb",
        "predictions/sheet.jpg",
    } <= names
    assert [line.split(",")[0] for line in directory.metrics.read_text().splitlines()] == ['{"step": 1', '{"step": 2']
