"""`odrun init DIR`: a user's own project, with a data set, an experiment and a sweep to change."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from odrun.errors import InputError
from odrun.runs.files import write_whole

PROGRAM = "odrun init"
_TEMPLATES = Path(__file__).parents[1] / "project"
_RENAMED = {"gitignore": ".gitignore"}
_DATA = "data"


def main(arguments: Sequence[str]) -> int:
    """Write the project into the folder that is named, and say what to type next; 0.

    Raises:
        InputError: the arguments are wrong, a file of the project is there already, or the folder cannot be written.
    """
    parser = _Parser(prog=PROGRAM, description="A project of your own: conf/, data/ and a README.")
    parser.add_argument("folder", metavar="DIR", help="made if it is not there; nothing in it is overwritten")
    folder = Path(parser.parse_args(list(arguments)).folder).expanduser()
    _refuse_what_is_there(folder)
    try:
        for name, template in _files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, template.read_bytes())
        (folder / _DATA).mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the project cannot be written: {(error.strerror or str(error)).lower()}",
            where=str(error.filename or folder),
            remedy=f"{PROGRAM} DIR, a folder that you can write to",
        ) from error
    sys.stdout.write(_told(folder))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, where=PROGRAM, remedy=f"{PROGRAM} DIR")


def _files() -> dict[str, Path]:
    """The project's files, by their paths in it."""
    templates = sorted(path for path in _TEMPLATES.rglob("*") if path.is_file())
    return {_RENAMED.get(path.name, path.relative_to(_TEMPLATES).as_posix()): path for path in templates}


def _refuse_what_is_there(folder: Path) -> None:
    there = [name for name in _files() if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise InputError(
            f"there is {', '.join(there)} already, and nothing is overwritten",
            where=str(folder),
            remedy=f"{PROGRAM} DIR, another folder",
        )


def _told(folder: Path) -> str:
    lines = [f"{folder / name}" for name in _files()]
    lines += ["", f"put your labelled images into {folder / _DATA}, then", f"  cd {shlex.quote(str(folder))}"]
    lines += ["  odrun prepare --config-dir conf dataset=mine", "  odrun train --config-dir conf experiment=first"]
    return "".join(f"{line}\n" for line in lines)
