"""What the OD API's own code needs changed to run on today's TensorFlow, NumPy, Pillow and protobuf."""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import SupportsInt

from odrun.compat import protos
from odrun.compat.imports import MendingFinder, substitution


def old_message_modules(_: MendingFinder) -> None:
    """Build `object_detection.protos.*_pb2` from their own descriptors, with today's protobuf.

    Without it protobuf 4 and later refuse the modules, which a protoc of 2021 generated. It may go when the OD API is
    released with regenerated ones.
    """
    protos.load()


def control_flow_functions(finder: MendingFinder) -> None:
    """Give `tensorflow.python.ops.control_flow_ops` back its `case`, `cond` and `while_loop`.

    TensorFlow 2.12 moved them to modules of their own; without it tf_slim's TFExample decoder fails while the input
    pipeline is being built. It may go when tf_slim 1.1 has a successor.
    """
    finder.complete("tensorflow.python.ops.control_flow_ops", _look_up_control_flow)


def keras_resnet(finder: MendingFinder) -> None:
    """Take the OD API's ResNet V1 building blocks from tf-keras instead of from Keras 3.

    Without it ResNet-18 and ResNet-34 (CenterNet ResNet V1 FPN) fail to build, since Keras 3's module of that name has
    no `ResNet`, and every process pays for importing Keras 3. It may go with legacy Keras.
    """
    finder.rewrite(
        "object_detection.models.keras_models.resnet_v1",
        substitution(r"from keras\.applications import resnet\b", "from tf_keras.src.applications import resnet"),
    )


def unfetched_backbones(finder: MendingFinder) -> None:
    """Build CenterNet MobileNetV2 (FPN) without fetching ImageNet weights from the network.

    Without it merely building the model downloads a file, and fails offline; the weights that count are restored from
    the checkpoint afterwards. It may go when the OD API takes the weights as an argument.
    """
    for name in ("center_net_mobilenet_v2_feature_extractor", "center_net_mobilenet_v2_fpn_feature_extractor"):
        finder.rewrite(
            f"object_detection.models.{name}",
            substitution(r"weights='imagenet' if depth_multiplier == 1\.0 else None", "weights=None"),
        )
    finder.rewrite(
        "object_detection.models.center_net_mobilenet_v2_feature_extractor_tf2_test",
        substitution(r"mobilenet_v2\(True, include_top=False\)", "mobilenet_v2(True, include_top=False, weights=None)"),
    )


def lab_colours(finder: MendingFinder) -> None:
    """Give DeepMAC the one function it takes from tensorflow-io, `rgb_to_lab`, from odrun.

    tensorflow-io has no wheel for TensorFlow 2.20 and none at all for Python 3.13; without it every model fails to
    build, since `model_builder` imports DeepMAC. It may go when tensorflow-io is released for the TensorFlow in use.
    """
    finder.rewrite(
        "object_detection.meta_architectures.deepmac_meta_arch",
        substitution(r"import tensorflow_io as tfio\b", "from odrun.compat import lab_colour"),
        substitution(r"tfio\.experimental\.color\.rgb_to_lab\b", "lab_colour.rgb_to_lab"),
    )


def font_measures(finder: MendingFinder) -> None:
    """Measure text by `getbbox`, since Pillow 10 dropped `ImageFont.getsize`.

    Without it drawing the first detection fails, which is at the first evaluated image. It may go when the OD API draws
    by Pillow 10's names. `getsize` was (right - left, bottom) of the bounding box (Pillow 9.5, `ImageFont.py`).
    """
    finder.rewrite(
        "object_detection.utils.visualization_utils",
        substitution(r"font\.getsize\((\w+)\)", r"(lambda box: (box[2] - box[0], box[3]))(font.getbbox(\1))"),
    )


def canvas_pixels(finder: MendingFinder) -> None:
    """Read a figure's pixels by `buffer_rgba`, since Matplotlib 3.10 dropped `tostring_rgb`.

    NumPy has dropped `fromstring` of bytes, too. Without it the image summaries of CDFs and histograms fail. It may go
    when the OD API reads them so itself.
    """
    finder.rewrite(
        "object_detection.utils.visualization_utils",
        substitution(
            r"np\.fromstring\((\s*)fig\.canvas\.tostring_rgb\(\), dtype='uint8'\)",
            r"np.ascontiguousarray(\1np.asarray(fig.canvas.buffer_rgba())[..., :3])",
        ),
    )


