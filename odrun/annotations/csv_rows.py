"""A CSV file as rows with the lines they begin in, whatever its bytes are.

Comes in: UTF-8, or UTF-16 with or without a byte order mark. What cannot be decoded becomes U+FFFD, for the reader of
the cells to refuse. Refused, row by row: lines of more than a megabyte, NUL bytes, quotes that do not pair, cells
larger than `csv.field_size_limit()`; reading goes on in the line behind.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

LONGEST_LINE = 1 << 20
UNDECODABLE = "\N{REPLACEMENT CHARACTER}"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class FaultyRowError(Exception):
    """A row that cannot be read; the message says why, in words that follow the name of the file."""


def open_text(path: Path) -> TextIO:
    """Open a CSV file for `CsvLines`; UTF-16 is known by its byte order mark, or by its first sign, which is in ASCII.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as stream:
        first = stream.read(2)
    encoding = "utf-16" if first in _UTF_16_MARKS else "utf-8-sig"
    if len(first) == 2 and first.count(0) == 1:
        encoding = "utf-16-be" if first[0] == 0 else "utf-16-le"
    return path.open(encoding=encoding, errors="replace", newline="")


class CsvLines:
    """The lines of an open CSV file; `number` is that of the last one read, from 1.

    After a `FaultyRowError` the next line can be read.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> CsvLines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            while line and not line.endswith(("\n", "\r")):
                line = self._stream.readline(LONGEST_LINE)
            raise FaultyRowError(f"has a line of {LONGEST_LINE} or more signs")
        if "\0" in line:
            raise FaultyRowError("has a NUL byte; save it as UTF-8")
        return line


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of one line without outer blanks; none if it is no row by itself."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
    except csv.Error:
        return []


def rows(lines: CsvLines, delimiter: str, note: Callable[[int, str], object]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line a row begins in and its cells, without outer blanks; rows of empty cells are passed over.

    `note` is told the line and the fault of a row that cannot be read.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = lines.number + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except (csv.Error, FaultyRowError) as error:
            until = f" (up to line {lines.number})" if lines.number > line else ""
            note(line, str(error) if isinstance(error, FaultyRowError) else f"is not CSV: {error}{until}")
            continue
        if any(cells):
            yield line, cells
