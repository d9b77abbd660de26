"""What lies beside YOLO labels: the names of the classes, and which images belong to which part.

Comes in: the files of a data set, among them `data.yaml` (Ultralytics), `classes.txt` (labelImg) or `*.names`
(darknet). Goes out: class number → name, image → part. Refused, as problems: a file that is no YAML, is larger than
1 MiB, is nested deeply or refers to itself, labels with keypoints, and names that are no list or mapping of texts. A
path that leads elsewhere is matched by its last folders: these files are written for the machine that they were made
on.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from odrun.annotations.file_index import FileIndex, FileWords
from odrun.annotations.files import ListedFile, Listing, beginning
from odrun.annotations.model import TRAIN, VALIDATION
from odrun.annotations.problems import ProblemLog

if TYPE_CHECKING:
    from yaml._yaml import Mark as CMark
    from yaml.error import Mark

LARGEST_FILE_BYTES = 1 << 20
DEEPEST = 16
LAST_FOLDERS = 8
_CLASS_LISTS = ("classes.txt", "obj.names", "predefined_classes.txt", "labels.txt")
_IMAGE_LISTS = frozenset(("train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt"))
_PARTS = ((TRAIN, ("train",)), (VALIDATION, ("val", "valid", "validation")))
_HELD_BACK_ELSE = "test"
_CLASS_NUMBER = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class YoloLayout:
    """Class number → name (none: classes are called by their numbers), and image name → part (none: not said).

    With `has_keypoints` the lines have more numbers than a box, which are no polygon.
    """

    names: Mapping[int, str]
    parts: Mapping[str, str]
    image_lists: frozenset[str]
    has_keypoints: bool = False

    def lists(self, file: ListedFile) -> bool:
        """Whether a text file lists images instead of boxes."""
        return file.name in self.image_lists


def is_layout_file(file: ListedFile) -> bool:
    """Whether a file says something of all images, and is no label of one."""
    name = file.file_name.lower()
    return name in _CLASS_LISTS or name in _IMAGE_LISTS or file.suffix == ".names" or name.startswith("readme")


def read_layout(files: Listing, problems: ProblemLog) -> YoloLayout:
    """Read the first `data.yaml` (any YAML file with `names`) and, where it names no class, the first list of names."""
    for file in files:
        if file.suffix in (".yaml", ".yml"):
            content = _yaml(file, problems)
            if isinstance(content, Mapping) and "names" in content:
                names = _names(content["names"], file, problems)
                has_keypoints = bool(content.get("kpt_shape"))
                if has_keypoints:
                    message = "says that the labels have keypoints (kpt_shape), which are read from COCO alone"
                    problems.add("malformed_annotation", file.path, message)
                parts, lists = _parts(content, files)
                return YoloLayout(names, parts, lists, has_keypoints)
    lists_of_names = [file for file in files if file.file_name.lower() in _CLASS_LISTS or file.suffix == ".names"]
    for file in lists_of_names[:1]:
        lines = [line.strip() for line in _text(file, problems).splitlines()]
        return YoloLayout({number: name for number, name in enumerate(lines) if name}, {}, frozenset())
    return YoloLayout({}, {}, frozenset())


def _yaml(file: ListedFile, problems: ProblemLog) -> object:
    # Only data sets of this kind have a use for it.
    import yaml

    text = _text(file, problems)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            # An alias can make a short text as large as memory.
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
                what = "is nested too deeply" if depth > DEEPEST else "has an alias"
                message = f"{what}, which data.yaml has no need of"
                problems.add("malformed_annotation", file.path, message, line=_line(event.start_mark))
                return None
        # Its scalars are texts: a class named `no`, `1.0` or `2024-01-01` keeps its name.
        return yaml.BaseLoader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problems.add("malformed_annotation", file.path, "is no YAML", line=_line(mark))
        return None


def _line(mark: Mark | CMark | None) -> int | None:
    return None if mark is None else mark.line + 1


def _text(file: ListedFile, problems: ProblemLog) -> str:
    content = beginning(file, size_bytes=LARGEST_FILE_BYTES + 1)
    if len(content) > LARGEST_FILE_BYTES:
        problems.add("malformed_annotation", file.path, f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
        return ""
    return content.decode("utf-8-sig", "replace")


def _names(given: object, file: ListedFile, problems: ProblemLog) -> dict[int, str]:
    entries: Iterable[tuple[str, object]] = ()
    if isinstance(given, Mapping):
        entries = given.items()
    elif isinstance(given, list):
        entries = ((str(number), name) for number, name in enumerate(given))
    names = {int(number): name for number, name in entries if isinstance(name, str) and _CLASS_NUMBER.fullmatch(number)}
    if not names:
        problems.add("malformed_annotation", file.path, "has names that are no list or mapping of texts")
    return names


def _parts(content: Mapping[object, object], files: Listing) -> tuple[Mapping[str, str], frozenset[str]]:
    """Image → part, and the lists of images that said so; nothing unless both parts have an image."""
    images = files.where(lambda file: file.is_image)
    parts = FileWords(images)
    lists: set[str] = set()
    texts = FileIndex(files.where(lambda file: file.suffix == ".txt"), lambda text: text.file_name)
    folders: dict[str, array[int]] = {}
    for place, image in enumerate(images):
        folders.setdefault(f"/{image.folder or '.'}/", array("I")).append(place)
    for part, keys in _PARTS:
        stated = next((content[key] for key in keys if content.get(key)), None)
        if stated is None and part == VALIDATION:
            stated = content.get(_HELD_BACK_ELSE)
        for path in stated if isinstance(stated, list) else [stated]:
            if not isinstance(path, str):
                continue
            listed = texts.find(PurePosixPath(path.replace("\\", "/")).name)
            if listed:
                lists.add(listed[0].name)
                names = _listed(_lines(listed[0].path), images)
            else:
                names = (images[place].name for place in _below(path, folders))
            for name in names:
                parts[name] = part
    return (parts if parts.words == {TRAIN, VALIDATION} else {}, frozenset(lists))


def _listed(lines: Iterable[str], images: Listing) -> Iterator[str]:
    """The image that each line means: of those with its file name the one that agrees in most of the last folders."""
    by_name = FileIndex(images, lambda image: image.file_name)
    for line in lines:
        stated: tuple[str, ...] = PurePosixPath(line.strip().replace("\\", "/")).parts
        places = [PurePosixPath(image.name).parts for image in by_name.find(stated[-1])] if stated else []
        if places:
            nearest = max(places, key=lambda place: _agreeing(place, stated))
            yield "/".join(nearest)


def _agreeing(place: tuple[str, ...], stated: tuple[str, ...]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(place[::-1], stated[::-1], strict=False))))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            yield from stream
    except OSError:
        # Whoever reads all files of the data set notes it.
        return


def _below(path: str, folders: Mapping[str, Sequence[int]]) -> Sequence[int]:
    """The places of images below the folder that the longest ending of `path` names; `folders` are `/like/this/`."""
    named = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("..", ".", "/")]
    for start in range(max(0, len(named) - LAST_FOLDERS), len(named)):
        tail = f"/{'/'.join(named[start:])}/"
        found = array("I", (place for folder, places in folders.items() if tail in folder for place in places))
        if found:
            return found
    return ()
