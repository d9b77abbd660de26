"""`odrun train`: data → records → pipeline.config → training with evaluation on the way → best checkpoint → export.

What can be refused is refused before TensorFlow is imported, and leaves no run directory behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

from odrun import compat
from odrun.commands.course import Course
from odrun.commands.prepare import image_folder, prepare
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.complete import CompletedPipeline, complete
from odrun.pipeline.text import to_text
from odrun.records.manifest import PreparedData
from odrun.report.closing import closing_of_run
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path, write_whole
from odrun.runs.log import quiet_terminal
from odrun.runs.origin import collect
from odrun.settings import TrainJob
from odrun.zoo.start import CHECKPOINT_TYPE, starting_checkpoint

ROOM_NEEDED_BYTES = 500_000_000


def train(job: TrainJob, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Run one training in a new `directory`; when it ends, every file of a run is in there.

    Raises:
        InputError: the settings or the data are wrong; the directory is gone again.
        RunFailedError: training or export failed; what was saved before is in the directory.
        InterruptedRunError: a signal stopped the run, after a checkpoint had been saved if training had begun.
    """
    directory.create()
    try:
        directory.require_free(ROOM_NEEDED_BYTES)
        with quiet_terminal(directory.log, verbose=job.verbose) as stream:
            _train(job, directory, overrides, config_text, Terminal(stream))
    except InputError:
        directory.discard()
        raise


def _train(
    job: TrainJob, directory: RunDirectory, overrides: tuple[str, ...], config_text: str, terminal: Terminal
) -> None:
    with Course(directory) as course:
        terminal.stage("run", shown_path(directory.path))
        with course.timed("prepare_s"):
            pipeline, data = _prepare(job, terminal)
        write_whole(directory.config, config_text)
        write_whole(directory.pipeline_config, to_text(pipeline.config))
        write_whole(directory.label_map, data.label_map.read_bytes())
        collect(
            command=sys.argv,
            overrides=overrides,
            seeds={"train.seed": job.train.seed, "dataset.split_seed": job.dataset.split_seed},
            data_fingerprint=data.fingerprint,
            working_directory=Path.cwd(),
        ).write(directory.origin)
        with course.timed("import_s"):
            terminal.stage("engine", "TensorFlow and the Object Detection API are being loaded")
            from odrun.commands.fitting import fit
        fit(job, pipeline.config, data, directory=directory, course=course, terminal=terminal)
    examples = image_folder(job.dataset, job.paths.cache_dir)
    terminal.closing(closing_of_run(directory, course.summary(error=None), source=shown_path(examples)))


def _prepare(job: TrainJob, terminal: Terminal) -> tuple[CompletedPipeline, PreparedData]:
    """Everything that can be refused without importing TensorFlow: the process, settings, checkpoint, data."""
    compat.load()
    config = build(job.pipeline, job.augmentation)
    checkpoint = starting_checkpoint(job.model, job.paths.cache_dir)
    terminal.stage("data", f"{job.dataset.name} (format {job.dataset.format})")
    with terminal.counting("checking", unit="image") as progress:
        data = prepare(job.dataset, job.paths.cache_dir, report=terminal.fact, progress=progress)
    pipeline = complete(
        config,
        train_records=data.train_records,
        validation_records=data.validation_records,
        label_map=data.label_map,
        num_classes=len(data.classes),
        checkpoint=checkpoint,
        checkpoint_type=None if checkpoint is None else CHECKPOINT_TYPE,
    )
    start = "random weights" if checkpoint is None else f"weights of {checkpoint}"
    terminal.stage("model", f"{job.model.name}, {start}")
    for note in pipeline.notes:
        terminal.fact(note)
    return pipeline, data
