"""One YAML value → one value of a protobuf field, strictly: nothing is guessed, rounded or cut off."""

from __future__ import annotations

import math
from typing import TypeAlias

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from odrun.errors import nearest

Scalar: TypeAlias = bool | int | float | str | bytes

_LIMITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# Half way between the largest 32-bit number and the next that there would be: from here on all round to infinity.
_FLOAT32_END = 2.0**128 - 2.0**103


class UnfitError(Exception):
    """The value does not fit the field; `remedy` has `KEY` where the key path goes."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def convert(field: FieldDescriptor, value: object) -> Scalar:
    """`value` as the field takes it: a number for an enum, the rest as it is.

    Raises:
        UnfitError: a wrong type, a number out of range or not finite, an enum name that does not exist.
    """
    if field.enum_type is not None:
        return _enum_number(field.enum_type, value)
    if field.cpp_type in _LIMITS:
        return _integer(field, value)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if isinstance(value, bool):
            return value
        raise UnfitError(f"is {describe(value)}, where true or false is meant", "KEY=true or KEY=false")
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return _real(field, value)
    return _text(field, value)


def describe(value: object) -> str:
    """A value in the words of YAML, for a message: `the text 'abc'`, `the number 3`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the switch {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping"
    return f"a {type(value).__name__}"


def _enum_number(enum: EnumDescriptor, value: object) -> int:
    names = enum.values_by_name
    if isinstance(value, str) and value in names:
        return names[value].number
    if isinstance(value, str):
        raise UnfitError(f"is {value!r}, which is not a value of it", nearest(value, names))
    raise UnfitError(f"is {describe(value)}, where a name is meant", f"valid: {', '.join(sorted(names))}")


def _integer(field: FieldDescriptor, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        whole = isinstance(value, float) and value.is_integer()
        remedy = f"KEY={int(value)}" if whole and isinstance(value, float) else "give a number without a point"
        raise UnfitError(f"is {describe(value)}, where a whole number is meant", remedy)
    low, high = _LIMITS[field.cpp_type]
    if not low <= value <= high:
        raise UnfitError(f"is {value}, out of range", f"give a number from {low} to {high}")
    return value


def _real(field: FieldDescriptor, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnfitError(f"is {describe(value)}, where a number is meant", "give a number such as KEY=0.5")
    end = _FLOAT32_END if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else math.inf
    if not math.isfinite(value) or abs(value) >= end:
        raise UnfitError(f"is {value}, which is not a finite number of the field's size", "give a finite number")
    return float(value)


def _text(field: FieldDescriptor, value: object) -> str | bytes:
    if not isinstance(value, str):
        raise UnfitError(f"is {describe(value)}, where text is meant", f"quote it: 'KEY=\"{value}\"'")
    return value.encode() if field.type == FieldDescriptor.TYPE_BYTES else value