def numpy_names(finder: MendingFinder) -> None:
    """Write the names that NumPy 1.24 and 2.0 dropped as what they stood for: `np.float` is `float`, `np.NAN` `np.nan`.

    Without it precision and recall of the PASCAL metrics, the TFExample parser and some tests fail. The names are
    changed in the modules that use them, not put back into NumPy, where other packages look to see which NumPy it is.
    It may go when the OD API uses NumPy 2's names.
    """
    for module in NUMPY_1_MODULES:
        finder.rewrite(module, _numpy_2)


def whole_number_features(finder: MendingFinder) -> None:
    """Write a bool into a TFRecord's integer feature as 0 or 1.

    Today's protobuf refuses a bool in an `Int64List`; without it `create_coco_tf_record` fails on `iscrowd`, and so do
    the programs for other data sets. It may go when the OD API converts them.
    """
    finder.complete("object_detection.utils.dataset_util", _count_truths)


def empty_box_lists(finder: MendingFinder) -> None:
    """Ask whether a frame has boxes by their number, in the OD API's writer of SequenceExamples.

    It compares an array with `[]`, which NumPy 1.25 and later refuse to broadcast; without it no SequenceExample with
    boxes can be written. It may go when the OD API asks by number.
    """
    finder.rewrite(
        "object_detection.dataset_tools.seq_example_util", substitution(r"if bbox != \[\]:", "if len(bbox):")
    )


def structured_comparisons(finder: MendingFinder) -> None:
    """Compare structured arrays by NumPy in the test of the visual relation metrics.

    `tf.test` takes every array's type for one of TensorFlow's, which has no structured types; without it the test fails
    before it compares. It may go when that test compares by NumPy.
    """
    finder.rewrite(
        "object_detection.metrics.oid_vrd_challenge_evaluation_utils_test",
        substitution(r"self\.assertAllEqual\(", "np.testing.assert_array_equal("),
    )


def float_pictures(finder: MendingFinder) -> None:
    """Make the pictures of the record programs' tests of bytes.

    Pillow once took an array of floats for RGB bytes; without it the tests of the COCO, KITTI and PASCAL programs fail
    before they reach the program. It may go when those tests make their pictures so.
    """
    for name in ("coco", "kitti", "pascal"):
        finder.rewrite(
            f"object_detection.dataset_tools.create_{name}_tf_record_test",
            substitution(r"PIL\.Image\.fromarray\(image_data, 'RGB'\)", "PIL.Image.fromarray(np.uint8(image_data))"),
        )


def one_element_counts(finder: MendingFinder) -> None:
    """Take the number out of an array of one element in CenterNet's own test.

    NumPy 2.4 refuses `int` of such an array; without it the test of CenterNet's non-maximum suppression fails. It may
    go when that test indexes the array.
    """
    finder.rewrite(
        "object_detection.meta_architectures.center_net_meta_arch_tf2_test",
        substitution(r"int\(detections\['num_detections'\]\)", "int(detections['num_detections'][0])"),
    )


NUMPY_1_MODULES = (
    "object_detection.meta_architectures.center_net_meta_arch_tf2_test",
    "object_detection.metrics.coco_tools_test",
    "object_detection.metrics.tf_example_parser",
    "object_detection.nets.mobilenet.mobilenet_v3",
    "object_detection.utils.metrics",
    "object_detection.utils.ops_test",
    "object_detection.utils.visualization_utils_test",
)
_NUMPY_2_NAMES = {"float": "float", "int": "int", "string_": "np.bytes_", "NAN": "np.nan"}


def _numpy_2(source: str) -> str:
    return re.sub(r"\bnp\.(float|int|string_|NAN)\b", lambda match: _NUMPY_2_NAMES[match[1]], source)


def _count_truths(module: ModuleType) -> None:
    one, several = module.int64_feature, module.int64_list_feature
    module.int64_feature = lambda value: one(_whole(value))  # type: ignore[attr-defined]
    module.int64_list_feature = lambda value: several([_whole(item) for item in value])  # type: ignore[attr-defined]


def _whole(value: SupportsInt) -> SupportsInt:
    is_truth = isinstance(value, bool) or getattr(value, "dtype", None) == "bool"
    return int(value) if is_truth else value


def _look_up_control_flow(module: ModuleType) -> None:
    homes = {"case": "control_flow_case", "cond": "cond", "while_loop": "while_loop"}

    def look_up(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        home = importlib.import_module(f"tensorflow.python.ops.{homes[name]}")
        return getattr(home, name)

    module.__getattr__ = look_up  # type: ignore[method-assign]
