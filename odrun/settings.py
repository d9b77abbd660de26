"""What a job is told: the shapes and limits of its settings.

The dataclasses carry no defaults: values stand in `conf/`, once. They are made by `odrun.config` out of a composed
config, and by tests; a value out of its limits raises `InputError` that names the key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from odrun.annotations.classes import class_map
from odrun.annotations.problems import Policies
from odrun.annotations.split import group_pattern, parse_fold
from odrun.errors import InputError, nearest
from odrun.limits import check
from odrun.model_settings import BASE_ARCHIVE as BASE_ARCHIVE
from odrun.model_settings import BASE_FILE as BASE_FILE
from odrun.model_settings import CHECKPOINT_NONE as CHECKPOINT_NONE
from odrun.model_settings import CHECKPOINT_ZOO as CHECKPOINT_ZOO
from odrun.model_settings import ModelSettings as ModelSettings
from odrun.model_settings import OfficialSettings as OfficialSettings
from odrun.model_settings import ZooSettings as ZooSettings

RESUME_NONE = "none"
RESUME_AUTO = "auto"
NAN_POLICIES = ("stop", "restore", "continue")
VALIDATION_LOSS = "loss/"
"""What the names of validation losses begin with, beside the COCO metrics of an evaluation."""
WANDB_MODES = ("auto", "online", "offline", "disabled")
METRIC_KEYS = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR_1",
    "AR_10",
    "AR_100",
    "AR_small",
    "AR_medium",
    "AR_large",
)


@dataclass
class PathSettings:
    """The two roots; `~` and relative paths are resolved where they are used by `outputs_dir` and `cache_dir`."""

    outputs: str
    cache: str

    def __post_init__(self) -> None:
        check(self.outputs != "", "paths.outputs", self.outputs, "the path of a folder")
        check(self.cache != "", "paths.cache", self.cache, "the path of a folder")

    @property
    def outputs_dir(self) -> Path:
        """Where run directories are made, absolute."""
        return Path(self.outputs).expanduser().absolute()

    @property
    def cache_dir(self) -> Path:
        """Where prepared records and unpacked archives are kept, absolute."""
        return Path(self.cache).expanduser().absolute()


@dataclass
class SplitSettings:
    """What is held back for validation where the data bring no split: a share of the images, by a seed.

    `group_by` is a regular expression that is searched in an image's name; images for which it finds the same stay
    together. `fold` as `0/5` holds back the first of five parts, also of data that bring a split.
    """

    validation_share: float
    seed: int
    group_by: str | None
    fold: str | None

    def __post_init__(self) -> None:
        key = "dataset.split"
        check(0 < self.validation_share < 1, f"{key}.validation_share", self.validation_share, "between 0 and 1")
        check(self.seed >= 0, f"{key}.seed", self.seed, "0 or more")
        if self.fold is not None:
            parse_fold(self.fold)
        if self.group_by is not None:
            group_pattern(self.group_by)


@dataclass
class DatasetSettings:
    """Labelled images: `format` names the reader, `path` a folder, an archive or its address (`null`: the digits).

    `classes` selects the classes: `null` all that the data has, in sorted order; a list these; a mapping new names of
    one or several old ones. `label_map` is a file that fixes classes and ids instead. `problems` gives a kind of fault
    another policy than its default (`odrun.annotations.problems`).
    """

    name: str
    format: str
    path: str | None
    classes: Any
    label_map: str | None
    split: SplitSettings
    problems: dict[str, str]

    def __post_init__(self) -> None:
        check(self.name != "", "dataset.name", self.name, "a name, as it becomes part of directory names")
        class_map(self.classes)
        Policies(self.problems)


@dataclass
class ZooAccessSettings:
    """Where archives are fetched from: `mirror` is a folder or an http(s) address instead of the zoo's, `null` none."""

    mirror: str | None

    def __post_init__(self) -> None:
        check(self.mirror != "", "zoo.mirror", self.mirror, "null, a folder or an http(s) address")


@dataclass
class CheckpointSettings:
    """Checkpoints on the way: one each `every` steps (`null`: with each evaluation), the newest `keep` of them."""

    every: int | None
    keep: int

    def __post_init__(self) -> None:
        check(self.every is None or self.every >= 1, "train.checkpoint.every", self.every, "null or 1 or more")
        check(self.keep >= 1, "train.checkpoint.keep", self.keep, "1 or more")


@dataclass
class EarlyStoppingSettings:
    """Stop after `patience` evaluations (`null`: never) without a gain of more than `min_delta` in `eval.metric`."""

    patience: int | None
    min_delta: float

    def __post_init__(self) -> None:
        key = "train.early_stopping"
        check(self.patience is None or self.patience >= 1, f"{key}.patience", self.patience, "null or 1 or more")
        check(0 <= self.min_delta < math.inf, f"{key}.min_delta", self.min_delta, "finite and 0 or more")


