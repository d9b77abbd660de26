"""Random messages, made by their descriptors: what the configuration of the Object Detection API can hold."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from odrun.pipeline.descriptors import PipelineConfig, is_map, new_config

_FIELDS_MOST = 3
_DEEPEST = 7
_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_VALUES = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False, allow_infinity=False),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    FieldDescriptor.CPPTYPE_STRING: _TEXTS,
}


@st.composite
def configs(draw: st.DrawFn) -> PipelineConfig:
    """A `TrainEvalPipelineConfig` with a few fields on each level, what is required among them."""
    config = new_config()
    _fill(draw, config, depth=0)
    return config


def _fill(draw: st.DrawFn, message: Message, *, depth: int) -> None:
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    chosen = draw(st.lists(st.sampled_from(fields), max_size=_FIELDS_MOST, unique_by=lambda field: field.name))
    for field in fields:
        if field.is_required or (field in chosen and (depth < _DEEPEST or field.message_type is None)):
            _set(draw, message, field, depth=depth)


def _set(draw: st.DrawFn, message: Message, field: FieldDescriptor, *, depth: int) -> None:
    content: Any = getattr(message, field.name)
    if is_map(field):
        assert field.message_type is not None
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for name in draw(st.lists(_value(key), max_size=2, unique=True)):
            if value.message_type is None:
                content[name] = draw(_value(value))
            else:
                _fill(draw, content[name], depth=depth + 1)
    elif field.is_repeated and field.message_type is not None:
        for _ in range(draw(st.integers(0, 2))):
            _fill(draw, content.add(), depth=depth + 1)
    elif field.is_repeated:
        content.extend(draw(st.lists(_value(field), max_size=2)))
    elif field.message_type is not None:
        content.SetInParent()
        _fill(draw, content, depth=depth + 1)
    else:
        setattr(message, field.name, draw(_value(field)))


def _value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return _VALUES[field.cpp_type]
