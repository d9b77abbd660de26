"""The CSV table of the TensorFlow tutorials, a row for each box: folder → images as read.

Comes in: CSV files with the columns filename, width, height, class, xmin, ymin, xmax, ymax in any order and case (width
and height may be absent, further columns are passed over), separated by comma, semicolon or tab. A row with neither
class nor box says that its image has none. Goes out: `ImageAsRead`, unproven. Refused, as problems: a table without a
needed column, a row that does not fit its table, an image that is not there.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from odrun.annotations.csv_images import TableImages, plain_path, shown
from odrun.annotations.csv_rows import UNDECODABLE, CsvLines, FaultyRowError, open_text, rows, split_line
from odrun.annotations.file_index import FileWords
from odrun.annotations.files import IMAGE_SUFFIXES, ListedFile, Listing
from odrun.annotations.lookup import USED, note_unused
from odrun.annotations.model import BoxAsRead, ImageAsRead
from odrun.annotations.named_parts import parts_by_name
from odrun.annotations.problems import ProblemLog

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LOOKS_FOR = "CSV tables (*.csv) with the columns filename, class, xmin, ymin, xmax, ymax, and their images"
SUFFIXES = IMAGE_SUFFIXES | {".csv"}
_SIZES = ("width", "height")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NEEDED = ("filename", "class", *_CORNERS)
_KNOWN = frozenset((*_NEEDED, *_SIZES))
# With fewer of them it is another table; one of Open Images has corners too, in fractions.
_LEAST_KNOWN = 5
_DELIMITERS = (",", ";", "\t")
_TABLES_LOOKED_AT = 20
_OUTSIDE = "annotation_outside_split"


class _FaultyHeaderError(FaultyRowError):
    """A header that has most of the columns, and not each of them once."""


def recognizes(files: Sequence[ListedFile]) -> bool:
    """Whether one of the first CSV files has the columns, or most of them: what is missing is told when it is read."""
    tables = [file for file in files if file.suffix == ".csv"]
    return any(map(_is_nearly_a_table, tables[:_TABLES_LOOKED_AT]))


def read_csv(files: Listing, problems: ProblemLog) -> Iterator[ImageAsRead]:
    """Read every table among `files`; what is wrong with a row is noted and the row left out.

    The images of a table come in the order of their first rows. The split is the data's own where words like `train`
    and `test` in the tables' names or folders tell both parts, else `split` is None throughout.
    """
    images = files.where(lambda file: file.is_image)
    tables = [file for file in files if file.suffix == ".csv" and _is_table(file, problems)]
    parts = parts_by_name(tables)
    lookup = TableImages(images, tables)
    used, left_out = FileWords(images), FileWords(images)
    for table in tables:
        is_used = parts is None or table.name in parts
        log = problems if is_used else ProblemLog()
        content = _read_table(table, log)
        lines = {named.stated: named.line for named in content.images}
        found = lookup.find_all(table, lines, content.boxes_of, log)
        left_out.update({file.name: "malformed_annotation" if is_used else _OUTSIDE for file in found.values()})
        if not is_used:
            boxes = sum(log.lost.boxes.values()) + sum(map(content.boxes_of, found))
            problems.add(_OUTSIDE, table.path, "is in no part of the split", boxes_lost=boxes)
            continue
        for image in content.images_as_read(table, found, None if parts is None else parts[table.name]):
            used[image.name] = USED
            yield image
    note_unused(images, used, lambda image: left_out.get(image.name), problems)


@dataclass(frozen=True, slots=True)
class _Header:
    """Where the known columns are among `cells` cells of a row."""

    delimiter: str
    columns: dict[str, int]
    cells: int

    def named(self, cells: list[str]) -> dict[str, str]:
        """Column → cell; empty for a size that has no column."""
        if len(cells) < self.cells or any(cells[self.cells :]):
            raise FaultyRowError(f"has a row of {len(cells)} cells under a header of {self.cells}")
        return dict.fromkeys(_SIZES, "") | {name: cells[column] for name, column in self.columns.items()}


@dataclass(slots=True)
class _NamedImage:
    """An image as the rows of a table name it, from `line` on."""

    stated: str
    line: int
    sizes_px: tuple[int | None, int | None] = (None, None)
    sound_rows: int = 0


class _TableContent:
    """The images that a table names, with their boxes; of a box 56 bytes are held, so that rows may come in any order.

    `images` are in the order of their first rows.
    """

    def __init__(self) -> None:
        self.images: list[_NamedImage] = []
        self._numbers: dict[str, int] = {}
        self._class_numbers: dict[str, int] = {}
        self._corners_px = array("d")
        # Image number, class number and line of each box.
        self._keys = array("q")
        self._boxes: npt.NDArray[np.int64] | None = None

    def add(self, cells: dict[str, str], line: int) -> None:
        """Take a row; FaultyRowError if it cannot be understood or contradicts another one of its image."""
        if UNDECODABLE in cells["filename"] or UNDECODABLE in cells["class"]:
            raise FaultyRowError("has text that is neither UTF-8 nor UTF-16 with a byte order mark")
        if not cells["filename"]:
            raise FaultyRowError("has a row without a file name")
        stated = plain_path(cells["filename"])
        number = self._numbers.setdefault(stated, len(self.images))
        if number == len(self.images):
            self.images.append(_NamedImage(stated, line))
        image = self.images[number]
        image.sizes_px = _agreed(image, cells)
        image.sound_rows += 1
        if not any(cells[name] for name in ("class", *_CORNERS)):
            return
        class_number = self._class_numbers.setdefault(cells["class"], len(self._class_numbers))
        self._corners_px.extend(_number(cells[name]) for name in _CORNERS)
        self._keys.extend((number, class_number, line))

    def boxes_of(self, stated: str) -> int:
        """How many boxes the image of a name has."""
        if self._boxes is None:
            # It takes a while to be imported, and tables that are known are not read again.
            import numpy as np

            self._boxes = np.bincount(np.array(self._keys, np.int64)[::3], minlength=len(self.images))
        return int(self._boxes[self._numbers[stated]])

    def images_as_read(
        self, table: ListedFile, found: dict[str, ListedFile], split: str | None
    ) -> Iterator[ImageAsRead]:
        """The images that were found and have a row that was understood."""
        import numpy as np

        keys = np.array(self._keys, np.int64).reshape(-1, 3)
        order = np.argsort(keys[:, 0], kind="stable")
        ends = np.cumsum(np.bincount(keys[:, 0], minlength=len(self.images)))
        names = list(self._class_numbers)
        for number, image in enumerate(self.images):
            if image.stated not in found or not image.sound_rows:
                continue
            boxes = []
            for row in order[ends[number - 1] if number else 0 : ends[number]]:
                _, class_number, line = keys[row].tolist()
                xmin, ymin, xmax, ymax = self._corners_px[4 * row : 4 * row + 4]
                boxes.append(BoxAsRead(names[class_number], xmin, ymin, xmax, ymax, False, False, False, line))
            width_px, height_px = image.sizes_px
            file = found[image.stated]
            yield ImageAsRead(file.name, file.path, table.path, width_px, height_px, tuple(boxes), split)


def _is_nearly_a_table(file: ListedFile) -> bool:
    try:
        with open_text(file.path) as stream:
            return _header(CsvLines(stream)) is not None
    except _FaultyHeaderError:
        return True
    except (FaultyRowError, OSError):
        return False


def _is_table(file: ListedFile, problems: ProblemLog) -> bool:
    """Whether a CSV file is such a table; notes what it is else."""
    try:
        with open_text(file.path) as stream:
            lines = CsvLines(stream)
            try:
                if _header(lines) is not None:
                    return True
            except FaultyRowError as error:
                problems.add("malformed_annotation", file.path, str(error), line=lines.number)
                return False
    except OSError as error:
        problems.add("unreadable_file", file.path, f"cannot be read: {error.strerror}")
        return False
    problems.add("unused_file", file.path, f"does not begin with the names of the columns {', '.join(_NEEDED)}")
    return False


def _header(lines: CsvLines) -> _Header | None:
    """The header in the first line that is not blank; None if it is that of another table."""
    line = next((line for line in lines if line.strip()), "")
    split_by = {delimiter: split_line(line, delimiter) for delimiter in _DELIMITERS}
    folded = {delimiter: [name.casefold() for name in names] for delimiter, names in split_by.items()}
    delimiter = max(_DELIMITERS, key=lambda delimiter: len(_KNOWN.intersection(folded[delimiter])))
    names = folded[delimiter]
    while names and not names[-1]:
        names.pop()
    known = [name for name in names if name in _KNOWN]
    if len(set(known)) < _LEAST_KNOWN:
        return None
    missing = [name for name in _NEEDED if name not in known]
    if missing:
        found = shown(", ".join(split_by[delimiter]))
        raise _FaultyHeaderError(
            f"has no column {' and no '.join(missing)}; it has {found}, needed are {', '.join(_NEEDED)}"
        )
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise _FaultyHeaderError(f"has the column {twice} twice")
    return _Header(delimiter, {name: names.index(name) for name in known}, len(names))


def _read_table(table: ListedFile, problems: ProblemLog) -> _TableContent:
    content = _TableContent()

    def note(line: int, message: str) -> None:
        problems.add("malformed_annotation", table.path, message, line=line, boxes_lost=1)

    try:
        with open_text(table.path) as stream:
            lines = CsvLines(stream)
            header = _header(lines)
            if header is None:
                raise FaultyRowError("has changed while it was read")
            for line, cells in rows(lines, header.delimiter, note):
                if (fault := _fault_in(cells, header, content, line)) is not None:
                    note(line, fault)
    except FaultyRowError as error:
        problems.add("malformed_annotation", table.path, str(error), line=lines.number)
    except OSError as error:
        problems.add("unreadable_file", table.path, f"cannot be read: {error.strerror}")
    return content


def _fault_in(cells: list[str], header: _Header, content: _TableContent, line: int) -> str | None:
    """Add a row to `content`, or say what is wrong with it."""
    try:
        content.add(header.named(cells), line)
    except FaultyRowError as error:
        return str(error)
    return None


def _agreed(image: _NamedImage, cells: dict[str, str]) -> tuple[int | None, int | None]:
    """The image's width and height, of which no row states another."""
    agreed = []
    for name, known in zip(_SIZES, image.sizes_px, strict=True):
        stated = _size(name, cells[name])
        if None not in (known, stated) and known != stated:
            raise FaultyRowError(f"states the {name} {stated} for {shown(image.stated)}, an earlier row {known}")
        agreed.append(known if stated is None else stated)
    return agreed[0], agreed[1]


def _size(name: str, text: str) -> int | None:
    """A stated width or height in pixels; None where none is stated, for which tools write 0."""
    if not text:
        return None
    number = _number(text)
    if not math.isfinite(number) or number != int(number) or number < 0:
        raise FaultyRowError(f"states the {name} {shown(text)}")
    return int(number) or None


def _number(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
