"""Time and memory of this process, as `summary.json` tells them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_imported_at_s = time.monotonic()


def _begin_again() -> None:
    global _imported_at_s
    _imported_at_s = time.monotonic()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)


def seconds_since_process_start() -> float:
    """Seconds since this process began; where the system does not say, since this module was imported in it."""
    since_import_s = time.monotonic() - _imported_at_s
    if not sys.platform.startswith("linux"):
        return since_import_s
    return max(_seconds_since_start_on_linux(), since_import_s)


def peak_memory_mb() -> float | None:
    """The most memory this process has had resident so far, in megabytes of 10^6 bytes; `None` where unknown."""
    if sys.platform == "win32":
        return None
    # What `getrusage` says on Linux counts from the process that started this one: a notebook, a test runner.
    if sys.platform.startswith("linux") and (peak_mb := _peak_on_linux_mb()) is not None:
        return peak_mb
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return peak * unit_bytes / 1e6


def _seconds_since_start_on_linux() -> float:
    """From field 22 of /proc/self/stat, clock ticks after boot (proc(5)); 0 where the file is not there."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
        ticks = int(stat.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _peak_on_linux_mb() -> float | None:
    """From the line `VmHWM` of /proc/self/status, in units of 1024 bytes (proc(5)); `None` where it is not there."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
        return int(status.partition("\nVmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, ValueError, IndexError):
        return None
