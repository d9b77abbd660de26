"""`odrun predict`: an exported model and images → `detections.json` and pictures with the boxes drawn."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from odrun.errors import InputError
from odrun.inference.drawing import draw_detections, legible_scale
from odrun.inference.outputs import Prediction, detections_text
from odrun.inference.sources import SourceImage, find_images
from odrun.records.label_map import read_label_map
from odrun.report.closing import Closing
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path, whole_file, write_whole
from odrun.runs.log import quiet_terminal
from odrun.settings import PredictJob


def predict(job: PredictJob, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Detect in the images of `job.source` with the export of `job.run`; results go to a new `directory`.

    An image that does not decode is named and left out.

    Raises:
        InputError: the run has no export, or the source has no image that decodes; the directory is gone again.
    """
    del overrides
    run = RunDirectory.open(job.run)
    images = find_images(job.source)
    classes = {label_id: name for name, label_id in read_label_map(run.label_map).items()}
    directory.create()
    try:
        write_whole(directory.config, config_text)
        with quiet_terminal(directory.log, verbose=job.verbose) as stream:
            _predict(job, run, images, classes, directory, Terminal(stream))
    except InputError:
        directory.discard()
        raise


def _predict(
    job: PredictJob,
    run: RunDirectory,
    images: tuple[SourceImage, ...],
    classes: dict[int, str],
    directory: RunDirectory,
    terminal: Terminal,
) -> None:
    terminal.stage("model", f"{shown_path(run.export)} is being loaded")
    from odrun.inference.detector import Detector

    detector = Detector(run.export)
    predictions: list[Prediction] = []
    refused: list[InputError] = []
    with terminal.progress("detecting", total=len(images), unit="image") as show:
        for number, image in enumerate(images, start=1):
            try:
                pixels = image.pixels()
            except InputError as error:
                refused.append(error)
                terminal.warning(f"left out: {error.where}: {error.what}")
            else:
                found = detector.detect(pixels)
                predictions.append(Prediction(number, image.name, pixels.shape[0], pixels.shape[1], found))
                shown = found.scores >= job.min_score
                picture = Image.fromarray(pixels)
                drawn = draw_detections(
                    picture,
                    found.boxes_px[shown],
                    found.label_ids[shown],
                    found.scores[shown],
                    class_names=classes,
                    scale=legible_scale(picture),
                )
                with whole_file(directory.images / picture_name(image.name)) as temporary:
                    drawn.save(temporary, format="JPEG", quality=90)
            show(number)
    if not predictions:
        raise refused[0]
