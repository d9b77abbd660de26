"""`zoo.lock`: size and SHA-256 of each archive as it was when it was first used, which it has to be ever after.

One JSON object, archive (its path below the zoo's address) → `{"size_bytes", "sha256"}`. Refused, as `InputError`: an
archive that is not the recorded one, and a file that is none of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from odrun.errors import InputError
from odrun.runs.files import write_whole
from odrun.runs.folders import one_writer

NAME = "zoo.lock"
_BLOCK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Seal:
    """What an archive is known by: its size in bytes and its SHA-256 in hexadecimal digits."""

    size_bytes: int
    sha256: str


def seal_of(archive: Path) -> Seal:
    """The seal of the file `archive`.

    Raises:
        OSError: it cannot be read.
    """
    digest, size_bytes = hashlib.sha256(), 0
    with archive.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            size_bytes += len(block)
    return Seal(size_bytes, digest.hexdigest())


def require_recorded(lock: Path, name: str, archive: Path, seal: Seal, *, remedy: str) -> None:
    """Refuse `archive`, whose seal is `seal`, if `lock` has another one for `name`.

    Raises:
        InputError: it has, or is damaged. The error names both digests; `remedy` is how to get another archive.
    """
    recorded = _read(lock).get(name)
    if recorded is not None and recorded != seal:
        raise InputError(
            f"the archive is not the one that was used before: it has {_shown(seal)}, "
            f"and {_shown(recorded)} is recorded",
            where=f"{archive} (recorded in {lock})",
            remedy=f'{remedy}; if the new one is right, delete "{name}" in {lock}',
        )


def record(lock: Path, name: str, archive: Path, seal: Seal, *, remedy: str) -> None:
    """Write down the seal of an archive that has proved good; what is recorded already is required instead.

    Raises:
        InputError: another process has recorded another archive meanwhile.
        OSError: the lock file cannot be written.
    """
    if name in _read(lock):
        require_recorded(lock, name, archive, seal, remedy=remedy)
        return
    with one_writer(lock, waiting=lambda: None):
        require_recorded(lock, name, archive, seal, remedy=remedy)
        seals = _read(lock) | {name: seal}
        write_whole(lock, json.dumps({key: asdict(seals[key]) for key in sorted(seals)}, indent=2) + "\n")


def _shown(seal: Seal) -> str:
    return f"{seal.size_bytes} bytes with the SHA-256 {seal.sha256}"


def _read(lock: Path) -> dict[str, Seal]:
    try:
        stated = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(lock) from error
    if not isinstance(stated, dict):
        raise _damaged(lock)
    return {name: _seal(lock, said) for name, said in stated.items()}


def _seal(lock: Path, stated: object) -> Seal:
    if isinstance(stated, dict) and set(stated) == {"size_bytes", "sha256"}:
        size_bytes, sha256 = stated["size_bytes"], stated["sha256"]
        if type(size_bytes) is int and isinstance(sha256, str) and _DIGEST.fullmatch(sha256):
            return Seal(size_bytes, sha256)
    raise _damaged(lock)


def _damaged(lock: Path) -> InputError:
    return InputError(
        "the record of the archives' digests cannot be read, or is damaged",
        where=str(lock),
        remedy=f"repair it, or delete it to record the archives anew: rm {lock}",
    )
