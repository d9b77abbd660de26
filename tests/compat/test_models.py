"""Architectures of the zoo that a break of their own once kept from building: each is built and run forward once."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

import odrun.compat

HYPERPARAMETERS = """
  op: CONV
  regularizer { l2_regularizer { weight: 0.0 } }
  initializer { truncated_normal_initializer { stddev: 0.01 } }
"""
NMS = "batch_non_max_suppression { iou_threshold: 0.6 max_detections_per_class: 5 max_total_detections: 5 }"
MASKS = """
  predict_instance_masks: true mask_height: 33 mask_width: 33
  mask_prediction_conv_depth: 0 mask_prediction_num_conv_layers: 4
"""


def faster_rcnn(*, masks: bool) -> str:
    return f"""faster_rcnn {{
      number_of_stages: {3 if masks else 2}
      num_classes: 3
      image_resizer {{ fixed_shape_resizer {{ height: 96 width: 96 }} }}
      feature_extractor {{ type: "faster_rcnn_inception_resnet_v2_keras" }}
      first_stage_anchor_generator {{ grid_anchor_generator {{ scales: 0.5 aspect_ratios: 1.0 }} }}
      first_stage_atrous_rate: 2
      first_stage_box_predictor_conv_hyperparams {{ {HYPERPARAMETERS} }}
      first_stage_nms_iou_threshold: 0.7
      first_stage_max_proposals: 5
      initial_crop_size: 17
      maxpool_kernel_size: 1
      maxpool_stride: 1
      second_stage_box_predictor {{ mask_rcnn_box_predictor {{
        fc_hyperparams {{ {HYPERPARAMETERS.replace("CONV", "FC")} }}
        {"conv_hyperparams {" + HYPERPARAMETERS + "}" + MASKS if masks else ""}
      }} }}
      second_stage_post_processing {{ {NMS} score_converter: SOFTMAX }}
      second_stage_batch_size: 5
    }}"""


def center_net(feature_extractor: str) -> str:
    return f"""center_net {{
      num_classes: 3
      feature_extractor {{ type: "{feature_extractor}" }}
      image_resizer {{ fixed_shape_resizer {{ height: 96 width: 96 }} }}
      object_center_params {{
        max_box_predictions: 5
        classification_loss {{ penalty_reduced_logistic_focal_loss {{}} }}
      }}
      object_detection_task {{ localization_loss {{ l1_localization_loss {{}} }} }}
    }}"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        pytest.param(faster_rcnn(masks=False), {}, id="faster_rcnn_inception_resnet_v2"),
        pytest.param(faster_rcnn(masks=True), {"detection_masks": (1, 5, 33, 33)}, id="mask_rcnn_inception_resnet_v2"),
        pytest.param(center_net("resnet_v1_18_fpn"), {}, id="centernet_resnet_v1_18_fpn"),
        pytest.param(center_net("resnet_v1_34_fpn"), {}, id="centernet_resnet_v1_34_fpn"),
        pytest.param(center_net("mobilenet_v2"), {}, id="centernet_mobilenet_v2"),
        pytest.param(center_net("mobilenet_v2_fpn"), {}, id="centernet_mobilenet_v2_fpn"),
    ],
)
def test_the_model_builds_offline_and_detects(
    model: str, outputs: dict[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    odrun.compat.load()
    import tensorflow as tf
    from object_detection.builders import model_builder
    from object_detection.protos import model_pb2
    from tf_keras.src.utils import data_utils

    monkeypatch.setattr(data_utils, "urlretrieve", lambda url, *_: pytest.fail(f"fetches {url}"))
    tf.keras.backend.clear_session()
    network = model_builder.build(text_format.Parse(model, model_pb2.DetectionModel()), is_training=False)
    image, shape = network.preprocess(tf.random.stateless_uniform([1, 96, 96, 3], (1, 2), maxval=255.0))
    found = network.postprocess(network.predict(image, shape), shape)
    assert found["detection_boxes"].shape == (1, 5, 4)
    assert {name: tuple(found[name].shape) for name in outputs} == outputs
