"""What the OD API's configuration may hold: the fields of `TrainEvalPipelineConfig`, by path, and their nearest names.

Keys are those of the `pipeline` node: `("model", "ssd", "num_classes")`; a number among them indexes a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from odrun.compat import protos
from odrun.errors import nearest

PipelineConfig: TypeAlias = Message
"""A `TrainEvalPipelineConfig` message; its class is made at run time, so its fields are not known to a type checker."""

ROOT_MESSAGE = "object_detection.protos.TrainEvalPipelineConfig"
_DEEPEST = 9


def root() -> Descriptor:
    """The descriptor of `TrainEvalPipelineConfig`."""
    protos.load()
    return descriptor_pool.Default().FindMessageTypeByName(ROOT_MESSAGE)


def new_config() -> PipelineConfig:
    """An empty `TrainEvalPipelineConfig`, of the class that `object_detection.protos.pipeline_pb2` has."""
    return message_factory.GetMessageClass(root())()


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map, whose value in YAML is a mapping with keys of the user's choice."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def inner_message(field: FieldDescriptor) -> Descriptor:
    """The descriptor of the message that `field`, which is no plain value, holds."""
    assert field.message_type is not None, field.full_name
    return field.message_type


def find_field(message: Descriptor, name: str) -> FieldDescriptor | None:
    """The field `name` of `message`, or its extension when the name is in brackets: `[package.extension]`."""
    if name.startswith("[") and name.endswith("]"):
        try:
            extension = descriptor_pool.Default().FindExtensionByName(name[1:-1])
        except KeyError:
            return None
        return extension if extension.containing_type is message else None
    return message.fields_by_name.get(name)


def field_at(keys: Sequence[str]) -> FieldDescriptor | None:
    """The field that a key path of the `pipeline` node leads to; None when a key of it does not exist."""
    message: Descriptor | None = root()
    field: FieldDescriptor | None = None
    for key in keys:
        if field is not None and field.is_repeated and key.isdigit() and not is_map(field):
            continue
        field = None if message is None else find_field(message, key)
        if field is None:
            return None
        message = field.message_type
    return field


def message_at(keys: Sequence[str]) -> Descriptor | None:
    """The message that a key path leads to, the root for the empty path; None for a value and for an unknown path."""
    if not keys:
        return root()
    field = field_at(keys)
    return None if field is None else field.message_type


def field_names(message: Descriptor) -> list[str]:
    """The names of all fields of `message`, sorted."""
    return sorted(message.fields_by_name)


def suggest(message: Descriptor, name: str) -> str:
    """What may have been meant by `name`, which is no field of `message`: deeper fields of that name, or near names."""
    deeper = list(_paths_to(message, name, depth=0))[:3]
    if deeper:
        return f"did you mean {' or '.join(deeper)}"
    return nearest(name, field_names(message))


def _paths_to(message: Descriptor, name: str, *, depth: int) -> Iterator[str]:
    """Paths below `message` to a field called `name`, in the order of the fields."""
    if depth == _DEEPEST:
        return
    for field in message.fields:
        if field.message_type is None or is_map(field):
            continue
        if name in field.message_type.fields_by_name:
            yield f"{field.name}.{name}"
        for path in _paths_to(field.message_type, name, depth=depth + 1):
            yield f"{field.name}.{path}"
