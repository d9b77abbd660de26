"""`odrun train`: data → records → pipeline.config → training with evaluation on the way → best checkpoint → export.

What can be refused is refused before TensorFlow is imported, and leaves no run directory behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from odrun import compat
from odrun.checks.finding import Finding, refuse_errors
from odrun.commands.checking import cheap_findings
from odrun.commands.course import Course
from odrun.commands.preparing import image_folder, prepare
from odrun.commands.resuming import Resumption, find, newest_step, refuse_other_data, refuse_reached
from odrun.errors import InputError
from odrun.pipeline.build import build
from odrun.pipeline.complete import CompletedPipeline, complete
from odrun.pipeline.recipe import recipe_notes
from odrun.pipeline.text import to_text
from odrun.records.manifest import PreparedData
from odrun.report.closing import closing_of_run
from odrun.report.megabytes import in_megabytes
from odrun.report.terminal import Terminal
from odrun.runs.collection import collection_paused
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path, write_whole
from odrun.runs.log import logger, quiet_terminal
from odrun.runs.origin import collect
from odrun.settings import TrainJob
from odrun.tracking.agent import refuse_unheard
from odrun.zoo.start import starting_checkpoint

ROOM_NEEDED_BYTES = 500_000_000


def train(job: TrainJob, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Run one training in a new `directory`, or go on with the run that `train.resume` asks for.

    When it ends, every file of a run is in its directory.

    Raises:
        InputError: the settings or the data are wrong; a new directory is gone again, an old one is as it was.
        RunFailedError: training or export failed; what was saved before is in the directory.
        InterruptedRunError: a signal stopped the run, after a checkpoint had been saved if training had begun.
    """
    refuse_unheard(job.tracking.wandb.mode, overrides, os.environ)
    resumption = find(job, directory, config_text)
    if resumption is not None:
        with resumption.directory.occupied():
            _logged(job, resumption.directory, overrides, config_text, resumption)
        return
    directory.create()
    try:
        with directory.occupied():
            _logged(job, directory, overrides, config_text, None)
    except InputError:
        directory.discard()
        raise


def _logged(
    job: TrainJob,
    directory: RunDirectory,
    overrides: tuple[str, ...],
    config_text: str,
    resumption: Resumption | None,
) -> None:
    directory.require_free(ROOM_NEEDED_BYTES)
    with quiet_terminal(directory.log, verbose=job.verbose) as stream:
        _train(job, directory, overrides, config_text, resumption, Terminal(stream))


def _train(
    job: TrainJob,
    directory: RunDirectory,
    overrides: tuple[str, ...],
    config_text: str,
    resumption: Resumption | None,
    terminal: Terminal,
) -> None:
    with Course(directory) as course, collection_paused():
        terminal.stage("run", shown_path(directory.path))
        with course.timed("prepare_s"):
            pipeline, data = _prepare(job, terminal)
        course.ledger = data.ledger
        resumed_at = 0
        if resumption is not None:
            resumed_at = _resumed_at(job, resumption, data, course, terminal)
        write_whole(directory.config, config_text)
        write_whole(directory.pipeline_config, to_text(pipeline.config))
        write_whole(directory.label_map, data.label_map.read_bytes())
        if resumption is None:
            collect(
                command=sys.argv,
                overrides=overrides,
                seeds={"train.seed": job.train.seed, "dataset.split.seed": job.dataset.split.seed},
                data_fingerprint=data.fingerprint,
                working_directory=Path.cwd(),
            ).write(directory.origin)
        with course.timed("import_s"):
            terminal.stage("engine", "TensorFlow and the Object Detection API are being loaded")
            from odrun.commands.fitting import fit
        fit(job, pipeline.config, data, directory=directory, course=course, terminal=terminal, resumed_at=resumed_at)
    examples = image_folder(job.dataset, job.paths.cache_dir)
    terminal.closing(closing_of_run(directory, course.summary(error=None), source=shown_path(examples)))


def _resumed_at(job: TrainJob, resumption: Resumption, data: PreparedData, course: Course, terminal: Terminal) -> int:
    """The step of the newest checkpoint of the run, 0 if it has none."""
    directory = resumption.directory
    refuse_other_data(directory, data.fingerprint)
    step = newest_step(directory)
    refuse_reached(step, job.train.steps, resumption.earlier)
    course.begin_again(step, resumption.earlier)
    terminal.stage(
        "resume", f"after step {step} of {job.train.steps}" if step else "from the beginning, no step was saved"
    )
    return step


def _prepare(job: TrainJob, terminal: Terminal) -> tuple[CompletedPipeline, PreparedData]:
    """Everything that can be refused without importing TensorFlow: the process, settings, checkpoint, data."""
    compat.load()
    config = build(job.pipeline, job.augmentation)
    with terminal.loops() as progress:
        checkpoint = starting_checkpoint(
            job.model,
            job.paths.cache_dir,
            mirror=job.zoo.mirror,
            report=terminal.fact,
            progress=in_megabytes(progress),
        )
    terminal.stage("data", f"{job.dataset.name} (format {job.dataset.format})")
    with terminal.loops() as progress:
        data = prepare(job.dataset, job.paths.cache_dir, report=terminal.fact, progress=progress)
    pipeline = complete(
        config,
        train_records=data.train_records,
        validation_records=data.validation_records,
        label_map=data.label_map,
        num_classes=len(data.classes),
        checkpoint=checkpoint,
        has_masks=data.masks > 0,
        keypoints=data.keypoints,
    )
    start = "random weights" if checkpoint is None else f"weights of {checkpoint}"
    terminal.stage("model", f"{job.model.name}, {start}")
    for note in (*pipeline.notes, *recipe_notes(pipeline.config, job.train, job.model.official)):
        terminal.fact(note)
    judge([*cheap_findings(job, pipeline.config, data)], terminal)
    return pipeline, data


def judge(findings: Sequence[Finding], terminal: Terminal) -> None:
    """Refuse errors; warnings are shown and logged, notes are left to `odrun check`."""
    refuse_errors(findings)
    for finding in findings:
        if finding.severity == "warning":
            told = f"{finding.check}: {finding.what}" + (f"; {finding.remedy}" if finding.remedy else "")
            terminal.warning(told)
            logger.warning("%s", told)
