"""What has been fetched of a file so far, `NAME.part`, and beside it what tells whether the server has it still."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from odrun.runs.files import write_whole


@dataclass(frozen=True)
class Validators:
    """What a server says of a file: entity tag, date of its last change (both verbatim) and length in bytes."""

    etag: str | None
    last_modified: str | None
    length_bytes: int | None

    @property
    def condition(self) -> str | None:
        """The value of If-Range; a weak entity tag does not promise equal bytes (RFC 9110, 13.1.5)."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def differs(self, other: Validators) -> bool:
        """Whether something that both say is not the same."""
        mine, theirs = asdict(self), asdict(other)
        return any(None not in (mine[name], theirs[name]) and mine[name] != theirs[name] for name in mine)


@dataclass(frozen=True)
class Part:
    """The part of `target`; to be used by one process at a time."""

    target: Path

    @property
    def path(self) -> Path:
        """The bytes fetched so far."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def record(self) -> Path:
        """The validators of the file that the bytes belong to."""
        return self.target.with_name(f"{self.target.name}.part.json")

    def found(self) -> tuple[int, Validators]:
        """How many bytes there are to go on from, and of which file: none, if that is not known or cannot be asked."""
        none = (0, Validators(None, None, None))
        try:
            stated = json.loads(self.record.read_text(encoding="utf-8"))
            done_bytes = self.path.stat().st_size
        except (OSError, ValueError, RecursionError):
            return none
        if not isinstance(stated, dict) or set(stated) != {"etag", "last_modified", "length_bytes"}:
            return none
        texts, length_bytes = (stated["etag"], stated["last_modified"]), stated["length_bytes"]
        if not all(text is None or (isinstance(text, str) and text.isprintable()) for text in texts):
            return none
        if length_bytes is not None and (type(length_bytes) is not int or done_bytes > length_bytes):
            return none
        validators = Validators(*texts, length_bytes)
        return none if validators.condition is None else (done_bytes, validators)

    def begin(self, validators: Validators) -> None:
        """Begin anew, with no bytes of the file that `validators` tell."""
        self.path.unlink(missing_ok=True)
        write_whole(self.record, json.dumps(asdict(validators)))
        self.path.touch()

    def finish(self) -> None:
        """Make the part the file."""
        self.path.replace(self.target)
        self.record.unlink(missing_ok=True)
