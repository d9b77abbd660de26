"""What Hydra and OmegaConf refuse, said in odrun's way: the fault, the argument or file, the nearest valid names.

Their messages are all that tells some faults apart; each pattern below is one of Hydra 1.3, and is tested against it.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from yaml import MarkedYAMLError, YAMLError

from odrun.config.arguments import added_folders, argument_for, config_folders, key_of, overrides_in, quoted
from odrun.config.keys import COMMAND_LINE, dotted, key_or_value, plain
from odrun.errors import InputError, nearest

REFUSALS = (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError)
"""What composing a config raises when the config is wrong, but for some of Hydra's bare ValueErrors."""

_NEEDED = {
    "dataset.path": "dataset.path=DIR, the folder of your images and annotations",
    "run": "run=DIR, the directory of a finished odrun train",
    "source": "source=FILE, a folder or a quoted glob of images",
}
_IN_FILE = re.compile(r"In '(?P<file>[^']+)': (\w+ raised while composing|Could not override '(?P<group>[^']+)')")
_MISSING = re.compile(r"[Mm]issing mandatory value: ([\w.]+)")
_SEVERAL = re.compile(r"Ambiguous value for argument '(.+)'")
_NOT_SET = re.compile(r"Could not delete from config\. '(.+)' does not exist")
_NO_FOLDER = re.compile(r"Additional config directory '(.+)' not found")
_NO_VARIABLE = re.compile(r"Environment variable '(\w+)' not found")
# What Hydra 1.3 takes in a value without quotes (OverrideLexer.g4).
_BARE = re.compile(r"[A-Za-z0-9_/\-\\+.$%*@?|:, \t]")
_ALREADY_SET = re.compile(r"already at '(.+)'|Multiple values for ([\w/]+)")


def not_given(keys: Sequence[str]) -> InputError:
    """The `InputError` for values that have no default and were not set."""
    what = f"{' and '.join(keys)} {'is' if len(keys) == 1 else 'are'} not given, and there is no default"
    return InputError(what, where=", ".join(keys), remedy="; ".join(_NEEDED.get(key, f"{key}=VALUE") for key in keys))


def raised_by_hydra(error: Exception) -> bool:
    """Whether Hydra itself raised the error: its parser does so, as a bare ValueError, for `train=3`."""
    *_, last = traceback.walk_tb(error.__traceback__)
    return str(last[0].f_globals["__name__"]).startswith("hydra.")


def explain(error: Exception, command: str, arguments: Sequence[str]) -> InputError:
    """The `InputError` that tells the user what composing the config of `command` stumbled over."""
    if isinstance(error, OverrideParseException):
        return _unreadable_argument(error.override)
    if isinstance(error, MissingConfigException):
        return _missing_file(error, arguments)
    if isinstance(error, (MissingMandatoryValue, InterpolationToMissingValueError)):
        return _missing_value(error, arguments)
    if isinstance(error, MarkedYAMLError):
        return _unreadable_yaml(error)
    if isinstance(error, UnicodeDecodeError):
        return _undecodable_file(arguments)
    if found := _IN_FILE.search(str(error)):
        return _in_file(error, found, arguments)
    return _in_argument(error, command, arguments)


def _in_file(error: Exception, found: re.Match[str], arguments: Sequence[str]) -> InputError:
    file = _file_of(found["file"], arguments)
    if found["group"] is not None:
        what = f"the defaults list overrides {found['group'].partition('@')[0]}, which is not in it"
        return InputError(what, where=file, remedy="name a group of odrun, as odrun train --help lists them")
    source = _value_fault(error)
    return plain(error, file) if source is None else key_or_value(source, file)


def _in_argument(error: Exception, command: str, arguments: Sequence[str]) -> InputError:
    text = str(error)
    if found := _SEVERAL.search(text):
        return _several_values(found[1], command)
    if found := _NOT_SET.search(text):
        return InputError(
            f"{found[1]} cannot be taken out: it is not set",
            where=f"{COMMAND_LINE}{argument_for(found[1], arguments)}",
            remedy=f"odrun {command} --cfg job shows what is set",
        )
    if found := _ALREADY_SET.search(text):
        argument = argument_for(found[1] or found[2], arguments)
        return InputError(
            f"{found[1] or found[2]} is set already, so it cannot be added",
            where=f"{COMMAND_LINE}{argument}",
            remedy=f"leave out the plus sign: {argument.lstrip('+')}",
        )
    if found := _NO_FOLDER.search(text):
        remedy = "--config-dir DIR, a folder that holds groups of your own, such as DIR/dataset/mine.yaml"
        return InputError("there is no such folder", where=f"{COMMAND_LINE}--config-dir {found[1]}", remedy=remedy)
    if "Config group override must be a string" in text:
        return _not_an_option(command, arguments)
    source = _value_fault(error)
    if source is None or source.full_key is None:
        return plain(error, f"{COMMAND_LINE}odrun {' '.join([command, *arguments])}")
    argument = argument_for(dotted(source.full_key), arguments)
    if "does not support deletion" in str(source):
        return _taken_out(argument)
    if isinstance(source, InterpolationResolutionError):
        return _unresolved(source, argument, command, arguments)
    return key_or_value(source, f"{COMMAND_LINE}{argument_for(dotted(source.full_key), arguments)}")


