"""Labelled images → checked → split → label map and TFRecords in the cache, once for each content.

Comes in: what `dataset` says. Goes out: `PreparedData`. Refused, with exit status 2: an unknown format, a folder that
is missing or has nothing to read, faults in the data (all of them, once), a cache that cannot be written or has no
room.
"""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from odrun.annotations.digests import KnownDigests, read_contents
from odrun.annotations.files import Listing, list_files
from odrun.annotations.keypoint_slots import NO_KEYPOINTS
from odrun.annotations.losses import Losses
from odrun.annotations.model import SPLITS
from odrun.annotations.problems import Policies, Policy, ProblemLog
from odrun.annotations.readers import READERS, recognized
from odrun.commands.data_pictures import OwnPictures
from odrun.commands.source import OTHER_CACHE, PRELOAD, WORTH_A_PROCESS, Progress, Source, require_room
from odrun.errors import InputError, nearest
from odrun.records.label_map import label_map_classes
from odrun.records.manifest import Ledger, PreparedData, Station, fingerprint_of, load
from odrun.records.record_files import recognizes
from odrun.report.megabytes import in_megabytes
from odrun.runs.files import whole_file
from odrun.runs.folders import one_writer, whole_folder
from odrun.runs.machine import usable_cores
from odrun.settings import DatasetSettings
from odrun.transfer.source import local_folder

AUTO = "auto"
TFRECORD = "tfrecord"
DIGITS = "digits"
DIGITS_FOLDER = "digits-1"
"""Another number for other scenes: the folder is made once."""
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))
_A_FILE = frozenset((errno.ENOTDIR, errno.EEXIST))
Report = Callable[[str], None]


def prepare(
    dataset: DatasetSettings, cache: Path, *, report: Report, progress: Progress, own: OwnPictures | None = None
) -> PreparedData:
    """Make the records of `dataset` in `cache/records`, or find them there.

    `report` is given lines of facts; `progress` is told, while images are checked and records written, what is going
    on and how many of how many are done. With `own` a run's pictures of the data are written, too.

    Raises:
        InputError: see the module.
    """
    problems = ProblemLog(Policies(dataset.problems))
    home = _home(dataset, cache, report, progress)
    files = list_files(home, problems)
    if dataset.format == TFRECORD or (dataset.format == AUTO and recognizes(files)):
        return _ready(dataset, home, cache, problems, report, progress)
    source = _source(dataset, home, files, cache, problems, report)
    folder = cache / "records" / f"{_plain_name(dataset)}-{source.fingerprint[:16]}"
    prepared = None if problems.counts(Policy.ERROR) else load(folder)
    how = "found in"
    if prepared is None:
        with _making(folder, cache, report):
            prepared = None if problems.counts(Policy.ERROR) else load(folder)
            if prepared is None:
                # NumPy and Pillow, which it takes to make records, take a while to be imported.
                from odrun.commands.making import Making

                prepared = Making(dataset, source, folder, cache, problems, progress, own).make()
                how = "written to"
    if own is not None and how == "found in":
        own.write(prepared.folder)
    _tell(prepared, how, report)
    return prepared


def image_folder(dataset: DatasetSettings, cache: Path) -> Path:
    """A folder of images to look at the result with: the data set's own, of the embedded digits the validation part."""
    if dataset.path is None:
        return cache / DIGITS_FOLDER / "val"
    return Path(dataset.path).expanduser()


def _home(dataset: DatasetSettings, cache: Path, report: Report, progress: Progress) -> Path:
    """The folder to read; the embedded data set is written first, if it is not there, and an archive unpacked."""
    if dataset.format == DIGITS:
        if dataset.path is not None:
            raise InputError(
                "The embedded digits are not read from a folder.",
                where="dataset.path",
                remedy="to train on your own images: dataset=folder dataset.path=DIR",
            )
        return _digits_folder(cache, report)
    if dataset.format not in (AUTO, TFRECORD, *READERS):
        raise InputError(
            f"There is no reader for the format {dataset.format!r}.",
            where="dataset.format",
            remedy=nearest(dataset.format, (*READERS, AUTO, TFRECORD, DIGITS)),
        )

    if dataset.path is None:
        raise InputError(
            "The data set has no folder to read.", where="dataset.path", remedy="add dataset.path=DIR to the command"
        )
    return local_folder(dataset.path, cache, report=report, progress=in_megabytes(progress))


def _source(
    dataset: DatasetSettings,
    folder: Path,
    files: Listing,
    cache: Path,
    problems: ProblemLog,
    report: Report,
) -> Source:
    format_name = "voc" if dataset.format == DIGITS else dataset.format
    if format_name == AUTO:
        format_name = recognized(files, folder)
        report(f"{folder} looks like the format {format_name}")
    reader = READERS[format_name]
    remembered = cache / "digests" / f"{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}"
    chosen = files.where(lambda file: file.suffix in reader.suffixes)
    with _told_of_temporary_files():
        known = KnownDigests(remembered)
        if known.is_empty and len(chosen) >= WORTH_A_PROCESS and usable_cores() > 1:
            from odrun.annotations.parallel import get_ready

            get_ready(PRELOAD)
        contents = read_contents(chosen, problems, known, workers=usable_cores())
    with _told_of_the_cache(cache):
        known.keep()
    fingerprint = fingerprint_of(contents.in_order(), _options(dataset, format_name))
    return Source(format_name, folder, files, contents, fingerprint)


