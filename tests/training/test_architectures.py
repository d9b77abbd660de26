"""What fine-tuning asks of a model, asked of each architecture, small and with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from odrun.compat.autograph import library_code_unconverted
from odrun.compat.engine import IMAGE, TRUE_SHAPE, DetectionModel
from odrun.compat.normalization import hold_statistics, normalization_layers
from odrun.compat.tensorflow import tf
from odrun.training.restore import restore

SIDE_PX = 256
RESIZER = f"image_resizer {{ fixed_shape_resizer {{ height: {SIDE_PX} width: {SIDE_PX} }} }}"
HYPERPARAMETERS = """
  op: CONV
  regularizer { l2_regularizer { weight: 0.0 } }
  initializer { truncated_normal_initializer { stddev: 0.01 } }
"""
NORMALIZED = HYPERPARAMETERS + "batch_norm { decay: 0.99 epsilon: 0.001 scale: true } force_use_bias: true"
NMS = "batch_non_max_suppression { iou_threshold: 0.6 max_detections_per_class: 5 max_total_detections: 5 }"
FASTER_RCNN = f"""faster_rcnn {{
  num_classes: %d
  {RESIZER}
  feature_extractor {{ type: "faster_rcnn_resnet50_keras" batch_norm_trainable: true }}
  first_stage_anchor_generator {{ grid_anchor_generator {{ scales: 0.5 aspect_ratios: 1.0 }} }}
  first_stage_box_predictor_conv_hyperparams {{ {HYPERPARAMETERS} }}
  first_stage_nms_iou_threshold: 0.7
  first_stage_max_proposals: 5
  initial_crop_size: 14
  maxpool_kernel_size: 2
  maxpool_stride: 2
  second_stage_box_predictor {{ mask_rcnn_box_predictor {{
    fc_hyperparams {{ {HYPERPARAMETERS.replace("CONV", "FC")} }}
  }} }}
  second_stage_post_processing {{ {NMS} score_converter: SOFTMAX }}
  second_stage_batch_size: 5
}}"""
CENTER_NET = f"""center_net {{
  num_classes: %d
  {RESIZER}
  feature_extractor {{ type: "mobilenet_v2_fpn" }}
  object_center_params {{
    max_box_predictions: 5
    classification_loss {{ penalty_reduced_logistic_focal_loss {{}} }}
  }}
  object_detection_task {{ localization_loss {{ l1_localization_loss {{}} }} }}
}}"""
EFFICIENTDET = f"""ssd {{
  num_classes: %d
  {RESIZER}
  feature_extractor {{
    type: "ssd_efficientnet-b0_bifpn_keras"
    bifpn {{ min_level: 3 max_level: 7 num_iterations: 3 num_filters: 64 }}
    conv_hyperparams {{ {NORMALIZED} }}
  }}
  box_coder {{ faster_rcnn_box_coder {{}} }}
  matcher {{ argmax_matcher {{}} }}
  similarity_calculator {{ iou_similarity {{}} }}
  anchor_generator {{ multiscale_anchor_generator {{
    min_level: 3 max_level: 7 anchor_scale: 4.0 aspect_ratios: 1.0 scales_per_octave: 1
  }} }}
  box_predictor {{ weight_shared_convolutional_box_predictor {{
    depth: 64 num_layers_before_predictor: 3 kernel_size: 3 use_depthwise: true conv_hyperparams {{ {NORMALIZED} }}
  }} }}
  post_processing {{ {NMS} score_converter: SIGMOID }}
  loss {{
    localization_loss {{ weighted_smooth_l1 {{}} }}
    classification_loss {{ weighted_sigmoid_focal {{}} }}
    classification_weight: 1
    localization_weight: 1
  }}
}}"""
ARCHITECTURES = {"faster_rcnn": FASTER_RCNN, "center_net": CENTER_NET, "efficientdet": EFFICIENTDET}

pytestmark = pytest.mark.slow


def features() -> dict[str, tf.Tensor]:
    images = tf.random.stateless_normal((1, SIDE_PX, SIDE_PX, 3), seed=(1, 2))
    return {IMAGE: images, TRUE_SHAPE: tf.constant([[SIDE_PX, SIDE_PX, 3]])}


def built_model(text: str, *, num_classes: int) -> DetectionModel:
    from object_detection.protos import pipeline_pb2

    pipeline = pipeline_pb2.TrainEvalPipelineConfig()
    text_format.Parse(text % num_classes, pipeline.model)
    tf.keras.backend.clear_session()
    model = DetectionModel(pipeline, is_training=True)
    model.build(features())
    return model


@pytest.fixture(scope="module", params=ARCHITECTURES)
def models(request: pytest.FixtureRequest) -> Iterator[tuple[DetectionModel, DetectionModel]]:
    """Two models of an architecture, for three classes and for five."""
    text = ARCHITECTURES[request.param]
    with library_code_unconverted():
        yield built_model(text, num_classes=3), built_model(text, num_classes=5)


def test_a_checkpoint_is_restored_as_far_as_it_fits(
    models: tuple[DetectionModel, DetectionModel], tmp_path: Path
) -> None:
    of_three, of_five = models
    whole = tf.train.Checkpoint(model=of_three.network).write(str(tmp_path / "whole"))
    parts = of_three.network.restore_from_objects(fine_tune_checkpoint_type="classification")
    backbone = tf.train.Checkpoint(**parts).write(str(tmp_path / "backbone"))

    full, detection, classification = (
        restore(of_three, whole, kind=None),
        restore(of_five, whole, kind=None),
        restore(of_five, backbone, kind=None),
    )

    assert (full.kind, full.fresh, full.unused) == ("full", 0, 0)
    assert (detection.kind, detection.unused) == ("detection", 0)
    assert (classification.kind, classification.unused) == ("classification", 0)
    assert full.restored > detection.restored >= classification.restored > 200


def statistics(layers: list[Any]) -> list[np.ndarray[Any, Any]]:
    return [value.numpy() for layer in layers for value in (layer.moving_mean, layer.moving_variance)]


def test_every_normalization_holds_its_statistics_in_training(models: tuple[DetectionModel, DetectionModel]) -> None:
    model, _ = models
    layers = normalization_layers(model.network)
    batch = features()

    def unchanged() -> list[bool]:
        before = statistics(layers)
        model.network._is_training = False
        tf.keras.backend.set_learning_phase(True)
        model.network.predict(batch[IMAGE], batch[TRUE_SHAPE])
        tf.keras.backend.set_learning_phase(False)
        return [np.array_equal(old, new) for old, new in zip(before, statistics(layers), strict=True)]

    # EfficientNet has a last layer that the detector has no use for.
    assert np.mean(unchanged()) < 0.2
    for layer in layers:
        hold_statistics(layer)
    assert all(unchanged())
