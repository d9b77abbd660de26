"""label_map.pbtxt: which label id (from 1; 0 is the background) each class has, in the OD API's text format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from odrun.errors import InputError

_FIELD = descriptor_pb2.FieldDescriptorProto


class _Item(Protocol):
    name: str
    id: int


class _LabelMap(Protocol):
    item: Iterable[_Item]


def label_ids(classes: Sequence[str]) -> dict[str, int]:
    """Class → label id: 1 for the first of `classes`, and so on."""
    return {name: label_id for label_id, name in enumerate(classes, start=1)}


def label_map_text(classes: Sequence[str]) -> str:
    """The label map of `classes` as text that `object_detection.utils.label_map_util` reads."""
    return "".join(
        f'item {{\n  id: {label_id}\n  name: "{_escaped(name)}"\n}}\n' for name, label_id in label_ids(classes).items()
    )


def read_label_map(path: Path) -> dict[str, int]:
    """Class → label id, in the order of the ids; fields other than `name` and `id` are passed over.

    Raises:
        InputError: the file is absent or no label map, or a name or id is missing, below 1 or there twice.
    """
    message = _message_class()()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), message, allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise _not_a_label_map(path, f"cannot be read: {error}") from error
    items = [(item.id, item.name) for item in cast(_LabelMap, message).item]
    ids = [label_id for label_id, _ in items]
    names = [name for _, name in items]
    if not items or "" in names or min(ids) < 1:
        raise _not_a_label_map(path, "needs items, each with a name and an id of 1 or more")
    if len(set(ids)) < len(ids) or len(set(names)) < len(names):
        raise _not_a_label_map(path, "has a name or an id twice")
    return {name: label_id for label_id, name in sorted(items)}


def _escaped(name: str) -> str:
    """The name between double quotes of protobuf's text format: signs below the blank as octal numbers."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(f"\\{ord(sign):03o}" if ord(sign) < 32 else sign for sign in quoted)


def _message_class() -> type:
    """The part of `string_int_label_map.proto` that names classes.

    It has a descriptor pool of its own: in the default pool it would collide with the OD API's message.
    """
    file = descriptor_pb2.FileDescriptorProto(name="label_map.proto", syntax="proto2")
    item = file.message_type.add(name="Item")
    item.field.add(name="name", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    item.field.add(name="id", number=2, type=_FIELD.TYPE_INT32, label=_FIELD.LABEL_OPTIONAL)
    label_map = file.message_type.add(name="LabelMap")
    label_map.field.add(name="item", number=1, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_REPEATED, type_name=".Item")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("LabelMap"))


def _not_a_label_map(path: Path, how: str) -> InputError:
    return InputError(f"The label map {how}.", where=str(path), remedy="write it as: item { id: 1 name: 'CLASS' } ...")
