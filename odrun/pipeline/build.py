"""The `pipeline` node → a `TrainEvalPipelineConfig` message, every fault found and told at once.

In: a plain mapping in the shape of the message, and the augmentation settings. Out: the message. `null` leaves a field
unset, `{}` sets a message without values. Refused: fields and enum names that do not exist, values of a wrong type or
out of range, two members of a oneof, a list for one value and the reverse, absent required fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from odrun.errors import InputError, nearest
from odrun.pipeline import values
from odrun.pipeline.descriptors import PipelineConfig, find_field, inner_message, is_map, new_config, suggest
from odrun.settings import AugmentationSettings

NODE = "pipeline"
STEPS = "augmentation.steps"
ORDER = "augmentation.order"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the node: the key path it lies at, what it is, and what to type instead."""

    path: str
    what: str
    remedy: str


def build(node: Mapping[str, object], augmentation: AugmentationSettings) -> PipelineConfig:
    """The message that `node` describes, with the augmentation steps as its `data_augmentation_options`.

    Raises:
        InputError: one or more faults; all are named with their key paths.
    """
    config = new_config()
    faults: list[Fault] = []
    _fill(config, node, NODE, faults)
    _add_augmentation(config, augmentation, faults)
    if not faults:
        faults = [
            Fault(f"{NODE}.{path}", "is required and not set", f"{NODE}.{path}=VALUE")
            for path in _unset_required(config)
        ]
    if faults:
        raise _told(faults)
    return config


def _told(faults: Sequence[Fault]) -> InputError:
    if len(faults) == 1:
        fault = faults[0]
        return InputError(f"{fault.path} {fault.what}", where=fault.path, remedy=fault.remedy)
    lines = [f"{len(faults)} faults in the configuration of the model and its training:"]
    lines += [f"  {fault.path} {fault.what}; {fault.remedy}" for fault in faults]
    return InputError("\n".join(lines), where=", ".join(dict.fromkeys(fault.path for fault in faults)))


def _fill(message: Message, node: Mapping[str, object], path: str, faults: list[Fault]) -> None:
    shape = cast("Descriptor", message.DESCRIPTOR)
    _check_oneofs(shape, node, path, faults)
    for name, value in node.items():
        field = find_field(shape, str(name))
        here = f"{path}.{name}"
        if field is None:
            kind = "preprocessing step" if path == STEPS else "field"
            faults.append(Fault(here, f"is not a {kind} of the OD API", suggest(shape, str(name))))
        elif value is not None:
            _set(message, field, value, here, faults)


def _check_oneofs(message: Descriptor, node: Mapping[str, object], path: str, faults: list[Fault]) -> None:
    for oneof in message.oneofs:
        given = [field.name for field in oneof.fields if node.get(field.name) is not None]
        if len(given) > 1:
            others = " ".join(f"{path}.{name}=null" for name in given[:-1])
            what = f"has {' and '.join(given)}, of which only one can be set ({oneof.name})"
            faults.append(Fault(path, what, f"to keep {given[-1]}: {others}"))


def _set(message: Message, field: FieldDescriptor, value: object, path: str, faults: list[Fault]) -> None:
    if is_map(field):
        _set_map(message, field, value, path, faults)
    elif field.is_repeated:
        _set_list(message, field, value, path, faults)
    elif isinstance(value, (list, tuple)):
        faults.append(Fault(path, f"is a list of {len(value)}, where one value is meant", "give the value itself"))
    elif field.message_type is not None:
        if isinstance(value, Mapping):
            child = _content(message, field)
            child.SetInParent()
            _fill(child, value, path, faults)
        else:
            faults.append(_not_a_mapping(field, value, path))
    else:
        made = _scalar(field, value, path, faults)
        if made is not None and field.is_extension:
            _extensions(message)[field] = made
        elif made is not None:
            setattr(message, field.name, made)


