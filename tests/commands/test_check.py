from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from odrun import cli


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, without a key of W&B."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def told(place: Path) -> dict[str, Any]:
    (file,) = place.glob("outputs/check/*/check.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def check(shapes: Path, *overrides: str) -> int:
    data = ("dataset=voc", f"dataset.path={shapes}", "train.batch_size=2", "train.scale_learning_rate=false")
    return cli.run(["check", *data, *overrides])


def test_a_healthy_training_has_no_error_and_is_told_the_command_that_starts_it(
    shapes: Path, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert check(shapes) == 0
    assert {each["severity"] for each in told(place)["findings"]} == {"note"}
    shown = capfd.readouterr().out
    assert "checked: 0 errors, 0 warnings" in shown
    assert f"odrun train dataset=voc dataset.path={shapes} train.batch_size=2" in shown


def test_each_change_names_its_value_before_and_now_and_who_set_it(shapes: Path, place: Path) -> None:
    own = place / "conf" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(
        "# @package _global_\ntrain:\n  steps: 1300\npipeline:\n  train_config:\n    gradient_clipping_by_norm: 5.0\n"
    )
    iou = "pipeline.model.ssd.post_processing.batch_non_max_suppression.iou_threshold"
    assert check(shapes, "experiment=mine", f"{iou}=0.5", "augmentation=none", "--config-dir", str(own.parent)) == 0

    made = {each.pop("field").removeprefix("pipeline."): each for each in told(place)["changes"]}

    assert made["model.ssd.num_classes"] == {
        "official": 10,
        "now": 2,
        "source": {"kind": "odrun", "where": "the number of classes in the data", "through": None},
    }
    assert made[iou.removeprefix("pipeline.")] == {
        "official": 0.6,
        "now": 0.5,
        "source": {"kind": "command line", "where": f"{iou}=0.5", "through": None},
    }
    assert made["train_config.gradient_clipping_by_norm"] == {
        "official": 10.0,
        "now": 5.0,
        "source": {"kind": "file", "where": "conf/experiment/mine.yaml:6", "through": None},
    }
    assert made["train_config.num_steps"] == {
        "official": 2600,
        "now": 1300,
        "source": {"kind": "file", "where": "conf/experiment/mine.yaml:3", "through": "train.steps"},
    }
    assert made["train_config.batch_size"]["source"]["where"] == "train.batch_size=2"
    assert made["train_config.data_augmentation_options"]["official"] == ["random_crop_image"]
    assert "augmentation" in made["train_config.data_augmentation_options"]["source"]["where"]
    unset = {"model.ssd.matcher.argmax_matcher.matched_threshold", "train_config.add_regularization_loss"}
    assert not unset & set(made)


def test_errors_end_with_2_and_stay_in_check_json(shapes: Path, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert check(shapes, "train.max_images=1", "model.checkpoint=nowhere/ckpt-3") == 2
    errors = [each["check"] for each in told(place)["findings"] if each["severity"] == "error"]
    assert errors == ["checkpoint", "data"]
    assert "2 errors" in capfd.readouterr().err


def test_data_that_are_refused_are_an_error_and_the_rest_is_checked(place: Path) -> None:
    (place / "empty").mkdir()
    assert cli.run(["check", "dataset=folder", "dataset.path=empty", "model.checkpoint=nowhere"]) == 2
    assert {each["check"] for each in told(place)["findings"] if each["severity"] == "error"} == {"data", "checkpoint"}


def test_an_archive_that_is_not_in_the_cache_is_not_fetched(shapes: Path, place: Path) -> None:
    assert check(shapes, "model=ssd_mobilenet_v2_fpnlite_320x320", "train.steps=200") == 0
    found = {each["what"]: each["remedy"] for each in told(place)["findings"] if each["check"] == "checkpoint"}
    assert [*found.values()] == ["odrun zoo fetch ssd_mobilenet_v2_fpnlite_320x320"]


@pytest.mark.slow
def test_a_deep_check_builds_the_model_and_finds_a_checkpoint_of_another(
    shapes: Path, place: Path, tmp_path: Path
) -> None:
    from odrun.compat.tensorflow import tf

    other = tf.train.Checkpoint(model=tf.train.Checkpoint(weights=tf.Variable([1.0, 2.0])))
    prefix = other.write(str(tmp_path / "other" / "ckpt-0"))
    assert check(shapes, "deep=true", f"model.checkpoint={prefix}") == 2
    (error,) = [each for each in told(place)["findings"] if each["severity"] == "error"]
    assert "the checkpoint holds none of the variables" in error["what"]
    assert "model: built" in " ".join(f"{each['check']}: {each['what']}" for each in told(place)["findings"])
