"""`odrun train` from a zoo archive that it fetches itself, packed from a run of the same model."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import odrun

SMALL = (
    "dataset=voc",
    "dataset.name=shapes",
    "train.batch_size=2",
    "train.steps=1",
    "train.warmup_steps=1",
    "eval.batch_size=2",
    "eval.pictures=0",
    "tracking.wandb.mode=disabled",
)


def train(folder: Path, shapes: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "odrun", "train", *SMALL, f"dataset.path={shapes}", "paths.cache=cache", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(odrun.__file__).parents[1])},
    )


def packed(checkpoint: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for path in sorted(checkpoint.glob("ckpt-1.*")):
            tar.add(path, f"shapes/checkpoint/{path.name.replace('ckpt-1.', 'ckpt-0.')}")
    return content.getvalue()


@pytest.mark.slow
def test_a_training_fetches_its_archive_and_restores_what_is_in_it(
    tmp_path: Path, shapes: Path, serving: Callable[..., AbstractContextManager[Any]]
) -> None:
    first = train(tmp_path, shapes)
    assert first.returncode == 0, first.stderr
    (run,) = tmp_path.glob("outputs/train/*")
    with serving(content=packed(run / "checkpoints"), faults=1, cut_after=1 << 20) as server:
        address = server.address("/shapes.tar.gz")
        mirror = address.removesuffix("/shapes.tar.gz")
        second = train(tmp_path, shapes, "model.checkpoint=zoo", "model.zoo.archive=shapes", f"zoo.mirror={mirror}")
        assert second.returncode == 0, second.stderr
        assert server.ranges == [None, f"bytes={1 << 20}-"]
    shown = second.stdout + second.stderr
    assert f"fetching {address} to " in shown
    assert "variables restored (full), 0 fresh" in shown
