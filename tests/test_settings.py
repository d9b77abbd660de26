from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from odrun.errors import InputError
from odrun.settings import (
    CheckpointSettings,
    DatasetSettings,
    EarlyStoppingSettings,
    EvalSettings,
    OfficialSettings,
    PathSettings,
    PredictJob,
    SplitSettings,
    TrainSettings,
    WandbSettings,
)

PATHS = PathSettings(outputs="outputs", cache="~/cache")
VALID: dict[type, dict[str, Any]] = {
    DatasetSettings: {
        "name": "digits",
        "format": "digits",
        "path": None,
        "classes": None,
        "label_map": None,
        "split": SplitSettings(validation_share=0.2, seed=0, group_by=None, fold=None),
        "problems": {},
    },
    SplitSettings: {"validation_share": 0.2, "seed": 0, "group_by": None, "fold": None},
    CheckpointSettings: {"every": None, "keep": 1},
    TrainSettings: {
        "batch_size": 1,
        "steps": 1,
        "learning_rate": 0.1,
        "scale_learning_rate": True,
        "warmup_steps": 0,
        "scale_schedule": True,
        "ema_decay": None,
        "freeze": [],
        "fraction": 1.0,
        "max_images": None,
        "seed": 0,
        "deterministic": False,
        "on_nan": "stop",
        "resume": "none",
        "max_minutes": None,
        "early_stopping": EarlyStoppingSettings(patience=None, min_delta=0.0),
        "checkpoint": CheckpointSettings(every=None, keep=1),
        "log_every": 1,
        "callbacks": {},
    },
    EarlyStoppingSettings: {"patience": 1, "min_delta": 0.0},
    OfficialSettings: {
        "batch_size": 1,
        "steps": 1,
        "learning_rate": 0.1,
        "warmup_learning_rate": 0.0,
        "warmup_steps": 0,
    },
    EvalSettings: {"every": None, "batch_size": 1, "metric": "AP", "pictures": 0},
    WandbSettings: {"mode": "auto", "project": "p", "entity": None, "group": None, "tags": []},
    PredictJob: {"run": "r", "source": "s", "min_score": 0.0, "paths": PATHS, "verbose": False},
}


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
def test_values_at_their_limits_are_taken(kind: type) -> None:
    made = kind(**VALID[kind])
    assert {name: getattr(made, name) for name in VALID[kind]} == VALID[kind]


@pytest.mark.parametrize(
    ("kind", "name", "value", "key"),
    [
        (SplitSettings, "validation_share", 0.0, "dataset.split.validation_share"),
        (SplitSettings, "validation_share", 1.0, "dataset.split.validation_share"),
        (SplitSettings, "validation_share", math.nan, "dataset.split.validation_share"),
        (SplitSettings, "seed", -1, "dataset.split.seed"),
        (SplitSettings, "fold", "5/5", "dataset.split.fold"),
        (SplitSettings, "group_by", "(", "dataset.split.group_by"),
        (DatasetSettings, "problems", {"empty_box": "fix"}, "dataset.problems.empty_box"),
        (DatasetSettings, "classes", [], "dataset.classes"),
        (DatasetSettings, "classes", ["a", "a"], "dataset.classes"),
        (CheckpointSettings, "every", 0, "train.checkpoint.every"),
        (CheckpointSettings, "keep", 0, "train.checkpoint.keep"),
        (TrainSettings, "batch_size", 0, "train.batch_size"),
        (TrainSettings, "steps", 0, "train.steps"),
        (TrainSettings, "learning_rate", 0.0, "train.learning_rate"),
        (TrainSettings, "learning_rate", math.nan, "train.learning_rate"),
        (TrainSettings, "warmup_steps", -1, "train.warmup_steps"),
        (TrainSettings, "ema_decay", 0.0, "train.ema_decay"),
        (TrainSettings, "ema_decay", 1.0, "train.ema_decay"),
        (TrainSettings, "fraction", 0.0, "train.fraction"),
        (TrainSettings, "fraction", 1.1, "train.fraction"),
        (TrainSettings, "max_images", 0, "train.max_images"),
        (TrainSettings, "on_nan", "go on", "train.on_nan"),
        (TrainSettings, "resume", "", "train.resume"),
        (TrainSettings, "max_minutes", 0.0, "train.max_minutes"),
        (EarlyStoppingSettings, "patience", 0, "train.early_stopping.patience"),
        (EarlyStoppingSettings, "min_delta", -0.1, "train.early_stopping.min_delta"),
        (EarlyStoppingSettings, "min_delta", math.inf, "train.early_stopping.min_delta"),
        (OfficialSettings, "batch_size", 0, "model.official.batch_size"),
        (OfficialSettings, "steps", 0, "model.official.steps"),
        (OfficialSettings, "learning_rate", 0.0, "model.official.learning_rate"),
        (OfficialSettings, "warmup_learning_rate", -0.1, "model.official.warmup_learning_rate"),
        (OfficialSettings, "warmup_steps", -1, "model.official.warmup_steps"),
        (TrainSettings, "seed", -1, "train.seed"),
        (TrainSettings, "seed", 2**32, "train.seed"),
        (TrainSettings, "log_every", 0, "train.log_every"),
        (EvalSettings, "every", 0, "eval.every"),
        (EvalSettings, "batch_size", 0, "eval.batch_size"),
        (EvalSettings, "pictures", -1, "eval.pictures"),
        (EvalSettings, "metric", "mAP", "eval.metric"),
        (WandbSettings, "mode", "of", "tracking.wandb.mode"),
        (PredictJob, "min_score", 1.1, "min_score"),
        (PredictJob, "min_score", math.nan, "min_score"),
    ],
)
def test_a_value_out_of_its_limits_is_refused_by_its_key(kind: type, name: str, value: object, key: str) -> None:
    with pytest.raises(InputError) as caught:
        kind(**{**VALID[kind], name: value})
    assert caught.value.where == key
    assert caught.value.what.startswith(key)


def test_the_roots_are_absolute_and_know_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert (PATHS.outputs_dir, PATHS.cache_dir) == (tmp_path / "outputs", tmp_path / "cache")
