"""What lies beside YOLO labels: the names of the classes, and which images belong to which part.

Comes in: the files of a data set, among them `data.yaml` (Ultralytics), `classes.txt` (labelImg) or `*.names`
(darknet). Goes out: class number → name, image → part. Refused, as problems: a file that is no YAML, is larger than
1 MiB or refers to itself, and names that are no list or mapping of texts. A path that leads elsewhere is matched by its
last folders: these files are written for the machine that they were made on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from odrun.annotations.files import ListedFile, beginning
from odrun.annotations.model import TRAIN, VALIDATION
from odrun.annotations.problems import ProblemLog

LARGEST_FILE_BYTES = 1 << 20
_CLASS_LISTS = ("classes.txt", "obj.names", "predefined_classes.txt", "labels.txt")
_IMAGE_LISTS = frozenset(("train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt"))
_PARTS = ((TRAIN, ("train",)), (VALIDATION, ("val", "valid", "validation")))
_HELD_BACK_ELSE = "test"


@dataclass(frozen=True)
class YoloLayout:
    """Class number → name (none: classes are called by their numbers), and image name → part (none: not said)."""

    names: Mapping[int, str]
    parts: Mapping[str, str]
    image_lists: frozenset[str]

    def lists(self, file: ListedFile) -> bool:
        """Whether a text file lists images instead of boxes."""
        return file.name in self.image_lists


def is_layout_file(file: ListedFile) -> bool:
    """Whether a file says something of all images, and is no label of one."""
    name = file.path.name.lower()
    return name in _CLASS_LISTS or name in _IMAGE_LISTS or file.suffix == ".names" or name.startswith("readme")


def read_layout(files: Sequence[ListedFile], problems: ProblemLog) -> YoloLayout:
    """Read the first `data.yaml` (any YAML file with `names`) and, where it names no class, the first list of names."""
    images = [file.name for file in files if file.is_image]
    for file in files:
        if file.suffix in (".yaml", ".yml"):
            content = _yaml(file, problems)
            if isinstance(content, Mapping) and "names" in content:
                names = _names(content["names"], file, problems)
                parts, lists = _parts(content, files, images)
                return YoloLayout(names, parts, lists)
    lists_of_names = [file for file in files if file.path.name.lower() in _CLASS_LISTS or file.suffix == ".names"]
    for file in lists_of_names[:1]:
        lines = [line.strip() for line in _text(file, problems).splitlines()]
        return YoloLayout({number: name for number, name in enumerate(lines) if name}, {}, frozenset())
    return YoloLayout({}, {}, frozenset())


def _yaml(file: ListedFile, problems: ProblemLog) -> object:
    # Only data sets of this kind have a use for it.
    import yaml

    text = _text(file, problems)
    try:
        # An alias can make a short text as large as memory.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            problems.add("malformed_annotation", file.path, "has an alias, which data.yaml needs none of")
            return None
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = error.problem_mark.line + 1 if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark else None
        problems.add("malformed_annotation", file.path, "is no YAML", line=line)
        return None


def _text(file: ListedFile, problems: ProblemLog) -> str:
    content = beginning(file, size_bytes=LARGEST_FILE_BYTES + 1)
    if len(content) > LARGEST_FILE_BYTES:
        problems.add("malformed_annotation", file.path, f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
        return ""
    return content.decode("utf-8-sig", "replace")


def _names(given: object, file: ListedFile, problems: ProblemLog) -> dict[int, str]:
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(given, Mapping):
        entries = given.items()
    elif isinstance(given, list):
        entries = enumerate(given)
    names = {
        int(number): str(name)
        for number, name in entries
        if isinstance(name, (str, int)) and (isinstance(number, int) or str(number).isdecimal())
    }
    if not names:
        problems.add("malformed_annotation", file.path, "has names that are no list or mapping of texts")
    return names


def _parts(
    content: Mapping[object, object], files: Sequence[ListedFile], images: Sequence[str]
) -> tuple[dict[str, str], frozenset[str]]:
    """Image → part, and the lists of images that said so; nothing unless both parts have an image."""
    parts: dict[str, str] = {}
    lists: set[str] = set()
    for part, keys in _PARTS:
        stated = next((content[key] for key in keys if content.get(key)), None)
        if stated is None and part == VALIDATION:
            stated = content.get(_HELD_BACK_ELSE)
        for path in stated if isinstance(stated, list) else [stated]:
            if not isinstance(path, str):
                continue
            listed = _list_at(path, files)
            if listed is None:
                parts |= dict.fromkeys(_below(path, images), part)
            else:
                lists.add(listed.name)
                lines = beginning(listed, size_bytes=1 << 30).decode("utf-8-sig", "replace").splitlines()
                parts |= dict.fromkeys(_listed(lines, images), part)
    return (parts, frozenset(lists)) if set(parts.values()) == {TRAIN, VALIDATION} else ({}, frozenset(lists))


def _listed(lines: Iterable[str], images: Sequence[str]) -> Iterator[str]:
    """The image that each line means: of those with its file name the one that agrees in most of the last folders."""
    by_name: dict[str, list[tuple[str, ...]]] = {}
    for image in images:
        place = PurePosixPath(image).parts
        by_name.setdefault(place[-1], []).append(place)
    for line in lines:
        stated: tuple[str, ...] = PurePosixPath(line.strip().replace("\\", "/")).parts
        places = by_name.get(stated[-1], []) if stated else []
        if places:
            nearest = max(places, key=lambda place: _agreeing(place, stated))
            yield "/".join(nearest)


def _agreeing(place: tuple[str, ...], stated: tuple[str, ...]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(place[::-1], stated[::-1], strict=False))))


def _list_at(path: str, files: Sequence[ListedFile]) -> ListedFile | None:
    """The text file that a path names, by its name."""
    if not path.endswith(".txt"):
        return None
    name = PurePosixPath(path.replace("\\", "/")).name
    return next((file for file in files if file.path.name == name), None)


def _below(path: str, images: Sequence[str]) -> list[str]:
    """The images below the folder that the longest ending of `path` names."""
    folders = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("..", ".", "/")]
    for start in range(len(folders)):
        tail = f"/{'/'.join(folders[start:])}/"
        found = [image for image in images if tail in f"/{image}"]
        if found:
            return found
    return []
