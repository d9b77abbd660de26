from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from odrun import cli
from odrun.config import importing
from odrun.config.jobs import composed
from odrun.config.location import conf_dir
from odrun.errors import InputError, OdrunError
from odrun.pipeline.build import build
from odrun.pipeline.complete import complete
from odrun.pipeline.importing import without_paths
from odrun.pipeline.text import from_text, read, to_text
from odrun.settings import PrepareJob, TrainJob
from odrun.zoo.catalog import entries

ENTRIES = ("ssd_mobilenet_v2_320x320", "faster_rcnn_resnet50_v1_640x640", "centernet_hourglass104_512x512")
OWN = """
train_config {
  batch_size: 4
  num_steps: 300
  data_augmentation_options { random_rgb_to_gray {} }
  data_augmentation_options { random_rgb_to_gray { probability: 0.3 } }
  optimizer { adam_optimizer { learning_rate { manual_step_learning_rate {
    initial_learning_rate: 0.123456789
    schedule { step: 200 learning_rate: 0.01 }
  } } } }
}
"""


def job_of(*overrides: str) -> TrainJob:
    job = composed("train", overrides)
    assert isinstance(job, TrainJob)
    return job


def config_of(*overrides: str) -> Any:
    job = job_of(*overrides)
    return build(job.pipeline, job.augmentation)


def written(config: Any, folder: Path) -> Path:
    file = folder / "mine.config"
    file.write_text(to_text(config), encoding="utf-8")
    return file


