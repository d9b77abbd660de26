"""An http(s) address → a file in a folder, fetched once.

What was fetched before a connection or a process ended is gone on from, if the server's file has not changed since.
Refused, as `InputError` that says which file to put where by hand: an address that is none, what the server refuses or
breaks off again and again, a disk without room. The file appears whole or not at all, by one process at a time.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from odrun.errors import InputError
from odrun.runs.folders import one_writer
from odrun.transfer.addresses import Address, parse_address
from odrun.transfer.archives import unwritable
from odrun.transfer.http import (
    PARTIAL,
    RANGE_NOT_SATISFIABLE,
    Answer,
    LostConnectionError,
    RefusedByServerError,
    get,
)
from odrun.transfer.parts import Part, Validators

KEY = "dataset.path"
STALLED_S = 60.0
TRIES = 6
"""Without getting further, each after twice the wait: 31 seconds in all."""
TRIES_UNKNOWN = 2
"""As long as no server of that name has been found: mostly there is no network."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
FURTHER_BYTES = 1 << 20
"""What a try has to add to what was ever there, for the count of tries to begin anew."""

Report = Callable[[str], None]
Progress = Callable[[int, "int | None"], None]


def download(
    address: str,
    folder: Path,
    *,
    report: Report,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
    stalled_s: float = STALLED_S,
) -> Path:
    """The file of `address` in `folder`, named by the address; fetched if it is not there.

    `report` is given lines of facts, `progress` how many bytes of how many are there (None: the server does not say).
    A server that sends nothing for `stalled_s` seconds is asked again.

    Raises:
        InputError: see the module.
    """
    parsed = parse_address(address, KEY)
    target = folder / parsed.file_name
    remedy = f"try again later, or fetch it by hand and put it at {target.absolute()}"
    download_to(
        target, parsed, key=KEY, remedy=remedy, report=report, progress=progress, sleep=sleep, stalled_s=stalled_s
    )
    return target


def download_to(
    target: Path,
    address: Address,
    *,
    key: str,
    remedy: str,
    report: Report,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
    stalled_s: float = STALLED_S,
) -> None:
    """Like `download`, for a caller who says where the file goes; it is not fetched if it is there.

    `key` is the setting that led to the address, `remedy` what to do where the server does not give the file.

    Raises:
        InputError: see the module.
    """
    try:
        if target.is_file():
            return
        with one_writer(target, waiting=lambda: report(f"another odrun is fetching {address.shown}: waiting for it")):
            if not target.is_file():
                _Fetching(address, Part(target), key, remedy, report, progress, sleep, stalled_s).fetch()
    except OSError as error:
        raise unwritable(target.parent, error) from error


class _ChangedError(Exception):
    """The server's file is no longer the one that a part is there of."""


@dataclass(frozen=True)
class _Fetching:
    address: Address
    part: Part
    key: str
    remedy: str
    report: Report
    progress: Progress
    sleep: Callable[[float], None]
    stalled_s: float

    def fetch(self) -> None:
        self.report(f"fetching {self.address.shown} to {self.part.target}")
        tries, tries_max, furthest_bytes = 0, TRIES_UNKNOWN, self.part.found()[0]
        while True:
            try:
                self._fetch_the_rest()
                break
            except _ChangedError:
                tries, tries_max = tries + 1, TRIES
                failed = LostConnectionError("its file changes while it is fetched", wait_s=0)
                self.report(f"{self.address.shown} is not the file that it was: fetched from its beginning")
            except LostConnectionError as error:
                done_bytes = self._done_bytes()
                tries = 1 if done_bytes >= furthest_bytes + FURTHER_BYTES else tries + 1
                furthest_bytes = max(furthest_bytes, done_bytes)
                # Who has been found once is there, and only lost for a while.
                tries_max = tries_max if error.is_unknown else TRIES
                failed = error
            except RefusedByServerError as error:
                raise self._failed(f"{self.address.shown} {error}") from error
            if tries >= tries_max:
                raise self._failed(f"{self.address.shown} could not be fetched in {tries} tries: {failed}") from failed
            self._wait(failed, tries)
        self.part.finish()

    def _fetch_the_rest(self) -> None:
        done_bytes, known = self.part.found()
        if done_bytes and done_bytes == known.length_bytes:
            return
        headers = {"Range": f"bytes={done_bytes}-", "If-Range": known.condition or ""} if done_bytes else {}
        try:
            with get(self.address.request, headers, timeout_s=self.stalled_s) as answer:
                self._take(answer, done_bytes, known)
        except RefusedByServerError as error:
            if done_bytes and error.status == RANGE_NOT_SATISFIABLE:
                self._forget()
                raise _ChangedError from error
            raise

    def _take(self, answer: Answer, done_bytes: int, known: Validators) -> None:
        goes_on = answer.status == PARTIAL
        if goes_on and not done_bytes:
            raise RefusedByServerError("sends a part where the whole was asked for", status=PARTIAL)
        if goes_on and (answer.first_byte != done_bytes or known.differs(answer.validators)):
            self._forget()
            raise _ChangedError
        if not goes_on:
            done_bytes = 0
            self.part.begin(answer.validators)
        length_bytes = known.length_bytes if goes_on else answer.validators.length_bytes
        self._require_room(length_bytes, done_bytes)
        with self.part.path.open("ab") as stream:
            self.progress(done_bytes, length_bytes)
            for block in answer.blocks():
                stream.write(block)
                done_bytes += len(block)
                self.progress(done_bytes, length_bytes)
        if length_bytes is not None and done_bytes < length_bytes:
            raise LostConnectionError(f"the server broke off after {done_bytes} of {length_bytes} bytes")
        if length_bytes is not None and done_bytes > length_bytes:
            self._forget()
            raise _ChangedError
        if not done_bytes:
            raise RefusedByServerError("sends an empty file")

    def _require_room(self, length_bytes: int | None, done_bytes: int) -> None:
        folder = self.part.target.parent
        free_bytes = shutil.disk_usage(folder).free
        if length_bytes is not None and length_bytes - done_bytes > free_bytes:
            raise InputError(
                f"the disk of the cache has too little room: {(length_bytes - done_bytes) / 1e6:.1f} MB are to be "
                f"fetched, {free_bytes / 1e6:.1f} are free",
                where=str(folder),
                remedy="paths.cache=DIR",
            )

    def _wait(self, failed: LostConnectionError, tries: int) -> None:
        wait_s = FIRST_WAIT_S * 2 ** (tries - 1) if failed.wait_s is None else failed.wait_s
        wait_s = min(wait_s, LONGEST_WAIT_S)
        if wait_s:
            self.report(f"{failed}: trying again in {wait_s:g} s")
            self.sleep(wait_s)

    def _done_bytes(self) -> int:
        return self.part.path.stat().st_size if self.part.path.exists() else 0

    def _forget(self) -> None:
        self.part.record.unlink(missing_ok=True)

    def _failed(self, what: str) -> InputError:
        return InputError(what, where=self.key, remedy=self.remedy)
