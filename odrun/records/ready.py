"""TFRecord files that another program wrote in the OD API's layout, checked whole and used where they lie.

Comes in: a folder with record files for training and for validation, and a label map. Goes out: what a training needs
to know of them. Refused: a folder without both parts, parts whose files no single glob tells from others, a label map
whose ids are not 1 to N. What is wrong with a record becomes a problem; since nothing is written, nothing can be left
out or mended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from odrun.annotations.files import ListedFile, beginning, list_files
from odrun.annotations.keypoint_slots import KeypointSlots
from odrun.annotations.model import SPLITS, TRAIN, VALIDATION
from odrun.annotations.named_parts import parts_by_name
from odrun.annotations.parallel import map_in_order
from odrun.annotations.problems import Policies, Policy, ProblemLog
from odrun.errors import InputError, RunFailedError
from odrun.records.index import RecordIndex
from odrun.records.label_map import label_map_classes, read_keypoints
from odrun.records.manifest import PartCounts
from odrun.records.patterns import pattern_of
from odrun.records.record_checks import RECORD_FAULTS, CheckedRecord, check_record
from odrun.records.record_files import is_record_file
from odrun.runs.machine import usable_cores

LOOKS_FOR = "TFRecord files (*.record, *.tfrecord, also in shards) and a label map (*.pbtxt)"
_GZIP = b"\x1f\x8b"
CHECKED = RECORD_FAULTS | {
    *("annotation_outside_split", "duplicate_across_split", "duplicate_content", "unreadable_file"),
}
"""The faults that are looked for; those whose default it is to be mended are used as they are."""
_WRITE_AGAIN = "take the setting away, or write the records again from the annotations"
_OWN_FOLDERS = "put the record files into the folders train/ and val/ of one folder, and set dataset.path to that one"


@dataclass(frozen=True)
class ReadyRecords:
    """Records to train on as they are.

    `train_records` and `validation_records` are glob patterns for the OD API's `input_path`; `classes` stand in the
    order of their label ids, from 1; `counts` has the keys of `SPLITS`; `fingerprint` is a hexadecimal SHA-256 over all
    records and classes. `masks` is how many boxes lie in records that have a mask, as PNG, for each of their boxes,
    `posed` how many lie in records with all keypoints that the label map names, `keypoints`, for each.
    """

    fingerprint: str
    train_records: str
    validation_records: str
    label_map: Path
    classes: tuple[str, ...]
    counts: Mapping[str, PartCounts]
    masks: int
    posed: int
    keypoints: KeypointSlots


def ready_records(
    folder_or_file: Path, label_map: Path | None, problems: ProblemLog, *, progress: Callable[[int, int], None]
) -> ReadyRecords:
    """Find the record files below a folder and read every record once; the caller refuses what `problems` holds then.

    The parts follow from words like `train` and `val` in the names of files and folders. Without `label_map` the folder
    has one, or several that say the same. `progress` is told how many of how many records are read.

    Raises:
        InputError: see the module; a part holds no record; a fault was to be dropped or mended, or is not looked for.
    """
    if folder_or_file.is_file():
        raise InputError(
            "One record file is not enough: records are not split, so one to train on and one to validate with are "
            "needed.",
            where=str(folder_or_file),
            remedy="set dataset.path to the folder that holds both",
        )
    _refuse_policies(problems.policies)
    folder = folder_or_file.absolute()
    files = list_files(folder, problems)
    parts = _parts(folder, [file for file in files if is_record_file(file)], problems)
    label_map = label_map or _label_map(folder, files)
    classes = label_map_classes(label_map)
    patterns = {part: _pattern(part, [file.path for file in parts[part]], folder) for part in SPLITS}
    indexes = {part: _indexes(parts[part], problems) for part in SPLITS}
    for part in SPLITS:
        if not indexes[part] and not problems.counts(Policy.ERROR):
            raise InputError(f"The {part} records hold no record.", where=patterns[part], remedy="write them again")
    keypoints = read_keypoints(label_map)
    counts, masks, posed, fingerprint = _read(indexes, classes, keypoints, problems, progress)
    if not counts[TRAIN].boxes and not problems.counts(Policy.ERROR):
        raise InputError(
            "None of the training records has a box.",
            where=patterns[TRAIN],
            remedy="write records of detection, with the keys image/object/bbox/xmin, ...",
        )
    return ReadyRecords(
        fingerprint=fingerprint,
        train_records=patterns[TRAIN],
        validation_records=patterns[VALIDATION],
        label_map=label_map,
        classes=tuple(classes),
        counts=counts,
        masks=masks,
        posed=posed,
        keypoints=keypoints,
    )


def _refuse_policies(policies: Policies) -> None:
    """Refuse (InputError) what was chosen and cannot be done to records that are used where they lie."""
    for fault, policy in policies.chosen.items():
        if fault not in CHECKED:
            raise InputError(
                f"Of records that exist already, {fault} is not looked for; {', '.join(sorted(CHECKED))} are.",
                where=f"dataset.problems.{fault}={policy}",
                remedy=_WRITE_AGAIN,
            )
        if policy in (Policy.DROP.value, Policy.FIX.value):
            raise InputError(
                "Records that exist already are used as they are: what is faulty is not left out or mended.",
                where=f"dataset.problems.{fault}={policy}",
                remedy=_WRITE_AGAIN,
            )


def _parts(folder: Path, files: list[ListedFile], problems: ProblemLog) -> dict[str, list[ListedFile]]:
    if not files:
        raise InputError(
            f"The folder has no {LOOKS_FOR}.", where=str(folder), remedy="set dataset.path to the folder that has them"
        )
    part_of = parts_by_name(files)
    if part_of is None:
        raise InputError(
            f"The names of {len(files)} record files do not tell which to train on and which to validate with; records "
            "are not split.",
            where=str(folder),
            remedy=_OWN_FOLDERS,
        )
    for file in files:
        if file.name not in part_of:
            unused = sum(len(index) for _, index in _indexes([file], ProblemLog()))
            problems.add("annotation_outside_split", file.path, "is in no part of the split", images_lost=unused)
    return {part: [file for file in files if part_of.get(file.name) == part] for part in SPLITS}


def _label_map(folder: Path, files: Sequence[ListedFile]) -> Path:
    found = [file.path for file in files if file.suffix == ".pbtxt"]
    if not found:
        raise InputError(
            "There is no label map (*.pbtxt) beside the records.",
            where=str(folder),
            remedy="put it there, or name it: dataset.label_map=FILE",
        )
    meanings = [list(label_map_classes(path).items()) for path in found]
    other = next((path for path, meaning in zip(found, meanings, strict=True) if meaning != meanings[0]), None)
    if other is not None:
        raise InputError(
            f"There are {len(found)} label maps beside the records that differ: {found[0]} and {other}",
            where=str(folder),
            remedy="say which one is meant: dataset.label_map=FILE",
        )
    return found[0]


def _pattern(part: str, files: list[Path], folder: Path) -> str:
    pattern = pattern_of(files)
    if pattern is None:
        raise InputError(
            f"The {len(files)} {part} records have no names that one pattern tells from all others.",
            where=str(folder),
            remedy=_OWN_FOLDERS,
        )
    return pattern


def _indexes(files: list[ListedFile], problems: ProblemLog) -> list[tuple[ListedFile, RecordIndex]]:
    """The files of a part that hold records; a shard may be empty."""
    indexes = []
    for file in files:
        packed = beginning(file, size_bytes=len(_GZIP)) == _GZIP
        try:
            if file.path.stat().st_size > 0:
                indexes.append((file, RecordIndex([file.path], pattern=str(file.path))))
        except OSError as error:
            problems.add("unreadable_file", file.path, f"cannot be read: {error.strerror}")
        except InputError as error:
            problems.add("malformed_annotation", file.path, "is packed with gzip; unpack it" if packed else error.what)
    return indexes


def _read(
    indexes: Mapping[str, list[tuple[ListedFile, RecordIndex]]],
    classes: Mapping[str, tuple[str, ...]],
    keypoints: KeypointSlots,
    problems: ProblemLog,
    progress: Callable[[int, int], None],
) -> tuple[dict[str, PartCounts], int, int, str]:
    """Counts by part, boxes with masks and with keypoints, the fingerprint; what is wrong with a record is noted."""
    total = sum(len(index) for part in SPLITS for _, index in indexes[part])
    texts = tuple(classes.values())
    digest = hashlib.sha256(json.dumps(list(classes.items())).encode())
    images: dict[bytes, tuple[str, str]] = {}
    counts = {}
    done = masks = posed = 0
    for part in SPLITS:
        boxes = 0
        begun = done
        digest.update(part.encode())
        for file, index in indexes[part]:
            check = partial(_checked, index, texts, len(keypoints))
            for number, checked in enumerate(map_in_order(check, range(len(index)), workers=usable_cores())):
                boxes += checked.boxes
                masks += checked.masks
                posed += checked.posed
                digest.update(checked.digest)
                where = f"{file.path}, record {number}"
                for fault, message in (*checked.faults, *_repetition(images, checked.image_digest, part, where)):
                    problems.add(fault, file.path, f"record {number} {message}")
                done += 1
                progress(done, total)
            index.close()
        counts[part] = PartCounts(done - begun, boxes)
    return counts, masks, posed, digest.hexdigest()


def _checked(index: RecordIndex, classes: Sequence[Sequence[str]], keypoint_slots: int, number: int) -> CheckedRecord:
    try:
        return check_record(index[number], classes, keypoint_slots=keypoint_slots)
    except RunFailedError as error:
        return CheckedRecord(0, (("malformed_annotation", f"is damaged: {error.what}"),), b"", b"")


def _repetition(
    images: dict[bytes, tuple[str, str]], image_digest: bytes, part: str, where: str
) -> list[tuple[str, str]]:
    """The fault of having the image of an earlier record, whose part and place `images` has by its digest."""
    first_part, first = images.setdefault(image_digest, (part, where)) if image_digest else (part, where)
    if first == where:
        return []
    return [("duplicate_content" if first_part == part else "duplicate_across_split", f"has the image of {first}")]
