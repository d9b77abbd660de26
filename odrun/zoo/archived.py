"""Entries whose configuration lies elsewhere: in their archive, or in a file of the user's.

Comes in: that `pipeline.config`, from an unpacked archive or by its path, and the `pipeline` node of the entry. Goes
out: the node with that configuration as its base, in proportion to the settings of the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.follow import following
from odrun.pipeline.node import node_of
from odrun.pipeline.text import read
from odrun.pipeline.tf1 import refuse_tf1
from odrun.settings import BASE_ARCHIVE, AugmentationSettings, ModelSettings, TrainSettings
from odrun.zoo.archive import unpack
from odrun.zoo.catalog import archive_address
from odrun.zoo.fetch import archive_at_hand

CONFIG_NAME = "pipeline.config"
_SIDES = {
    "fixed_shape_resizer": ("height", "width"),
    "keep_aspect_ratio_resizer": ("min_dimension", "max_dimension"),
}


def archived_folder(
    name: str, published: str | None, *, local: str | None, cache: Path, mirror: str | None = None
) -> Path:
    """The folder with the content of the entry's archive; `local` is the archive on this disk, or its folder.

    Without `local` it is the one that has been fetched to the cache, or that a `mirror` that is a folder has.

    Raises:
        InputError: there is no local copy of it, or it cannot be unpacked.
    """
    at_hand = None if published is None else archive_at_hand(f"{published}.tar.gz", cache, mirror)
    if local is None and at_hand is None:
        address = "its archive" if published is None else archive_address(published)
        raise InputError(
            f"the configuration of {name} is in its archive, which has not been fetched",
            where="model.archive",
            remedy=f"odrun zoo fetch {name}, or fetch {address} by hand, and then model.archive=FILE.tar.gz",
        )
    path = Path(local).expanduser().absolute() if local is not None else at_hand
    assert path is not None
    return path if path.is_dir() else unpack(path, cache)


def archived_config(folder: Path) -> PipelineConfig:
    """The configuration in an unpacked archive.

    Raises:
        InputError: there is none or more than one, or it cannot be read.
    """
    found = sorted(folder.rglob(CONFIG_NAME))
    if len(found) != 1:
        raise InputError(
            f"the archive holds {len(found)} files {CONFIG_NAME}; one is needed",
            where=str(folder),
            remedy="take the archive that the zoo links to, or write the pipeline yourself",
        )
    return read(found[0])


def base_of(
    base: str,
    name: str,
    published: str | None,
    *,
    archive: str | None,
    file: str | None,
    cache: Path,
    mirror: str | None,
) -> PipelineConfig:
    """The configuration that the entry `name` starts from: of its archive, or of the user's `file`.

    Raises:
        InputError: it is not given or not there, cannot be read, or is one for TensorFlow 1.
    """
    if base == BASE_ARCHIVE:
        return archived_config(archived_folder(name, published, local=archive, cache=cache, mirror=mirror))
    if not file:
        raise InputError(
            "model.file is not given, and there is no default",
            where="model.file",
            remedy="model.file=FILE, a pipeline.config of the TensorFlow 2 Object Detection API",
        )
    config = read(Path(file).expanduser())
    refuse_tf1(config, where=file)
    return config


def based(
    node: Mapping[str, Any],
    model: ModelSettings,
    train: TrainSettings,
    augmentation: AugmentationSettings,
    *,
    cache: Path,
    mirror: str | None = None,
) -> dict[str, Any]:
    """The `pipeline` node on the base that `model.base` names; without a base as it is.

    What the node sets wins over the base, and so does a `null`, which takes the base's value out; lists are replaced
    whole. Augmentation steps that are chosen take the place of the base's.

    Raises:
        InputError: the archive is not there, holds no configuration that can be read, or one for other images than
            `model.input_px`, which cannot reach it.
    """
    if model.base is None:
        return dict(node)
    config = base_of(
        model.base,
        model.name,
        model.zoo.archive,
        archive=model.archive,
        file=model.file,
        cache=cache,
        mirror=mirror,
    )
    _refuse_other_size(config, model.input_px)
    base = node_of(following(config, train))
    if augmentation.steps:
        base["train_config"].pop("data_augmentation_options", None)
    return _merged(base, node)


def _refuse_other_size(config: Any, input_px: Sequence[int] | None) -> None:
    architecture = config.model.WhichOneof("model")
    if input_px is None or architecture is None:
        return
    resizer = getattr(config.model, architecture).image_resizer
    kind = resizer.WhichOneof("image_resizer_oneof")
    if kind not in _SIDES:
        return
    sides = [getattr(getattr(resizer, kind), name) for name in _SIDES[kind]]
    if sides != list(input_px):
        key = f"pipeline.model.{architecture}.image_resizer.{kind}"
        given = " ".join(f"+{key}.{name}={side}" for name, side in zip(_SIDES[kind], input_px, strict=True))
        raise InputError(
            f"model.input_px is {list(input_px)}, and the configuration in the archive has {sides}",
            where="model.input_px",
            remedy=f"'model.input_px={sides}'; to change the size of images as well: {given}".replace(", ", ","),
        )


def _merged(base: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in node.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged
