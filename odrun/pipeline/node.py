"""A message → the plain mapping that `odrun.pipeline.build` makes it from again."""

from __future__ import annotations

import struct
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from odrun.pipeline.descriptors import is_map

_FLOAT32_DIGITS = 9


def node_of(message: Message) -> dict[str, Any]:
    """The fields of `message` that are set, by name; an enum's value by its name, an extension's name in brackets."""
    return {
        f"[{field.full_name}]" if field.is_extension else field.name: _value(field, value)
        for field, value in message.ListFields()
    }


def _value(field: FieldDescriptor, value: Any) -> Any:
    if is_map(field):
        inner = field.message_type
        assert inner is not None
        return {key: _single(inner.fields_by_name["value"], item) for key, item in sorted(value.items())}
    if field.is_repeated:
        return [_single(field, item) for item in value]
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return node_of(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return _shortest(value)
    return value.decode() if isinstance(value, bytes) else value


def _shortest(value: float) -> float:
    """The decimal of the fewest digits that is the same 32-bit number."""
    wanted = struct.pack("f", value)
    for digits in range(1, _FLOAT32_DIGITS):
        decimal = float(f"{value:.{digits}g}")
        if struct.pack("f", decimal) == wanted:
            return decimal
    return value
