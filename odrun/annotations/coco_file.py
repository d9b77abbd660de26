"""One COCO JSON file → its three lists, with the categories proven and the ids of all entries.

Comes in: a file's path. Goes out: `CocoFile`, whose images and annotations are entries as JSON has them. Refused: as
`FaultyFileError` what is no COCO JSON at all; as problems, entries that are no objects or have no id of their own, and
categories without a name.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from odrun.annotations.files import ListedFile, read_bounded
from odrun.annotations.problems import ProblemLog

LARGEST_FILE_BYTES = 2 << 30
LISTS = ("images", "annotations", "categories")
_LONGEST_SHOWN = 120
_LONGEST_NUMBER = 20
_HALF_CHARACTERS = range(0xD800, 0xE000)

Id: TypeAlias = int | str
Entry: TypeAlias = Mapping[str, object]
Value = TypeVar("Value")


class FaultyFileError(Exception):
    """A file cannot be used; the message says why, in words that follow its name, and `fault` is one of `FAULTS`."""

    def __init__(self, message: str, *, line: int | None = None, fault: str = "malformed_annotation") -> None:
        super().__init__(message)
        self.fault = fault
        self.line = line


class FaultyEntryError(Exception):
    """An entry cannot be used; the message says why, in words that follow its id, and `fault` is one of `FAULTS`."""

    def __init__(self, message: str, *, fault: str = "malformed_annotation") -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Category:
    """A class with the names of its keypoints, in the order in which its annotations give them."""

    name: str
    keypoint_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """A file's lists; instead of a category that is faulty, so that its annotations are left out, stands its fault."""

    file: ListedFile
    images: Sequence[object]
    annotations: Sequence[object]
    categories: Mapping[Id, Category | str]


def coco_file(file: ListedFile, problems: ProblemLog) -> CocoFile:
    """Parse a file.

    Raises:
        FaultyFileError: it cannot be read, is larger than `LARGEST_FILE_BYTES`, is no JSON or has not the lists.
    """
    content = _parsed(file.path)
    held = content if isinstance(content, dict) else {}
    absent = [name for name in LISTS if name not in held]
    if absent:
        raise FaultyFileError(f"is no COCO JSON: it has no {' and no '.join(absent)}", fault="unused_file")
    for name in LISTS:
        if not isinstance(held[name], list):
            raise FaultyFileError(f"has {name} that are no list")
    categories: dict[Id, Category | str] = {}
    for category_id, entry in identified(held["categories"], "category", file.path, problems):
        whose = f"the category {shown(category_id)}, whose annotations are left out,"
        try:
            categories[category_id] = _category(entry)
        except FaultyEntryError as error:
            problems.add(error.fault, file.path, f"{whose} {error}")
            categories[category_id] = error.fault
    return CocoFile(file, held["images"], held["annotations"], categories)


def identified(
    entries: Sequence[object], kind: str, path: Path, problems: ProblemLog, *, boxes_lost: int = 0
) -> Iterator[tuple[Id, Entry]]:
    """Each entry of a list with its id, if it is an object with an id of its own; else it is noted with its loss."""
    seen = set()
    for number, entry in enumerate(entries, start=1):
        with noting(problems, path, f"{kind} number {number}", boxes_lost=boxes_lost):
            if not isinstance(entry, dict):
                raise FaultyEntryError(f"is {shown(entry)}, no object")
            entry_id = id_in(entry, "id")
            if entry_id in seen:
                raise FaultyEntryError(f"has the id {shown(entry_id)} of one before it", fault="duplicate_id")
            seen.add(entry_id)
            yield entry_id, entry


def id_in(entry: Entry, key: str) -> Id:
    """The id that an entry has under `key`.

    Raises:
        FaultyEntryError: it is neither an integer nor text.
    """
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise FaultyEntryError(f"has the {key} {shown(value)}, which is no id")
    return value


def known(entry: Entry, key: str, values: Mapping[Id, Value]) -> Value:
    """The one of `values` that an entry means under `key`.

    Raises:
        FaultyEntryError: there is no such one.
    """
    value_id = id_in(entry, key)
    if value_id not in values:
        # JSON tells the number 1 from the text "1".
        twin = str(value_id) if isinstance(value_id, int) else _number(value_id)
        hint = f", but {shown(twin)}" if twin in values else ""
        message = f"has the {key} {shown(value_id)}, which its file does not have{hint}"
        raise FaultyEntryError(message, fault="unknown_id")
    return values[value_id]


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < _LONGEST_NUMBER else None


@contextmanager
def noting(problems: ProblemLog, path: Path, whose: str, *, boxes_lost: int = 0) -> Iterator[None]:
    """Note a `FaultyEntryError` that is raised in the block and leads to that loss, and end the block there."""
    try:
        yield
    except FaultyEntryError as error:
        problems.add(error.fault, path, f"{whose} {error}", boxes_lost=boxes_lost)


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    return _shown.repr(value)


_shown = reprlib.Repr()
_shown.maxstring = _LONGEST_SHOWN


def _parsed(path: Path) -> object:
    try:
        content = read_bounded(path, LARGEST_FILE_BYTES)
    except OSError as error:
        raise FaultyFileError(f"cannot be read: {error.strerror}", fault="unreadable_file") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise FaultyFileError(f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise FaultyFileError(f"is not well-formed JSON: {error.msg}", line=error.lineno) from error
    except ValueError as error:
        raise FaultyFileError(f"is not JSON: {error}") from error
    except RecursionError as error:
        raise FaultyFileError("is JSON nested too deeply") from error
    except MemoryError as error:
        raise FaultyFileError(f"has {len(content) / 1e6:.0f} MB, for which there is too little memory") from error


def _category(entry: Entry) -> Category:
    name, keypoint_names = entry.get("name"), entry.get("keypoints")
    if name is None or name == "":
        raise FaultyEntryError("has no name", fault="empty_class")
    if not _is_text(name):
        raise FaultyEntryError(f"has the name {shown(name)}, which is no text")
    if keypoint_names is None:
        return Category(str(name), ())
    if not isinstance(keypoint_names, list) or not all(map(_is_text, keypoint_names)):
        raise FaultyEntryError(f"has the keypoints {shown(keypoint_names)}, where a list of names belongs")
    if len(set(keypoint_names)) < len(keypoint_names):
        raise FaultyEntryError("has two keypoints of one name")
    return Category(str(name), tuple(keypoint_names))


def _is_text(value: object) -> bool:
    """Whether it is text that can be encoded: JSON's escapes can write halves of characters."""
    return isinstance(value, str) and not any(ord(sign) in _HALF_CHARACTERS for sign in value)
