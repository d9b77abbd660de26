"""A zoo entry's archive, by its address → an unpacked folder in the cache, fetched once.

The archive is looked for in the cache (`zoo/DATE/NAME.tar.gz`, as below the zoo's address), where it may be put by
hand; if it is not there, it is taken from the mirror or from its address. Refused, as `InputError`: what
`transfer.download`, `zoo.archive` and `zoo.lock` refuse, and a mirror that is none or does not have the archive.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from odrun.errors import InputError
from odrun.model_settings import ZOO_ADDRESS
from odrun.transfer.addresses import is_address, parse_address
from odrun.transfer.archives import unwritable
from odrun.transfer.download import STALLED_S, download_to
from odrun.transfer.source import Progress, Report
from odrun.zoo import lock
from odrun.zoo.archive import unpack

ADDRESS_KEY = "model.zoo.archive"
MIRROR_KEY = "zoo.mirror"
_RELATIVE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*\.tar\.gz")


def fetch(
    name: str,
    address: str,
    cache: Path,
    *,
    mirror: str | None,
    report: Report,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
    stalled_s: float = STALLED_S,
) -> Path:
    """The folder `cache/zoo/<stem>-<sha256, 12 digits>/` with what the archive of the entry `name` holds.

    `mirror` is a folder or an http(s) address that stands for `ZOO_ADDRESS`. `report` is given lines of facts,
    `progress` the bytes done while fetching and unpacking; `sleep` and `stalled_s` are those of `transfer.download`.

    Raises:
        InputError: see the module.
    """
    relative = _below_the_zoo(address)
    target = cache / "zoo" / relative
    archive = target
    if not target.is_file():
        by_hand = f"fetch {parse_address(address, ADDRESS_KEY).shown} by hand and put it at {target.absolute()}"
        if mirror is None or is_address(mirror):
            key, source = (ADDRESS_KEY, address) if mirror is None else (MIRROR_KEY, _below(mirror, relative))
            download_to(
                target,
                parse_address(source, key),
                key=f"{key} of {name}" if mirror is None else f"{key}={mirror}",
                remedy=f"try again later, or {by_hand}; {MIRROR_KEY}=DIR asks a folder, or an address, instead",
                report=report,
                progress=lambda done, total: progress("fetching", done, total),
                sleep=sleep,
                stalled_s=stalled_s,
            )
        else:
            archive = _in_folder(mirror, relative, by_hand)
    return _opened(archive, relative, cache, report, progress)


def archive_at_hand(relative: str, cache: Path, mirror: str | None) -> Path | None:
    """The archive, by its path below the zoo's address, in the cache or a mirror that is a folder; None if in neither.

    Raises:
        InputError: the mirror is no folder.
    """
    target = cache / "zoo" / relative
    if target.is_file():
        return target
    if mirror is None or is_address(mirror):
        return None
    return next((place for place in _places(mirror, relative) if place.is_file()), None)


def _opened(archive: Path, relative: str, cache: Path, report: Report, progress: Progress) -> Path:
    """The unpacked archive, which is what it was when it was first used, and is recorded if this is the first use."""
    record, remedy = (
        cache / "zoo" / lock.NAME,
        f"delete {archive} and fetch it again, or put the right one in its place",
    )
    try:
        seal = lock.seal_of(archive)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"the archive cannot be read: {reason}", where=str(archive), remedy=remedy) from error
    lock.require_recorded(record, relative, archive, seal, remedy=remedy)
    folder = unpack(
        archive,
        cache,
        remedy=remedy,
        report=report,
        progress=lambda done, total: progress("unpacking", done, total),
    )
    try:
        lock.record(record, relative, archive, seal, remedy=remedy)
    except OSError as error:
        raise unwritable(record.parent, error) from error
    return folder


def _below_the_zoo(address: str) -> str:
    """The archive's path below the zoo's address; of an address elsewhere, a name that is its own."""
    relative = address.removeprefix(ZOO_ADDRESS)
    return relative if _RELATIVE.fullmatch(relative) else parse_address(address, ADDRESS_KEY).file_name


def _below(mirror: str, relative: str) -> str:
    if "?" in mirror or "#" in mirror:
        raise InputError(
            "the address of a mirror ends with a path, as the archive's is added to it",
            where=MIRROR_KEY,
            remedy=f"{MIRROR_KEY}=http://HOST/PATH",
        )
    return f"{mirror.rstrip('/')}/{relative}"


def _in_folder(mirror: str, relative: str, by_hand: str) -> Path:
    places = _places(mirror, relative)
    found = [place for place in places if place.is_file()]
    if not found:
        raise InputError(
            f"the mirror does not have {' or '.join(map(str, places))}", where=f"{MIRROR_KEY}={mirror}", remedy=by_hand
        )
    return found[0]


def _places(mirror: str, relative: str) -> tuple[Path, Path]:
    """Where a mirror that is a folder has an archive: by its path below the zoo's address, or by its name alone."""
    reason = ""
    try:
        folder = Path(mirror).expanduser().absolute()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        folder, is_folder = Path(mirror), False
        reason = f" ({(error.strerror if isinstance(error, OSError) else None) or error})"
    if not is_folder:
        raise InputError(
            f"the mirror is neither a folder nor an http(s) address: {folder}{reason}",
            where=f"{MIRROR_KEY}={mirror}",
            remedy=f"{MIRROR_KEY}=DIR or {MIRROR_KEY}=http://HOST/PATH",
        )
    return folder / relative, folder / PurePosixPath(relative).name
