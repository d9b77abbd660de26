"""Prepared records: their folder's fingerprint, its manifest.json, and what later stages are told of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from odrun.annotations.digests import FileContent
from odrun.annotations.keypoint_slots import KeypointSlots
from odrun.annotations.model import SPLITS, TRAIN, VALIDATION

WRITER_VERSION = 3
MANIFEST_NAME = "manifest.json"
LABEL_MAP_NAME = "label_map.pbtxt"
PROBLEMS_NAME = "problems.csv"
CLASSES_PLOT, BOXES_PLOT, SAMPLES_SHEET = "classes.png", "boxes.png", "samples.png"


@dataclass(frozen=True)
class PartCounts:
    """How many images and boxes one part of the data set has."""

    images: int
    boxes: int


@dataclass(frozen=True)
class Station:
    """How many images and boxes there were at a station of the data's way, and why not all of the station before:
    what was left out between, by reason (faults, or parts of a run)."""

    images: int
    boxes: int
    images_left_out: Mapping[str, int] = field(default_factory=dict)
    boxes_left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ledger:
    """Images and boxes at every station in the order of the data's way, each with what was left out before it.

    Stations: `files` (image files in the folder, and the boxes in all annotation files, as far as those can be parsed),
    `read` (what their annotations say), `kept` (proven), `written` (in the records); in a training run `decoded` (by
    TensorFlow, for training or validation) and `evaluated` (compared with detections). An image is a file, counted
    once.
    """

    stations: Mapping[str, Station]

    def further(self, name: str, station: Station, reason: str) -> Ledger:
        """The ledger with one more station; what the last one had beyond it, and it does not explain, is left out for
        `reason`."""
        last = [*self.stations.values()][-1]
        images = _more(station.images_left_out, reason, last.images - station.images)
        boxes = _more(station.boxes_left_out, reason, last.boxes - station.boxes)
        return Ledger({**self.stations, name: Station(station.images, station.boxes, images, boxes)})

    def unexplained(self) -> dict[str, tuple[int, int]]:
        """Station → the images and boxes that it has less than the one before without a reason, where there are any."""
        found = {}
        for (_, before), (name, station) in pairwise(self.stations.items()):
            images = before.images - station.images - sum(station.images_left_out.values())
            boxes = before.boxes - station.boxes - sum(station.boxes_left_out.values())
            if images or boxes:
                found[name] = (images, boxes)
        return found


def _more(counts: Mapping[str, int], reason: str, missing: int) -> dict[str, int]:
    count = missing - sum(counts.values())
    return {**counts, reason: count} if count else dict(counts)


@dataclass(frozen=True)
class PreparedData:
    """Records ready to train on.

    `train_records` and `validation_records` are glob patterns for the OD API's `input_path`; `classes` stand in the
    order of their label ids, from 1; `counts` has the keys of `SPLITS`; `problems` says how often each fault was found
    that did not stand in the way, and `listing` (CSV) names each. `masks` is how many boxes have a mask of their own;
    if it is not 0, the others have their rectangle for one. Each box has the slots of `keypoints`.
    """

    folder: Path
    fingerprint: str
    train_records: str
    validation_records: str
    label_map: Path
    classes: tuple[str, ...]
    counts: Mapping[str, PartCounts]
    problems: Mapping[str, int]
    listing: Path
    ledger: Ledger
    masks: int = 0
    keypoints: KeypointSlots = field(default_factory=KeypointSlots)


def fingerprint_of(contents: Iterable[tuple[str, FileContent]], options: Mapping[str, object]) -> str:
    """The hexadecimal SHA-256 over names and digests of all files, the options and the version of this writer.

    Raises:
        ValueError: the files do not come in the order of their names.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([WRITER_VERSION, options], sort_keys=True).encode())
    last = ""
    for name, content in contents:
        if name <= last:
            raise ValueError(f"{name!r} comes after {last!r}")
        last = name
        digest.update(b"\0" + name.encode("utf-8", "surrogateescape") + b"\0" + content.sha256.encode())
    return digest.hexdigest()


def manifest_text(
    fingerprint: str,
    classes: tuple[str, ...],
    counts: Mapping[str, PartCounts],
    shards: Mapping[str, list[Path]],
    problems: Mapping[str, int],
    ledger: Ledger,
    *,
    masks: int,
    keypoints: KeypointSlots,
) -> str:
    """The text of manifest.json; `shards` are the files of each part, already written."""
    return (
        json.dumps(
            {
                "writer_version": WRITER_VERSION,
                "fingerprint": fingerprint,
                "classes": list(classes),
                "masks": masks,
                "keypoints": {name: list(points) for name, points in keypoints.names.items()},
                "parts": {
                    part: {
                        "images": counts[part].images,
                        "boxes": counts[part].boxes,
                        "shards": {path.name: path.stat().st_size for path in shards[part]},
                    }
                    for part in SPLITS
                },
                "problems": dict(problems),
                "ledger": asdict(ledger),
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def load(folder: Path) -> PreparedData | None:
    """What lies prepared in `folder`; None if it is not there, not whole, or of another writer's version."""
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        if manifest["writer_version"] != WRITER_VERSION or not (folder / LABEL_MAP_NAME).is_file():
            return None
        parts = manifest["parts"]
        sizes = {name: size for part in SPLITS for name, size in parts[part]["shards"].items()}
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
        return PreparedData(
            folder=folder,
            fingerprint=manifest["fingerprint"],
            train_records=_pattern(folder, TRAIN, len(parts[TRAIN]["shards"])),
            validation_records=_pattern(folder, VALIDATION, len(parts[VALIDATION]["shards"])),
            label_map=folder / LABEL_MAP_NAME,
            classes=tuple(manifest["classes"]),
            counts={part: PartCounts(parts[part]["images"], parts[part]["boxes"]) for part in SPLITS},
            problems=dict(manifest["problems"]),
            listing=folder / PROBLEMS_NAME,
            ledger=_ledger(manifest["ledger"]),
            masks=manifest["masks"],
            keypoints=KeypointSlots({name: tuple(points) for name, points in manifest["keypoints"].items()}),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _ledger(stored: Mapping[str, Any]) -> Ledger:
    return Ledger({name: Station(**station) for name, station in stored["stations"].items()})


def _pattern(folder: Path, part: str, shards: int) -> str:
    """A glob that matches the shards of a part; signs of the folder's own path that mean something are escaped."""
    escaped = "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in str(folder))
    return f"{escaped}/{part}-?????-of-{shards:05d}.tfrecord"
