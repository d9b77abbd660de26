"""Which checkpoint a training starts from: none, the zoo's archive (fetched if need be), or one of the user's.

The user's is a run directory, an export, or a TensorFlow 2 checkpoint by its folder, its prefix or one of its files.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path

from odrun.errors import InputError
from odrun.runs.directory import RunDirectory
from odrun.settings import CHECKPOINT_NONE, CHECKPOINT_ZOO, ModelSettings
from odrun.transfer.source import Progress, Report
from odrun.zoo.archive import checkpoint_in, unpack
from odrun.zoo.catalog import archive_address
from odrun.zoo.fetch import fetch

_STATE = re.compile(r'^model_checkpoint_path:\s*"(?P<prefix>[^"]+)"', re.MULTILINE)
_NUMBER = re.compile(r"-(\d+)$")
_SUFFIX = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")


def starting_checkpoint(
    model: ModelSettings,
    cache: Path,
    *,
    mirror: str | None = None,
    report: Report = lambda _: None,
    progress: Progress = lambda _name, _done, _total: None,
) -> str | None:
    """The prefix of the checkpoint that `model` starts from, None for random weights; it exists.

    An entry's archive that is not given is fetched, from `mirror` if there is one; `report` and `progress` are told.

    Raises:
        InputError: the archive or the checkpoint is absent or damaged, an archive is given that is not to be used, or
            it cannot be fetched.
    """
    if model.archive is not None and model.checkpoint != CHECKPOINT_ZOO:
        raise InputError(
            f"model.archive is given, but model.checkpoint is {model.checkpoint}, so it would not be used",
            where=f"model.archive={model.archive}",
            remedy=f"add model.checkpoint={CHECKPOINT_ZOO}, or leave out model.archive",
        )
    if model.checkpoint == CHECKPOINT_NONE:
        return None
    if model.checkpoint != CHECKPOINT_ZOO:
        return _existing(Path(model.checkpoint).expanduser().absolute())
    if model.archive is None and model.zoo.archive is not None:
        address = archive_address(model.zoo.archive)
        folder = fetch(model.name, address, cache, mirror=mirror, report=report, progress=progress)
        return checkpoint_in(folder, folder)
    if model.archive is None:
        raise InputError(
            f"{model.name} starts from the weights of its zoo archive, and no archive is given",
            where="model.archive",
            remedy=f"model.archive=FILE.tar.gz, or model.checkpoint={CHECKPOINT_NONE} to start from random weights",
        )
    archive = Path(model.archive).expanduser().absolute()
    return checkpoint_in(archive if archive.is_dir() else unpack(archive, cache), archive)


def _existing(path: Path) -> str:
    """The prefix that `path` is, or that of the checkpoint to take from the folder that `path` is."""
    prefix = _in_folder(path) if path.is_dir() else path.with_name(_SUFFIX.sub("", path.name))
    if prefix is None:
        raise _refused(f"{path} holds no checkpoint", path)
    fault = _fault(prefix)
    if fault is not None:
        raise _refused(f"{prefix} is not a complete TensorFlow 2 checkpoint: {fault}", path)
    if prefix.with_name(f"{prefix.name}.meta").exists():
        raise InputError(
            f"{prefix} is a TensorFlow 1 checkpoint ({prefix.name}.meta is part of it); a TensorFlow 2 one is needed",
            where="model.checkpoint",
            remedy="take the model from the TensorFlow 2 detection zoo: model.checkpoint=zoo model.archive=FILE.tar.gz",
        )
    return str(prefix)


def _in_folder(folder: Path) -> Path | None:
    """Of a run its best checkpoint, else its newest; of an export or any other folder the newest."""
    run = RunDirectory(folder)
    for place in (run.best, run.checkpoints, folder, folder / "checkpoint"):
        prefix = _newest(place)
        if prefix is not None:
            return prefix
    return None


def _newest(folder: Path) -> Path | None:
    """What the folder's `checkpoint` file names, else the highest number, else the only one."""
    state = folder / "checkpoint"
    if state.is_file():
        named = _STATE.search(state.read_text(encoding="utf-8", errors="replace"))
        if named is not None and _index(folder / named["prefix"]).is_file():
            return folder / named["prefix"]
    found = _prefixes(folder)
    numbered = {int(number[1]): prefix for prefix in found if (number := _NUMBER.search(prefix.name))}
    if numbered:
        return numbered[max(numbered)]
    return found[0] if len(found) == 1 else None


def _fault(prefix: Path) -> str | None:
    """What of a checkpoint's files is missing or empty; None if nothing is."""
    index = _index(prefix)
    data = sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-?????-of-?????"))
    names = [index.name, f"{prefix.name}.data-00000-of-00001"]
    if data:
        shards = int(data[0].name[-5:])
        names = [index.name, *(f"{prefix.name}.data-{shard:05}-of-{shards:05}" for shard in range(shards))]
    for name in names:
        file = prefix.with_name(name)
        if not file.is_file():
            return f"{name} is missing"
        if not file.stat().st_size:
            return f"{name} is empty"
    return None


def _refused(what: str, path: Path) -> InputError:
    folder = path if path.is_dir() else path.parent
    near = [str(prefix) for prefix in _prefixes(folder) if _fault(prefix) is None][:3]
    if path.name.endswith((".tar.gz", ".tgz")):
        remedy = f"an archive of the zoo: model.checkpoint={CHECKPOINT_ZOO} model.archive={path}"
    elif (path / "saved_model.pb").is_file():
        remedy = f"a SavedModel is not trained further; the checkpoint of an export lies beside it: {path.parent}"
    elif near:
        remedy = f"there is {', '.join(near)}"
    else:
        remedy = f"model.checkpoint=FOLDER/ckpt-0, or model.checkpoint={CHECKPOINT_NONE}"
    return InputError(what, where="model.checkpoint", remedy=remedy)


def _prefixes(folder: Path) -> list[Path]:
    return sorted(index.with_name(index.stem) for index in folder.glob("*.index"))


def _index(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")
