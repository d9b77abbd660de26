"""`odrun predict`: an exported model and images → `detections.json` and pictures with the boxes drawn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from odrun.annotations.found import FoundBoxes, coco_detections
from odrun.errors import InputError
from odrun.inference.drawing import draw_detections, legible_scale
from odrun.inference.sources import SourceImage, find_images
from odrun.records.label_map import read_keypoints, read_label_map
from odrun.report.closing import Closing
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.files import shown_path, whole_file, write_whole
from odrun.runs.log import quiet_terminal
from odrun.settings import PredictJob


def predict(job: PredictJob, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Detect in the images of `job.source` with the export of `job.run`; results go to a new `directory`.

    `detections.json` is in the COCO results format, `image_id` counting the images from 1 in sorted order, with
    `file_name` beside it. An image that does not decode is named and left out.

    Raises:
        InputError: the run has no export, or the source has no image that decodes; the directory is gone again.
    """
    del overrides
    run = RunDirectory.open(job.run)
    images = find_images(job.source)
    if not (run.export / "saved_model").is_dir():
        raise InputError(
            "the run has no exported model: it did not end well",
            where=str(run.export / "saved_model"),
            remedy="give a run that was completed with run=DIR",
        )
    class_names = {label_id: name for name, label_id in read_label_map(run.label_map).items()}
    directory.create()
    try:
        write_whole(directory.config, config_text)
        with quiet_terminal(directory.log, verbose=job.verbose) as stream:
            _detect(job, run, images, class_names, directory, Terminal(stream))
    except InputError:
        directory.discard()
        raise


def _detect(
    job: PredictJob,
    run: RunDirectory,
    images: Sequence[SourceImage],
    class_names: Mapping[int, str],
    directory: RunDirectory,
    terminal: Terminal,
) -> None:
    terminal.stage("model", f"{shown_path(run.export)} is being loaded")
    from odrun.inference.detector import Detector

    detector = Detector(run.export, keypoints=read_keypoints(run.label_map).by_label_id(class_names))
    entries: list[Mapping[str, object]] = []
    refused: list[InputError] = []
    drawn_boxes = 0
    with terminal.progress("detecting", total=len(images), unit="image") as show:
        for image_id, (image, picture) in enumerate(zip(images, picture_names(images), strict=True), start=1):
            try:
                pixels = image.pixels()
            except InputError as error:
                refused.append(error)
                terminal.warning(f"left out {error.where}: {error.what}")
            else:
                found = detector.detect(pixels)
                entries += [{**entry, "file_name": image.name} for entry in coco_detections(image_id, found)]
                shown = found.from_score(job.min_score)
                drawn_boxes += len(shown.scores)
                _draw(pixels, shown, class_names, directory.images / picture)
            show(image_id)
    if len(refused) == len(images):
        raise refused[0]
    write_whole(directory.detections, json.dumps(entries) + "\n")
    _conclude(job, directory, terminal, detected=len(images) - len(refused), left_out=len(refused), boxes=drawn_boxes)


def picture_names(images: Sequence[SourceImage]) -> list[str]:
    """The name of each image's picture: its own ending in .jpg, or with .jpg added to it where two could meet."""
    short = [str(PurePosixPath(image.name).with_suffix(".jpg")) for image in images]
    long = [f"{image.name}.jpg" for image in images]
    uses = Counter((*short, *long))
    return [name if uses[name] == 1 else other for name, other in zip(short, long, strict=True)]


def _draw(pixels: npt.NDArray[np.uint8], shown: FoundBoxes, class_names: Mapping[int, str], path: Path) -> None:
    image = Image.fromarray(pixels)
    drawn = draw_detections(
        image,
        shown.boxes_px,
        shown.label_ids,
        shown.scores,
        class_names=class_names,
        keypoints_px=shown.keypoints_px,
        scale=legible_scale(image),
    )
    with whole_file(path) as temporary:
        drawn.save(temporary, format="JPEG", quality=90)


def _conclude(
    job: PredictJob, directory: RunDirectory, terminal: Terminal, *, detected: int, left_out: int, boxes: int
) -> None:
    missing = f", {left_out} left out" if left_out else ""
    terminal.closing(
        Closing(
            headline=f"done: {boxes} objects with a score from {job.min_score:g} up in {detected} images{missing}",
            metrics=None,
            places=(
                ("pictures", shown_path(directory.images)),
                ("detections", shown_path(directory.detections)),
                ("log", shown_path(directory.log)),
            ),
            commands=(),
        )
    )
