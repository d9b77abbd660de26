"""The run directory: one class that names every file in it.

A new directory is claimed with `create`, an existing run is opened with `open`. Refused, as `InputError`: a directory
that already holds a run, one that cannot be written, too little disk, and a path that is not a run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from odrun.errors import InputError
from odrun.runs.locks import locked

OUTPUTS_REMEDY = "choose another place with paths.outputs=DIR"
_NEEDED_TO_READ = ("config.yaml", "pipeline.config", "label_map.pbtxt")
_OWN_NAMES = (
    "log.txt",
    "config.yaml",
    "pipeline.config",
    "label_map.pbtxt",
    "origin.json",
    "metrics.jsonl",
    "problems.csv",
    "check.json",
    "summary.json",
    "detections.json",
    "checkpoints",
    "eval",
    "export",
    "images",
    "plots",
    "predictions",
    "tensorboard",
    "wandb",
)


@dataclass(frozen=True)
class EvaluationFiles:
    """The files of one evaluated checkpoint, `eval/<step>/`."""

    path: Path

    @property
    def metrics(self) -> Path:
        """The 12 COCO metrics."""
        return self.path / "metrics.json"

    @property
    def detections(self) -> Path:
        """All detections in the COCO results format."""
        return self.path / "detections.json"


@dataclass(frozen=True)
class RunDirectory:
    """The names of all files of the run in `path` (made absolute); naming a file touches nothing."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).expanduser().absolute())

    @property
    def pipeline_config(self) -> Path:
        """The `TrainEvalPipelineConfig` text that was trained."""
        return self.path / "pipeline.config"

    @property
    def label_map(self) -> Path:
        """The classes and their ids, in the OD API's text format."""
        return self.path / "label_map.pbtxt"

    @property
    def config(self) -> Path:
        """The composed, resolved YAML of the job."""
        return self.path / "config.yaml"

    @property
    def origin(self) -> Path:
        """What ran: see `odrun.runs.origin`."""
        return self.path / "origin.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of the training's checkpoints."""
        return self.path / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """The prefix (path without `.index`) of the checkpoint of `step`."""
        return self.checkpoints / f"ckpt-{step}"

    @property
    def best(self) -> Path:
        """The folder of the best checkpoint."""
        return self.checkpoints / "best"

    def best_checkpoint(self, step: int) -> Path:
        """The prefix of the best checkpoint, which was saved at `step`."""
        return self.best / f"ckpt-{step}"

    @property
    def metrics(self) -> Path:
        """One JSON object per logged step."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        """The folder that holds one folder per evaluated step."""
        return self.path / "eval"

    def eval(self, step: int) -> EvaluationFiles:
        """The files of the evaluation of the checkpoint of `step`."""
        return EvaluationFiles(self.evaluations / str(step))

    @property
    def plots(self) -> Path:
        """The folder of the plots, PNG."""
        return self.path / "plots"

    @property
    def predictions(self) -> Path:
        """The folder of pictures with predictions beside the ground truth."""
        return self.path / "predictions"

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.path / "report.html"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def wandb(self) -> Path:
        """The folder that W&B writes into."""
        return self.path / "wandb"

    @property
    def export(self) -> Path:
        """The folder of the exported model: checkpoint, SavedModel, pipeline.config, label map."""
        return self.path / "export"

    @property
    def problems(self) -> Path:
        """What is wrong with the data, a line each (CSV)."""
        return self.path / "problems.csv"

    @property
    def check(self) -> Path:
        """Of `odrun check`: what was found, and every field that differs from the model's official configuration."""
        return self.path / "check.json"

    @property
    def log(self) -> Path:
        """odrun's own facts and all that TensorFlow and the OD API had to say."""
        return self.path / "log.txt"

    @property
    def summary(self) -> Path:
        """How the run ended: see `odrun.runs.summary`."""
        return self.path / "summary.json"

    @property
    def detections(self) -> Path:
        """Of `odrun predict`: all detections in the COCO results format."""
        return self.path / "detections.json"

    @property
    def images(self) -> Path:
        """Of `odrun predict`: the pictures with their boxes."""
        return self.path / "images"

    def create(self) -> RunDirectory:
        """Make the directory and claim it for this process; an empty or foreign folder is taken as it is.

        `log.txt` is created exclusively, so that of two processes one gets the directory and the other `InputError`.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = sorted(name for name in _OWN_NAMES if (self.path / name).exists())
            if held:
                raise _taken(self.path, held[0])
            os.close(os.open(self.log, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError as error:
            if self.log.exists():
                raise _taken(self.path, self.log.name) from error
            raise _unwritable(self.path, "a file stands where the folder should be") from error
        except OSError as error:
            raise _unwritable(self.path, error.strerror) from error
        return self

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Within it this process alone works on the run; `InputError` if another one does."""
        with self.log.open("a") as stream:
            if not locked(stream.fileno(), wait=False):
                raise InputError(
                    "another process is working on this run",
                    where=str(self.path),
                    remedy="wait for it or stop it; train.resume=none begins a new run",
                )
            yield

    @property
    def is_occupied(self) -> bool:
        """Whether a process is working on the run."""
        try:
            with self.log.open("a") as stream:
                return not locked(stream.fileno(), wait=False)
        except OSError:
            return False

    @property
    def is_run(self) -> bool:
        """Whether all is there that a run needs to be read."""
        return _is_run(self.path)

    def discard(self) -> None:
        """Remove what a run has written here, and the directory unless something else lies, or somebody works, in it.

        For a run that is refused before it has begun: nothing half-written stays behind.
        """
        for name in _OWN_NAMES:
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        if not any(self.path.iterdir()) and not Path.cwd().is_relative_to(self.path):
            self.path.rmdir()

    def require_free(self, needed_bytes: int) -> None:
        """Raise `InputError` unless the disk of the directory has `needed_bytes` left."""
        existing = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        free = shutil.disk_usage(existing).free
        if free < needed_bytes:
            raise InputError(
                f"the disk has {_megabytes(free)} left and the run needs {_megabytes(needed_bytes)}",
                where=str(self.path),
                remedy=f"free some space, or {OUTPUTS_REMEDY}",
            )

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """The existing run in `path`; `InputError` if it is none, naming what is missing and a run that lies near."""
        run = cls(Path(path))
        if not run.path.is_dir():
            fault = (
                f"{run.path.name} is a file, not a run directory" if run.path.exists() else "there is no such folder"
            )
            raise InputError(fault, where=str(run.path), remedy=_nearby(run.path))
        missing = [name for name in _NEEDED_TO_READ if not (run.path / name).is_file()]
        if missing:
            raise InputError(
                f"this folder is not a run of odrun train: {', '.join(missing)} missing",
                where=str(run.path),
                remedy=_nearby(run.path),
            )
        return run


def _taken(path: Path, witness: str) -> InputError:
    return InputError(
        f"the directory already holds a run ({witness} is there)",
        where=str(path),
        remedy="choose another with hydra.run.dir=DIR, or remove this one",
    )


def _unwritable(path: Path, reason: str | None) -> InputError:
    return InputError(
        f"the run directory cannot be written: {(reason or 'unknown reason').lower()}",
        where=str(path),
        remedy=OUTPUTS_REMEDY,
    )


def _nearby(path: Path) -> str:
    """Name the run that `path` lies in, else the last (by name, so the newest) of the runs within two levels below."""
    folders = [folder for folder in path.parents if _is_run(folder)]
    if not folders and path.is_dir():
        below = sorted(config.parent for depth in ("*", "*/*") for config in path.glob(f"{depth}/{_NEEDED_TO_READ[0]}"))
        folders = [folder for folder in reversed(below) if _is_run(folder)]
    if folders:
        return f"run={folders[0]}"
    return "give the run directory that odrun train named in its last lines, run=outputs/train/NAME"


def _is_run(path: Path) -> bool:
    return all((path / name).is_file() for name in _NEEDED_TO_READ)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
