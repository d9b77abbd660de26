"""`odrun prepare`: labelled images → checked and split records, a table of what is wrong, pictures of the data."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path

from odrun import compat
from odrun.annotations.model import SPLITS
from odrun.annotations.problems import FAULTS
from odrun.commands.data_pictures import OwnPictures
from odrun.commands.preparing import prepare
from odrun.errors import InputError
from odrun.pipeline.anchors import model_anchors
from odrun.pipeline.build import build
from odrun.records.manifest import PreparedData
from odrun.report.closing import Closing, override
from odrun.report.terminal import Terminal
from odrun.runs.directory import RunDirectory
from odrun.runs.files import copy_whole, shown_path, write_whole
from odrun.runs.log import quiet_terminal
from odrun.runs.origin import collect
from odrun.settings import PrepareJob


def prepare_data(job: PrepareJob, *, directory: RunDirectory, overrides: tuple[str, ...], config_text: str) -> None:
    """Prepare the data set of `job`; the list of problems and the pictures go to a new `directory` too.

    Raises:
        InputError: the data are refused; the directory is gone again, and the message says where the list of faults is.
        RunFailedError: a record is not what was written (`verify`).
    """
    directory.create()
    try:
        with quiet_terminal(directory.log, verbose=job.verbose) as stream:
            _prepare(job, directory, overrides, config_text, Terminal(stream))
    except InputError:
        directory.discard()
        raise


def _prepare(
    job: PrepareJob, directory: RunDirectory, overrides: tuple[str, ...], config_text: str, terminal: Terminal
) -> None:
    compat.load()
    terminal.stage("run", shown_path(directory.path))
    terminal.stage("data", f"{job.dataset.name} (format {job.dataset.format})")
    own = OwnPictures(directory.plots, model_anchors(build(job.pipeline, job.augmentation)))
    with terminal.loops() as progress:
        data = prepare(job.dataset, job.paths.cache_dir, report=terminal.fact, progress=progress, own=own)
        if job.verify:
            # Pillow takes a while to be imported.
            from odrun.commands.verifying import verify

            station = verify(data, progress=lambda done, total: progress("verifying", done, total, "image"))
            terminal.fact(f"{station.images} records read again, checksum and image: all sound")
    write_whole(directory.config, config_text)
    copy_whole(data.listing, directory.problems)
    collect(
        command=sys.argv,
        overrides=overrides,
        seeds={"dataset.split.seed": job.dataset.split.seed},
        data_fingerprint=data.fingerprint,
        working_directory=Path.cwd(),
    ).write(directory.origin)
    _tell_problems(data, terminal)
    _tell_ledger(data, terminal)
    terminal.closing(_closing(job, data, directory))


def _tell_problems(data: PreparedData, terminal: Terminal) -> None:
    if not data.problems:
        terminal.stage("problems", "none")
        return
    terminal.stage("problems", f"{sum(data.problems.values())}, counted by fault")
    firsts = _first_of_each(data.listing)
    for line in problem_table(data.problems, firsts):
        terminal.fact(line)


def problem_table(counts: Mapping[str, int], firsts: Mapping[str, tuple[str, str]]) -> list[str]:
    """A line for each fault (how often, its policy, its name, what it is), and below it the first that was found."""
    width = max(map(len, counts))
    lines = []
    for fault, count in counts.items():
        policy, example = firsts.get(fault, ("", ""))
        lines.append(f"{count:>7}  {policy:<5} {fault:<{width}}  {FAULTS[fault].meaning}")
        lines.append(f"{'':>7}  {'':<5} first: {example}")
    return lines


def _first_of_each(listing: Path) -> dict[str, tuple[str, str]]:
    """Fault → policy and first example, as the list of problems has them."""
    firsts: dict[str, tuple[str, str]] = {}
    with listing.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            place = f"{row['file']}:{row['line']}" if row["line"] else row["file"]
            firsts.setdefault(row["fault"], (row["policy"], f"{place}: {row['message']}"))
    return firsts


def _tell_ledger(data: PreparedData, terminal: Terminal) -> None:
    """Images and boxes at each station, and what was left out before it."""
    stations = data.ledger.stations
    counts = (f"{name} {station.images} images and {station.boxes} boxes" for name, station in stations.items())
    terminal.stage("ledger", " -> ".join(counts))
    for name, station in stations.items():
        for what, left_out in (("images", station.images_left_out), ("boxes", station.boxes_left_out)):
            if left_out:
                reasons = ", ".join(f"{count} {fault}" for fault, count in left_out.items())
                terminal.fact(f"{sum(left_out.values())} {what} not {name}: {reasons}")
    for name, (images, boxes) in data.ledger.unexplained().items():
        terminal.warning(f"{images} images and {boxes} boxes are not {name}, and nothing says why")


def _closing(job: PrepareJob, data: PreparedData, directory: RunDirectory) -> Closing:
    counts = ", ".join(f"{data.counts[part].images} {part} images" for part in SPLITS)
    places = (
        ("records", data.folder),
        ("label map", data.label_map),
        ("pictures", directory.plots),
        ("problems", directory.problems),
        ("log", directory.log),
    )
    chosen = [override("dataset.format", job.dataset.format)] if job.dataset.format != "auto" else []
    source = (
        ""
        if job.dataset.path is None
        else " ".join(["dataset=folder", *chosen, override("dataset.path", job.dataset.path), ""])
    )
    return Closing(
        headline=f"done: {counts}, {len(data.classes)} classes",
        metrics=None,
        places=tuple((name, shown_path(path)) for name, path in places if path.exists()),
        commands=(("train", f"odrun train {source}".rstrip()),),
    )
