"""Which class an object is of: the class texts of the data → the classes that are trained, renamed and merged.

Comes in: `dataset.classes` (null, a list, or a mapping new name → old names), or the same out of a label map. Goes out:
a `ClassMap`, whose `names` are in the order of the label ids. Refused: an empty choice, a name that is no text, a class
named twice, a text that would mean two classes.

Two texts are spellings of one name if they differ in case, in outer spaces, in how many spaces stand between words, or
in how accents are composed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from odrun.errors import InputError, nearest

GivenClasses: TypeAlias = Mapping[str, str | Sequence[str]] | Sequence[str] | None

_KEY = "dataset.classes"
_REMEDY = (
    f"set {_KEY}=null for all classes, {_KEY}=[cat,dog] for some, {_KEY}={{vehicle:[car,van],person:person}} to rename"
)
_REMEMBERED = 10_000
_LONGEST_HINT = 100


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a class text means: the class `name`, None if it is unknown; then `hint` tells the nearest names.

    `is_exact` is false where the text is another spelling of a name, or unknown.
    """

    name: str | None
    is_exact: bool
    hint: str = ""


@dataclass(frozen=True)
class ClassMap:
    """The classes in the order of their label ids (`names`; None: all that the data have) and what means them.

    `sources` has the class of each text. Made by `class_map`.
    """

    names: tuple[str, ...] | None
    sources: Mapping[str, str]
    _resolved: dict[str, Resolved] = field(default_factory=dict, init=False, repr=False, compare=False)

    def resolve(self, class_name: str) -> Resolved:
        """What `class_name`, a text of the data, means; where all classes are taken, it means itself."""
        if self.names is None:
            return Resolved(class_name, is_exact=True)
        resolved = self._resolved.get(class_name)
        if resolved is None:
            resolved = self._found(class_name)
            if len(self._resolved) < _REMEMBERED:
                self._resolved[class_name] = resolved
        return resolved

    def _found(self, class_name: str) -> Resolved:
        if class_name in self.sources:
            return Resolved(self.sources[class_name], is_exact=True)
        targets = self._targets_of_plain.get(_plain(class_name), [])
        if len(targets) == 1:
            return Resolved(targets[0], is_exact=False)
        return Resolved(None, is_exact=False, hint=_hint(class_name, self.sources))

    @cached_property
    def _targets_of_plain(self) -> dict[str, list[str]]:
        """Spelling-free text → the classes it can mean: more than one where two texts differ in spelling only."""
        found: dict[str, list[str]] = {}
        for source, target in self.sources.items():
            targets = found.setdefault(_plain(source), [])
            if target not in targets:
                targets.append(target)
        return found


def class_map(given: GivenClasses) -> ClassMap:
    """The classes that `given` chooses: all (None), those in a list, or the keys of a mapping, each with its old names.

    A whole number stands for its digits, as YAML takes a bare `7` for a number.

    Raises:
        InputError: nothing is chosen, a name is empty or no text, or it is named twice.
    """
    if given is None:
        return ClassMap(None, {})
    targets: dict[str, list[str]] = {}
    for target, sources in _entries(given):
        if target in targets:
            raise _refusal(f"names the class {target!r} twice")
        targets[target] = sources
    if not targets:
        raise _refusal("is empty")
    target_of: dict[str, str] = {}
    for target, sources in targets.items():
        if not sources:
            raise _refusal(f"has no old name for the class {target!r}")
        for source in sources:
            if source in target_of:
                both = f"{target_of[source]!r} and {target!r}"
                raise _refusal(
                    f"takes {source!r} for {both}" if target_of[source] != target else f"names {source!r} twice"
                )
            target_of[source] = target
    return ClassMap(tuple(targets), target_of)


def unify(counts: Mapping[str, int]) -> dict[str, str]:
    """Each text of `counts` (class text → how often it stands in the data) → the most frequent spelling of it.

    Of equally frequent ones it is the first in sorted order.
    """
    spellings: dict[str, list[str]] = {}
    for name in sorted(counts):
        spellings.setdefault(_plain(name), []).append(name)
    chosen = {plain: max(names, key=lambda name: counts[name]) for plain, names in spellings.items()}
    return {name: chosen[plain] for plain, names in spellings.items() for name in names}


def _entries(given: object) -> list[tuple[str, list[str]]]:
    """Each class of `given` with the texts that mean it."""
    if isinstance(given, Mapping):
        return [(_name(target), _names(sources)) for target, sources in given.items()]
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise _refusal(f"is {given!r}, neither null, a list nor a mapping")
    return [(name, [name]) for name in map(_name, given)]


def _names(sources: object) -> list[str]:
    if isinstance(sources, Sequence) and not isinstance(sources, (str, bytes)):
        return [_name(source) for source in sources]
    return [_name(sources)]


def _name(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _refusal(f"has {value!r}, which is no name", remedy=f'quote a name that YAML takes otherwise: "{value}"')
    if not value.strip():
        raise _refusal(f"has the empty name {value!r}")
    return value


def _plain(name: str) -> str:
    composed = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return " ".join(composed.split())


def _hint(name: str, valid: Iterable[str]) -> str:
    names = list(valid)
    none_close = f"none of its {len(names)} names is close"
    if len(name) > _LONGEST_HINT:
        return none_close
    same = [candidate for candidate in names if _plain(candidate) == _plain(name)]
    hint = f"did you mean {' or '.join(same)}" if same else nearest(name, names)
    return hint if len(hint) <= _LONGEST_HINT else none_close


def _refusal(how: str, *, remedy: str = _REMEDY) -> InputError:
    return InputError(f"{_KEY} {how}.", where=_KEY, remedy=remedy)
