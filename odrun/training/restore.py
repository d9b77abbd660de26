"""Fine-tuning: the variables of a built model that a checkpoint holds are filled from it.

Comes in: a built model and the prefix of a TensorFlow 2 checkpoint. What the checkpoint holds decides the restore type,
in the OD API's words: `full` (every variable), `detection` (all but the heads, whose shapes follow from the classes) or
`classification` (the backbone alone). Step and optimizer of the checkpoint are left alone. All values are compared and
read before the first is written, so that a checkpoint that is refused leaves the model as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from odrun.compat.engine import DetectionModel
from odrun.compat.refusals import first_line
from odrun.compat.restoring import Pair, Pairing, StoredCheckpoint, restorable_parts
from odrun.compat.tensorflow import tf
from odrun.errors import InputError, nearest

FULL, DETECTION = "full", "detection"
KINDS = (FULL, DETECTION, "fine_tune", "classification")
"""The restore types of the OD API, from the one that fills most to the one that fills least."""
LISTED_MOST = 10
_REMEDY = "give a checkpoint of this model, model.checkpoint=FILE, or start afresh, model.checkpoint=none"


@dataclass(frozen=True)
class Restored:
    """How a model was filled: the restore type, and how many variables were restored, are fresh, were left over.

    `unused` counts variables that only the checkpoint has, in the parts of the model that were restored.
    """

    kind: str
    restored: int
    fresh: int
    unused: int

    def __str__(self) -> str:
        text = f"{self.restored} of {self.restored + self.fresh} variables restored ({self.kind}), {self.fresh} fresh"
        return f"{text}, {self.unused} of the checkpoint not used" if self.unused else text


def restore(model: DetectionModel, prefix: str, *, kind: str | None) -> Restored:
    """Fill a built `model` from the checkpoint `prefix`; `kind` is a restore type, or None for the fullest that fits.

    Raises:
        InputError: the checkpoint is absent, damaged or of TensorFlow 1, it does not fit the model, or the model's
            architecture has no such restore type; the model is unchanged.
    """
    parts = _parts(model, kind)
    with _damage_told(prefix):
        stored = _opened(prefix)
        pairings = {kind: stored.pairing(objects) for kind, objects in parts.items()}
        chosen = _chosen(pairings, is_asked_for=kind is not None)
        if chosen is None:
            raise _unfit(pairings, stored.top_names, prefix)
        pairs = pairings[chosen].pairs
        values = stored.values(pairs)
    for pair, value in zip(pairs, values, strict=True):
        pair.variable.assign(value)
    return Restored(chosen, len(pairs), len(model.network.variables) - len(pairs), pairings[chosen].unused)


@contextmanager
def _damage_told(prefix: str) -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, RuntimeError, IndexError) as error:
        raise InputError(
            f"the checkpoint cannot be read: {first_line(error)}",
            where=prefix,
            remedy="copy or unpack it again, all its files; model.checkpoint=none starts from random weights",
        ) from error


def _opened(prefix: str) -> StoredCheckpoint:
    try:
        return StoredCheckpoint(prefix)
    except ValueError as error:
        raise InputError(
            "this is a TensorFlow 1 checkpoint; a TensorFlow 2 one is needed", where=prefix, remedy=_REMEDY
        ) from error


def _parts(model: DetectionModel, kind: str | None) -> dict[str, dict[str, object]]:
    """By restore type, what it fills, for the types that the model's architecture has."""
    found = {each: restorable_parts(model.network, each) for each in KINDS}
    known = {each: objects for each, objects in found.items() if objects is not None}
    if kind is None:
        return known
    if kind not in known:
        raise InputError(
            f"this architecture cannot restore a checkpoint of type {kind!r}",
            where="pipeline.train_config.fine_tune_checkpoint_type",
            remedy=nearest(kind, known),
        )
    return {kind: known[kind]}


def _chosen(pairings: Mapping[str, Pairing], *, is_asked_for: bool) -> str | None:
    """The first type of which all fits; `full` only if nothing is left over, which were heads of another make."""
    for kind, pairing in pairings.items():
        if pairing.fits and (is_asked_for or kind != FULL or not pairing.unused):
            return kind
    return None


def _unfit(pairings: Mapping[str, Pairing], top_names: list[str], prefix: str) -> InputError:
    """What is wrong with the restore type that comes closest: has the fewest faults, of those that are there at all."""
    faults_of = {kind: [pair for pair in pairing.pairs if not pair.fits] for kind, pairing in pairings.items()}
    held = [kind for kind, pairing in pairings.items() if any(pair.key is not None for pair in pairing.pairs)]
    likely = [kind for kind in pairings if kind == DETECTION]
    closest = min(held or likely or pairings, key=lambda kind: len(faults_of[kind]))
    pairs, faults = pairings[closest].pairs, faults_of[closest]
    what = f"the checkpoint does not fit the model: {len(faults)} of {len(pairs)} variables ({closest}) differ"
    if not held:
        names = ", ".join(top_names)
        what = f"the checkpoint holds none of the variables of the restore type {closest}; it holds {names}"
    lines = [_line(pair) for pair in faults[:LISTED_MOST]]
    if len(faults) > LISTED_MOST:
        lines.append(f"and {len(faults) - LISTED_MOST} more")
    return InputError("\n    ".join([what, *lines]), where=prefix, remedy=_REMEDY)


def _line(pair: Pair) -> str:
    stored = "absent" if pair.stored is None else pair.stored
    return f"{pair.name}: in the checkpoint {stored}, in the model {pair.expected}"
