"""The bytes of a `tf.train.Example` → its features, read without TensorFlow.

Comes in: a record's payload, from whatever program. Goes out: lists of values by key. Refused (ValueError): bytes that
are no Example, values of another type than asked for. Schema: tensorflow/core/example/{example,feature}.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

BYTES, FLOATS, INTEGERS = "bytes_list", "float_list", "int64_list"
_KIND_NAMES = {BYTES: "byte strings", FLOATS: "floats", INTEGERS: "integers"}
_FIELD = descriptor_pb2.FieldDescriptorProto
_LABELS = "image/object/class/label"


class _Feature(Protocol):
    bytes_list: Any
    float_list: Any
    int64_list: Any

    def WhichOneof(self, name: str) -> str | None: ...  # noqa: N802 - protobuf's name


class ExampleFeatures:
    """The features of an Example, by key; one that is absent or of no type has no values."""

    def __init__(self, features: Mapping[str, _Feature]) -> None:
        self._features = features

    def kind(self, key: str) -> str | None:
        """`BYTES`, `FLOATS` or `INTEGERS`; None where there is no such feature, or one of no type."""
        return self._features[key].WhichOneof("kind") if key in self._features else None

    def count(self, key: str, kind: str) -> int:
        """How many values a feature of `kind` has; ValueError if it is of another type."""
        return len(self._values(key, kind))

    def byte_strings(self, key: str) -> list[bytes]:
        """The values of a feature of byte strings; ValueError if it is of another type."""
        return self._values(key, BYTES)

    def floats(self, key: str) -> list[float]:
        """The values of a feature of 32-bit floats; ValueError if it is of another type."""
        return self._values(key, FLOATS)

    def integers(self, key: str) -> list[int]:
        """The values of a feature of 64-bit integers; ValueError if it is of another type."""
        return self._values(key, INTEGERS)

    @property
    def encoded(self) -> bytes:
        """The encoded image; ValueError if there is none, or several."""
        images = self.byte_strings("image/encoded")
        if len(images) != 1 or not images[0]:
            raise ValueError("has no image/encoded")
        return images[0]

    @property
    def labels(self) -> list[int]:
        """The label id of each box, from 1."""
        return self.integers(_LABELS)

    def _values(self, key: str, kind: str) -> list[Any]:
        found = self.kind(key)
        if found is None:
            return []
        if found != kind:
            raise ValueError(f"has {_KIND_NAMES[found]} in {key}, where {_KIND_NAMES[kind]} belong")
        return list(getattr(self._features[key], kind).value)


def parsed(payload: bytes) -> ExampleFeatures:
    """Parse a record's payload.

    Raises:
        ValueError: it is no `tf.train.Example`; the message follows the words "the record".
    """
    example: Any = _message_class()()
    try:
        example.ParseFromString(payload)
    except (DecodeError, ValueError, RecursionError) as error:
        raise ValueError("is no tf.train.Example") from error
    return ExampleFeatures(example.features.feature)


@cache
def _message_class() -> type[Message]:
    """Example, made in a descriptor pool of its own: in the default pool it would collide with TensorFlow's."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", syntax="proto3")
    for name, element in (
        ("BytesList", _FIELD.TYPE_BYTES),
        ("FloatList", _FIELD.TYPE_FLOAT),
        ("Int64List", _FIELD.TYPE_INT64),
    ):
        values = file.message_type.add(name=name)
        values.field.add(name="value", number=1, type=element, label=_FIELD.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, type_name) in enumerate(
        ((BYTES, ".BytesList"), (FLOATS, ".FloatList"), (INTEGERS, ".Int64List")), start=1
    ):
        _add_message(feature, name, number, type_name).oneof_index = 0
    features = file.message_type.add(name="Features")
    _add_message(features, "feature", 1, ".Features.FeatureEntry").label = _FIELD.LABEL_REPEATED
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    _add_message(entry, "value", 2, ".Feature")
    _add_message(file.message_type.add(name="Example"), "features", 1, ".Features")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Example"))


def _add_message(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, type_name: str
) -> descriptor_pb2.FieldDescriptorProto:
    return message.field.add(
        name=name, number=number, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_OPTIONAL, type_name=type_name
    )