def _ready(
    dataset: DatasetSettings, folder: Path, cache: Path, problems: ProblemLog, report: Report, progress: Progress
) -> PreparedData:
    """Records that exist already: checked, and used where they lie."""
    if dataset.classes is not None or dataset.split.fold is not None:
        raise InputError(
            "The classes and the split of records that are ready are those that they were written with.",
            where="dataset.classes, dataset.split.fold",
            remedy="dataset.classes=null dataset.split.fold=null, or prepare from the annotations",
        )
    # NumPy and Pillow, which it takes to check records, take a while to be imported.
    from odrun.records import ready

    label_map = None if dataset.label_map is None else Path(dataset.label_map).expanduser()
    listing = cache / "problems" / f"{_plain_name(dataset)}-records.csv"
    with _told_of_the_cache(cache), whole_file(listing) as temporary, temporary.open("w", encoding="utf-8") as stream:
        problems.list_to(stream)
        found = ready.ready_records(
            folder, label_map, problems, progress=lambda done, total: progress("checking", done, total, "record")
        )
    problems.refuse_errors(folder, listing=listing)
    counts = found.counts.values()
    station = Station(sum(part.images for part in counts), sum(part.boxes for part in counts))
    prepared = PreparedData(
        folder=folder,
        fingerprint=found.fingerprint,
        train_records=found.train_records,
        validation_records=found.validation_records,
        label_map=found.label_map,
        classes=found.classes,
        counts=found.counts,
        problems=problems.counts(Policy.DROP, Policy.FIX, Policy.WARN),
        listing=listing,
        ledger=Ledger(_stations(station, problems.lost)),
        masks=found.masks if found.masks == station.boxes else 0,
        keypoints=found.keypoints if found.posed == station.boxes else NO_KEYPOINTS,
    )
    if prepared.masks < found.masks:
        report(f"{found.masks} of {station.boxes} boxes have masks, which is not all of them: masks are not used")
    if found.keypoints and not prepared.keypoints:
        told = f"{found.posed} of {station.boxes} boxes have the keypoints of the label map"
        report(f"{told}, which is not all of them: keypoints are not used")
    _tell(prepared, "used in", report)
    return prepared


def _stations(read: Station, lost: Losses) -> dict[str, Station]:
    """The way of records that are ready; of those that are not used the boxes are not counted."""
    return {
        "files": Station(read.images + lost.images.total(), read.boxes),
        "read": Station(read.images, read.boxes, dict(lost.images)),
        "written": read,
    }


def _digits_folder(cache: Path, report: Report) -> Path:
    folder = cache / DIGITS_FOLDER
    if folder.is_dir():
        return folder
    # NumPy and lxml, which it takes to draw them, take a while to be imported.
    from odrun.annotations import digits

    with _making(folder, cache, report):
        if not folder.is_dir():
            require_room(cache, digits.BYTES_NEEDED)
            with whole_folder(folder) as temporary:
                digits.write_digits(temporary)
            report(f"{sum(digits.SCENES.values())} scenes of handwritten digits written to {folder}")
    return folder


def _options(dataset: DatasetSettings, format_name: str) -> dict[str, object]:
    """All that the records depend on beside the files."""
    label_map = None if dataset.label_map is None else label_map_classes(Path(dataset.label_map).expanduser())
    return {
        "format": format_name,
        "classes": dataset.classes,
        "label_map": label_map,
        "problems": dataset.problems,
        "split": asdict(dataset.split),
    }


@contextmanager
def _making(folder: Path, cache: Path, report: Report) -> Iterator[None]:
    """Hold the lock on `folder` of the cache; what the system refuses there becomes a fault of the user's cache."""
    with (
        _told_of_the_cache(cache),
        one_writer(folder, waiting=lambda: report(f"another odrun is writing {folder}: waiting for it")),
    ):
        yield


@contextmanager
def _told_of_the_cache(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in _NO_ROOM
        reason = "a file stands where a folder is needed" if error.errno in _A_FILE else (error.strerror or str(error))
        raise InputError(
            "The disk of the cache is full." if full else f"The cache cannot be written: {reason}.",
            where=str(error.filename or cache),
            remedy=OTHER_CACHE,
        ) from error


@contextmanager
def _told_of_temporary_files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Temporary files cannot be written: {error.strerror or error}.",
            where="TMPDIR",
            remedy="set TMPDIR=DIR to a folder that you can write to and that has room",
        ) from error


def _tell(prepared: PreparedData, how: str, report: Report) -> None:
    parts = ", ".join(
        f"{prepared.counts[part].images} {part} images with {prepared.counts[part].boxes} boxes" for part in SPLITS
    )
    report(f"{parts}, {len(prepared.classes)} classes; records {how} {prepared.folder}")
    for class_name, points in prepared.keypoints.names.items():
        report(f"{len(points)} keypoints of {class_name}: {', '.join(points)}")
    if prepared.masks:
        boxes = sum(part.boxes for part in prepared.counts.values())
        others = "" if prepared.masks == boxes else "; of the others the rectangle is taken for one"
        report(f"{prepared.masks} of {boxes} boxes have a mask{others}")
    if prepared.problems:
        faults = ", ".join(f"{count} {fault}" for fault, count in prepared.problems.items())
        report(f"problems that do not stand in the way: {faults}; see {prepared.listing}")


def _plain_name(dataset: DatasetSettings) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", dataset.name)[:60] or "data"
