"""What a trial prints: standard output and error in one file, which keeps its beginning and its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HEAD_BYTES = 1_000_000
TAIL_BYTES = 1_000_000
SLACK_BYTES = 6_000_000
"""How much more than head and tail a log may hold before it is cut."""


def redirect(log: Path) -> None:
    """Send all that this process prints, by Python or below it, to the end of `log`; nothing is to be read."""
    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o666)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    for number in (1, 2):
        os.dup2(descriptor, number)
    for opened in (descriptor, nowhere):
        if opened > 2:
            os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - they live as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115


class BoundedLog:
    """The log of a trial that may print without end: `bound` cuts its middle out while the trial writes on.

    The writer has to append. What it writes in the instant of the cut may be left out with the rest.
    """

    def __init__(self, path: Path, *, head: int = HEAD_BYTES, tail: int = TAIL_BYTES, slack: int = SLACK_BYTES) -> None:
        self._path = path
        self._head = head
        self._tail = tail
        self._slack = slack
        self._left_out = 0

    def bound(self, *, is_last: bool = False) -> None:
        """Cut the log if it holds more than head, tail and slack; without the slack when nothing more is written."""
        try:
            size = self._path.stat().st_size
        except OSError:
            return
        if size > self._head + self._tail + (0 if is_last and not self._left_out else self._slack):
            self._cut(size)

    def _cut(self, size: int) -> None:
        with self._path.open("r+b", buffering=0) as stream:
            stream.seek(size - self._tail)
            tail = b""
            # Until nothing new has come: what comes between the last look and the cut is lost.
            while more := stream.read(self._tail):
                tail += more
            stream.truncate(self._head)
        self._left_out += size - self._head - self._tail
        with self._path.open("ab") as stream:
            stream.write(f"\n[about {self._left_out} bytes are left out here]\n".encode() + tail)