def _value_fault(error: Exception) -> OmegaConfBaseException | None:
    for candidate in (error, error.__cause__, error.__context__):
        if isinstance(candidate, OmegaConfBaseException):
            return candidate
    return None


def _unreadable_argument(override: str) -> InputError:
    where = f"{COMMAND_LINE}{override}"
    key, sign, value = override.partition("=")
    if not sign:
        remedy = f"write it as {override}=VALUE; odrun train --help lists the keys"
        return InputError(f"{override} is not of the form key=value", where=where, remedy=remedy)
    if re.fullmatch(r"(\+{0,2}|~)[\w/@-]+(\.[\w/@-]+)*", key) is None:
        return InputError(
            f"{key} is not a key", where=where, remedy="keys are names with points between, as in train.steps"
        )
    signs = " ".join(sign for sign in dict.fromkeys(value) if _BARE.match(sign) is None)
    return InputError(
        f"the value of {key} cannot be read as it stands: {signs or 'such a value'} has to stand within quotes",
        where=where,
        remedy=f"quote it: {quoted(key, value)}",
    )


def _not_an_option(command: str, arguments: Sequence[str]) -> InputError:
    """Hydra does not say which group was given a number; it is one of those that name no option."""
    odd = [
        argument
        for argument in overrides_in(arguments)
        if (options := _options(key_of(argument), arguments)) and argument.partition("=")[2] not in options
    ]
    key = key_of(odd[-1]) if odd else "a group"
    return InputError(
        f"{key} is given no option of its group",
        where=f"{COMMAND_LINE}{' '.join(odd) or ' '.join(arguments)}",
        remedy=f"odrun {command} --help lists the options; to set a value of it: {key}.NAME=VALUE",
    )


def _unresolved(error: OmegaConfBaseException, argument: str, command: str, arguments: Sequence[str]) -> InputError:
    """An interpolation that leads nowhere; Hydra may name a key of its own that refers to the one of the argument."""
    given = argument if argument in arguments else next((text for text in arguments if "${" in text), argument)
    text = str(error).splitlines()[0]
    found = _NO_VARIABLE.search(text)
    fact = text if found is None else f"the environment variable {found[1]} is not set"
    remedy = f"a key that odrun {command} --cfg job lists" if found is None else f"export {found[1]}=VALUE"
    return InputError(
        f"{key_of(given)} refers to something that is not there: {fact}",
        where=f"{COMMAND_LINE}{given}",
        remedy=remedy,
    )


def _several_values(argument: str, command: str) -> InputError:
    key, _, value = argument.partition("=")
    return InputError(
        f"{key} is given several values, and this is not a sweep",
        where=f"{COMMAND_LINE}{argument}",
        remedy=f"a run for each: odrun {command} -m {argument}; a list: '{key}=[{value}]'; text: {quoted(key, value)}",
    )


def _missing_file(error: MissingConfigException, arguments: Sequence[str]) -> InputError:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    found = re.match(r"In '([^']+)'", str(error))
    if not group:
        return InputError(
            f"there is no configuration {option}.yaml",
            where=f"{COMMAND_LINE}--config-name",
            remedy="leave it out, or name a file in the folder given with --config-dir",
        )
    given = f"{group}={option}"
    options = error.options or _options(group, arguments)
    where = f"{COMMAND_LINE}{given}" if given in arguments else _file_of(found[1] if found else "", arguments)
    what = f"{group} has no option {option}" if options else f"there is no group {group}"
    return InputError(what, where=where, remedy=nearest(option, options) if options else None)


def _options(group: str, arguments: Sequence[str]) -> list[str]:
    return sorted({file.stem for folder in config_folders(arguments) for file in (folder / group).glob("*.yaml")})


def _missing_value(error: OmegaConfBaseException, arguments: Sequence[str]) -> InputError:
    found = _MISSING.search(str(error))
    key = str(error.full_key) if found is None or isinstance(error, MissingMandatoryValue) else found[1]
    argument = argument_for(key, arguments)
    return _taken_out(argument) if argument.startswith("~") else not_given([key])


def _taken_out(argument: str) -> InputError:
    key = key_of(argument)
    return InputError(
        f"{key} cannot be taken out: every run has it",
        where=f"{COMMAND_LINE}{argument}",
        remedy=f"set it to another value: {key}=VALUE",
    )


def _unreadable_yaml(error: MarkedYAMLError) -> InputError:
    mark = error.problem_mark or error.context_mark
    where = "a configuration file" if mark is None else f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"
    return InputError(f"the YAML cannot be read: {error.problem or error.context}", where=where)


def _undecodable_file(arguments: Sequence[str]) -> InputError:
    """Name the user's files that are not UTF-8: the error itself names none."""
    remedy = "save it as UTF-8 text"
    for file in sorted(file for folder in added_folders(arguments) for file in folder.rglob("*.yaml")):
        if not _is_text(file):
            return InputError("a configuration file is not UTF-8 text", where=str(file), remedy=remedy)
    return InputError("a configuration file is not UTF-8 text", remedy=remedy)


def _is_text(file: Path) -> bool:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _file_of(name: str, arguments: Sequence[str]) -> str:
    """The path of the configuration `name`, such as dataset/mine, or the name itself when no folder has it."""
    for folder in config_folders(arguments):
        path = Path(folder, f"{name}.yaml")
        if path.is_file():
            return str(path)
    return name
