"""Some files of a folder → one glob that means them and no others, as the OD API's `input_path` has it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path


def pattern_of(files: Sequence[Path]) -> str | None:
    r"""A pattern that matches the absolute paths `files` and nothing else that is there; None if there is none.

    Where names differ it has one asterisk; signs that mean something in a glob are escaped with `\`, as TensorFlow has
    it.
    """
    literals = _literals(files)
    if literals is None:
        return None
    # Path.glob takes relative patterns only.
    matched = glob.glob("*".join(map(glob.escape, literals)))  # noqa: PTH207
    if sorted(matched) != sorted(map(str, files)):
        return None
    return "*".join("".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in text) for text in literals)


def _literals(files: Sequence[Path]) -> list[str] | None:
    """What stands before, between and behind the asterisks; None where the files are not equally deep."""
    if len({len(file.parts) for file in files}) != 1:
        return None
    root, *columns = zip(*(file.parts for file in files), strict=True)
    literals = [root[0].rstrip("/")]
    for names in columns:
        begin = _common_beginning(names)
        literals[-1] += f"/{begin}"
        if len(set(names)) > 1:
            rests = [name[len(begin) :][::-1] for name in names]
            literals.append(_common_beginning(rests)[::-1])
    return literals


def _common_beginning(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    differing = (number for number, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])
    return first[: next(differing, min(len(first), len(last)))]
