"""Labelled images → checked → split → label map and TFRecords in the cache, once for each content.

Comes in: what `dataset` says. Goes out: `PreparedData`. Refused, with exit status 2: an unknown format, a folder that
is missing or has nothing to read, faults in the data (all of them, once), a cache that cannot be written or has no
room.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from odrun.annotations import digits
from odrun.annotations.checks import check_classes, check_images
from odrun.annotations.duplicates import note_near_duplicates
from odrun.annotations.files import FileContent, ListedFile, list_files, read_contents
from odrun.annotations.model import SPLITS, DataSet
from odrun.annotations.problems import FAULTS, Policy, ProblemLog
from odrun.annotations.readers import READERS
from odrun.annotations.split import split_images
from odrun.annotations.threads import usable_cores
from odrun.errors import InputError, nearest
from odrun.records.folders import one_writer, whole_folder
from odrun.records.manifest import PreparedData, fingerprint_of, load
from odrun.records.writer import write_records
from odrun.settings import DatasetSettings

DIGITS = "digits"
ROOM_FACTOR = 1.2
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))
_A_FILE = frozenset((errno.ENOTDIR, errno.EEXIST))
_OTHER_CACHE = "set paths.cache=DIR to a folder that you can write to and that has room"

Report = Callable[[str], None]
Progress = Callable[[int, int], None]


def prepare(dataset: DatasetSettings, cache: Path, *, report: Report, progress: Progress) -> PreparedData:
    """Make the records of `dataset` in `cache/records`, or find them there.

    `report` is given lines of facts; `progress` is told, while images are being checked, how many of how many are done.

    Raises:
        InputError: see the module.
    """
    format_name, source = _source(dataset, cache, report)
    problems = ProblemLog()
    files = list_files(source, READERS[format_name].suffixes, problems)
    contents = read_contents(files, problems, workers=usable_cores())
    fingerprint = fingerprint_of(contents, _options(dataset, format_name))
    folder = cache / "records" / f"{_plain(dataset.name)}-{fingerprint[:16]}"
    prepared = None if problems.counts(Policy.ERROR) else load(folder)
    if prepared is not None:
        _tell(prepared, problems, "found in", report)
        return prepared
    readable = [file for file in files if file.name in contents]
    data = _checked(dataset, format_name, source, readable, contents, problems, progress)
    with _making(folder, cache, report):
        prepared = load(folder)
        if prepared is None:
            prepared = _written(data, folder, fingerprint, problems.counts(Policy.FIX, Policy.WARN), cache)
    _tell(prepared, problems, "written to", report)
    return prepared


def image_folder(dataset: DatasetSettings, cache: Path) -> Path:
    """A folder of images to look at the result with: the data set's own, of the embedded digits the validation part."""
    if dataset.path is None:
        return cache / f"digits-{digits.VERSION}" / "val"
    return Path(dataset.path).expanduser()


def _source(dataset: DatasetSettings, cache: Path, report: Report) -> tuple[str, Path]:
    """The format to read and the folder to read it from; the embedded data set is written first, if it is not there."""
    if dataset.format == DIGITS:
        if dataset.path is not None:
            raise InputError(
                "The embedded digits are not read from a folder.",
                where="dataset.path",
                remedy="to train on your own images: dataset=voc dataset.path=DIR",
            )
        return "voc", _digits_folder(cache, report)
    if dataset.format not in READERS:
        raise InputError(
            f"There is no reader for the format {dataset.format!r}.",
            where="dataset.format",
            remedy=nearest(dataset.format, (*READERS, DIGITS)),
        )
    if dataset.path is None:
        raise InputError(
            "The data set has no folder to read.", where="dataset.path", remedy="add dataset.path=DIR to the command"
        )
    folder = Path(dataset.path).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"The data set's folder is {'no folder' if folder.exists() else 'not there'}: {folder.absolute()}",
            where="dataset.path",
            remedy="set dataset.path=DIR to the folder that holds the annotations and images",
        )
    return dataset.format, folder


