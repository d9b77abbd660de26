"""What the benchmarks share: where the console script lies, and how the parts of one are chosen and run."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Byte code is there where people work; without it every process would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
ODRUN = str(Path(sys.executable).with_name("odrun"))


def run_parts(parts: Mapping[str, Callable[[Path], None]], names: Sequence[str]) -> None:
    """Run the named parts, or all, each in an empty folder of its own."""
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    for name in names or list(parts):
        with tempfile.TemporaryDirectory() as folder:
            parts[name](Path(folder))
