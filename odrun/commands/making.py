"""The files of a data set → its records: checked, split and written, or refused for what is wrong with them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import TextIO, overload

from odrun.annotations.classes import ClassMap, class_map, unify
from odrun.annotations.duplicates import note_duplicates
from odrun.annotations.gathering import Gathered, gather, spooled
from odrun.annotations.kept import ClassCounts, KeptImage, KeptImages, Place
from odrun.annotations.keypoint_slots import KeypointSlots
from odrun.annotations.losses import Losses
from odrun.annotations.model import SPLITS, TRAIN, VALIDATION
from odrun.annotations.parallel import Workers
from odrun.annotations.problems import Policy, ProblemLog
from odrun.annotations.readers import READERS, read_images
from odrun.annotations.rows import Rows
from odrun.annotations.split import SplitFacts, held_back, parse_fold
from odrun.commands.data_pictures import OwnPictures
from odrun.commands.source import PRELOAD, WORTH_A_PROCESS, Progress, Source, require_room
from odrun.errors import InputError
from odrun.records.label_map import label_map_classes
from odrun.records.manifest import PROBLEMS_NAME, Ledger, PreparedData, Station, load
from odrun.records.statistics import STATISTICS_NAME, BoxStatistics
from odrun.records.writer import Plan, renamed, write_records
from odrun.runs.files import copy_whole
from odrun.runs.folders import whole_folder
from odrun.runs.machine import usable_cores
from odrun.settings import DatasetSettings

SAMPLES = 16
_SPOOL, _FACTS, _PLACES = "checked.spool", "checked.facts", "checked.places-{part}"


class Making:
    """One making of the records of a data set in `folder` of the cache, a stage after the other.

    Raises:
        InputError: faults in the data, no class or image to train on, or too little room.
    """

    def __init__(
        self,
        dataset: DatasetSettings,
        source: Source,
        folder: Path,
        cache: Path,
        problems: ProblemLog,
        progress: Progress,
        own: OwnPictures | None,
    ) -> None:
        self._dataset = dataset
        self._source = source
        self._folder = folder
        self._cache = cache
        self._problems = problems
        self._progress = progress
        self._own = own
        self._listing: TextIO

    def make(self) -> PreparedData:
        """Write the folder, whole."""
        number = max(1, min(usable_cores(), len(self._source.contents) // WORTH_A_PROCESS))
        with (
            Workers(number, preload=PRELOAD) as workers,
            whole_folder(self._folder) as temporary,
            (temporary / PROBLEMS_NAME).open("w", encoding="utf-8") as listing,
        ):
            self._problems.list_to(listing)
            self._listing = listing
            spool = temporary / _SPOOL
            facts = temporary / _FACTS
            gathered = self._gathered(spool, facts, workers)
            plan = self._plan(gathered)
            require_room(self._cache, sum(image.size_bytes for part in SPLITS for image in plan.parts[part]))
            total = sum(map(len, plan.parts.values()))
            drawn = workers.begin(_draw, _drawing(plan, spool, temporary, self._own))
            write_records(
                plan,
                temporary,
                spool,
                fingerprint=self._source.fingerprint,
                problems=self._problems.counts(Policy.DROP, Policy.FIX, Policy.WARN),
                ledger=self._ledger(gathered, plan),
                workers=workers,
                progress=lambda done: self._progress("writing", done, total, "image"),
            )
            drawn()
            for path in (spool, facts, *(temporary / _PLACES.format(part=part) for part in SPLITS)):
                path.unlink()
        prepared = load(self._folder)
        assert prepared is not None, f"{self._folder} was written and cannot be read back"
        return prepared

    def _gathered(self, spool: Path, facts: Path, workers: Workers) -> Gathered:
        source = self._source
        reader = READERS[source.format_name]
        readable = source.contents.files
        total = sum(file.is_image for file in readable)
        with spool.open("wb") as stream:
            gathered = gather(
                read_images(reader, readable, self._problems),
                source.contents,
                self._classes(),
                self._problems,
                stream,
                facts.open("w+b"),
                workers=workers,
                progress=lambda done: self._progress("checking", done, max(done, total), "image"),
            )
        for file in source.files:
            if file.suffix not in reader.suffixes:
                self._problems.add("unused_file", file.path, f"is no file of the format {source.format_name}")
        self._refuse_faults()
        if not gathered.images_read:
            raise InputError(
                f"The data set's folder has no annotated image: looked for {reader.looks_for} in it and in all folders "
                f"below, and found {total} images without annotations.",
                where=str(source.folder),
                remedy="set dataset.path=DIR to the folder that holds the annotations and images",
            )
        if not any(image.classes for image in gathered.kept):
            raise InputError("None of the images has a box.", where=str(source.folder), remedy="label objects in them")
        return gathered

    def _classes(self) -> ClassMap:
        given = self._dataset.classes
        if self._dataset.label_map is None:
            return class_map(given)
        if given is not None:
            raise InputError(
                "dataset.classes and dataset.label_map both name the classes",
                where="dataset.classes, dataset.label_map",
                remedy="dataset.classes=null",
            )
        return class_map(label_map_classes(Path(self._dataset.label_map).expanduser()))

    def _plan(self, gathered: Gathered) -> Plan:
        """The parts, without duplicates that are left out, and the classes."""
        found = Counter[str]()
        for image in gathered.kept:
            found.update(dict(image.classes))
        given = self._classes().names
        names = {name: name for name in found} if given is not None else dict(unify(found))
        self._note_spellings(names, gathered)
        classes = given if given is not None else tuple(sorted(set(names.values())))
        for name in classes:
            if name not in found:
                self._problems.add("class_without_boxes", self._source.folder, f"has no box of the class {name!r}")
        parts = self._parts(gathered, names)
        left_out = note_duplicates(parts[TRAIN], parts[VALIDATION], self._source.folder, self._problems)
        lost = Losses()
        for part, kept in parts.items() if left_out else ():
            stay = array("I")
            for place, image in enumerate(kept):
                if image.name in left_out:
                    lost.add(left_out[image.name], images=1, boxes=image.boxes)
                else:
                    stay.append(place)
            parts[part] = kept.chosen(stay)
        self._refuse_faults()
        keypoints: dict[str, dict[str, None]] = {name: {} for name in classes}
        for class_name, points in dict.fromkeys(each for image in gathered.kept for each in image.keypoints):
            keypoints[names[class_name]].update(dict.fromkeys(points))
        slots = KeypointSlots({name: tuple(points) for name, points in keypoints.items() if points})
        has_masks = any(image.masks for image in gathered.kept)
        return Plan(parts, classes, names, has_masks, slots, lost)

    def _note_spellings(self, names: Mapping[str, str], gathered: Gathered) -> None:
        for name, meant in names.items():
            if name != meant:
                first = next(image for image in gathered.kept if name in dict(image.classes))
                message = f"the class {name!r} is taken for {meant!r}"
                self._problems.add("class_spelling", self._source.folder / first.name, message)

    def _parts(self, gathered: Gathered, names: Mapping[str, str]) -> dict[str, KeptImages]:
        split = self._dataset.split
        meant = {
            classes: frozenset(names[name] for name, _ in classes)
            for classes in {image.classes for image in gathered.kept}
        }
        held = held_back(
            _Facts(gathered.kept, meant),
            validation_share=split.validation_share,
            seed=split.seed,
            group_by=split.group_by,
            fold=None if split.fold is None else parse_fold(split.fold),
        )
        is_held = bytearray(len(gathered.kept))
        for place in held:
            is_held[place] = True
        return {
            TRAIN: gathered.kept.chosen(place for place, each in enumerate(is_held) if not each),
            VALIDATION: gathered.kept.chosen(held),
        }

    def _ledger(self, gathered: Gathered, plan: Plan) -> Ledger:
        counts = plan.counts.values()
        written = Station(sum(part.images for part in counts), sum(part.boxes for part in counts))
        images = sum(file.is_image for file in self._source.files)
        boxes = gathered.boxes_read + sum(self._problems.lost.boxes.values())
        return Ledger(
            {
                "files": Station(images, boxes),
                "read": _station(gathered.images_read, gathered.boxes_read, self._problems.lost),
                "kept": _station(len(gathered.kept), sum(image.boxes for image in gathered.kept), gathered.lost),
                "written": _station(written.images, written.boxes, plan.lost),
            }
        )

    def _refuse_faults(self) -> None:
        """What is refused leaves no folder behind, but the list of all faults stays in the cache."""
        if self._problems.counts(Policy.ERROR):
            kept = self._cache / "problems" / f"{self._folder.name}.csv"
            kept.parent.mkdir(parents=True, exist_ok=True)
            self._listing.flush()
            copy_whole(Path(self._listing.name), kept)
            self._problems.refuse_errors(self._source.folder, listing=kept)


class _Facts(Sequence[SplitFacts]):
    """What the split has to know of the kept images, made as it is asked for; `meant` has the classes that are meant by
    those in the data."""

    def __init__(self, kept: KeptImages, meant: Mapping[ClassCounts, frozenset[str]]) -> None:
        self._kept = kept
        self._meant = meant

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, place: int) -> SplitFacts: ...
    @overload
    def __getitem__(self, place: slice) -> _Facts: ...
    def __getitem__(self, place: int | slice) -> SplitFacts | _Facts:
        return _Facts(self._kept[place], self._meant) if isinstance(place, slice) else self._of(self._kept[place])

    def __iter__(self) -> Iterator[SplitFacts]:
        return map(self._of, self._kept)

    def _of(self, image: KeptImage) -> SplitFacts:
        return SplitFacts(image.name, self._meant[image.classes], image.split)


@dataclass(frozen=True)
class _Drawing:
    """What the pictures show: where the images of each part, and those of the sample sheet, lie in the spool."""

    parts: Mapping[str, Rows]
    classes: tuple[str, ...]
    names: Mapping[str, str]
    spool: Path
    samples: tuple[Place, ...]
    folder: Path
    own: OwnPictures | None


def _drawing(plan: Plan, spool: Path, folder: Path, own: OwnPictures | None) -> _Drawing:
    parts = {}
    for part, kept in plan.parts.items():
        parts[part] = Rows((folder / _PLACES.format(part=part)).open("w+b"), Struct("<QQ"))
        for image in kept:
            parts[part].append(*image.place)
    kept = plan.parts[TRAIN]
    samples = tuple(kept[place].place for place in _evenly(kept, SAMPLES))
    return _Drawing(parts, plan.classes, plan.names, spool, samples, folder, own)


def _draw(drawing: _Drawing) -> None:
    """Into a folder: pictures, and the numbers to draw them again beside a model's anchors."""
    # Matplotlib takes a second to be imported, and most runs find their records ready.
    from odrun.report.dataset_plots import write_dataset_plots
    from odrun.report.dataset_samples import write_samples

    statistics = BoxStatistics()
    with drawing.spool.open("rb") as stream:
        for part, places in drawing.parts.items():
            for number in range(len(places)):
                statistics.add(part, spooled(stream, Place(*places[number])), drawing.names)
        samples = [renamed(spooled(stream, place), drawing.names) for place in drawing.samples]
    statistics.save(drawing.folder / STATISTICS_NAME)
    write_dataset_plots(statistics, drawing.classes, drawing.folder)
    write_samples(samples, drawing.folder, classes=drawing.classes)
    if drawing.own is not None:
        drawing.own.write(drawing.folder)


def _evenly(kept: Sequence[KeptImage], count: int) -> list[int]:
    """The places of at most `count` images with boxes, spread over all."""
    labelled = array("I", (place for place, image in enumerate(kept) if image.classes))
    return sorted({labelled[number * len(labelled) // count] for number in range(count) if labelled})


def _station(images: int, boxes: int, lost: Losses) -> Station:
    return Station(images, boxes, dict(sorted(lost.images.items())), dict(sorted(lost.boxes.items())))
