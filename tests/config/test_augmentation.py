"""The `augmentation` group: presets, and every preprocessing step of the OD API by an override."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from odrun.config.jobs import composed
from odrun.config.location import conf_dir
from odrun.pipeline.build import build
from odrun.pipeline.descriptors import field_at, root
from odrun.settings import TrainJob

FOLDER = conf_dir() / "augmentation"
KEYS = ("train_config", "data_augmentation_options")
# Steps that the OD API takes with some value only: an image has three channels, a size is not 0.
NEEDS = {
    "subtract_channel_mean": "{means: [1.0, 2.0, 3.0]}",
    "resize_image": "{new_height: 32, new_width: 32}",
    "random_resize_method": "{target_height: 32, target_width: 32}",
    "random_absolute_pad_image": "{max_height_padding: 4, max_width_padding: 4}",
}
BUILD_ALL = """
import sys
import odrun.compat
odrun.compat.load()
from google.protobuf import text_format
from object_detection.builders import preprocessor_builder
from object_detection.protos import train_pb2
options = text_format.Parse(sys.stdin.read(), train_pb2.TrainConfig()).data_augmentation_options
print(len([preprocessor_builder.build(option) for option in options]))
"""


def steps() -> dict[str, Any]:
    field = field_at(KEYS)
    assert field is not None
    assert field.message_type is not None
    (oneof,) = field.message_type.oneofs
    return {step.name: step.message_type for step in oneof.fields}


def config_of(*overrides: str) -> Any:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return build(job.pipeline, job.augmentation)


def options_of(*overrides: str) -> list[str]:
    return [
        option.WhichOneof("preprocessing_step")
        for option in config_of(*overrides).train_config.data_augmentation_options
    ]


@pytest.mark.parametrize("step", sorted(steps()))
def test_every_step_can_be_added(step: str) -> None:
    assert options_of("augmentation=none", f"+augmentation.steps.{step}={{}}") == [step]


def test_the_page_lists_every_step_with_its_fields() -> None:
    rows = [line for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = {row.split("`")[1]: set(row.split("|")[3].split("`")[1::2]) for row in rows}
    assert listed == {name: set(message.fields_by_name) for name, message in steps().items()}
    assert len(rows) == len(listed)


@pytest.mark.parametrize("preset", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_preset_composes_and_says_what_it_is(preset: str) -> None:
    assert bool(options_of(f"augmentation={preset}")) == (preset != "none")
    assert (FOLDER / f"{preset}.yaml").read_text(encoding="utf-8").startswith("# ")


def test_the_steps_of_a_preset_keep_their_order() -> None:
    assert options_of("augmentation=people_crop_colour_pad") == [
        "random_horizontal_flip",
        "random_crop_image",
        "random_adjust_hue",
        "random_adjust_contrast",
        "random_adjust_saturation",
        "random_adjust_brightness",
        "random_absolute_pad_image",
    ]


@pytest.mark.slow
def test_the_engine_builds_every_step() -> None:
    given = [f"+augmentation.steps.{name}={NEEDS.get(name, '{}')}" for name in sorted(steps())]
    given.append("augmentation=none")
    text = "\n".join(
        f"data_augmentation_options {{ {option} }}"
        for option in config_of(*given).train_config.data_augmentation_options
    )
    done = subprocess.run(
        [sys.executable, "-c", BUILD_ALL],
        input=text,
        cwd=Path(root.__code__.co_filename).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [str(len(steps()))], done.stderr[-2000:]
