"""label_map.pbtxt: which label id (from 1; 0 is the background) each class has, in the OD API's text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from odrun.annotations.keypoint_slots import NO_KEYPOINTS, KeypointSlots
from odrun.errors import InputError

LARGEST_FILE_BYTES = 16 << 20
_BACKGROUND = "background"
_LONGEST_REASON = 200
_TYPOGRAPHIC_QUOTES = "“”„‘’«»"  # noqa: RUF001 (these are the signs looked for)
_REMEDY = "write it as: item { id: 1 name: 'CLASS' } ..."
_FIELD = descriptor_pb2.FieldDescriptorProto


class _Keypoint(Protocol):
    id: int
    label: str


class _Item(Protocol):
    name: str
    id: int
    display_name: str
    keypoints: Sequence[_Keypoint]


class _LabelMap(Protocol):
    item: Iterable[_Item]


def label_ids(classes: Sequence[str]) -> dict[str, int]:
    """Class → label id: 1 for the first of `classes`, and so on."""
    return {name: label_id for label_id, name in enumerate(classes, start=1)}


def label_map_text(classes: Sequence[str], keypoints: KeypointSlots = NO_KEYPOINTS) -> str:
    """The label map of `classes` as text that `object_detection.utils.label_map_util` reads.

    The keypoints of a class stand with it, their ids are the numbers of their slots.
    """
    return "".join(
        f'item {{\n  id: {label_id}\n  name: "{_escaped(name)}"\n{_keypoints_text(name, keypoints)}}}\n'
        for name, label_id in label_ids(classes).items()
    )


def read_keypoints(path: Path) -> KeypointSlots:
    """The keypoints of the classes of a label map, by their slots.

    Raises:
        InputError: as `read_label_map`, and where the ids of keypoints are not 0, 1, ... in the order of the classes.
    """
    items = [item for item in _items(path) if item.keypoints]
    ids = [number for item in items for number, _ in item.keypoints]
    if ids != list(range(len(ids))):
        raise _not_a_label_map(
            path,
            f"has keypoints with the ids {', '.join(map(str, ids))}",
            remedy="number them 0, 1, ... in the order of the classes",
        )
    names = {item.title: tuple(name for _, name in item.keypoints) for item in items}
    return KeypointSlots(names, {item.title: item.texts[-1] for item in items if item.texts[-1] != item.title})


def _keypoints_text(class_name: str, slots: KeypointSlots) -> str:
    first = slots.of_class(class_name).start
    return "".join(
        f'  keypoints {{\n    id: {slot}\n    label: "{_escaped(name)}"\n  }}\n'
        for slot, name in enumerate(slots.names.get(class_name, ()), start=first)
    )


def read_label_map(path: Path) -> dict[str, int]:
    """Class → label id, in the order of the ids; what a label map may say beside names and ids is passed over.

    A class is called by its `display_name` if every item has one of its own (where the names are machine ids such as
    `/m/01g317`), else by its `name`, or the one of them that it has. The background, which may stand there with the id
    0, is left out.

    Raises:
        InputError: the file is absent or no label map, or a name or id is missing, below 1 or there twice.
    """
    return {item.title: item.label_id for item in _items(path)}


def label_map_classes(path: Path) -> dict[str, tuple[str, ...]]:
    """Class → the texts that mean it in the data, its `display_name` and its `name`, in the order of the ids 1 to N.

    As a mapping for `class_map` it takes data that name classes in either way.

    Raises:
        InputError: as `read_label_map`, and where an id from 1 to N is left out or one text means two classes.
    """
    items = _items(path)
    for label_id, item in enumerate(items, start=1):
        if item.label_id != label_id:
            raise _not_a_label_map(
                path,
                f"has no id {label_id}, though it has {item.label_id}",
                remedy=f"number its {len(items)} items from 1 to {len(items)}; records have no gaps among the ids",
            )
    titles: dict[str, str] = {}
    for item in items:
        for text in item.texts:
            if titles.setdefault(text, item.title) != item.title:
                raise _not_a_label_map(path, f"calls both {titles[text]!r} and {item.title!r} {text!r}")
    return {item.title: item.texts for item in items}


@dataclass(frozen=True, slots=True)
class _NamedItem:
    """A class as it is called, and all that it is called."""

    label_id: int
    title: str
    texts: tuple[str, ...]
    keypoints: tuple[tuple[int, str], ...]


def _items(path: Path) -> list[_NamedItem]:
    """The classes in the order of their ids."""
    items = [item for item in _parsed(path).item if item.id != 0 or _BACKGROUND not in (item.name, item.display_name)]
    if not items:
        raise _not_a_label_map(path, "has no class: it needs items, each with a name and an id of 1 or more")
    display_names = {item.display_name for item in items}
    displayed = len(display_names) == len(items) and "" not in display_names
    named = []
    for number, item in enumerate(items, start=1):
        texts = tuple(dict.fromkeys(text for text in (item.display_name, item.name) if text.strip()))
        if not texts or item.id < 1:
            told = f"item {number} of {len(items)} has {repr(texts[0]) if texts else 'no name'} and the id {item.id}"
            raise _not_a_label_map(path, f"needs items, each with a name and an id of 1 or more: {told}")
        points = tuple((point.id, point.label) for point in item.keypoints)
        named.append(_NamedItem(item.id, texts[0] if displayed else texts[-1], texts, points))
    for what, values in (("id", [item.label_id for item in named]), ("name", [item.title for item in named])):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise _not_a_label_map(path, f"has the {what} {value!r} twice")
    return sorted(named, key=lambda item: item.label_id)


def _parsed(path: Path) -> _LabelMap:
    message = _message_class()()
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE_BYTES + 1)
        if len(content) > LARGEST_FILE_BYTES:
            raise _not_a_label_map(path, f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
        text_format.Parse(content.decode("utf-8-sig"), message, allow_unknown_field=True)
    except OSError as error:
        raise _not_a_label_map(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_a_label_map(path, f"cannot be read: line {line} is not UTF-8") from error
    except RecursionError as error:
        raise _not_a_label_map(path, "cannot be read: its braces are nested too deeply") from error
    except MemoryError as error:
        raise _not_a_label_map(path, "cannot be read: there is too little memory for it") from error
    except text_format.ParseError as error:
        raise _unparsable(path, error) from error
    return cast(_LabelMap, message)


def _unparsable(path: Path, error: text_format.ParseError) -> InputError:
    """The parser's own words, of which the end tells the fault: they begin with the place and quote the whole line."""
    line = error.GetLine()
    reason = str(error).split(" : ", 1)[-1]
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in reason[-_LONGEST_REASON:])
    place = "" if line is None else f", line {line}"
    straight = "write straight quotes, 'CLASS'" if any(quote in reason for quote in _TYPOGRAPHIC_QUOTES) else None
    return _not_a_label_map(path, f"cannot be read{place}: {shown}", remedy=straight or _REMEDY)