def _set_list(message: Message, field: FieldDescriptor, value: object, path: str, faults: list[Fault]) -> None:
    if not isinstance(value, (list, tuple)):
        remedy = f"put it in brackets: '{path}=[{value}]'" if field.message_type is None else "write it as a list"
        faults.append(Fault(path, f"is {values.describe(value)}, where a list is meant", remedy))
        return
    content = _content(message, field)
    for number, item in enumerate(value):
        here = f"{path}.{number}"
        if field.message_type is None:
            made = _scalar(field, item, here, faults)
            if made is not None:
                content.append(made)
        elif isinstance(item, Mapping):
            _fill(content.add(), item, here, faults)
        else:
            faults.append(_not_a_mapping(field, item, here))


def _set_map(message: Message, field: FieldDescriptor, value: object, path: str, faults: list[Fault]) -> None:
    if not isinstance(value, Mapping):
        faults.append(Fault(path, f"is {values.describe(value)}, where a mapping is meant", f"{path}={{KEY: VALUE}}"))
        return
    entry = inner_message(field)
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    content = _content(message, field)
    for name, item in value.items():
        here = f"{path}.{name}"
        key = _scalar(key_field, name, here, faults)
        if key is None or item is None:
            continue
        if value_field.message_type is None:
            made = _scalar(value_field, item, here, faults)
            if made is not None:
                content[key] = made
        elif isinstance(item, Mapping):
            _fill(content[key], item, here, faults)
        else:
            faults.append(_not_a_mapping(value_field, item, here))


def _scalar(field: FieldDescriptor, value: object, path: str, faults: list[Fault]) -> values.Scalar | None:
    try:
        return values.convert(field, value)
    except values.UnfitError as unfit:
        faults.append(Fault(path, unfit.what, unfit.remedy.replace("KEY", path)))
        return None


def _not_a_mapping(field: FieldDescriptor, value: object, path: str) -> Fault:
    first = next((inner.name for inner in inner_message(field).fields), None)
    remedy = f"{path}={{}}" if first is None else f"set one of its fields, as in {path}.{first}=VALUE, or {path}={{}}"
    return Fault(path, f"is {values.describe(value)}, where a group of fields is meant", remedy)


def _add_augmentation(config: PipelineConfig, augmentation: AugmentationSettings, faults: list[Fault]) -> None:
    steps = {name: fields for name, fields in augmentation.steps.items() if fields is not None}
    train_config: Any = config.train_config  # type: ignore[attr-defined]  # fields are made at run time
    if steps and train_config.data_augmentation_options:
        key = f"{NODE}.train_config.data_augmentation_options"
        faults.append(Fault(key, f"is set, and so is {STEPS}", f"keep one: {key}=null or augmentation=none"))
        return
    for name in _ordered(steps, augmentation.order, faults):
        _fill(train_config.data_augmentation_options.add(), {name: steps[name]}, STEPS, faults)


def _ordered(steps: Mapping[str, object], order: Sequence[str] | None, faults: list[Fault]) -> list[str]:
    if order is None:
        return list(steps)
    faults += [
        Fault(
            ORDER,
            f"names {name}, which is not in {STEPS}",
            nearest(name, steps) if steps else "augmentation.order=null",
        )
        for name in sorted(set(order) - set(steps))
    ]
    faults += [
        Fault(ORDER, f"leaves out {name}", f"name it, or take it out: ~{STEPS}.{name}")
        for name in sorted(set(steps) - set(order))
    ]
    faults += [
        Fault(ORDER, f"names {name} more than once", "name each step once")
        for name in sorted({name for name in order if order.count(name) > 1})
    ]
    return [name for name in dict.fromkeys(order) if name in steps]


def _unset_required(message: Any) -> list[str]:
    unset: list[str] = message.FindInitializationErrors()
    return unset


def _content(message: Message, field: FieldDescriptor) -> Any:
    return _extensions(message)[field] if field.is_extension else getattr(message, field.name)


def _extensions(message: Message) -> Any:
    return message.Extensions
