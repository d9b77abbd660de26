"""What a check has found: how bad it is, what it is, and the override that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from odrun.errors import InputError

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """`check` is the field of it (data, model, schedule, ...); `remedy` what to type, None for a mere fact."""

    check: str
    severity: Severity
    what: str
    remedy: str | None = None


def finding_of(check: str, error: InputError) -> Finding:
    """A refusal as a finding."""
    where = "" if error.where is None else f" ({error.where})"
    return Finding(check, "error", f"{error.what}{where}", error.remedy)


def refuse_errors(findings: Sequence[Finding], *, where: str | None = None) -> None:
    """Raise the one `InputError` that tells all errors among `findings`, if there are any."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    if len(errors) == 1:
        raise InputError(errors[0].what, where=where, remedy=errors[0].remedy)
    lines = [f"{error.what}" + (f"; {error.remedy}" if error.remedy else "") for error in errors]
    raise InputError("\n  ".join([f"{len(errors)} errors:", *lines]), where=where)
