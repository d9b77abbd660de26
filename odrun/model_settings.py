"""What a job is told of its model: the zoo entry, what is published of it, and the recipe it was made for.

As of `odrun.settings`, of which they are a part: no defaults here, and `InputError` for a value out of its limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from odrun.errors import InputError
from odrun.limits import check

CHECKPOINT_NONE = "none"
CHECKPOINT_ZOO = "zoo"
ZOO_ADDRESS = "http://download.tensorflow.org/models/object_detection/tf2/"
"""Where the archives lie. Source: g3doc/tf2_detection_zoo.md of tensorflow/models, research/object_detection."""
BASE_ARCHIVE = "archive"
BASE_FILE = "file"


@dataclass
class OfficialSettings:
    """The recipe that the entry's learning rate and schedule were made for."""

    batch_size: int
    steps: int
    learning_rate: float
    warmup_learning_rate: float
    warmup_steps: int

    def __post_init__(self) -> None:
        key = "model.official"
        check(self.batch_size >= 1, f"{key}.batch_size", self.batch_size, "1 or more")
        check(self.steps >= 1, f"{key}.steps", self.steps, "1 or more")
        check(0 < self.learning_rate < math.inf, f"{key}.learning_rate", self.learning_rate, "finite and above 0")
        warmup_rate = self.warmup_learning_rate
        check(0 <= warmup_rate < math.inf, f"{key}.warmup_learning_rate", warmup_rate, "finite and 0 or more")
        check(self.warmup_steps >= 0, f"{key}.warmup_steps", self.warmup_steps, "0 or more")


@dataclass
class ZooSettings:
    """What the TensorFlow 2 detection zoo says of the entry; empty for one that is not in it.

    `archive` is the path of its archive below the zoo's address, without `.tar.gz`; `speed_ms` the time an image takes,
    as published; `coco_map` the mean average precision (in hundredths) on COCO by output: boxes, masks, keypoints.
    """

    archive: str | None
    speed_ms: float | None
    coco_map: dict[str, float]


@dataclass
class ModelSettings:
    """The model-zoo entry, and what its weights start from.

    `checkpoint` is `none` (random weights), `zoo` (the entry's archive) or the path of a TensorFlow 2 checkpoint;
    `archive` is a local copy of the entry's archive. From `official` follow the values of `train` that nobody sets.
    `input_px` is the height and the width of the images that the network takes, or, where images keep their aspect, the
    least size of the shorter side and the largest of the longer one (`null`: the zoo does not say); `backbone` is what
    computes the features. `base` is `archive` where the pipeline starts from the `pipeline.config` in the archive, and
    `file` where it starts from the one whose path is `file`.
    """

    name: str
    base: str | None
    file: str | None
    family: str
    backbone: str
    outputs: list[str]
    input_px: list[int] | None
    checkpoint: str
    archive: str | None
    zoo: ZooSettings
    official: OfficialSettings

    def __post_init__(self) -> None:
        fits = self.input_px is None or (len(self.input_px) == 2 and min(self.input_px) >= 1)
        check(fits, "model.input_px", self.input_px, "a height and a width, as in [320,320]")
        bases = (None, BASE_ARCHIVE, BASE_FILE)
        check(self.base in bases, "model.base", self.base, f"null, {BASE_ARCHIVE} or {BASE_FILE}")
        if self.base != BASE_FILE and self.file is not None:
            raise InputError(
                f"model.file is given, but {self.name} has a pipeline of its own, so it would not be used",
                where="model.file",
                remedy=f"model=from_file model.file={self.file}",
            )
