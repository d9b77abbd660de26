"""Pascal VOC XML, as labelImg, CVAT, Roboflow and VOCdevkit write it: folder → images as read.

Comes in: a folder with an XML file for each image. Goes out: `ImageAsRead`, unproven. Refused, as problems: XML that is
malformed or has a DOCTYPE, an annotation whose image is not there. Nothing outside the folder is opened: entities, DTDs
and the network are switched off, and of a stated file name only the last part counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from odrun.annotations.file_index import FileWords
from odrun.annotations.files import IMAGE_SUFFIXES, ListedFile, Listing, beginning, read_bounded
from odrun.annotations.lookup import USED, ImageIndex, given_split, note_unused
from odrun.annotations.model import TRAIN, VALIDATION, BoxAsRead, ImageAsRead
from odrun.annotations.problems import ProblemLog

if TYPE_CHECKING:
    from lxml import etree

LOOKS_FOR = "Pascal VOC annotations (*.xml) with their images"
SUFFIXES = IMAGE_SUFFIXES | {".xml", ".txt"}
LARGEST_FILE_BYTES = 16 << 20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_YES = frozenset(("1", "true", "yes"))


class _FaultyAnnotationError(Exception):
    def __init__(
        self, message: str, *, line: int | None = None, fault: str = "malformed_annotation", objects: int = 0
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.line = line
        self.objects = objects


def recognizes(files: Sequence[ListedFile]) -> bool:
    """Whether one of the first XML files holds an `<annotation>`."""
    return any(b"<annotation" in beginning(file) for file in files if file.suffix == ".xml")


def read_voc(files: Listing, problems: ProblemLog) -> Iterator[ImageAsRead]:
    """Read every annotation among `files`; what is wrong with one is noted and that one left out.

    The split is the data's own: VOCdevkit's `ImageSets/Main/{train,val}.txt` (or `trainval` and `test`), else folders
    named `train` and `val`, `valid`, `validation` or `test`; without either, `split` is None throughout.
    """
    annotations = files.where(lambda file: file.suffix == ".xml")
    images = files.where(lambda file: file.is_image)
    parts = _image_sets(files, annotations, problems) or given_split(annotations)
    index = ImageIndex(images, annotations)
    used = FileWords(images)
    left_out = {}
    for annotation in annotations:
        if parts is not None and annotation.name not in parts:
            objects = _objects(annotation)
            problems.add("annotation_outside_split", annotation.path, "is in no part of the split", boxes_lost=objects)
            left_out[annotation.stem] = "annotation_outside_split"
            continue
        try:
            image = _read_annotation(annotation, index, None if parts is None else parts[annotation.name])
        except _FaultyAnnotationError as error:
            problems.add(error.fault, annotation.path, str(error), line=error.line, boxes_lost=error.objects)
            left_out[annotation.stem] = error.fault
        else:
            used[image.name] = USED
            yield image
    note_unused(images, used, lambda image: left_out.get(image.stem), problems)


def _objects(annotation: ListedFile) -> int:
    """How many objects an annotation that is not used has; none that can be counted where it is malformed."""
    try:
        return len(_parse(annotation.path).findall("object"))
    except _FaultyAnnotationError:
        return 0


def _read_annotation(annotation: ListedFile, index: ImageIndex, split: str | None) -> ImageAsRead:
    root = _parse(annotation.path)
    try:
        return _image(root, annotation, index, split)
    except _FaultyAnnotationError as error:
        error.objects = len(root.findall("object"))
        raise


def _image(root: etree._Element, annotation: ListedFile, index: ImageIndex, split: str | None) -> ImageAsRead:
    stated_name = _text(root, "filename")
    image = index.find(annotation, stated_name)
    if image is None:
        named = f"names the image {stated_name!r}, which is not there" if stated_name else "has no image of its name"
        raise _FaultyAnnotationError(named, line=_line(root.find("filename")), fault="missing_image")
    return ImageAsRead(
        name=image.name,
        image_path=image.path,
        annotation_path=annotation.path,
        width_px=_size(root, "width"),
        height_px=_size(root, "height"),
        boxes=tuple(_box(element) for element in root.iterfind("object")),
        split=split,
    )


def _parse(path: Path) -> etree._Element:
    # It takes a while to be imported, and files that are known are not read again.
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        content = read_bounded(path, LARGEST_FILE_BYTES)
    except OSError as error:
        raise _FaultyAnnotationError(f"cannot be read: {error.strerror}", fault="unreadable_file") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise _FaultyAnnotationError(f"is larger than {LARGEST_FILE_BYTES >> 20} MiB")
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        if b"<!DOCTYPE" in content:
            raise _FaultyAnnotationError("has a DOCTYPE declaration", fault="doctype") from error
        raise _FaultyAnnotationError(f"is not well-formed XML: {error.msg}", line=error.lineno) from error
    except MemoryError as error:
        raise _FaultyAnnotationError(
            f"has {len(content) / 1e6:.0f} MB, for which there is too little memory"
        ) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise _FaultyAnnotationError("has a DOCTYPE declaration", fault="doctype")
    if root.tag != "annotation":
        raise _FaultyAnnotationError(f"has the root element <{root.tag}> where <annotation> belongs", line=_line(root))
    return root


def _box(element: etree._Element) -> BoxAsRead:
    corners = element.find("bndbox")
    if corners is None:
        raise _FaultyAnnotationError("has an <object> without <bndbox>", line=_line(element))
    texts, sides = _texts(element), _texts(corners)
    xmin, ymin, xmax, ymax = (_number(sides.get(name, "")) for name in _CORNERS)
    return BoxAsRead(
        class_name=texts.get("name", ""),
        xmin_px=xmin,
        ymin_px=ymin,
        xmax_px=xmax,
        ymax_px=ymax,
        difficult=texts.get("difficult", "").lower() in _YES,
        truncated=texts.get("truncated", "").lower() in _YES,
        is_crowd=False,
        line=_line(element),
    )


def _size(root: etree._Element, side: str) -> int | None:
    """The stated width or height; None where none is stated, for which tools write 0."""
    text = _text(root, f"size/{side}")
    if not text:
        return None
    number = _number(text)
    if not math.isfinite(number) or number != int(number) or number < 0:
        raise _FaultyAnnotationError(f"states the {side} {text!r}", line=_line(root.find(f"size/{side}")))
    return int(number) or None


def _number(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _texts(element: etree._Element) -> dict[str, str]:
    """The text of each child by its tag, of the first where there are several."""
    texts: dict[str, str] = {}
    for child in element:
        if child.text is not None:
            texts.setdefault(str(child.tag), child.text.strip())
    return texts


def _text(element: etree._Element, path: str) -> str:
    found = element.find(path)
    return "" if found is None or found.text is None else found.text.strip()


def _line(element: etree._Element | None) -> int | None:
    return None if element is None else cast("int | None", element.sourceline)


def _image_sets(files: Sequence[ListedFile], annotations: Listing, problems: ProblemLog) -> FileWords | None:
    """Annotation name → part, as the lists in `ImageSets/Main` have it; None unless both parts are listed."""
    lists = {
        PurePosixPath(file.name): file.path
        for file in files
        if file.suffix == ".txt" and PurePosixPath(file.name).match("ImageSets/Main/*.txt")
    }
    parts = FileWords(annotations)
    for folder in sorted({path.parent for path in lists}):
        home = folder.parent.parent / "Annotations"
        for pair in (("train.txt", "val.txt"), ("trainval.txt", "test.txt"), ("train.txt", "test.txt")):
            if all(folder / name in lists for name in pair):
                for name, part in zip(pair, (TRAIN, VALIDATION), strict=True):
                    for annotation in _listed(lists[folder / name], home, annotations, problems):
                        parts[annotation] = part
                break
    return parts if parts.words == {TRAIN, VALIDATION} else None


def _listed(path: Path, home: PurePosixPath, annotations: Listing, problems: ProblemLog) -> Iterator[str]:
    """The names of the annotations in an image set; a second column (1, 0 or -1) is passed over."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = chain.from_iterable(map(str.splitlines, stream))
            for number, line in enumerate(lines, start=1):
                names = [f"{home}/{line.strip()}.xml"]
                if annotations.place(names[0]) is None:
                    names = [f"{home / stem}.xml" for stem in (line.strip(), *line.split()[:1]) if stem]
                found = next((name for name in names if annotations.place(name) is not None), None)
                if found is not None:
                    yield found
                elif names:
                    problems.add("missing_annotation", path, f"names {names[0]}, which is not there", line=number)
    except OSError as error:
        problems.add("unreadable_file", path, f"cannot be read: {error.strerror}")
