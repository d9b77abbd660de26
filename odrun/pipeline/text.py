"""`pipeline.config` as text: the same message always gives the same text; a text that cannot be read names its line."""

from __future__ import annotations

import re
from pathlib import Path

from google.protobuf import descriptor_pool, text_format

from odrun.errors import InputError, nearest
from odrun.pipeline.descriptors import PipelineConfig, new_config, suggest

_CURLY = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"
# The words of protobuf's parser, which are all that tells the faults apart; a test holds them to the installed one.
_NO_FIELD = re.compile(r'Message type "([\w.]+)" has no field named "(\w+)"')
_NO_VALUE = re.compile(r'Enum type "([\w.]+)" has no value named "?(\w+)"?')


def to_text(config: PipelineConfig) -> str:
    """The canonical text: fields in the order of their numbers, maps by key, floats in their fewest digits."""
    return text_format.MessageToString(config)


def from_text(text: str, *, name: str) -> PipelineConfig:
    """The message that `text` holds; `name` is the file it came from, for the error.

    Raises:
        InputError: the text does not parse; the line and column are named.
    """
    try:
        return text_format.Parse(text, new_config())
    except text_format.ParseError as error:
        line = error.GetLine()
        where = name if line is None else f"{name}, line {line}, column {error.GetColumn()}"
        reason, remedy = _fault(text, error)
        raise InputError(f"the pipeline configuration cannot be read: {reason}", where=where, remedy=remedy) from error


def read(path: Path) -> PipelineConfig:
    """The message in the file `path`; `InputError` when it is absent, not UTF-8 or does not parse."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=str(path), remedy="save it as UTF-8") from error
    return from_text(text, name=str(path))


def _fault(text: str, error: text_format.ParseError) -> tuple[str, str]:
    """What is wrong, in odrun's words where they say more than the parser's, and the remedy."""
    reason = str(error).removeprefix(f"{error.GetLine()}:{error.GetColumn()} : ").rstrip(".")
    lines = text.splitlines()
    number = error.GetLine()
    line = lines[number - 1] if number is not None and 1 <= number <= len(lines) else ""
    curly = next((character for character in line if character in _CURLY), None)
    if curly is not None:
        return f"{reason}: the line has the typographic quote {curly}", "replace it by a straight one"
    if found := _NO_FIELD.search(reason):
        message = descriptor_pool.Default().FindMessageTypeByName(found[1])
        return f"{message.name} has no field {found[2]}", suggest(message, found[2])
    if found := _NO_VALUE.search(reason):
        enum = descriptor_pool.Default().FindEnumTypeByName(found[1])
        return f"{enum.name} has no value {found[2]}", nearest(found[2], enum.values_by_name)
    return reason, "correct the line; only pipeline.config files of the TensorFlow 2 Object Detection API are read"
