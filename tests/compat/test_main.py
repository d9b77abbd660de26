"""`python -m odrun.compat`, run as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

PROGRAM = """
import sys
from object_detection.protos import string_int_label_map_pb2
print(__name__, sys.argv, sys.modules["__main__"].__file__)
sys.exit(string_int_label_map_pb2.StringIntLabelMapItem(id=int(sys.argv[1])).id)
"""


def compat(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "odrun.compat", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_program_is_main_with_its_own_arguments_and_its_exit_status_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = compat(tmp_path, "program", "7", "--flag=a b")
    path = str(tmp_path / "program.py")
    assert (done.stdout, done.stderr, done.returncode) == (f"__main__ {[path, '7', '--flag=a b']} {path}\n", "", 7)


def test_a_failing_program_ends_with_its_own_traceback(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("raise ValueError('its own')")
    done = compat(tmp_path, "program")
    assert done.stderr.endswith("ValueError: its own\n")
    assert done.returncode == 1


def test_a_program_that_asks_for_estimators_ends_with_the_message_alone(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("from tensorflow.compat.v1 import estimator\nestimator.RunConfig()\n")
    (tmp_path / "tensorflow" / "compat" / "v1").mkdir(parents=True)
    for folder in ("tensorflow", "tensorflow/compat", "tensorflow/compat/v1"):
        (tmp_path / folder / "__init__.py").touch()
    done = compat(tmp_path, "program")
    assert done.stderr.startswith("Estimators were removed from TensorFlow 2.16")
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No program was named."),
        (["--help"], "No program was named."),
        (["model_main_tf2"], "did you mean object_detection.model_main_tf2"),
        (["object_detection.model_main_tf3"], "did you mean object_detection.model_main_tf2"),
        (["no.such.module"], "There is no Python module of that name."),
        (["object_detection.utils"], "There is no Python module of that name."),
        (["..relative"], "There is no Python module of that name."),
    ],
)
def test_no_program_or_an_unknown_one_ends_with_2_and_a_list(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = compat(tmp_path, *arguments)
    assert (done.stdout, done.returncode) == ("", 2)
    assert said in done.stderr
    assert "object_detection.exporter_main_v2" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record of one image with one digit, written by the OD API's own program, and labels.pbtxt beside it."""
    voc = tmp_path / "VOC2012"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (voc / folder).mkdir(parents=True)
    (voc / "ImageSets/Main/aeroplane_train.txt").write_text("one 1\n")
    (voc / "Annotations/one.xml").write_text(ANNOTATION)
    Image.new("RGB", (32, 24), "teal").save(voc / "JPEGImages/one.jpg")
    (tmp_path / "labels.pbtxt").write_text("item { id: 1 name: 'digit' }\n")
    done = compat(
        tmp_path,
        "object_detection.dataset_tools.create_pascal_tf_record",
        f"--data_dir={tmp_path}",
        "--year=VOC2012",
        "--set=train",
        f"--label_map_path={tmp_path / 'labels.pbtxt'}",
        f"--output_path={tmp_path / 'train.record'}",
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "train.record"


def test_a_program_of_the_od_api_takes_its_flags_and_writes_records(record: Path) -> None:
    content = record.read_bytes()
    assert b"image/object/difficult" in content
    assert b"digit" in content


@pytest.mark.slow
def test_the_published_programs_train_evaluate_and_export(record: Path) -> None:
    folder = record.parent
    (folder / "pipeline.config").write_text(PIPELINE)
    common = ("--alsologtostderr", f"--pipeline_config_path={folder / 'pipeline.config'}")
    model = ("object_detection.model_main_tf2", *common, f"--model_dir={folder / 'model'}")
    trained = compat(folder, *model, "--checkpoint_every_n=100", "--num_train_steps=100")
    assert trained.returncode == 0, trained.stderr[-3000:]
    assert "Step 100 per-step time" in trained.stderr
    evaluated = compat(folder, *model, f"--checkpoint_dir={folder / 'model'}", "--eval_timeout=1")
    assert evaluated.returncode == 0, evaluated.stderr[-3000:]
    assert "DetectionBoxes_Precision/mAP" in evaluated.stderr
    exporter = ("object_detection.exporter_main_v2", *common, "--input_type=image_tensor")
    places = (f"--trained_checkpoint_dir={folder / 'model'}", f"--output_directory={folder / 'export'}")
    exported = compat(folder, *exporter, *places)
    assert exported.returncode == 0, exported.stderr[-3000:]
    assert (folder / "export/saved_model/saved_model.pb").is_file()


PIPELINE = """
model { ssd {
  num_classes: 1
  image_resizer { fixed_shape_resizer { height: 96 width: 96 } }
  feature_extractor {
    type: "ssd_mobilenet_v2_keras" depth_multiplier: 0.35 min_depth: 8
    conv_hyperparams {
      regularizer { l2_regularizer { weight: 0.0 } }
      initializer { truncated_normal_initializer { stddev: 0.03 } }
      batch_norm { decay: 0.97 }
    }
    override_base_feature_extractor_hyperparams: true
  }
  box_coder { faster_rcnn_box_coder {} }
  matcher { argmax_matcher { unmatched_threshold: 0.5 ignore_thresholds: false force_match_for_each_row: true } }
  similarity_calculator { iou_similarity {} }
  box_predictor { convolutional_box_predictor { kernel_size: 1 conv_hyperparams {
    regularizer { l2_regularizer { weight: 0.0 } }
    initializer { truncated_normal_initializer { stddev: 0.03 } }
  } } }
  anchor_generator { ssd_anchor_generator { num_layers: 6 min_scale: 0.2 max_scale: 0.9 aspect_ratios: 1.0 } }
  post_processing {
    batch_non_max_suppression { iou_threshold: 0.6 max_detections_per_class: 5 max_total_detections: 5 }
    score_converter: SIGMOID
  }
  loss {
    classification_loss { weighted_sigmoid_focal {} }
    localization_loss { weighted_smooth_l1 {} }
    classification_weight: 1.0 localization_weight: 1.0
  }
} }
train_config {
  batch_size: 1
  num_steps: 100
  optimizer { momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.001 } } } }
  fine_tune_checkpoint_type: "detection"
}
train_input_reader { label_map_path: "labels.pbtxt" tf_record_input_reader { input_path: "train.record" } }
eval_config { metrics_set: "coco_detection_metrics" num_visualizations: 1 }
eval_input_reader { label_map_path: "labels.pbtxt" tf_record_input_reader { input_path: "train.record" } }
"""
ANNOTATION = """<annotation><folder>VOC2012</folder><filename>one.jpg</filename>
<size><width>32</width><height>24</height><depth>3</depth></size>
<object><name>digit</name><pose>Frontal</pose><truncated>0</truncated><difficult>1</difficult>
<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>21</ymax></bndbox></object></annotation>"""
