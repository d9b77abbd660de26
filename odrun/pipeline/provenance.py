"""What a training's configuration has other than the official one of its model, field by field, and who set it.

Comes in: three `TrainEvalPipelineConfig` messages: the official one, the one that was composed, and the one that odrun
completed. Goes out: a `Change` for each field that is not the official one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from odrun.pipeline.descriptors import PipelineConfig
from odrun.pipeline.node import node_of
from odrun.pipeline.official import PLACEHOLDER

_OPTIONS = "train_config.data_augmentation_options"
# Of what odrun fills in: the reason, for fields whose path contains the first text.
_REASONS = (
    ("num_classes", "the number of classes in the data"),
    ("label_map_path", "the label map of the prepared records"),
    ("tf_record_input_reader", "the prepared records"),
    ("fine_tune_checkpoint", "model.checkpoint"),
    ("warmup_", "shortened to train.steps"),
    ("hold_base_rate_steps", "shortened to train.steps"),
    ("learning_rate", "fitted to train.steps"),
    ("instance_masks", "masks are read where the records and the model have them"),
    ("mask_type", "masks are read where the records and the model have them"),
    ("keypoint", "keypoints are read where the records and the model have them"),
    ("parameterized_metric", "keypoints are read where the records and the model have them"),
    ("eval_input_reader", "odrun evaluates each image once"),
    ("eval_config", "odrun evaluates each image once"),
    ("model.", "heads that the records do not train are taken out"),
)


@dataclass(frozen=True)
class Source:
    """Who set a value: `kind` says which sort, `where` the file and line, the argument, or the reason.

    `through` names the setting that the field follows, where it is not set itself.
    """

    kind: Literal["file", "command line", "odrun"]
    where: str
    through: str | None = None

    def __str__(self) -> str:
        told = {"file": self.where, "command line": f"command line: {self.where}", "odrun": f"odrun: {self.where}"}
        return told[self.kind] + (f" (through {self.through})" if self.through else "")


@dataclass(frozen=True)
class Change:
    """A field of the pipeline that is not the official one; a value is None where the field is unset."""

    field: str
    official: object
    now: object
    source: Source


def changes(
    official: PipelineConfig, composed: PipelineConfig, completed: PipelineConfig, source_of: Callable[[str], Source]
) -> tuple[Change, ...]:
    """The fields in which `completed` differs from `official`, sorted; what odrun takes out as a whole is one of them.

    `source_of` is asked for the key, such as `pipeline.train_config.batch_size`, of each that was composed so.
    """
    nodes = node_of(official), node_of(composed), node_of(completed)
    first, between, last = (dict(_leaves(node, "")) for node in nodes)
    taken_out = dict(_taken_out(*nodes, path=""))
    found = [
        Change(f"pipeline.{path}", value, None, Source("odrun", _reason(path))) for path, value in taken_out.items()
    ]
    for field in {*first, *last}:
        before, now = first.get(field), last.get(field)
        if before != now and not _is_below(field, taken_out):
            was_composed = between.get(field) == now and before not in (PLACEHOLDER, [PLACEHOLDER])
            source = source_of(_key(field)) if was_composed else Source("odrun", _reason(field))
            found.append(Change(f"pipeline.{field}", before, now, source))
    return tuple(sorted(found, key=lambda change: change.field))


def _taken_out(official: Any, composed: Any, completed: Any, *, path: str) -> Iterator[tuple[str, object]]:
    """Path and official value of each message or list that was composed and is not there any more; no step."""
    nodes = (official, composed, completed)
    if path == _OPTIONS:
        return
    if all(isinstance(node, list) for node in nodes):
        for number, parts in enumerate(zip(*nodes, strict=False)):
            yield from _taken_out(*parts, path=f"{path}.{number}")
    elif all(isinstance(node, Mapping) for node in nodes):
        for name in [name for name in official if name in composed]:
            below = f"{path}.{name}" if path else name
            if name in completed:
                yield from _taken_out(official[name], composed[name], completed[name], path=below)
            elif isinstance(official[name], Mapping | list):
                yield below, official[name]


def _is_below(field: str, paths: Collection[str]) -> bool:
    return any(field == path or field.startswith(f"{path}.") for path in paths)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, object]]:
    """Path and value of each field that holds no further ones; augmentation steps go by their names."""
    if path == _OPTIONS:
        names = [next(iter(step)) for step in value]
        yield path, names
        for name, step in zip(names, value, strict=True):
            yield from _leaves(step[name], f"{path}.{name}")
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{number}")
    else:
        yield path, value


def _key(field: str) -> str:
    if field == _OPTIONS or field.startswith(f"{_OPTIONS}."):
        return f"augmentation.steps{field.removeprefix(_OPTIONS)}"
    return f"pipeline.{field}"


def _reason(field: str) -> str:
    return next((reason for part, reason in _REASONS if part in field), "completed")
