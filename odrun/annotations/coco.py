"""COCO JSON, as the COCO data set itself, Roboflow, CVAT, Label Studio and LVIS write it: folder → images as read.

Comes in: JSON files, each with the lists `images`, `annotations` and `categories`, and the image files. Goes out:
`ImageAsRead`, unproven, for each entry of `images`. Refused, as problems: what is not JSON, ids that stand twice or
belong to nothing, entries that break the format, images that are not there. Keypoints that COCO has in a file of their
own (`person_keypoints_*.json` beside `instances_*.json`) go to the box with the same id.

A file is held in memory while it is read, since its lists may stand in any order.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from odrun.annotations.coco_file import (
    Category,
    CocoFile,
    Entry,
    FaultyEntryError,
    FaultyFileError,
    Id,
    coco_file,
    id_in,
    identified,
    known,
    noting,
    shown,
)
from odrun.annotations.coco_objects import box_as_read, keypoints_as_read, stated_number
from odrun.annotations.file_index import FileWords
from odrun.annotations.files import IMAGE_SUFFIXES, ListedFile, Listing, beginning
from odrun.annotations.image_paths import ImagePaths
from odrun.annotations.lookup import USED
from odrun.annotations.model import ImageAsRead, Keypoint
from odrun.annotations.named_parts import parts_by_name
from odrun.annotations.problems import Policy, ProblemLog

LOOKS_FOR = "COCO JSON (*.json with images, annotations and categories) with its images"
SUFFIXES = IMAGE_SUFFIXES | {".json"}
_A_LIST_OF_OBJECTS = re.compile(r'\s*\{.*"(images|annotations|categories)"\s*:\s*\[\s*[{\]]', re.DOTALL)
_IMAGES_OR_ANNOTATIONS = re.compile(r'"(images|annotations)"\s*:')
_BEGINNING_BYTES = 16 << 10
_KEYPOINTS_PREFIX, _INSTANCES_PREFIX = "person_keypoints_", "instances_"


@dataclass(frozen=True, slots=True)
class _StatedImage:
    """An entry of `images` and the file that it means."""

    file: ListedFile
    entry: Entry


_Keypoints = Mapping[Id, tuple[Keypoint, ...]]
_EntriesOfImages = Mapping[Id, list[tuple[Id, Entry, Category]]]


def recognizes(files: Sequence[ListedFile]) -> bool:
    """Whether one of the JSON files begins like COCO's."""
    return any(_looks_like_coco(file) for file in files if file.suffix == ".json")


def read_coco(files: Listing, problems: ProblemLog) -> Iterator[ImageAsRead]:
    """Read every JSON file among `files`; what is wrong with an entry is noted and that one left out.

    The split is the data's own where words like `train` and `val` in the files' names or folders tell both parts, else
    `split` is None throughout.
    """
    images = files.where(lambda file: file.is_image)
    documents = [file for file in files if file.suffix == ".json"]
    coco = [file for file in documents if _looks_like_coco(file)]
    parts = parts_by_name(coco)
    paths = ImagePaths(images, coco)
    keypoint_files = _keypoint_files(coco)
    used = FileWords(images)
    # Image → the fault that it is left out for; of the others it is that of a file that could not be read, if any.
    left_out = FileWords(images)
    of_others = ""
    for file in documents:
        if file in keypoint_files.values():
            continue
        try:
            document = coco_file(file, problems)
        except FaultyFileError as error:
            problems.add(error.fault, file.path, str(error), line=error.line)
            of_others = of_others or (error.fault if error.fault != "unused_file" else "")
            continue
        if parts is not None and file.name not in parts:
            boxes = len(document.annotations)
            problems.add("annotation_outside_split", file.path, "is in no part of the split", boxes_lost=boxes)
            stated = _stated_images(document, paths, ProblemLog())
            left_out.update(dict.fromkeys(_names(stated), "annotation_outside_split"))
            continue
        stated = _stated_images(document, paths, problems)
        keypoints = _keypoints_by_id(keypoint_files.get(file.name), problems)
        for image in _images(document, stated, keypoints, None if parts is None else parts[file.name], problems):
            used[image.name] = USED
            yield image
        left_out.update(dict.fromkeys(_names(stated), "malformed_annotation"))
    for listed in images:
        if listed.name in used:
            continue
        if fault := left_out.get(listed.name, of_others):
            problems.lost.add(fault, images=1)
        else:
            problems.add("image_without_annotation", listed.path, "has no annotation", images_lost=1)


def _looks_like_coco(file: ListedFile) -> bool:
    content = beginning(file, size_bytes=_BEGINNING_BYTES)
    text = content.decode(json.detect_encoding(content), "replace")
    if len(content) < _BEGINNING_BYTES and not _IMAGES_OR_ANNOTATIONS.search(text):
        # The whole file: Label Studio writes its categories beside YOLO's text files.
        return False
    return _A_LIST_OF_OBJECTS.match(text) is not None


