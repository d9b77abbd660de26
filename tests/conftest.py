"""What several tests stand on: small data sets, and one small model that is built once."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from odrun.records.manifest import PreparedData
from odrun.settings import TrainJob

CLASSES = ("disc", "square")
SIDE_PX = 160
TINY = (
    "dataset=voc",
    "dataset.name=shapes",
    "train.batch_size=2",
    "train.steps=4",
    "train.warmup_steps=1",
    # The learning rate that the digits entry has at its own batch size.
    "train.scale_learning_rate=false",
    "train.log_every=2",
    "eval.batch_size=2",
    "tracking.wandb.mode=disabled",
)


def write_shapes(folder: Path, *, count: int, seed: int) -> Path:
    """`count` JPEG images with one or two discs and squares each, and their Pascal VOC annotations."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        image = Image.new("RGB", (SIDE_PX, SIDE_PX), tuple(int(value) for value in rng.integers(180, 255, 3)))
        canvas = ImageDraw.Draw(image)
        objects = []
        for column in range(int(rng.integers(1, 3))):
            name = CLASSES[int(rng.integers(0, 2))]
            side = int(rng.integers(30, 60))
            left, top = column * 80 + int(rng.integers(0, 80 - side)), int(rng.integers(0, SIDE_PX - side))
            box = (left, top, left + side, top + side)
            draw = canvas.ellipse if name == "disc" else canvas.rectangle
            draw(box, fill=tuple(int(value) for value in rng.integers(0, 120, 3)))
            named = dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
            corners = "".join(f"<{key}>{value}</{key}>" for key, value in named.items())
            objects.append(f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>")
        image.save(folder / f"{number:03}.jpg", quality=90)
        (folder / f"{number:03}.xml").write_text(
            f"<annotation><filename>{number:03}.jpg</filename><size><width>{SIDE_PX}</width><height>{SIDE_PX}</height>"
            f"<depth>3</depth></size>{''.join(objects)}</annotation>"
        )
    return folder


class ImpatientTerminal(io.StringIO):
    """Sends this process SIGINT, once, when it shows the first training step, as a user does with Ctrl-C."""

    has_sent = False

    def write(self, text: str) -> int:
        if "step 1/" in text and not self.has_sent:
            self.has_sent = True
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


@pytest.fixture(scope="session")
def impatient_terminal() -> type[io.StringIO]:
    """A terminal at which Ctrl-C is pressed in the first training step."""
    return ImpatientTerminal


@pytest.fixture(autouse=True)
def absl_closes_no_captured_stream() -> None:
    """Hydra's logging set-up closes all handlers, and absl's, once TensorFlow is there, would close pytest's stream."""
    absl_logging = sys.modules.get("absl.logging")
    if absl_logging is not None:
        absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pascal VOC folder with 8 images to train on and 4 to validate with, of the classes disc and square."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder / "train", count=8, seed=1)
    write_shapes(folder / "val", count=4, seed=2)
    return folder


@dataclass(frozen=True)
class Tiny:
    """A job on `shapes` with its prepared data and its complete pipeline."""

    job: TrainJob
    data: PreparedData
    pipeline: Any


@pytest.fixture(scope="session")
def compose_tiny(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tiny]:
    """Composes a job on `shapes` with further overrides, up to its complete pipeline."""
    from odrun.commands.preparing import prepare
    from odrun.config.jobs import composed
    from odrun.pipeline.build import build
    from odrun.pipeline.complete import complete

    cache = tmp_path_factory.mktemp("cache")

    def compose(*overrides: str) -> Tiny:
        job = composed("train", (*TINY, f"dataset.path={shapes}", f"paths.cache={cache}", *overrides))
        assert isinstance(job, TrainJob)
        data = prepare(job.dataset, job.paths.cache_dir, report=lambda _: None, progress=lambda *_: None)
        completed = complete(
            build(job.pipeline, job.augmentation),
            train_records=data.train_records,
            validation_records=data.validation_records,
            label_map=data.label_map,
            num_classes=len(data.classes),
            checkpoint=None,
        )
        return Tiny(job, data, completed.config)

    return compose


@pytest.fixture(scope="session")
def batches_of() -> Callable[..., Iterator[tuple[Any, Any]]]:
    """The training batches of a tiny job for a model, from a step on."""
    from odrun.commands.fitting import training_input

    def batches(tiny: Tiny, model: Any, *, first_step: int = 1) -> Iterator[tuple[Any, Any]]:
        source = training_input(tiny.job, tiny.pipeline, tiny.data)
        return source.batches(tiny.pipeline, model.network, first_step=first_step)

    return batches


@dataclass(frozen=True)
class Built:
    """A small model whose variables exist, the trainer of it, and one batch to train on."""

    tiny: Tiny
    trainer: Any
    batch: tuple[Any, Any]


@pytest.fixture
def built(as_built: Callable[[], Built]) -> Built:
    """One small model with the same random weights for each test."""
    return as_built()


@pytest.fixture(scope="session")
def as_built(
    compose_tiny: Callable[..., Tiny], batches_of: Callable[..., Iterator[tuple[Any, Any]]]
) -> Iterator[Callable[[], Built]]:
    """Gives the model, which is built once for all tests, its first weights back."""
    from odrun.compat.autograph import library_code_unconverted
    from odrun.compat.engine import DetectionModel, seed_everything
    from odrun.training.step import Trainer

    tiny = compose_tiny()
    with library_code_unconverted():
        seed_everything(0)
        model = DetectionModel(tiny.pipeline, is_training=True)
        trainer = Trainer(model, tiny.pipeline)
        batch = next(batches_of(tiny, model))
        trainer.build(batch[0])
        variables = (trainer.step, *model.network.variables)
        first = [variable.numpy().copy() for variable in variables]

        def renewed() -> Built:
            for variable, value in zip(variables, first, strict=True):
                variable.assign(value)
            return Built(tiny, trainer, batch)

        yield renewed
