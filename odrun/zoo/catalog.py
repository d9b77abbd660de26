"""The entries of the model zoo, read from `conf/model/` without Hydra.

Comes in: the folder of the entries, each of which names the files of its family, backbone and recipe in its defaults
list. Goes out: what is known of each entry. Interpolations stay unresolved, and only what needs none is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from odrun.errors import InputError, nearest
from odrun.model_settings import ZOO_ADDRESS
from odrun.settings import BASE_ARCHIVE, OfficialSettings

BOXES = "boxes"
_GLOBAL = "@_global_"
_GROUP = "/model/"
_NEAREST_MOST = 3
_FROM_FILE = "from_file"


@dataclass(frozen=True)
class Entry:
    """A model-zoo entry, as it is published.

    `input_px` is (height, width), or of images that keep their aspect (shorter side, longest side); `coco_map` is in
    hundredths, by output; `recipe` is None where the archive alone has it, `restore` the OD API's restore type.
    """

    name: str
    about: str
    family: str
    backbone: str
    outputs: tuple[str, ...]
    input_px: tuple[int, int] | None
    coco_map: Mapping[str, float]
    speed_ms: float | None
    archive: str | None
    restore: str | None
    recipe: OfficialSettings | None

    @property
    def address(self) -> str | None:
        """Where its archive lies; None without one."""
        return None if self.archive is None else archive_address(self.archive)


def archive_address(archive: str) -> str:
    """The address of an archive of the zoo, given its path there without `.tar.gz`."""
    return f"{ZOO_ADDRESS}{archive}.tar.gz"


def entries(folder: Path) -> tuple[Entry, ...]:
    """All entries in `folder`, sorted by name, without the one that is whatever file it is given."""
    return tuple(_entry(path) for path in sorted(folder.glob("*.yaml")) if path.stem != _FROM_FILE)


def find(name: str, folder: Path) -> Entry:
    """The entry `name`.

    Raises:
        InputError: there is none; the nearest names are told.
    """
    names = [path.stem for path in folder.glob("*.yaml") if path.stem != _FROM_FILE]
    if name not in names:
        begun = [known for known in sorted(names) if known.startswith(name)][:_NEAREST_MOST]
        remedy = f"did you mean {' or '.join(begun)}" if begun else nearest(name, names)
        raise InputError(f"there is no model {name!r}", where=name, remedy=remedy)
    return _entry(folder / f"{name}.yaml")


def chosen(
    known: Iterable[Entry], *, family: str | None, max_ms: float | None, min_map: float | None
) -> tuple[Entry, ...]:
    """The entries of `family`, at most `max_ms` slow and with boxes of at least `min_map`; None asks for nothing.

    An entry that does not say how fast or how good it is does not meet a limit.

    Raises:
        InputError: there is no such family.
    """
    known = tuple(known)
    families = {entry.family for entry in known}
    if family is not None and family not in families:
        raise InputError(f"there is no family {family!r}", where=f"--family {family}", remedy=nearest(family, families))
    return tuple(
        entry
        for entry in known
        if (family is None or entry.family == family)
        and (max_ms is None or (entry.speed_ms is not None and entry.speed_ms <= max_ms))
        and (min_map is None or entry.coco_map.get(BOXES, -1.0) >= min_map)
    )


def _entry(path: Path) -> Entry:
    merged = _with_defaults(path)
    model, size = merged["model"], merged["model"]["input_px"]
    return Entry(
        name=model["name"],
        about=_about(path),
        family=model["family"],
        backbone=model["backbone"],
        outputs=tuple(model["outputs"]),
        input_px=None if size is None else (size[0], size[1]),
        coco_map=model["zoo"]["coco_map"],
        speed_ms=model["zoo"]["speed_ms"],
        archive=model["zoo"]["archive"],
        restore=merged["pipeline"]["train_config"].get("fine_tune_checkpoint_type"),
        recipe=None if model["base"] == BASE_ARCHIVE else OfficialSettings(**model["official"]),
    )


def _about(path: Path) -> str:
    """The comment that the file begins with, as one line."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def _with_defaults(path: Path) -> dict[str, Any]:
    """The file's values over those of the files that its defaults list names, in their order."""
    own = dict(_content(path))
    folder = path.parent
    merged: dict[str, Any] = {}
    for default in own.pop("defaults", ()):
        if isinstance(default, str) and default.endswith(_GLOBAL):
            name = default.removesuffix(_GLOBAL)
            place = _root(folder) / name.removeprefix(_GROUP) if name.startswith(_GROUP) else folder / name
            merged = _over(merged, _with_defaults(place.with_name(f"{place.name}.yaml")))
    return _over(merged, own)


def _root(folder: Path) -> Path:
    return folder.parent if folder.name.startswith("_") else folder


@cache
def _content(path: Path) -> Mapping[str, Any]:
    # The loader in C takes a fifth of the time; it is not in every build of PyYAML.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: Mapping[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe one
    return content


def _over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in top.items():
        inner = merged.get(name)
        merged[name] = _over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
