from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from odrun.config import resolvers


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digits-ssd", "digits-ssd"),
        ("my data/set: 1", "my_data_set_1"),
        ("../../etc", ".._.._etc"),
        ("train.steps=1,train.seed=2", "train.steps=1,train.seed=2"),
        ("", "_"),
        ("///", "_"),
    ],
)
def test_any_text_becomes_one_part_of_a_path(text: str, name: str) -> None:
    assert resolvers.file_name(text) == name


def test_a_name_ends_within_120_bytes_and_on_a_whole_character() -> None:
    name = resolvers.file_name("ä" * 100)
    assert (len(name.encode()), name) == (120, "ä" * 60)
    assert len(resolvers.file_name("x" + "ä" * 100).encode()) == 119


def test_a_trial_is_named_by_its_number_and_overrides() -> None:
    assert resolvers.trial_name(3, "dataset.path=/a b,train.seed=1") == "3_dataset.path=_a_b,train.seed=1"


def test_a_data_set_is_named_after_its_folder() -> None:
    assert resolvers.folder_name("/data/cats/") == "cats"


def test_predictions_are_named_after_the_data_and_model_of_the_run(tmp_path: Path) -> None:
    run = tmp_path / "2026-01-01_x"
    run.mkdir()
    assert resolvers.name_of_run(str(run)) == "2026-01-01_x"
    (run / "config.yaml").write_text("dataset: {name: cats}\nmodel: {name: ssd}\n")
    assert resolvers.name_of_run(str(run)) == "cats-ssd"
    (run / "config.yaml").write_text("dataset: [unclosed")
    assert resolvers.name_of_run(str(run)) == "2026-01-01_x"
    assert resolvers.name_of_run("") == "run"


def test_a_value_in_proportion_is_exact_at_its_reference() -> None:
    assert resolvers.in_proportion(0.026666, 0.08, 0.08) == 0.026666
    assert resolvers.in_proportion(0.02, 0.2, 0.1) == pytest.approx(0.01)
    assert resolvers.in_proportion(0.02, 0, 0.1) == 0.02


def root(*, scale: bool = True, ema_decay: float | None = None) -> DictConfig:
    train = {
        "batch_size": 8,
        "steps": 100,
        "scale_learning_rate": scale,
        "scale_schedule": scale,
        "ema_decay": ema_decay,
    }
    return OmegaConf.create({"model": {"official": {"batch_size": 128, "steps": 1000}}, "train": train})


def test_a_rate_is_scaled_by_the_batch_size_and_steps_by_the_steps() -> None:
    assert resolvers.scaled_rate(0.08, _root_=root()) == pytest.approx(0.005)
    assert resolvers.scaled_rate(0.08, _root_=root(scale=False)) == 0.08
    assert [resolvers.scaled_steps(steps, _root_=root()) for steps in (1000, 55, 4)] == [100, 6, 0]
    assert resolvers.scaled_steps(1000, _root_=root(scale=False)) == 1000


def test_averages_are_kept_where_a_decay_is_set_or_the_entry_has_them() -> None:
    assert not resolvers.keeps_averages(False, _root_=root())
    assert resolvers.keeps_averages(True, _root_=root())
    assert resolvers.keeps_averages(False, _root_=root(ema_decay=0.999))


def test_the_groups_of_train_are_listed_with_options_and_defaults() -> None:
    lines = resolvers.group_options("train").splitlines()
    assert "  dataset=      digits*, folder, voc" in lines
    assert [line.split("=")[0].strip() for line in lines if "=" in line] == [
        "augmentation",
        "dataset",
        "debug",
        "experiment",
        "model",
        "sweep",
        "tracking",
        "train",
    ]
    assert max(map(len, lines)) <= 120


def test_the_home_folder_is_expanded_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert [resolvers.expand_home(path) for path in ("~/runs", "runs", "/a/~b")] == ["/home/me/runs", "runs", "/a/~b"]
