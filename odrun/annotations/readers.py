"""The formats that labelled images are read from, by the name that `dataset.format` gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from odrun.annotations import voc
from odrun.annotations.files import ListedFile
from odrun.annotations.model import ImageAsRead
from odrun.annotations.problems import ProblemLog


@dataclass(frozen=True)
class Reader:
    """How a format is read: `read` takes the listed files with one of `suffixes`; `looks_for` says what it needs."""

    read: Callable[[list[ListedFile], ProblemLog], list[ImageAsRead]]
    suffixes: frozenset[str]
    looks_for: str


READERS: dict[str, Reader] = {
    "voc": Reader(voc.read_voc, voc.SUFFIXES, voc.LOOKS_FOR),
}