def _keypoint_files(documents: Sequence[ListedFile]) -> dict[str, ListedFile]:
    """Name of a file of boxes → the file with the keypoints of the same objects."""
    names = {file.name for file in documents}
    boxes = {file.name.replace(_KEYPOINTS_PREFIX, _INSTANCES_PREFIX): file for file in documents}
    return {name: file for name, file in boxes.items() if name in names and name != file.name}


def _stated_images(document: CocoFile, paths: ImagePaths, problems: ProblemLog) -> dict[Id, _StatedImage | None]:
    """Id → image, in the order of the list; None where its file is not there."""
    images: dict[Id, _StatedImage | None] = {}
    path = document.file.path
    for image_id, entry in identified(document.images, "image", path, problems):
        # LVIS has no file_name; the last parts of its URL are the path.
        stated = entry.get("file_name", entry.get("coco_url"))
        file = paths.find(document.file, stated) if isinstance(stated, str) else None
        images[image_id] = None if file is None else _StatedImage(file, entry)
        if file is None:
            message = f"image {shown(image_id)} has the file_name {shown(stated)}, which is not there or not unique"
            problems.add("missing_image", path, message)
    return images


def _names(stated: Mapping[Id, _StatedImage | None]) -> Iterator[str]:
    return (image.file.name for image in stated.values() if image is not None)


def _keypoints_by_id(file: ListedFile | None, problems: ProblemLog) -> _Keypoints:
    """Annotation id → keypoints, out of a file that adds them to the boxes of another."""
    if file is None:
        return {}
    try:
        document = coco_file(file, problems)
    except FaultyFileError as error:
        problems.add(error.fault, file.path, str(error), line=error.line)
        return {}
    keypoints = {}
    for annotation_id, entry in identified(document.annotations, "annotation", file.path, problems):
        with noting(problems, file.path, f"annotation {shown(annotation_id)}"):
            category = known(entry, "category_id", document.categories)
            if not isinstance(category, str):
                keypoints[annotation_id] = keypoints_as_read(entry, category)
    return keypoints


def _images(
    document: CocoFile,
    stated: Mapping[Id, _StatedImage | None],
    keypoints: _Keypoints,
    split: str | None,
    problems: ProblemLog,
) -> Iterator[ImageAsRead]:
    path = document.file.path
    entries = _entries_of_images(document, stated, problems)
    for image_id, image in stated.items():
        of_image = entries.get(image_id, [])
        if image is None:
            problems.lost.add("missing_image", boxes=len(of_image))
            continue
        with noting(problems, path, f"image {shown(image_id)}", boxes_lost=len(of_image)):
            size = (_stated_side(image.entry, "width"), _stated_side(image.entry, "height"))
            boxes = []
            for annotation_id, entry, category in of_image:
                whose = f"annotation {shown(annotation_id)}"
                with noting(problems, path, whose, boxes_lost=1):
                    points = _keypoints(entry, category, path, whose, problems) or keypoints.get(annotation_id, ())
                    boxes.append(box_as_read(entry, category, image_size=size, keypoints=points))
            yield ImageAsRead(
                name=image.file.name,
                image_path=image.file.path,
                annotation_path=path,
                width_px=size[0],
                height_px=size[1],
                boxes=tuple(boxes),
                split=split,
            )


def _keypoints(entry: Entry, category: Category, path: Path, whose: str, problems: ProblemLog) -> tuple[Keypoint, ...]:
    """The keypoints of an annotation; none where they break the format and that is to be mended.

    Raises:
        FaultyEntryError: they break it, and that is not to be mended.
    """
    try:
        return keypoints_as_read(entry, category)
    except FaultyEntryError as error:
        if problems.policies[error.fault] is not Policy.FIX:
            raise
        problems.add(error.fault, path, f"{whose} {error}")
        return ()


def _entries_of_images(document: CocoFile, stated: Mapping[Id, object], problems: ProblemLog) -> _EntriesOfImages:
    """Image id → its annotations, each with its id, as far as image and category are known."""
    entries = defaultdict(list)
    path = document.file.path
    for annotation_id, entry in identified(document.annotations, "annotation", path, problems, boxes_lost=1):
        with noting(problems, path, f"annotation {shown(annotation_id)}", boxes_lost=1):
            known(entry, "image_id", stated)
            category = known(entry, "category_id", document.categories)
            if isinstance(category, str):
                problems.lost.add(category, boxes=1)
            else:
                entries[id_in(entry, "image_id")].append((annotation_id, entry, category))
    return entries


def _stated_side(entry: Entry, side: str) -> int | None:
    """The stated width or height; None where none is stated, for which tools write 0."""
    value = entry.get(side)
    if value is None or value == 0:
        return None
    number = stated_number(value)
    if not number.is_integer() or number < 0:
        raise FaultyEntryError(f"has the {side} {shown(value)}, which is no number of pixels")
    return int(number)
