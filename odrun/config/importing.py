"""`odrun import FILE`: a pipeline.config → the smallest model entry that composes to an equal one, proven before it
is printed.

The entry builds on the one of `conf/model` that leaves the fewest lines to say, or stands on its own.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from odrun.config import resolvers, schemas
from odrun.config.arguments import quoted
from odrun.config.composition import REFUSALS
from odrun.config.jobs import HYDRA_VERSION_BASE
from odrun.config.location import conf_dir
from odrun.errors import InputError, OdrunError
from odrun.pipeline.build import build
from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.follow import official_recipe
from odrun.pipeline.importing import augmentation_difference, difference, parts_of, without_paths
from odrun.pipeline.text import read
from odrun.pipeline.tf1 import refuse_tf1
from odrun.runs.files import write_whole
from odrun.settings import AugmentationSettings, OfficialSettings
from odrun.zoo.catalog import Entry, entries

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_WIDTH = 120
_FAMILIES = {
    "ssd": ("ssd", "efficientdet"),
    "faster_rcnn": ("faster_rcnn", "mask_rcnn"),
    "center_net": ("centernet",),
}
"""Architecture of the OD API → the families of entries that have it."""
_PATHS_LEFT_OUT = (
    "Its paths of records, label map and checkpoint are left out: dataset and model.checkpoint decide them."
)


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        """Raise the error; `-h` alone still prints and leaves."""
        raise InputError(message, where=self.prog, remedy=f"{self.prog} --help")


def main(arguments: Sequence[str]) -> int:
    """Print the YAML of the entry, or write it where `--output` says; 0.

    Raises:
        InputError: the arguments are wrong, the file cannot be read or is one for TensorFlow 1, or the output exists.
        OdrunError: what was written down does not compose to the same configuration.
    """
    given = _parser().parse_args(list(arguments))
    output = None if given.output is None else Path(given.output).expanduser()
    file = Path(given.file).expanduser()
    name = _name(given.name, output, file)
    if output is not None and output.exists():
        raise InputError("the file exists already", where=str(output), remedy="give another --output, or remove it")
    text = imported(file, name)
    if output is None:
        sys.stdout.write(text)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, text.encode())
        sys.stdout.write(f"{output}: {len(text.splitlines())} lines; odrun train model={output.stem}\n")
    return 0


def imported(file: Path, name: str) -> str:
    """The YAML of the entry `name` that composes to what is in `file`.

    Raises:
        InputError: the file cannot be read, is one for TensorFlow 1, or has no optimizer to take a recipe from.
        OdrunError: what was written down does not compose to the same configuration.
    """
    schemas.register("train")
    resolvers.register()
    config = read(file)
    refuse_tf1(config, where=str(file))
    wanted = without_paths(config)
    official = official_recipe(config)
    notes = [] if config == wanted else [_PATHS_LEFT_OUT]
    texts = [_told(values, file, notes) for values in _candidates(wanted, official, name)]
    shortest = min(texts, key=lambda text: len(text.splitlines()))
    _prove(shortest, name, wanted, file)
    return shortest


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="odrun import", description="a pipeline.config as a model entry in YAML")
    parser.add_argument("file", metavar="FILE", help="a pipeline.config of the TensorFlow 2 Object Detection API")
    parser.add_argument("--output", metavar="FILE.yaml", help="conf/model/NAME.yaml; printed without it")
    parser.add_argument("--name", metavar="NAME", help="of the entry; that of the file without it")
    return parser


def _name(given: str | None, output: Path | None, file: Path) -> str:
    """The entry's name: as given, or that of the file that is written, else of the one that is read."""
    if output is not None and output.suffix != ".yaml":
        raise InputError("an entry is a .yaml file", where=f"--output {output}", remedy=f"--output {output}.yaml")
    if given is not None and output is not None and given != output.stem:
        raise InputError(
            f"the entry is to be called {given!r}, and its file {output.stem!r}",
            where=f"--name {given}",
            remedy=f"leave out --name, or --output {output.with_name(f'{given}.yaml')}",
        )
    name = given if given is not None else (file if output is None else output).stem
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name an entry", where="--name", remedy="--name NAME: letters, digits, - and _"
        )
    if (conf_dir() / "model" / f"{name}.yaml").is_file():
        raise InputError(f"there is a model {name!r} already", where=name, remedy="give another one: --name NAME")
    return name


