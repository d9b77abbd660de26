"""A zoo archive (`NAME.tar.gz`) → an unpacked folder in the cache, and the checkpoint in it.

Nothing in an archive is trusted (`transfer.archives`), and more than 16 GiB of content is refused. The folder appears
whole and with a checkpoint in it, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from odrun.errors import InputError
from odrun.transfer import archives

UNPACKED_BYTES_MAX = 16 * 2**30
MEMBERS_MAX = 10_000
CHECKPOINT_INDEX = "checkpoint/ckpt-0.index"
_REMEDY = "fetch it again; it has to be the .tar.gz that the TensorFlow 2 detection zoo links to"


def unpack(
    archive: Path,
    cache: Path,
    *,
    key: str = "model.archive",
    remedy: str = _REMEDY,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Path:
    """The folder `cache/zoo/<stem>-<sha256, 12 digits>/` with the content of `archive`; made when it is not there yet.

    `key` is the setting that named the archive, `remedy` what to do about one that is refused; `report` and `progress`
    are those of `transfer.archives.unpack`.

    Raises:
        InputError: the archive is absent, damaged, hostile, too large or without a checkpoint, or the cache cannot be
            written.
    """
    return archives.unpack(
        archive,
        cache / "zoo",
        members_max=MEMBERS_MAX,
        bytes_max=UNPACKED_BYTES_MAX,
        key=key,
        remedy=remedy,
        accept=lambda folder: _require_checkpoint(folder, archive, remedy),
        report=report,
        progress=progress,
    )


def checkpoint_in(folder: Path, archive: Path, *, remedy: str = _REMEDY) -> str:
    """The prefix of the checkpoint `.../checkpoint/ckpt-0` in an unpacked archive.

    Raises:
        InputError: there is none, there are several, or its data file is missing.
    """
    found = sorted(path for path in folder.rglob("ckpt-0.index") if path.parent.name == "checkpoint")
    if len(found) != 1:
        what = f"the archive holds {len(found)} checkpoints" if found else f"the archive holds no {CHECKPOINT_INDEX}"
        raise InputError(what, where=str(archive), remedy=remedy)
    prefix = found[0].with_suffix("")
    if not any(prefix.parent.glob(f"{prefix.name}.data-*")):
        raise InputError("the archive's checkpoint has no data file", where=str(archive), remedy=remedy)
    return str(prefix)


def _require_checkpoint(folder: Path, archive: Path, remedy: str) -> None:
    checkpoint_in(folder, archive, remedy=remedy)
