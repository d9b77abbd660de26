"""`odrun zoo fetch NAME [--mirror ADDRESS|DIR] [--cache DIR]`: the words after `fetch` → the archive in the cache.

Refused, as `InputError`: words that are not of this form, an unknown entry, and what `zoo.fetch` refuses.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

import yaml

from odrun.commands.zoo_fetch import fetch_entry
from odrun.config.location import conf_dir
from odrun.config.resolvers import user_cache
from odrun.errors import InputError, nearest
from odrun.settings import PathSettings, ZooAccessSettings

PROGRAM = "odrun zoo fetch"


def main(arguments: Sequence[str]) -> int:
    """Fetch the entry that `arguments` name; its folder is printed. Returns the exit status."""
    parser = _Parser(prog=PROGRAM, description="Fetch an entry's archive into the cache, once.")
    parser.add_argument("name", metavar="NAME", help="an entry, as in model=NAME")
    parser.add_argument("--mirror", metavar="ADDRESS|DIR", help="asked instead of the zoo's server, as zoo.mirror is")
    parser.add_argument("--cache", metavar="DIR", default=f"{user_cache()}/odrun", help="as paths.cache (%(default)s)")
    given = parser.parse_args(arguments)
    access, cache = ZooAccessSettings(given.mirror), PathSettings(outputs=".", cache=given.cache).cache_dir
    fetch_entry(given.name, _address_of(given.name), mirror=access.mirror, cache=cache)
    return 0


def _address_of(name: str) -> str | None:
    folder = conf_dir() / "model"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in names:
        raise InputError(f"there is no entry {name!r}", where=f"{PROGRAM} {name}", remedy=nearest(name, names))
    stated = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    address: str | None = stated["model"]["archive_address"]
    return address


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, where=PROGRAM, remedy=f"{PROGRAM} NAME [--mirror ADDRESS|DIR] [--cache DIR]")
