"""Bytes that are fetched or unpacked → the progress of a loop, in megabytes (of 2**20 bytes)."""

from __future__ import annotations

from collections.abc import Callable


def in_megabytes(show: Callable[[str, int, int, str], None]) -> Callable[[str, int, int | None], None]:
    """What to call with (name, bytes done, bytes in all), where `show` takes (name, done, total, unit).

    Nothing is shown where it is not known how many bytes there are in all.
    """

    def count(name: str, done_bytes: int, total_bytes: int | None) -> None:
        if total_bytes is not None:
            show(name, done_bytes >> 20, max(total_bytes >> 20, 1), "MB")

    return count
