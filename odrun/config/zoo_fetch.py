"""`odrun zoo fetch NAME [--mirror ADDRESS|DIR] [--cache DIR]`: the words after `fetch` → the archive in the cache.

Refused, as `InputError`: words that are not of this form, an unknown entry, and what `zoo.fetch` refuses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from odrun.commands.zoo_fetch import fetch_entry
from odrun.config.location import conf_dir
from odrun.errors import InputError
from odrun.runs.machine import user_cache
from odrun.settings import PathSettings, ZooAccessSettings
from odrun.zoo.catalog import find

PROGRAM = "odrun zoo fetch"


def main(arguments: Sequence[str]) -> int:
    """Fetch the entry that `arguments` name; its folder is printed. Returns the exit status."""
    parser = _Parser(prog=PROGRAM, description="Fetch an entry's archive into the cache, once.")
    parser.add_argument("name", metavar="NAME", help="an entry, as in model=NAME")
    parser.add_argument("--mirror", metavar="ADDRESS|DIR", help="asked instead of the zoo's server, as zoo.mirror is")
    parser.add_argument("--cache", metavar="DIR", default=f"{user_cache()}/odrun", help="as paths.cache (%(default)s)")
    given = parser.parse_args(arguments)
    access, cache = ZooAccessSettings(given.mirror), PathSettings(outputs=".", cache=given.cache).cache_dir
    address = find(given.name, conf_dir() / "model").address
    folder = fetch_entry(given.name, address, mirror=access.mirror, cache=cache)
    sys.stdout.write(f"{folder}\n")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, where=PROGRAM, remedy=f"{PROGRAM} NAME [--mirror ADDRESS|DIR] [--cache DIR]")
