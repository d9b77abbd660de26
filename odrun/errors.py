"""What odrun raises: every error says what is wrong, where, and the remedy.

Three kinds, told apart by the exit status that a command ends with: the user's input is wrong (2), the run failed (1),
a signal stopped it (128 + the signal's number).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OdrunError(Exception):
    """Base of all errors that odrun raises on purpose.

    `what` is the fault in one sentence, `where` the file, key or argument it lies in, `remedy` what to type or change.
    """

    exit_status = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        # A trial of a sweep hands its error to another process; an error is made with arguments that it must name.
        return _remade, (type(self), self.what, self.__dict__)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  where:  {self.where}")
        if self.remedy is not None:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class InputError(OdrunError):
    """The user's input (a key, a path, a file) is wrong."""

    exit_status = 2


class RunFailedError(OdrunError):
    """The run itself failed after its input had been accepted."""


class InterruptedRunError(OdrunError):
    """A signal stopped the run after it had saved; the exit status is 128 + `signal_number`."""

    def __init__(self, what: str, *, signal_number: int, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.exit_status = 128 + signal_number


def _remade(kind: type[OdrunError], what: str, state: dict[str, object]) -> OdrunError:
    error = kind.__new__(kind, what)
    error.__dict__.update(state)
    return error


def nearest(name: str, valid: Iterable[str], *, most: int = 3) -> str:
    """The valid names closest to `name`, as a phrase for a remedy; all of them when none is close."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=most, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}"
    return f"valid: {', '.join(names)}"
