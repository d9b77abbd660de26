"""Asks the real OD API for what each shim mends, and prints {shim: "works" or the error} as JSON.

`python probes.py mended` calls odrun.compat.load() first; `bare` asks for the messages with nothing done, then for the
rest with legacy Keras and the messages alone; `keras3` asks for legacy Keras with nothing done, then for load();
`late` calls load() after TensorFlow has been imported with legacy Keras.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import types
from collections.abc import Callable


def legacy_keras() -> None:
    import tensorflow as tf

    assert tf.keras.layers.Layer.__module__.startswith("tf_keras."), tf.keras.layers.Layer.__module__


def old_message_modules() -> None:
    from object_detection.protos import pipeline_pb2

    assert pipeline_pb2.TrainEvalPipelineConfig(train_config={"batch_size": 3}).train_config.batch_size == 3


def estimator() -> None:
    from tensorflow.compat.v1 import estimator

    assert estimator.ModeKeys.PREDICT == "infer"


def lvis() -> None:
    importlib.import_module("object_detection.metrics.lvis_evaluation")


def control_flow_functions() -> None:
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_ops

    yes, no = (lambda: tf.constant(1)), (lambda: tf.constant(2))
    assert control_flow_ops.cond(tf.constant(True), yes, no) == 1
    assert control_flow_ops.case([(tf.constant(False), yes)], default=no) == 2
    assert control_flow_ops.while_loop(lambda i: i < 5, lambda i: i + 1, [tf.constant(0)]) == 5


def keras_resnet() -> None:
    from object_detection.models.keras_models import resnet_v1

    assert "keras" not in sys.modules, "Keras 3 was imported"
    assert resnet_v1.resnet_v1_18(weights=None, include_top=False).output_shape == (None, None, None, 512)


def unfetched_backbones() -> None:
    from object_detection.models import center_net_mobilenet_v2_feature_extractor as plain
    from object_detection.models import center_net_mobilenet_v2_fpn_feature_extractor as fpn

    asked = []

    def note(*, weights: str | None, **_: object) -> None:
        asked.append(weights)
        raise StopIteration

    for module, build in ((plain, plain.mobilenet_v2), (fpn, fpn.mobilenet_v2_fpn)):
        module.mobilenetv2 = types.SimpleNamespace(mobilenet_v2=note)
        with contextlib.suppress(StopIteration):
            build(channel_means=(0.0,), channel_stds=(1.0,), bgr_ordering=False)
    assert asked == [None, None], f"weights {asked}"


def lab_colours() -> None:
    import tensorflow as tf
    from object_detection.meta_architectures import deepmac_meta_arch

    class Red(deepmac_meta_arch.DeepMACMetaArch):
        def __init__(self) -> None:
            self._feature_extractor = types.SimpleNamespace(preprocess_reverse=lambda image: image)

    # As in training, AutoGraph converts the method, for which it reads the source anew.
    lab = tf.function(Red()._get_lab_image)(tf.constant([[[[255.0, 0.0, 0.0]]]]))
    assert [round(float(value), 1) for value in lab.numpy().ravel()] == [53.2, 80.1, 67.2]


def font_measures() -> None:
    import numpy as np
    from object_detection.utils import visualization_utils

    image = np.zeros((40, 40, 3), np.uint8)
    visualization_utils.draw_bounding_box_on_image_array(image, 0.5, 0.2, 0.9, 0.9, display_str_list=["digit 7: 93%"])
    assert image.any()


def canvas_pixels() -> None:
    import tensorflow as tf
    from object_detection.utils import visualization_utils

    pictures = []
    tf.compat.v1.summary.image = lambda _, picture: pictures.append(picture)
    visualization_utils.add_cdf_image_summary(tf.constant([0.1, 0.4, 0.5]), "cdf")
    visualization_utils.add_hist_image_summary(tf.constant([0.1, 0.4, 0.5]), [0.0, 0.3, 1.0], "histogram")
    assert [picture.shape for picture in pictures] == [(1, 480, 640, 3)] * 2
    assert all(0 < picture.numpy().mean() < 255 for picture in pictures)


def numpy_names() -> None:
    import numpy as np
    from object_detection.utils import metrics

    precision, recall = metrics.compute_precision_recall(np.array([0.9, 0.8]), np.array([True, False]), 1)
    assert (precision.tolist(), recall.tolist()) == ([1.0, 0.5], [1.0, 1.0])
    assert np.isnan(metrics.compute_average_precision(None, None))


def whole_number_features() -> None:
    import numpy as np
    from object_detection.utils import dataset_util

    values = [True, np.False_, 3, np.int64(4)]
    assert list(dataset_util.int64_list_feature(values).int64_list.value) == [1, 0, 3, 4]
    assert [dataset_util.int64_feature(value).int64_list.value[0] for value in values] == [1, 0, 3, 4]


def empty_box_lists() -> None:
    import numpy as np
    from object_detection.dataset_tools import seq_example_util

    frames = [np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]), []]
    ymin, xmin, ymax, xmax = seq_example_util.boxes_to_box_components(frames)
    found = [np.round(frame, 2).astype(str).tolist() for frame in (ymin[0], xmin[0], ymax[0], xmax[0], ymin[1])]
    assert found == [["0.1", "0.5"], ["0.2", "0.6"], ["0.3", "0.7"], ["0.4", "0.8"], []]


def float_pictures() -> None:
    run("dataset_tools.create_kitti_tf_record_test", "CreateKittiTFRecordTest.test_dict_to_tf_example")


def structured_comparisons() -> None:
    module = "metrics.oid_vrd_challenge_evaluation_utils_test"
    run(module, "OidVrdChallengeEvaluationUtilsTest.testBuildGroundtruthDictionary")


def one_element_counts() -> None:
    run("meta_architectures.center_net_meta_arch_tf2_test", "CenterNetMetaArchTest.test_non_max_suppression")


def run(module: str, name: str) -> None:
    """One of the OD API's own tests."""
    title, method = name.split(".")
    case = getattr(importlib.import_module(f"object_detection.{module}"), title)(method)
    case.setUp()
    getattr(case, method)()


