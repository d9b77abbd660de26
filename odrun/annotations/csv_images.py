"""Which image files the names in a table mean: as a path first, as a file name at the table's place then.

Comes in: names as normalized paths (see `plain_path`). Goes out: name → image, no image twice in a table. Refused, as
problems: a name without an image, and one whose image another name of the table means already.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

from odrun.annotations.file_index import FileIndex
from odrun.annotations.files import ListedFile, Listing
from odrun.annotations.lookup import ImageIndex, plain
from odrun.annotations.named_parts import in_part_folders
from odrun.annotations.problems import ProblemLog

_LONGEST_SHOWN = 100


def plain_path(stated_name: str) -> str:
    """A name as a table has it, with slashes and without `.` and empty parts; `""` stays `""`."""
    return posixpath.normpath(stated_name.replace("\\", "/")) if stated_name else ""


class TableImages:
    """The images of a data set, to be found by the names in `tables`."""

    def __init__(self, images: Listing, tables: Iterable[ListedFile]) -> None:
        self._images = images
        self._by_folded_path = FileIndex(images, lambda image: plain(image.name))
        self._index = ImageIndex(images, [in_part_folders(table) for table in tables])

    def find_all(
        self, table: ListedFile, lines: Mapping[str, int], boxes_of: Callable[[str], int], problems: ProblemLog
    ) -> dict[str, ListedFile]:
        """Name → image for the names that `table` has, with the lines they first stand in; `boxes_of` counts its boxes.

        A path, from the table's folder or the data set's, goes before a file name without its folders. That is looked
        for at the table's place, where a table named `train_labels.csv` also lies in `train`, and then, if there is one
        image of that name, anywhere.
        """
        found = {name: image for name in lines if (image := self._at_path(table, name)) is not None}
        of_image: dict[str, str] = {}
        kept = {}
        for name in sorted(lines, key=lambda name: (name not in found, lines[name])):
            image = found[name] if name in found else self._elsewhere(table, name)
            if image is None:
                message = f"names the image {shown(name)}, which is not there"
                problems.add("missing_image", table.path, message, line=lines[name], boxes_lost=boxes_of(name))
            elif image.name in of_image:
                other = lines[of_image[image.name]]
                message = f"means {image.path} by {shown(name)}, as line {other} does by another name"
                problems.add("duplicate_image", table.path, message, line=lines[name], boxes_lost=boxes_of(name))
            else:
                of_image[image.name] = name
                kept[name] = image
        return kept

    def _at_path(self, table: ListedFile, name: str) -> ListedFile | None:
        paths = [posixpath.normpath(posixpath.join(posixpath.dirname(table.name), name)), name]
        for path in paths:
            if (place := self._images.place(path)) is not None:
                return self._images[place]
        for path in paths:
            if alike := self._by_folded_path.find(plain(path)):
                return alike[-1]
        return None

    def _elsewhere(self, table: ListedFile, name: str) -> ListedFile | None:
        for place in (in_part_folders(table), table):
            image = self._index.find(place, name)
            # The index also knows images by the stem of the file that speaks of them.
            if image is not None and plain(PurePosixPath(name).name) in _folded_names(image):
                return image
        return None


def shown(name: str) -> str:
    """A name for a message: in quotes, cut where it is very long."""
    return repr(name) if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]!r}..."


def _folded_names(image: ListedFile) -> tuple[str, str]:
    return plain(image.file_name), plain(image.stem)
