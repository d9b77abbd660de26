from __future__ import annotations

from pathlib import Path

import pytest

from odrun.errors import InputError
from odrun.pipeline.text import from_text, read, to_text

TEXT = 'model {\n  ssd {\n    num_classes: 3\n  }\n}\ntrain_config {\n  batch_size: 8\n  fine_tune_checkpoint: "a"\n}\n'


def test_text_and_message_round_trip() -> None:
    assert to_text(from_text(TEXT, name="x")) == TEXT


def test_fields_come_out_in_one_order_however_they_were_written() -> None:
    other = 'train_config: { fine_tune_checkpoint: "a", batch_size: 8 }\n# comment\nmodel { ssd { num_classes: 3 } }'
    assert to_text(from_text(other, name="x")) == TEXT


@pytest.mark.parametrize("number", ["0.026666", "1e-08", "0.997", "0.1"])
def test_a_float_keeps_the_digits_it_was_given_in(number: str) -> None:
    text = f"train_config {{\n  gradient_clipping_by_norm: {number}\n}}\n"
    assert to_text(from_text(text, name="x")) == text


@pytest.mark.parametrize(
    ("text", "what", "where", "remedy"),
    [
        ("model {\n  sdd {\n  }\n}", "DetectionModel has no field sdd", "line 2, column 3", "did you mean ssd"),
        (
            "num_classes: 3",
            "TrainEvalPipelineConfig has no field num_classes",
            "line 1, column 1",
            "did you mean model.faster_rcnn.num_classes or model.ssd.num_classes or model.center_net.num_classes",
        ),
        (
            "train_config {\n  fine_tune_checkpoint_version: V3\n}",
            "CheckpointVersion has no value V3",
            "line 2, column 33",
            "valid: UNKNOWN, V1, V2",
        ),
        (
            "train_config {\n  fine_tune_checkpoint: \u201ca\u201d\n}",
            "'  fine_tune_checkpoint: \u201ca\u201d': Expected string but found: '\u201c': the line has the "
            "typographic quote \u201c",
            "line 2, column 25",
            "replace it by a straight one",
        ),
        (
            "train_config {\n  batch_size: 1.5\n}",
            "'  batch_size: 1.5': Couldn't parse integer: 1.5",
            "line 2, column 15",
            "correct the line; only pipeline.config files of the TensorFlow 2 Object Detection API are read",
        ),
    ],
)
def test_a_text_that_does_not_parse_names_file_and_line_and_what_was_meant(
    text: str, what: str, where: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        from_text(text, name="my.config")
    assert caught.value.what == f"the pipeline configuration cannot be read: {what}"
    assert caught.value.where == f"my.config, {where}"
    assert caught.value.remedy == remedy


def test_a_file_is_read_and_an_absent_or_binary_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.config"
    file.write_text(TEXT, encoding="utf-8")
    assert to_text(read(file)) == TEXT
    with pytest.raises(InputError, match="the file cannot be read: No such file or directory"):
        read(tmp_path / "absent.config")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="the file is not UTF-8 text"):
        read(file)
