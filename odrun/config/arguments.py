"""A composing command's arguments as text: which of them sets a key, how one is quoted, which folders they add."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from hydra._internal.utils import get_args_parser

from odrun.config.location import conf_dir
from odrun.errors import InputError

_FOLDER_FLAGS = ("--config-dir", "-cd")
_NAME_FLAGS = ("--config-name", "-cn")
_MULTIRUN_FLAGS = ("--multirun", "-m")
_VALUED_FLAGS = (*_FOLDER_FLAGS, *_NAME_FLAGS, "--config-path", "-cp", "--package", "-p", "--cfg", "-c")
_INFO_FLAGS = ("--info", "-i")
_COMPLETION_FLAGS = ("--shell-completion", "-sc")
_CONFIG_FLAGS = ("--cfg", "-c")
_SHOWING_FLAGS = (*_INFO_FLAGS, *_COMPLETION_FLAGS, *_CONFIG_FLAGS, "--help", "-h", "--hydra-help")
_MAY_SWEEP = ("sweep=", "experiment=", "hydra.mode=", "hydra/sweeper=")


def key_of(argument: str) -> str:
    """The key that an override sets, without its signs and its package."""
    return argument.partition("=")[0].lstrip("+~").partition("@")[0]


def argument_for(key: str, arguments: Sequence[str]) -> str:
    """The last argument that sets `key` or something above or below it; the key itself when there is none."""
    fitting = [argument for argument in arguments if touches(argument, key)]
    return fitting[-1] if fitting else key


def touches(argument: str, key: str) -> bool:
    """Whether an override sets `key`, a group of values that it lies in, or a value below it."""
    target = key_of(argument)
    return key == target or key.startswith(f"{target}.") or target.startswith(f"{key}.")


def quoted(key: str, value: str) -> str:
    """The argument to type in a shell so that Hydra takes `value` as the text it is; a quote left open is dropped."""
    text = value.strip(value[0]) if value[:1] in ("'", '"') else value
    # Hydra's quoted strings double the backslashes that stand before a quote, and no others.
    inner = re.sub(r'(\\*)"', r'\1\1\\"', text)
    trailing = len(inner) - len(inner.rstrip("\\"))
    return shlex.quote(f'{key}="{inner}{inner[len(inner) - trailing :]}"')


def refuse_unreadable_flags(command: str, arguments: Sequence[str]) -> None:
    """Raise `InputError` for a flag that Hydra does not have, an abbreviated one, or one with a wrong value."""
    parser = get_args_parser()
    parser.allow_abbrev = False
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            parser.parse_args(overrides_first(arguments))
    except SystemExit as left:
        if left.code:
            fault = " ".join(told.getvalue().rpartition("error: ")[2].split())
            flags = [argument for argument, is_flag in _marked(arguments) if is_flag]
            raise InputError(
                f"the flags of this command line cannot be read: {fault}",
                where=f"command line: {' '.join(flags)}",
                remedy=f"odrun {command} --hydra-help lists the flags",
            ) from left


def overrides_in(arguments: Sequence[str]) -> list[str]:
    """The arguments without Hydra's flags and the values of these."""
    return [argument for argument, is_flag in _marked(arguments) if not is_flag]


def flags_in(arguments: Sequence[str]) -> list[str]:
    """Hydra's flags with their values, but for `-m`."""
    return [argument for argument, is_flag in _marked(arguments) if is_flag and argument not in _MULTIRUN_FLAGS]


def overrides_first(arguments: Sequence[str]) -> list[str]:
    """The same arguments, flags last: Hydra's parser takes overrides on one side of the flags only."""
    return [*overrides_in(arguments), *(argument for argument, is_flag in _marked(arguments) if is_flag)]


def asks_for_multirun(arguments: Sequence[str]) -> bool:
    """Whether `-m` is among the arguments."""
    return any(argument in _MULTIRUN_FLAGS for argument in arguments)


def asks_for_completion(arguments: Sequence[str]) -> bool:
    """Whether a shell asks for completions, or for the script that makes it ask."""
    return any(argument in _COMPLETION_FLAGS for argument in arguments)


def asks_for_info(arguments: Sequence[str]) -> bool:
    """Whether Hydra is to tell of itself, with its plugins."""
    return any(argument.partition("=")[0] in _INFO_FLAGS for argument in arguments)


def asks_for_config(arguments: Sequence[str]) -> bool:
    """Whether the config of a single run is to be shown."""
    asked = any(argument.partition("=")[0] in _CONFIG_FLAGS for argument in arguments)
    return asked and not asks_for_multirun(arguments)


def shows(arguments: Sequence[str]) -> bool:
    """Whether something is to be shown, and nothing run."""
    return any(argument.partition("=")[0] in _SHOWING_FLAGS for argument in arguments)


def may_sweep(arguments: Sequence[str]) -> bool:
    """Whether these arguments can start a sweep; certain only once the config has been composed."""
    if shows(arguments):
        return False
    return asks_for_multirun(arguments) or any(argument.startswith(_MAY_SWEEP) for argument in arguments)


def config_name(arguments: Sequence[str]) -> str | None:
    """The name given with `--config-name`."""
    return next(_values_of(_NAME_FLAGS, arguments), None)


def added_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders given with `--config-dir`, absolute."""
    return [Path(value).absolute() for value in _values_of(_FOLDER_FLAGS, arguments)]


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Where configuration files are looked for: the shipped folder first, as Hydra does, then the user's own."""
    return [conf_dir(), *added_folders(arguments)]


def _marked(arguments: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each argument, and whether it is a flag or a flag's value (after `--info` only what has no `=`)."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        is_value = before in _VALUED_FLAGS or (before in _INFO_FLAGS and "=" not in argument)
        yield argument, is_value or argument.startswith("-")


def _values_of(flags: Sequence[str], arguments: Sequence[str]) -> Iterator[str]:
    for argument, following in pairwise([*arguments, ""]):
        flag, sign, value = argument.partition("=")
        if flag in flags:
            yield value if sign else following