def _candidates(wanted: PipelineConfig, official: OfficialSettings, name: str) -> Iterator[dict[str, Any]]:
    """The entries' values, of each entry to build on that has the same architecture, and without one."""
    node, augmentation = parts_of(wanted)
    yield _complete(node, augmentation, official, name)
    model: Any = wanted.model  # type: ignore[attr-defined]  # fields are made at run time
    architecture = model.WhichOneof("model")
    if architecture not in _FAMILIES:
        return
    extractor = getattr(model, architecture).feature_extractor.type
    for entry in _near(architecture, extractor):
        yield _over(entry, node, augmentation, official, name)


def _near(architecture: str, extractor: str) -> list[Entry]:
    """The entries with the architecture, and of these only the ones with the feature extractor if there are any."""
    known = [
        entry
        for entry in entries(conf_dir() / "model")
        if entry.recipe is not None and entry.family in _FAMILIES[architecture]
    ]
    alike = [entry for entry in known if entry.backbone in extractor]
    return alike or known


def _over(
    entry: Entry,
    node: Mapping[str, Any],
    augmentation: AugmentationSettings,
    official: OfficialSettings,
    name: str,
) -> dict[str, Any]:
    """The values over `entry`: its recipe first, from which much else follows, and what then still differs."""
    recipe = difference(asdict(entry.recipe), asdict(official)) if entry.recipe is not None else {}
    model: dict[str, Any] = {"name": name, **({"official": recipe} if recipe else {})}
    overrides = [f"model={entry.name}", *(f"model.official.{key}={value!r}" for key, value in recipe.items())]
    composed = _composed(overrides)
    held = without_paths(_message(composed))
    values: dict[str, Any] = {"defaults": [f"{entry.name}@_global_", "_self_"], "model": model}
    held_node, held_augmentation = parts_of(held)
    changes = augmentation_difference(
        AugmentationSettings(held_augmentation.steps, composed["augmentation"]["order"]), augmentation
    )
    if changes:
        values["augmentation"] = changes
    pipeline = difference(held_node, node)
    if pipeline:
        values["pipeline"] = pipeline
    return values


def _complete(
    node: Mapping[str, Any], augmentation: AugmentationSettings, official: OfficialSettings, name: str
) -> dict[str, Any]:
    """An entry that says everything itself; its batch size and steps still follow the settings."""
    followed = {"batch_size": "${train.batch_size}", "num_steps": "${train.steps}"}
    train = node.get("train_config", {})
    return {
        "defaults": ["_family/entry@_global_", {"override /augmentation": "none"}, "_self_"],
        "model": {
            "name": name,
            "family": "imported",
            "backbone": "imported",
            "input_px": None,
            "checkpoint": "none",
            "official": asdict(official),
        },
        **({"augmentation": {"steps": augmentation.steps}} if augmentation.steps else {}),
        "pipeline": {**node, "train_config": train | {key: followed[key] for key in followed if key in train}},
    }


def _told(values: Mapping[str, Any], file: Path, notes: Sequence[str]) -> str:
    head = ["@package _global_", f"From {file.name}, by odrun import.", *notes]
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(
        values, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=None
    )


def _prove(text: str, name: str, wanted: PipelineConfig, file: Path) -> None:
    """Compose `text` as the entry that it is, and raise `OdrunError` unless it comes to `wanted`."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model" / f"{name}.yaml"
        place.parent.mkdir()
        place.write_text(text, encoding="utf-8")
        unequal = OdrunError(
            "the YAML that was made does not compose to the same configuration, so it is not shown",
            where=str(file),
            remedy=f"use the file as it is: odrun train model=from_file {quoted('model.file', str(file))}",
        )
        try:
            composed = _composed([f"hydra.searchpath=['file://{folder}']", f"model={name}"])
        except REFUSALS as error:
            raise unequal from error
    if without_paths(_message(composed)) != wanted:
        raise unequal


def _message(values: Mapping[str, Any]) -> PipelineConfig:
    return build(values["pipeline"], AugmentationSettings(**values["augmentation"]))


def _composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The parts of a composed `train` that lead to its message, resolved."""
    with initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
        config = compose("train", overrides=list(overrides))
    return {key: _resolved(config, key) for key in ("pipeline", "augmentation")}


def _resolved(config: DictConfig, key: str) -> dict[str, Any]:
    values = OmegaConf.to_container(config[key], resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}
