"""`odrun zoo list|show|config|fetch`: which models there are, what is known of one, its configuration, its archive.

`list` and `show` read the YAML of the entries and start no Hydra.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NoReturn

from odrun.config.location import conf_dir
from odrun.errors import InputError
from odrun.zoo.catalog import BOXES, Entry, chosen, entries, find

FETCH = "fetch"
_NOTHING = "-"
_SORTINGS: dict[str, Callable[[Entry], tuple[float, str]]] = {
    "name": lambda entry: (0.0, entry.name),
    "ms": lambda entry: (math.inf if entry.speed_ms is None else entry.speed_ms, entry.name),
    "map": lambda entry: (-entry.coco_map.get(BOXES, -1.0), entry.name),
}
_HEADINGS = ("model", "family", "input", "ms", "mAP", "other mAP", "batch", "steps")
_TEXT_COLUMNS = 3


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        """Raise the error; `-h` alone still prints and leaves."""
        raise InputError(message, where=self.prog, remedy=f"{self.prog} --help")


def main(arguments: Sequence[str]) -> int:
    """Do what `odrun zoo ARGUMENTS` asks for; 0.

    Raises:
        InputError: the arguments are wrong, or there is no such model or family.
    """
    if arguments and arguments[0] == FETCH:
        # What speaks to servers takes a while to be imported.
        from odrun.config import zoo_fetch

        return zoo_fetch.main(arguments[1:])
    given = _parser().parse_args(list(arguments))
    if given.action == "list":
        text = _listed(given)
    elif given.action == "show":
        text = _shown(find(given.name, conf_dir() / "model"), as_json=given.json)
    else:
        text = _config(given.name, given.archive)
    sys.stdout.write(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="odrun zoo", description="the model zoo")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|config|fetch")
    listing = actions.add_parser("list", help="the models, one a line", description="the models, one a line")
    listing.add_argument("--family", help="of this family only")
    listing.add_argument("--max-ms", type=float, metavar="N", help="at most so many milliseconds an image")
    listing.add_argument("--min-map", type=float, metavar="X", help="at least so good on COCO's boxes, as in 30.5")
    listing.add_argument("--sort", choices=sorted(_SORTINGS), default="name", help="fastest, best or by name first")
    listing.add_argument("--json", action="store_true", help="as JSON")
    showing = actions.add_parser("show", help="what is known of a model", description="what is known of a model")
    showing.add_argument("name", metavar="NAME")
    showing.add_argument("--json", action="store_true", help="as JSON")
    config = actions.add_parser(
        "config", help="its official pipeline.config", description="the official pipeline.config of a model"
    )
    config.add_argument("name", metavar="NAME")
    config.add_argument(
        "--archive", metavar="FILE", help="the model's archive on this disk, where it is published there"
    )
    actions.add_parser(FETCH, help="its archive into the cache", add_help=False)
    return parser


def _listed(given: argparse.Namespace) -> str:
    known = entries(conf_dir() / "model")
    found = sorted(
        chosen(known, family=given.family, max_ms=given.max_ms, min_map=given.min_map), key=_SORTINGS[given.sort]
    )
    if given.json:
        return json.dumps([_facts(entry) for entry in found], indent=2) + "\n"
    rows = [_HEADINGS, *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_aligned(cell, number, widths) for number, cell in enumerate(row)).rstrip() for row in rows]
    return "\n".join([*lines, "", f"{len(found)} of {len(known)} models; odrun zoo show NAME tells more of one", ""])


def _aligned(cell: str, column: int, widths: Sequence[int]) -> str:
    return cell.ljust(widths[column]) if column < _TEXT_COLUMNS else cell.rjust(widths[column])


def _row(entry: Entry) -> tuple[str, ...]:
    others = [f"{name} {value:.1f}" for name, value in entry.coco_map.items() if name != BOXES]
    return (
        entry.name,
        entry.family,
        _size(entry),
        _NOTHING if entry.speed_ms is None else f"{entry.speed_ms:g}",
        f"{entry.coco_map[BOXES]:.1f}" if BOXES in entry.coco_map else _NOTHING,
        ", ".join(others) or _NOTHING,
        _NOTHING if entry.recipe is None else str(entry.recipe.batch_size),
        _NOTHING if entry.recipe is None else str(entry.recipe.steps),
    )


def _size(entry: Entry) -> str:
    return _NOTHING if entry.input_px is None else "x".join(map(str, entry.input_px))


def _facts(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "address": entry.address}


def _shown(entry: Entry, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(_facts(entry), indent=2) + "\n"
    scores = ", ".join(f"{name} {value:.1f}" for name, value in entry.coco_map.items())
    facts = {
        "family": entry.family,
        "backbone": entry.backbone,
        "input": _NOTHING if entry.input_px is None else f"{_size(entry)} pixels",
        "outputs": ", ".join(entry.outputs),
        "COCO mAP": scores or _NOTHING,
        "speed": _NOTHING if entry.speed_ms is None else f"{entry.speed_ms:g} ms an image, as published",
        "archive": entry.address or _NOTHING,
        **_recipe_facts(entry),
    }
    width = max(map(len, facts))
    lines = [f"  {name:<{width}}  {fact}" for name, fact in facts.items()]
    return "\n".join([entry.name, f"  {entry.about}", "", *lines, "", f"train it: odrun train model={entry.name}", ""])


def _recipe_facts(entry: Entry) -> dict[str, str]:
    if entry.recipe is None:
        return {"configuration": f"in the archive: odrun train model={entry.name} model.archive=FILE.tar.gz"}
    recipe = entry.recipe
    warmup = f", after {recipe.warmup_steps} steps from {recipe.warmup_learning_rate:g}" if recipe.warmup_steps else ""
    return {
        "restore type": entry.restore or _NOTHING,
        "batch size": str(recipe.batch_size),
        "steps": str(recipe.steps),
        "learning rate": f"{recipe.learning_rate:g}{warmup}",
    }


def _config(name: str, archive: str | None) -> str:
    entry = find(name, conf_dir() / "model")
    # Hydra and the protos take half a second to be imported.
    from odrun.config.arguments import quoted
    from odrun.config.jobs import composed
    from odrun.pipeline.build import build
    from odrun.pipeline.official import with_placeholders
    from odrun.pipeline.text import to_text
    from odrun.settings import TrainJob

    local = [] if archive is None else shlex.split(quoted("model.archive", archive))
    job = composed("train", [f"model={entry.name}", *local])
    assert isinstance(job, TrainJob)
    return to_text(with_placeholders(build(job.pipeline, job.augmentation)))
