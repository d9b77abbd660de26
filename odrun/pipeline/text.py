"""`pipeline.config` as text: the same message always gives the same text; a text that cannot be read names its line."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from odrun.errors import InputError
from odrun.pipeline.descriptors import PipelineConfig, new_config


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
        raise InputError(
            f"the pipeline configuration cannot be read: {_reason(error)}",
            where=where,
            remedy="correct the line; only pipeline.config files of the TensorFlow 2 Object Detection API are read",
        ) from error


def read(path: Path) -> PipelineConfig:
    """The message in the file `path`; `InputError` when it is absent, not UTF-8 or does not parse."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=str(path), remedy="save it as UTF-8") from error
    return from_text(text, name=str(path))


def _reason(error: text_format.ParseError) -> str:
    """The parser's words without the position it puts in front."""
    position = f"{error.GetLine()}:{error.GetColumn()} : "
    return str(error).removeprefix(position).rstrip(".")
