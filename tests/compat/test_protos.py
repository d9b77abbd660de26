from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, text_format

from odrun.compat import protos
from odrun.errors import InputError


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def message_files() -> list[Path]:
    import object_detection.protos

    return sorted(Path(object_detection.protos.__path__[0]).glob("*_pb2.py"))


def but_for_defaults(file: descriptor_pb2.FileDescriptorProto) -> str:
    """Built descriptors write the default 0.8 as 0.800000012; the values are compared in a test of their own."""
    return re.sub(r"default_value: .*", "", str(file))


def test_a_pipeline_config_is_read_without_tensorflow_or_numpy() -> None:
    done = python(
        "import sys\n"
        "from odrun.compat import protos\n"
        "protos.load()\n"
        "from object_detection.protos import pipeline_pb2\n"
        "from google.protobuf import descriptor_pb2, text_format\n"
        "config = text_format.Parse('train_config { batch_size: 7 }', pipeline_pb2.TrainEvalPipelineConfig())\n"
        "print(config.train_config.batch_size, {'tensorflow', 'keras', 'numpy'} & set(sys.modules))\n"
    )
    assert (done.stdout, done.stderr) == ("7 set()\n", "")


def test_every_message_file_becomes_a_module_with_the_descriptor_it_held() -> None:
    protos.load()
    files = message_files()
    assert len(files) == 34
    for path in files:
        module = sys.modules[f"object_detection.protos.{path.stem}"]
        built = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(built)
        held = descriptor_pb2.FileDescriptorProto.FromString(protos.serialized_descriptor(path))
        assert but_for_defaults(built) == but_for_defaults(held)
        assert module.__file__ == str(path)
        assert set(module.DESCRIPTOR.message_types_by_name) <= set(vars(module))


def test_defaults_enums_and_oneofs_are_those_of_the_published_messages() -> None:
    protos.load()
    from object_detection.protos import optimizer_pb2, post_processing_pb2, preprocessor_pb2

    assert post_processing_pb2.BatchNonMaxSuppression().iou_threshold == pytest.approx(0.6)
    assert post_processing_pb2.PostProcessing.SIGMOID == 1
    step = text_format.Parse("random_horizontal_flip {}", preprocessor_pb2.PreprocessingStep())
    assert step.WhichOneof("preprocessing_step") == "random_horizontal_flip"
    assert optimizer_pb2.Optimizer().use_moving_average is True


def test_loading_twice_leaves_the_modules_as_they_are() -> None:
    protos.load()
    before = {name: module for name, module in sys.modules.items() if name.startswith(protos.PACKAGE)}
    protos.load()
    assert {name: module for name, module in sys.modules.items() if name.startswith(protos.PACKAGE)} == before


def test_a_message_file_without_a_descriptor_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken_pb2.py"
    path.write_text("DESCRIPTOR = _descriptor.FileDescriptor(\n  serialized_pb=None)\n")
    with pytest.raises(InputError) as caught:
        protos.serialized_descriptor(path)
    assert caught.value.where == str(path)


def test_both_ways_to_quote_a_descriptor_are_read(tmp_path: Path) -> None:
    path = tmp_path / "quoted_pb2.py"
    for literal, content in (("b'a\\n\\'\\x00'", b"a\n'\x00"), ('b"a\'\\""', b"a'\"")):
        path.write_text(f"DESCRIPTOR = x(\n  serialized_pb={literal}\n  ,\n")
        assert protos.serialized_descriptor(path) == content


def test_without_the_od_api_the_error_says_what_to_install() -> None:
    done = python("import sys; sys.modules['object_detection'] = None; from odrun.compat import protos; protos.load()")
    assert "The Object Detection API is not installed" in done.stderr
    assert "pip install tf-models-research-object-detection==2.8.0.post1" in done.stderr
