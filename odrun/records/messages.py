"""The protobuf messages that records and label maps are made of, built without TensorFlow.

They live in a descriptor pool of their own: in the default pool they would collide with TensorFlow's and the OD API's
when those are imported in the same process.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_POOL = descriptor_pool.DescriptorPool()


def _field(
    owner: descriptor_pb2.DescriptorProto, name: str, number: int, kind: _FIELD.Type, *, repeated: bool = False,
    type_name: str = "",
) -> None:
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    owner.field.add(name=name, number=number, type=kind, label=label, type_name=type_name or None)


def _example_file() -> descriptor_pb2.FileDescriptorProto:
    """As `tensorflow/core/example/{example,feature}.proto` have it."""
    file = descriptor_pb2.FileDescriptorProto(name="odrun/example.proto", package="odrun", syntax="proto3")
    for name, kind in (("BytesList", _FIELD.TYPE_BYTES), ("FloatList", _FIELD.TYPE_FLOAT), ("Int64List", _FIELD.TYPE_INT64)):
        _field(file.message_type.add(name=name), "value", 1, kind, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        title = "".join(part.capitalize() for part in name.split("_"))
        _field(feature, name, number, _FIELD.TYPE_MESSAGE, type_name=f".odrun.{title}")
        feature.field[-1].oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry", options=descriptor_pb2.MessageOptions(map_entry=True))
    _field(entry, "key", 1, _FIELD.TYPE_STRING)
    _field(entry, "value", 2, _FIELD.TYPE_MESSAGE, type_name=".odrun.Feature")
    _field(features, "feature", 1, _FIELD.TYPE_MESSAGE, repeated=True, type_name=".odrun.Features.FeatureEntry")
    _field(file.message_type.add(name="Example"), "features", 1, _FIELD.TYPE_MESSAGE, type_name=".odrun.Features")
    return file


def _label_map_file() -> descriptor_pb2.FileDescriptorProto:
    """The part of `object_detection/protos/string_int_label_map.proto` that names classes."""
    file = descriptor_pb2.FileDescriptorProto(name="odrun/label_map.proto", package="odrun", syntax="proto2")
    item = file.message_type.add(name="LabelMapItem")
    _field(item, "name", 1, _FIELD.TYPE_STRING)
    _field(item, "id", 2, _FIELD.TYPE_INT32)
    label_map = file.message_type.add(name="LabelMap")
    _field(label_map, "item", 1, _FIELD.TYPE_MESSAGE, repeated=True, type_name=".odrun.LabelMapItem")
    return file


def _message_class(name: str) -> type[message.Message]:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"odrun.{name}"))


for _file in (_example_file(), _label_map_file()):
    _POOL.AddSerializedFile(_file.SerializeToString())

Example = _message_class("Example")
LabelMap = _message_class("LabelMap")
