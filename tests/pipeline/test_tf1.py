from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.pipeline.text import from_text
from odrun.pipeline.tf1 import FEATURE_EXTRACTORS, refuse_tf1

MAPS = {
    "ssd": "SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP",
    "faster_rcnn": "FASTER_RCNN_KERAS_FEATURE_EXTRACTOR_CLASS_MAP",
    "center_net": "CENTER_NET_EXTRACTOR_FUNCTION_MAP",
}


def test_the_table_is_what_the_installed_package_builds_under_tensorflow_2() -> None:
    spec = importlib.util.find_spec("object_detection")
    assert spec is not None
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0], "builders", "model_builder.py").read_text(encoding="utf-8")
    # The maps are assigned under `if tf_version.is_tf2()`; those of TensorFlow 1 have other names or are empty.
    found = {name: set[object]() for name in MAPS.values()}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name):
            keys = {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
            found.setdefault(node.targets[0].id, set()).update(keys)
    assert {architecture: found[name] for architecture, name in MAPS.items()} == FEATURE_EXTRACTORS


@pytest.mark.parametrize(
    ("architecture", "extractor", "remedy"),
    [
        ("ssd", "ssd_mobilenet_v2", 'type: "ssd_mobilenet_v2_keras" is its counterpart'),
        ("ssd", "ssd_inception_v2", "valid: ssd_efficientnet-b0_bifpn_keras, "),
        ("faster_rcnn", "faster_rcnn_resnet101", 'type: "faster_rcnn_resnet101_keras" is its counterpart'),
        ("faster_rcnn", "faster_rcnn_nas", "did you mean "),
    ],
)
def test_a_feature_extractor_of_tensorflow_1_is_named_as_one(architecture: str, extractor: str, remedy: str) -> None:
    text = f'model {{ {architecture} {{ feature_extractor {{ type: "{extractor}" }} }} }}'
    with pytest.raises(InputError) as caught:
        refuse_tf1(from_text(text, name="x"), where="my.config")
    assert caught.value.what == (
        f"model.{architecture}.feature_extractor.type is {extractor}, which TensorFlow 2 has not: "
        "the configuration is one for TensorFlow 1"
    )
    assert caught.value.where == "my.config"
    assert str(caught.value.remedy).startswith(remedy)


@pytest.mark.parametrize(
    "model",
    [
        'ssd { feature_extractor { type: "ssd_resnet50_v1_fpn_keras" } }',
        'center_net { feature_extractor { type: "hourglass_104" } }',
        "ssd {}",
        "experimental_model {}",
        "",
    ],
)
def test_what_tensorflow_2_has_and_what_names_no_extractor_passes(model: str) -> None:
    refuse_tf1(from_text(f"model {{ {model} }}", name="x"), where="x")
