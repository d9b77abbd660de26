"""Runs of small models on a few made images, started as a user starts them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

QUICK = (
    "model.checkpoint=none",
    "+pipeline.train_input_reader.max_number_of_boxes=10",
    "train.batch_size=2",
    "train.steps=3",
    "train.warmup_steps=1",
    "eval.every=2",
    "eval.pictures=2",
    "tracking.wandb.mode=disabled",
    "paths.cache=cache",
)
"""Three steps on few boxes, with an evaluation on the way."""
ODRUN = str(Path(sys.executable).with_name("odrun"))


@dataclass(frozen=True)
class Trained:
    """A run, and the folder that it was started in."""

    place: Path
    run: Path


def odrun(place: Path, *arguments: str) -> None:
    """Run a command that has to succeed."""
    ended = subprocess.run([ODRUN, *arguments], cwd=place, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def trained_on(place: Path, write: Callable[..., None], arguments: Sequence[str]) -> Trained:
    """A run on `place`/data, of which `write(folder, count=, seed=)` writes the training and the validation part."""
    for part, count in (("train", 4), ("val", 2)):
        write(place / "data" / part, count=count, seed=count)
    odrun(place, "train", *arguments, "dataset=folder", "dataset.path=data")
    (run,) = place.glob("outputs/train/*")
    return Trained(place, run)