def trainer_and_exporter() -> None:
    for name in ("model_lib_v2", "inputs", "exporter_lib_v2", "export_tflite_graph_lib_tf2"):
        importlib.import_module(f"object_detection.{name}")
    unwanted = {"keras", "tensorflow_io", "lvis"} & {name for name in sys.modules if has_a_file(name)}
    assert not unwanted, f"imported: {sorted(unwanted)}"


def has_a_file(module: str) -> bool:
    return getattr(sys.modules[module], "__file__", None) is not None


PROBES: tuple[Callable[[], None], ...] = (
    legacy_keras,
    estimator,
    lvis,
    control_flow_functions,
    keras_resnet,
    unfetched_backbones,
    lab_colours,
    font_measures,
    canvas_pixels,
    numpy_names,
    whole_number_features,
    empty_box_lists,
    float_pictures,
    structured_comparisons,
    one_element_counts,
)


def answer(probe: Callable[[], None]) -> str:
    try:
        probe()
    except Exception as error:  # noqa: BLE001  whatever the package raises is the answer
        return f"{type(error).__name__}: {error}"
    return "works"


def main(how: str) -> dict[str, str]:
    import odrun.compat

    if how == "keras3":
        return {"legacy_keras": answer(legacy_keras), "load": answer(odrun.compat.load)}
    if how == "late":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        importlib.import_module("tensorflow")
        odrun.compat.load()
        return {probe.__name__: answer(probe) for probe in (legacy_keras, control_flow_functions, trainer_and_exporter)}
    if how == "mended":
        odrun.compat.load()
    answers = {"old_message_modules": answer(old_message_modules)}
    if how == "bare":
        odrun.compat.protos.load()
        odrun.compat.environment.legacy_keras(odrun.compat.imports.MendingFinder())
    answers |= {probe.__name__: answer(probe) for probe in PROBES}
    return answers | {"trainer_and_exporter": answer(trainer_and_exporter)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