def of_entry_file(text: str, folder: Path) -> Any:
    """What an entry of the user's own, with the YAML `text`, composes to."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "mine.yaml").write_text(text, encoding="utf-8")
    return config_of(f"hydra.searchpath=['file://{folder / 'conf'}']", "model=mine")


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_configuration_of_an_entry_is_that_entry_under_another_name(entry: str, tmp_path: Path) -> None:
    assert importing.imported(written(config_of(f"model={entry}"), tmp_path), "mine") == (
        "# @package _global_\n# From mine.config, by odrun import.\n"
        f"defaults: [{entry}@_global_, _self_]\nmodel: {{name: mine}}\n"
    )


def test_what_differs_is_all_that_is_said(tmp_path: Path) -> None:
    config = config_of("model=ssd_mobilenet_v2_320x320")
    config.train_config.batch_size = 24
    config.model.ssd.num_classes = 5
    config.model.ssd.image_resizer.keep_aspect_ratio_resizer.min_dimension = 300
    del config.train_config.data_augmentation_options[1]
    config.train_config.fine_tune_checkpoint = "gs://somewhere/ckpt-0"
    text = importing.imported(written(config, tmp_path), "mine")
    assert text == (
        "# @package _global_\n"
        "# From mine.config, by odrun import.\n"
        "# Its paths of records, label map and checkpoint are left out: dataset and model.checkpoint decide them.\n"
        "defaults: [ssd_mobilenet_v2_320x320@_global_, _self_]\n"
        "model:\n"
        "  name: mine\n"
        "  official: {batch_size: 24}\n"
        "augmentation:\n"
        "  steps: {ssd_random_crop: null}\n"
        "pipeline:\n"
        "  model:\n"
        "    ssd:\n"
        "      num_classes: 5\n"
        "      image_resizer:\n"
        "        fixed_shape_resizer: null\n"
        "        keep_aspect_ratio_resizer: {min_dimension: 300}\n"
    )
    config.train_config.ClearField("fine_tune_checkpoint")
    assert of_entry_file(text, tmp_path) == config


@pytest.mark.parametrize(
    "model",
    ["ssd {}", "faster_rcnn { number_of_stages: 1 }", "center_net { use_depthwise: true }", "experimental_model {}"],
)
def test_what_no_entry_resembles_becomes_an_entry_that_says_everything(model: str, tmp_path: Path) -> None:
    config = from_text(f"model {{ {model} }} {OWN}", name="x")
    text = importing.imported(written(config, tmp_path), "mine")
    assert "defaults:\n- _family/entry@_global_\n" in text
    assert "batch_size: ${train.batch_size}" in text


def test_an_entry_that_says_everything_is_trained_as_any_other(tmp_path: Path) -> None:
    config = from_text(f"model {{ ssd {{}} }} {OWN}", name="x")
    text = importing.imported(written(config, tmp_path), "mine")
    assert of_entry_file(text, tmp_path) == config
    folder = tmp_path / "conf"
    assert (
        config_of(f"hydra.searchpath=['file://{folder}']", "model=mine", "train.batch_size=2").train_config.batch_size
        == 2
    )


@pytest.mark.slow
@pytest.mark.parametrize("entry", [entry.name for entry in entries(conf_dir() / "model") if entry.recipe is not None])
def test_every_entry_is_found_again(entry: str, tmp_path: Path) -> None:
    config = config_of(f"model={entry}")
    text = importing.imported(written(config, tmp_path), "mine")
    assert len(text.splitlines()) == 4
    assert of_entry_file(text, tmp_path) == config


def test_the_command_prints_or_writes_and_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(config_of(f"model={ENTRIES[0]}"), tmp_path)
    assert cli.run(["import", str(file)]) == 0
    printed = capsys.readouterr().out
    output = tmp_path / "conf" / "model" / "mine.yaml"
    assert cli.run(["import", str(file), "--output", str(output)]) == 0
    assert output.read_text(encoding="utf-8") == printed
    assert capsys.readouterr().out == f"{output}: 4 lines; odrun train model=mine\n"
    assert cli.run(["import", str(file), "--output", str(output)]) == 2
    assert capsys.readouterr().err == (
        f"odrun: the file exists already\n  where:  {output}\n  remedy: give another --output, or remove it\n"
    )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "the following arguments are required: FILE"),
        (["a.config", "--nome", "x"], "unrecognized arguments: --nome x"),
        (["absent.config"], "the file cannot be read: No such file or directory"),
        (["a.config", "--name", ENTRIES[0]], f"there is a model '{ENTRIES[0]}' already"),
        (["a.config", "--name", "a/b"], "'a/b' cannot name an entry"),
        (["a.config", "--output", "a.txt"], "an entry is a .yaml file"),
        (["a.config", "--output", "a.yaml", "--name", "b"], "the entry is to be called 'b', and its file 'a'"),
    ],
)
def test_wrong_arguments_end_with_one_clear_message(
    arguments: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["import", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"odrun: {what}\n  where:  ")
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_compose_to_the_same_is_not_printed(tmp_path: Path) -> None:
    config = config_of(f"model={ENTRIES[0]}")
    config.model.ssd.feature_extractor.type = ""
    config.train_input_reader.sample_from_datasets_weights.append(1.0)
    config.eval_config.ignore_groundtruth = True
    config.eval_config.export_path = "${nothing.here}"
    with pytest.raises(OdrunError, match="does not compose to the same configuration, so it is not shown") as caught:
        importing.imported(written(config, tmp_path), "mine")
    assert "model=from_file" in str(caught.value.remedy)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_file_is_the_model_as_it_is(entry: str, tmp_path: Path) -> None:
    config = config_of(f"model={entry}")
    file = written(config, tmp_path)
    assert config_of("model=from_file", f"model.file={file}") == config
    changes = ["train.batch_size=2", "train.steps=100", "train.ema_decay=0.9", "train.freeze=[Conv]"]
    assert config_of("model=from_file", f"model.file={file}", *changes) == config_of(f"model={entry}", *changes)


def test_the_file_of_a_run_comes_round_again(tmp_path: Path) -> None:
    places = {"train_records": "t", "validation_records": "v", "label_map": Path("l")}
    first = complete(config_of(f"model={ENTRIES[0]}", "train.freeze=[Conv]"), **places, num_classes=3, checkpoint=None)
    file = written(first.config, tmp_path)
    again = complete(config_of("model=from_file", f"model.file={file}"), **places, num_classes=3, checkpoint=None)
    assert again.config == first.config
    assert list(again.config.train_config.freeze_variables) == ["Conv"]  # type: ignore[attr-defined]


def test_overrides_and_augmentation_win_over_the_file(tmp_path: Path) -> None:
    file = written(config_of(f"model={ENTRIES[0]}"), tmp_path)
    given = ("model=from_file", f"model.file={file}", "augmentation=flip", "+pipeline.model.ssd.num_classes=7")
    config = config_of(*given)
    assert config.model.ssd.num_classes == 7
    assert len(config.train_config.data_augmentation_options) == 1


def test_prepare_knows_the_file_as_well(tmp_path: Path) -> None:
    job = composed("prepare", ["model=from_file", f"model.file={written(config_of(f'model={ENTRIES[0]}'), tmp_path)}"])
    assert isinstance(job, PrepareJob)
    assert job.pipeline["model"]["ssd"]["num_classes"] == 90


def test_many_digits_of_a_file_stay(tmp_path: Path) -> None:
    file = tmp_path / "mine.config"
    file.write_text(f"model {{ ssd {{}} }} {OWN}", encoding="utf-8")
    assert config_of("model=from_file", f"model.file={file}") == read(file)
    assert without_paths(read(file)) == read(file)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["model=from_file"], "model.file is not given, and there is no default"),
        (["model=from_file", "model.file=absent.config"], "the file cannot be read: No such file or directory"),
        (["model=from_file", "model.file=''"], "model.file is not given, and there is no default"),
        (
            ["model.file=mine.config"],
            "model.file is given, but ssd_mobilenet_v2_fpnlite_digits has a pipeline of its own",
        ),
        (["model=from_file", "model.file=tf1.config"], "model.ssd.feature_extractor.type is ssd_inception_v2, which"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    overrides: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = f'model {{ ssd {{ feature_extractor {{ type: "ssd_inception_v2" }} }} }} {OWN}'
    Path("tf1.config").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        job_of(*overrides)
    assert caught.value.what.startswith(what)