@dataclass
class TrainSettings:
    """How long and how fast to train; the pipeline node takes its values from here by interpolation.

    `resume` is `none`, `auto` (the newest unfinished run of this configuration, if there is one) or a run directory.
    `fraction` (of the training images) and `max_images` cut the data; both may be given. `freeze` holds regular
    expressions that are searched for in the names of variables. `ema_decay` keeps moving averages of the weights.
    `callbacks` maps names to `_target_` (a dotted path) and its arguments.
    """

    batch_size: int
    steps: int
    learning_rate: float
    scale_learning_rate: bool
    warmup_steps: int
    scale_schedule: bool
    ema_decay: float | None
    freeze: list[str]
    fraction: float
    max_images: int | None
    seed: int
    deterministic: bool
    on_nan: str
    resume: str
    max_minutes: float | None
    early_stopping: EarlyStoppingSettings
    checkpoint: CheckpointSettings
    log_every: int
    callbacks: dict[str, Any]

    def __post_init__(self) -> None:
        check(self.batch_size >= 1, "train.batch_size", self.batch_size, "1 or more")
        check(self.steps >= 1, "train.steps", self.steps, "1 or more")
        check(0 < self.learning_rate < math.inf, "train.learning_rate", self.learning_rate, "finite and above 0")
        check(self.warmup_steps >= 0, "train.warmup_steps", self.warmup_steps, "0 or more")
        check(self.ema_decay is None or 0 < self.ema_decay < 1, "train.ema_decay", self.ema_decay, "null or in (0, 1)")
        check(0 < self.fraction <= 1, "train.fraction", self.fraction, "above 0 and at most 1")
        check(self.max_images is None or self.max_images >= 1, "train.max_images", self.max_images, "null or above 0")
        check(0 <= self.seed < 2**32, "train.seed", self.seed, "between 0 and 4294967295")
        if self.on_nan not in NAN_POLICIES:
            raise InputError(
                f"train.on_nan is {self.on_nan!r}", where="train.on_nan", remedy=nearest(self.on_nan, NAN_POLICIES)
            )
        check(self.resume != "", "train.resume", self.resume, "none, auto or the directory of a run")
        check(
            self.max_minutes is None or self.max_minutes > 0, "train.max_minutes", self.max_minutes, "null or above 0"
        )
        check(self.log_every >= 1, "train.log_every", self.log_every, "1 or more")


@dataclass
class EvalSettings:
    """Evaluation: each `every` steps (`null`: at the end only), `pictures` validation images drawn at the end.

    `metric`, a COCO metric or a validation loss such as `loss/total`, chooses the best checkpoint: the highest value,
    of a loss the lowest.
    """

    every: int | None
    batch_size: int
    metric: str
    pictures: int

    def __post_init__(self) -> None:
        check(self.every is None or self.every >= 1, "eval.every", self.every, "null or 1 or more")
        check(self.batch_size >= 1, "eval.batch_size", self.batch_size, "1 or more")
        check(self.pictures >= 0, "eval.pictures", self.pictures, "0 or more")
        if self.metric not in METRIC_KEYS and not self.metric.startswith(VALIDATION_LOSS):
            raise InputError(
                f"eval.metric is {self.metric!r}, which is neither a COCO metric nor a validation loss",
                where="eval.metric",
                remedy=nearest(self.metric, (*METRIC_KEYS, f"{VALIDATION_LOSS}total")),
            )

    @property
    def higher_is_better(self) -> bool:
        """Whether the best value of `metric` is the highest."""
        return not self.metric.startswith(VALIDATION_LOSS)


@dataclass
class AugmentationSettings:
    """Preprocessing steps of the OD API, name → fields, applied in the mapping's order or in `order`."""

    steps: dict[str, Any]
    order: list[str] | None


@dataclass
class WandbSettings:
    """Weights & Biases; `mode` auto logs online where a key is configured and offline elsewhere."""

    mode: str
    project: str
    entity: str | None
    group: str | None
    tags: list[str]

    def __post_init__(self) -> None:
        if self.mode not in WANDB_MODES:
            raise InputError(
                f"tracking.wandb.mode is {self.mode!r}",
                where="tracking.wandb.mode",
                remedy=nearest(self.mode, WANDB_MODES),
            )


@dataclass
class TrackingSettings:
    """Who is told beside `metrics.jsonl`, which is always written."""

    tensorboard: bool
    wandb: WandbSettings


@dataclass
class SweepSettings:
    """What a sweep goes on with: `resume` is `none`, `auto` (the newest that is unfinished and the same) or its folder.

    Trials that failed stay so unless `retry_failed` says otherwise. A single run does not look at it.
    """

    resume: str
    retry_failed: bool

    def __post_init__(self) -> None:
        check(self.resume != "", "sweep.resume", self.resume, "none, auto or the directory of a sweep")


@dataclass
class TrainJob:
    """All that `odrun train` is told."""

    dataset: DatasetSettings
    model: ModelSettings
    train: TrainSettings
    eval: EvalSettings
    augmentation: AugmentationSettings
    tracking: TrackingSettings
    paths: PathSettings
    zoo: ZooAccessSettings
    sweep: SweepSettings
    pipeline: dict[str, Any]
    verbose: bool


@dataclass
class CheckJob(TrainJob):
    """All that `odrun check` is told: a training, and whether its model is to be built, too (`deep`)."""

    deep: bool


@dataclass
class PredictJob:
    """All that `odrun predict` is told: a run, and a file, folder or glob of images.

    Detections below `min_score` (0 to 1) are not drawn; `detections.json` holds all of them.
    """

    run: str
    source: str
    min_score: float
    paths: PathSettings
    verbose: bool

    def __post_init__(self) -> None:
        check(self.run != "", "run", self.run, "the directory of a run")
        check(0.0 <= self.min_score <= 1.0, "min_score", self.min_score, "between 0 and 1")


@dataclass
class PrepareJob:
    """All that `odrun prepare` is told; `verify` reads every record again. The model gives the anchors of a picture."""

    dataset: DatasetSettings
    model: ModelSettings
    train: TrainSettings
    augmentation: AugmentationSettings
    paths: PathSettings
    pipeline: dict[str, Any]
    verify: bool
    verbose: bool


Job: TypeAlias = TrainJob | CheckJob | PredictJob | PrepareJob
