"""Which checkpoint a training starts from: none, the zoo's archive, or a checkpoint of the user's."""

from __future__ import annotations

import re
from pathlib import Path

from odrun.errors import InputError
from odrun.settings import CHECKPOINT_NONE, CHECKPOINT_ZOO, ModelSettings
from odrun.zoo.archive import checkpoint_in, unpack

CHECKPOINT_TYPE = "detection"
"""The `fine_tune_checkpoint_type` of every checkpoint found here: all of a detector but its class predictor."""

_STATE = re.compile(r'^model_checkpoint_path:\s*"(?P<prefix>[^"]+)"', re.MULTILINE)
_NUMBER = re.compile(r"-(\d+)$")
_SUFFIX = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")


def starting_checkpoint(model: ModelSettings, cache: Path) -> str | None:
    """The prefix of the checkpoint that `model` starts from, None for random weights; it exists.

    Raises:
        InputError: the archive or the checkpoint is absent or damaged, or an archive is given that is not to be used.
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
    if model.archive is None:
        raise InputError(
            f"{model.name} starts from the weights of its zoo archive, and no archive is given",
            where="model.archive",
            remedy=f"model.archive=FILE.tar.gz, or model.checkpoint={CHECKPOINT_NONE} to start from random weights",
        )
    archive = Path(model.archive).expanduser().absolute()
    return checkpoint_in(unpack(archive, cache), archive)


def _existing(path: Path) -> str:
    """The prefix that `path` is, or the newest in the folder that `path` is."""
    prefix = _newest(path) if path.is_dir() else path.with_name(_SUFFIX.sub("", path.name))
    if prefix is not None and _index(prefix).is_file() and any(prefix.parent.glob(f"{prefix.name}.data-*")):
        return str(prefix)
    near = sorted(_SUFFIX.sub("", str(index)) for index in path.parent.glob("*.index"))[:3]
    hint = (
        f"there is {', '.join(near)}"
        if near
        else f"model.checkpoint=FOLDER/ckpt-0, or model.checkpoint={CHECKPOINT_NONE}"
    )
    what = "holds no complete checkpoint" if path.is_dir() else "is not a complete TensorFlow 2 checkpoint"
    raise InputError(f"{path} {what} (PREFIX.index and PREFIX.data-...)", where="model.checkpoint", remedy=hint)


def _newest(folder: Path) -> Path | None:
    """What the folder's `checkpoint` file names, else the highest number; `checkpoint/` below is looked into too."""
    for place in (folder, folder / "checkpoint"):
        state = place / "checkpoint"
        if state.is_file():
            named = _STATE.search(state.read_text(encoding="utf-8", errors="replace"))
            if named is not None and _index(place / named["prefix"]).is_file():
                return place / named["prefix"]
        numbered = {int(number[1]): path for path in place.glob("*.index") if (number := _NUMBER.search(path.stem))}
        if numbered:
            newest = numbered[max(numbered)]
            return newest.with_name(newest.stem)
    return None


def _index(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")
