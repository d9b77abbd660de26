"""The checks of a training, put together: the cheap ones, that `odrun train` makes too, and those that read records."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

from odrun.annotations.model import TRAIN
from odrun.checks.data import check_batch, check_boxes_of_classes, check_classes, check_labels
from odrun.checks.device import device_memory
from odrun.checks.finding import Finding
from odrun.checks.resources import check_disk, check_memory, check_tracking, check_versions, installed_versions
from odrun.checks.schedule import check_schedule
from odrun.checks.shapes import check_box_sizes, check_image_size
from odrun.records.manifest import PreparedData
from odrun.records.statistics import STATISTICS_NAME, BoxStatistics
from odrun.settings import TrainJob


def cheap_findings(job: TrainJob, pipeline: Any, data: PreparedData) -> Iterator[Finding]:
    """What can be judged of the completed `pipeline` and of `data` without reading a record."""
    yield from check_image_size(pipeline)
    yield from check_classes(data, pipeline)
    images = images_to_train_on(job, pipeline, data.counts[TRAIN].images)
    yield from check_batch(images, of=data.counts[TRAIN].images, batch_size=job.train.batch_size)
    device, memory_bytes = device_memory()
    yield from check_memory(job, memory_bytes=memory_bytes, device=device)
    yield from check_disk(job.paths.outputs_dir, kept=job.train.checkpoint.keep)
    yield from check_tracking(job.tracking, os.environ)
    yield from check_versions(installed_versions())
    yield from check_schedule(job.train, job.eval, job.model.official, images=max(images, 1))
    if (data.folder / STATISTICS_NAME).is_file():
        statistics = BoxStatistics.load(data.folder / STATISTICS_NAME)
        yield from check_boxes_of_classes(statistics, data.classes)
        yield from check_box_sizes(pipeline, statistics)


def record_findings(data: PreparedData) -> Iterator[Finding]:
    """What some of the records show."""
    yield from check_labels(data)


def images_to_train_on(job: TrainJob, pipeline: Any, images: int) -> int:
    """How many of `images` remain with the settings that cut the data."""
    every: int = max(pipeline.train_input_reader.sample_1_of_n_examples, 1)
    candidates = -(-images // every)
    wanted = math.ceil(job.train.fraction * candidates)
    return wanted if job.train.max_images is None else min(wanted, job.train.max_images)