def _digits_folder(cache: Path, report: Report) -> Path:
    folder = cache / f"digits-{digits.VERSION}"
    if folder.is_dir():
        return folder
    with _making(folder, cache, report):
        if not folder.is_dir():
            _require_room(cache, digits.BYTES_NEEDED)
            with whole_folder(folder) as temporary:
                digits.write_digits(temporary)
            report(f"{sum(digits.SCENES.values())} scenes of handwritten digits written to {folder}")
    return folder


def _options(dataset: DatasetSettings, format_name: str) -> dict[str, object]:
    return {
        "format": format_name,
        "classes": dataset.classes,
        "validation_share": dataset.validation_share,
        "split_seed": dataset.split_seed,
    }


def _checked(
    dataset: DatasetSettings,
    format_name: str,
    source: Path,
    files: list[ListedFile],
    contents: Mapping[str, FileContent],
    problems: ProblemLog,
    progress: Progress,
) -> DataSet:
    reader = READERS[format_name]
    as_read = reader.read(files, problems)
    if not as_read and not problems.counts(Policy.ERROR):
        lonely = sum(file.is_image for file in files)
        raise InputError(
            f"The data set's folder has no annotated image: looked for {reader.looks_for} in it and in all folders "
            f"below, and found {lonely} images without annotations.",
            where=str(source),
            remedy="set dataset.path=DIR to the folder that holds the annotations and images",
        )
    images = check_images(as_read, contents, dataset.classes, problems, workers=usable_cores(), progress=progress)
    classes = check_classes(images, dataset.classes, source, problems)
    problems.refuse_errors(source)
    if not any(image.boxes for image in images):
        raise InputError("None of the images has a box.", where=str(source), remedy="label objects in the images")
    train, validation = split_images(images, validation_share=dataset.validation_share, seed=dataset.split_seed)
    note_near_duplicates(train, validation, problems)
    return DataSet(classes=classes, train=train, validation=validation)


@contextmanager
def _making(folder: Path, cache: Path, report: Report) -> Iterator[None]:
    """Hold the lock on `folder` of the cache; what the system refuses there becomes a fault of the user's cache."""
    try:
        with one_writer(folder, waiting=lambda: report(f"another odrun is writing {folder}: waiting for it")):
            yield
    except OSError as error:
        full = error.errno in _NO_ROOM
        reason = "a file stands where a folder is needed" if error.errno in _A_FILE else (error.strerror or str(error))
        raise InputError(
            "The disk of the cache is full." if full else f"The cache cannot be written: {reason}.",
            where=str(error.filename or cache),
            remedy=_OTHER_CACHE,
        ) from error


def _require_room(cache: Path, payload_bytes: int) -> None:
    needed, free = int(payload_bytes * ROOM_FACTOR), shutil.disk_usage(cache).free
    if free < needed:
        raise InputError(
            f"The disk of the cache has too little room: {needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} are free.",
            where=str(cache),
            remedy=_OTHER_CACHE,
        )


def _written(
    data: DataSet, folder: Path, fingerprint: str, problem_counts: Mapping[str, int], cache: Path
) -> PreparedData:
    _require_room(cache, sum(image.size_bytes for image in data.images))
    with whole_folder(folder) as temporary:
        write_records(data, temporary, fingerprint=fingerprint, problems=problem_counts, workers=usable_cores())
    prepared = load(folder)
    assert prepared is not None, f"{folder} was written and cannot be read back"
    return prepared


def _tell(prepared: PreparedData, problems: ProblemLog, how: str, report: Report) -> None:
    parts = ", ".join(
        f"{prepared.counts[part].images} {part} images with {prepared.counts[part].boxes} boxes" for part in SPLITS
    )
    report(f"{parts}, {len(prepared.classes)} classes; records {how} {prepared.folder}")
    examples = {problem.fault: problem for problem in reversed(problems.examples(Policy.FIX, Policy.WARN))}
    for fault, count in prepared.problems.items():
        example = f", first: {examples[fault]}" if fault in examples else ""
        report(f"{count} {fault} ({FAULTS[fault].meaning}){example}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60] or "data"
