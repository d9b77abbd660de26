"""A key that a config does not have, or a value that does not fit its key: what OmegaConf refuses, in odrun's words."""

from __future__ import annotations

import re

from omegaconf import DictConfig, ListConfig
from omegaconf.errors import ConfigAttributeError, ConfigIndexError, ConfigKeyError, OmegaConfBaseException

from odrun.config.location import conf_dir
from odrun.errors import InputError, nearest

COMMAND_LINE = "command line: "
"""What the place of a fault begins with when it is an argument."""

_KINDS = {
    "Integer": "a whole number",
    "Float": "a number",
    "bool": "true or false",
    "String": "text",
}
_UNFIT = re.compile(r"(?:could not be converted to|is not a valid) (\w+)")
_STEPS = "augmentation.steps."
_NOISE = ("full_key:", "object_type=", "reference_type=", "See ")


def key_or_value(error: OmegaConfBaseException, where: str) -> InputError:
    """The `InputError` for a key that does not exist or a value that does not fit it; `where` is its source."""
    key = dotted(error.full_key or str(error.key))
    if isinstance(error, ConfigIndexError) and isinstance(error.parent_node, ListConfig):
        whole = key.rpartition(".")[0]
        what = f"{key} is beyond the end of {whole}, a list of {len(error.parent_node)} counted from 0"
        return InputError(what, where=where, remedy=f"set the whole list: '{whole}=[...]'")
    if isinstance(error, (ConfigKeyError, ConfigAttributeError)):
        return _unknown_key(error, key, where)
    return _wrong_value(error, key, where)


def _unknown_key(error: OmegaConfBaseException, key: str, where: str) -> InputError:
    parent, _, name = key.rpartition(".")
    argument = where.removeprefix(COMMAND_LINE).lstrip("+")
    # Protocol buffers take a while to be imported, and most command lines have no fault.
    from odrun.pipeline import descriptors

    if parent == "pipeline" or parent.startswith("pipeline."):
        keys = key.split(".")[1:]
        if descriptors.field_at(keys) is not None:
            what = f"{key} is a field of the OD API that this model leaves unset"
            return InputError(what, where=where, remedy=f"add it with a plus sign: +{argument}")
        message = descriptors.message_at(keys[:-1])
        if message is not None:
            remedy = descriptors.suggest(message, name)
            return InputError(f"{key} is not a field of the OD API", where=where, remedy=remedy)
    if key.startswith(_STEPS) and "." not in key.removeprefix(_STEPS):
        steps = descriptors.message_at(("train_config", "data_augmentation_options"))
        assert steps is not None
        if name in steps.fields_by_name:
            remedy = f"add it with a plus sign: +{argument}"
            return InputError(f"{key} is a step that is not among the present ones", where=where, remedy=remedy)
        return InputError(
            f"{name} is not a preprocessing step of the OD API", where=where, remedy=descriptors.suggest(steps, name)
        )
    if not parent and not where.startswith(COMMAND_LINE) and (conf_dir() / name).is_dir():
        remedy = "make its first line `# @package _global_`: what such a file sets lies in other groups"
        return InputError(
            f"the values of this file would be set below {name}, which has none", where=where, remedy=remedy
        )
    if isinstance(error.parent_node, DictConfig) and not error.parent_node:
        return InputError(f"there is no {key} yet", where=where, remedy=f"add it with a plus sign: +{argument}")
    valid = [str(item) for item in error.parent_node] if isinstance(error.parent_node, DictConfig) else []
    return InputError(
        f"there is no {key}", where=where, remedy=nearest(name, valid) if valid else f"{parent} has no keys below it"
    )


def _wrong_value(error: OmegaConfBaseException, key: str, where: str) -> InputError:
    text = str(error).splitlines()[0]
    if "is not Optional" in text:
        return InputError(f"{key} cannot be null", where=where, remedy=f"{key}=VALUE")
    if "is not a ListConfig" in text:
        return InputError(f"{key} is one value, where a list is meant", where=where, remedy=f"'{key}=[{error.value}]'")
    if found := _UNFIT.search(text):
        value = error.value
        whole = isinstance(value, float) and value.is_integer() and found[1] == "Integer"
        remedy = f"{key}={int(value)}" if whole else f"{key}=VALUE"
        return InputError(
            f"{key} is {value!r}, where {_KINDS.get(found[1], found[1])} is meant", where=where, remedy=remedy
        )
    if re.search(r"Cannot assign \w+ to Dict|Invalid type assigned", text):
        return InputError(
            f"{key} is {error.value!r}, where a group of values is meant",
            where=where,
            remedy=f"set a value below it: {key}.NAME=VALUE",
        )
    return plain(error, where)


def plain(error: Exception, where: str) -> InputError:
    """The error in its own words, on one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    kept = "; ".join(line for line in lines if line and not line.startswith(_NOISE))
    return InputError(f"the configuration does not compose: {kept}", where=where)


def dotted(full_key: str) -> str:
    """OmegaConf's `list[0].key` as it is typed: `list.0.key`."""
    return re.sub(r"\[(\w+)\]", r".\1", full_key)
