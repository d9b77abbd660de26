"""Where each value of the config that is being run comes from: a YAML file and line, or a command-line argument.

Works within a run that Hydra started: it asks Hydra's loader for the files that were merged, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from odrun.config import jobs
from odrun.config.arguments import key_of
from odrun.config.location import conf_dir
from odrun.pipeline.build import build
from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.official import with_placeholders
from odrun.pipeline.provenance import Source
from odrun.runs.files import shown_path
from odrun.settings import TrainJob

_SETTING = re.compile(r"\$\{([\w.]+)\}")
_RESOLVER = re.compile(r"\$\{(\w+):")
RESOLVED_FROM = {
    "scaled_rate": ("train.batch_size", "train.scale_learning_rate", "model.official.batch_size"),
    "scaled_with_rate": ("train.learning_rate", "model.official.learning_rate"),
    "scaled_steps": ("train.steps", "train.scale_schedule", "model.official.steps"),
    "keeps_averages": ("train.ema_decay",),
    "archived": ("model.archive",),
}
"""The settings that the resolvers of `odrun.config.resolvers` look at beside their arguments."""


@dataclass(frozen=True)
class Origins:
    """Of a composed config: the official pipeline of its model, and the origin of each value.

    `raw` has interpolations as written; `now` and `then` are the resolved values of this config and of the model's own.
    """

    official: PipelineConfig
    raw: Mapping[str, Any]
    now: Mapping[str, Any]
    then: Mapping[str, Any]
    lines: Mapping[str, str]
    arguments: Sequence[str]
    groups: frozenset[str]

    def source_of(self, key: str) -> Source:
        """Who set `key`; a value that follows others is traced to the one among them that is not the official."""
        argument = self._argument(key)
        if argument is not None:
            return Source("command line", argument)
        for setting in self._followed(key):
            if _at(self.now, setting) != _at(self.then, setting):
                source = self.source_of(setting)
                return Source(source.kind, source.where, source.through or setting)
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            line = self.lines.get(".".join(parts[:length]))
            if line is not None and (_at(self.now, key) is not None or length < len(parts)):
                return Source("file", line)
        chosen = [text for text in self.arguments if key_of(text) == parts[0]]
        return Source("command line", chosen[-1]) if chosen else Source("odrun", "completed")

    def _argument(self, key: str) -> str | None:
        """The last argument that sets `key`, what it lies in, or a part of it; choosing an option sets no value."""
        for argument in reversed(self.arguments):
            target = key_of(argument)
            if target not in self.groups and (f"{key}.".startswith(f"{target}.") or target.startswith(f"{key}.")):
                return argument
        return None

    def _followed(self, key: str) -> Iterator[str]:
        """The settings that the text at `key` refers to."""
        text = _at(self.raw, key)
        if not isinstance(text, str):
            return
        yield from _SETTING.findall(text)
        for name in _RESOLVER.findall(text):
            yield from RESOLVED_FROM.get(name, ())


def origins() -> Origins:
    """The origins of the config that Hydra has composed for this run.

    Raises:
        InputError: the model's own configuration is not to be had.
    """
    facts = HydraConfig.get()
    overrides = list(jobs.texts(facts.overrides.task))
    loader: Any = GlobalHydra.instance().config_loader()
    name = str(facts.job.config_name)
    config = loader.load_configuration(name, overrides, run_mode=RunMode.RUN)
    entry = loader.load_configuration("check", [f"model={facts.runtime.choices['model']}"], run_mode=RunMode.RUN)
    for each in (config, entry):
        _take_out_hydra(each)
    for key in ("model.archive", "paths.cache"):
        OmegaConf.update(entry, key, OmegaConf.select(config, key))
    job = jobs.settings(entry)
    assert isinstance(job, TrainJob)
    defaults = loader.compute_defaults_list(config_name=name, overrides=overrides, run_mode=RunMode.RUN).defaults
    folders = [Path(source.path) for source in facts.runtime.config_sources if source.schema == "file"]
    return Origins(
        official=with_placeholders(build(job.pipeline, job.augmentation)),
        raw=_plain(config, resolve=False),
        now=_plain(config, resolve=True),
        then=_plain(entry, resolve=True),
        lines=_lines([(default.config_path, default.package) for default in defaults], folders),
        arguments=overrides,
        groups=frozenset(map(str, facts.runtime.choices)),
    )


def _take_out_hydra(config: DictConfig) -> None:
    with read_write(config), open_dict(config):
        del config["hydra"]


def _plain(config: DictConfig, *, resolve: bool) -> dict[str, Any]:
    values = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(values, Mapping) and part in values:
            values = values[part]
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return None
    return values


def _lines(merged: Sequence[tuple[str, str]], folders: Sequence[Path]) -> dict[str, str]:
    """Key → `file:line` of the file that set it last; `merged` are files and packages in the order of merging."""
    lines: dict[str, str] = {}
    for name, package in merged:
        file = next((folder / f"{name}.yaml" for folder in folders if (folder / f"{name}.yaml").is_file()), None)
        if file is None:
            continue
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        shown = _shown(file)
        for key, line, is_value in _keys(node, package):
            if is_value:
                lines = {known: place for known, place in lines.items() if not known.startswith(f"{key}.")}
            lines[key] = f"{shown}:{line}"
    return lines


def _shown(file: Path) -> str:
    shipped = conf_dir()
    return f"conf/{file.relative_to(shipped)}" if file.is_relative_to(shipped) else shown_path(file)


def _keys(node: yaml.Node | None, path: str) -> Iterator[tuple[str, int, bool]]:
    """Each key below `node` that is given a value or an empty mapping, its line from 1, and whether it is a value.

    A value takes the place of all that other files had below the key; a mapping is merged with it.
    """
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = f"{path}.{key.value}" if path else str(key.value)
            if not isinstance(value, yaml.MappingNode) or not value.value:
                yield here, key.start_mark.line + 1, not isinstance(value, yaml.MappingNode)
            yield from _keys(value, here)
