"""The limits of single settings."""

from __future__ import annotations

from odrun.errors import InputError


def check(holds: bool, key: str, value: object, limit: str) -> None:
    """Raise the `InputError` for the setting `key`, whose `value` is not within its `limit`, unless that `holds`."""
    if not holds:
        raise InputError(f"{key} is {value!r}; it has to be {limit}", where=key, remedy=f"set {key}=VALUE")