def _escaped(name: str) -> str:
    """The name between double quotes of protobuf's text format: signs below the blank as octal numbers."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(f"\\{ord(sign):03o}" if ord(sign) < 32 else sign for sign in quoted)


def _message_class() -> type:
    """The part of `string_int_label_map.proto` that names classes and their keypoints.

    It has a descriptor pool of its own: in the default pool it would collide with the OD API's message.
    """
    file = descriptor_pb2.FileDescriptorProto(name="label_map.proto", syntax="proto2")
    item = file.message_type.add(name="Item")
    item.field.add(name="name", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    item.field.add(name="display_name", number=3, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    item.field.add(name="id", number=2, type=_FIELD.TYPE_INT32, label=_FIELD.LABEL_OPTIONAL)
    keypoint = file.message_type.add(name="Keypoint")
    keypoint.field.add(name="id", number=1, type=_FIELD.TYPE_INT32, label=_FIELD.LABEL_OPTIONAL)
    keypoint.field.add(name="label", number=2, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    points = {"type": _FIELD.TYPE_MESSAGE, "label": _FIELD.LABEL_REPEATED, "type_name": ".Keypoint"}
    item.field.add(name="keypoints", number=4, **points)
    label_map = file.message_type.add(name="LabelMap")
    label_map.field.add(name="item", number=1, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_REPEATED, type_name=".Item")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("LabelMap"))


def _not_a_label_map(path: Path, how: str, *, remedy: str = _REMEDY) -> InputError:
    return InputError(f"The label map {how}.", where=str(path), remedy=remedy)
