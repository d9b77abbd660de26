"""What the machine has against what the training needs: memory (an estimate), disk, tracking, installed versions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from odrun.checks.finding import Finding
from odrun.settings import TrackingSettings, TrainJob
from odrun.tracking.wandb_access import key_is_stored, wanted_mode

PACKAGES = ("tensorflow", "tf-keras", "tf-models-official", "tf-models-research-object-detection", "protobuf", "numpy")
_TOGETHER = ("tensorflow", "tf-keras", "tf-models-official")
# Bytes of activations that a training step keeps for each pixel of input: three float32 (convolution, normalization,
# activation) for each value that a layer of the backbone gives out, counted at 224x224 (He et al. 2015, Sandler et al.
# 2018, Tan and Le 2019), and 30 % on top for the heads. First name that the backbone has in it counts.
_BYTES_PER_PIXEL = (
    ("mobilenet", 2_100),
    ("resnet50", 3_500),
    ("resnet101", 5_100),
    ("resnet152", 7_000),
    ("inception_resnet", 8_000),
    ("hourglass", 10_000),
    ("efficientnet", 6_000),
)
_BYTES_PER_PIXEL_ELSEWHERE = 4_000
_WANDB_SERVER = "https://api.wandb.ai"
_CHECKPOINT_BYTES = 150_000_000


def check_memory(job: TrainJob, *, memory_bytes: int, device: str) -> Iterator[Finding]:
    """The estimated memory of a training step against the `memory_bytes` of `device`."""
    if job.model.input_px is None:
        return
    height, width = job.model.input_px
    bytes_per_image = height * width * _bytes_per_pixel(job.model.backbone)
    needed = bytes_per_image * job.train.batch_size
    told = f"a step needs about {needed / 1e9:.1f} GB (an estimate), and {device} has {memory_bytes / 1e9:.1f} GB"
    if needed > memory_bytes:
        fitting = max(1, int(memory_bytes * 0.8 / bytes_per_image))
        yield Finding("memory", "warning", told, f"train.batch_size={fitting}")
    else:
        yield Finding("memory", "note", told)


def check_disk(folder: Path, *, kept: int) -> Iterator[Finding]:
    """The room on the disk of `folder` against checkpoints, `kept` of them and the best, and their export."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free, needed = shutil.disk_usage(existing).free, (kept + 3) * _CHECKPOINT_BYTES
    if free < needed:
        what = (
            f"the disk of {folder} has {free / 1e6:,.0f} MB left; {kept} checkpoints, the best and its export may take"
        )
        yield Finding(
            "disk", "warning", f"{what} {needed / 1e6:,.0f} MB", "paths.outputs=DIR, or train.checkpoint.keep=1"
        )


def check_tracking(tracking: TrackingSettings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether Weights & Biases will be told online; nobody is asked over the network."""
    mode, reason = wanted_mode(tracking.wandb.mode, environment)
    if mode != "online":
        yield Finding("tracking", "note", f"W&B is {mode}: {reason}")
        return
    if key_is_stored(environment, environment.get("WANDB_BASE_URL", _WANDB_SERVER)):
        yield Finding("tracking", "note", "W&B is told online: an API key is configured")
    elif tracking.wandb.mode == "online":
        what = "tracking.wandb.mode is online, and no API key is configured: the run would be logged offline"
        yield Finding("tracking", "warning", what, "wandb login, or tracking.wandb.mode=offline")
    else:
        yield Finding("tracking", "note", "W&B is logged offline: no API key is configured", "wandb login")


def check_versions(installed: Mapping[str, str | None]) -> Iterator[Finding]:
    """Whether all of `PACKAGES` are installed, and those that go together have the same minor version."""
    absent = [name for name, version in installed.items() if version is None]
    if absent:
        yield Finding("versions", "error", f"{', '.join(absent)} not installed", "pip install --upgrade odrun")
    told = ", ".join(f"{name} {version}" for name, version in installed.items() if version is not None)
    minors = {".".join(version.split(".")[:2]) for name in _TOGETHER if (version := installed.get(name)) is not None}
    if len(minors) > 1:
        what = f"{', '.join(_TOGETHER)} have to be of one minor version: {told}"
        yield Finding("versions", "error", what, "pip install --upgrade odrun")
    else:
        yield Finding("versions", "note", told)


def installed_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Package → its installed version, None without one."""
    return {name: _version(name) for name in packages}


def _bytes_per_pixel(backbone: str) -> int:
    return next((size for name, size in _BYTES_PER_PIXEL if name in backbone), _BYTES_PER_PIXEL_ELSEWHERE)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
