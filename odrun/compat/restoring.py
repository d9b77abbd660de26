"""A TensorFlow 2 checkpoint seen as what it is: objects that name their parts, some of which are variables.

Comes in: the prefix of a checkpoint and the parts of a network. Goes out: which variable the checkpoint would fill with
which stored value, found as TensorFlow finds it, along the names from the root, but without changing anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from odrun.compat.tensorflow import tf

# isort: split
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_ROOT = 0
_FRAMES = (tf.train.Checkpoint, tf.compat.v1.train.Checkpoint)
"""What the OD API puts around the parts to be restored, where they are not the whole of what was saved."""


@dataclass(frozen=True)
class Pair:
    """A variable of the model and what the checkpoint holds in its place; `key` is None where it holds nothing."""

    variable: tf.Variable
    key: str | None
    stored: str | None

    @property
    def name(self) -> str:
        """The variable's name, without the number of its output."""
        return name_of(self.variable)

    @property
    def expected(self) -> str:
        """Type and shape of the variable, as in `float32 [3, 3, 16]`."""
        return _described(self.variable.dtype, self.variable.shape.as_list())

    @property
    def fits(self) -> bool:
        """Whether the stored value has the variable's type and shape."""
        return self.stored == self.expected


@dataclass(frozen=True)
class Pairing:
    """All variables of some parts with their counterparts, and how many variables of those parts are only stored."""

    pairs: tuple[Pair, ...]
    unused: int

    @property
    def fits(self) -> bool:
        """Whether there are variables and each has its stored value."""
        return bool(self.pairs) and all(pair.fits for pair in self.pairs)


class StoredCheckpoint:
    """The content of the checkpoint `prefix`.

    Raises (also from its methods):
        tf.errors.OpError: a file is absent, cut off or damaged.
        ValueError: the checkpoint has no object graph: TensorFlow 1 wrote it.
    """

    def __init__(self, prefix: str) -> None:
        self._reader = tf.train.load_checkpoint(prefix)
        shapes = self._reader.get_variable_to_shape_map()
        if OBJECT_GRAPH not in shapes:
            raise ValueError("it has no object graph")
        types = self._reader.get_variable_to_dtype_map()
        self._described = {key: _described(types[key], shape) for key, shape in shapes.items()}
        self._nodes = TrackableObjectGraph.FromString(self._reader.get_tensor(OBJECT_GRAPH)).nodes

    @property
    def top_names(self) -> list[str]:
        """The names of the objects that were saved."""
        return sorted(child.local_name for child in self._nodes[_ROOT].children)

    def pairing(self, parts: Mapping[str, Any]) -> Pairing:
        """The variables of `parts`, objects by the names that they have in the checkpoint, and what is stored."""
        root = tf.train.Checkpoint(**parts)
        met = self._met(root)
        stored: dict[Any, str] = {}
        used = set()
        for node, part in met:
            key = self._key(node)
            if key is not None and isinstance(part, tf.Variable):
                stored.setdefault(part.ref(), key)
                used.add(key)
        pairs = []
        for variable in _variables(root):
            key = stored.get(variable.ref())
            pairs.append(Pair(variable, key, None if key is None else self._described[key]))
        whole = [node for node, part in met if not isinstance(part, _FRAMES)]
        return Pairing(tuple(pairs), len(self._keys_below(whole) - used))

    def values(self, pairs: Iterable[Pair]) -> list[np.ndarray[Any, Any]]:
        """The stored values of `pairs` that fit."""
        return [self._reader.get_tensor(pair.key) for pair in pairs]

    def _met(self, root: Any) -> list[tuple[int, Any]]:
        """Each node of the checkpoint with the part of `root` that is reached by the same names."""
        met: list[tuple[int, Any]] = []
        seen = set()
        waiting = deque([(_ROOT, root)])
        while waiting:
            node, part = waiting.popleft()
            if (node, id(part)) in seen:
                continue
            seen.add((node, id(part)))
            met.append((node, part))
            children = tf.train.TrackableView.children(part)
            waiting.extend(
                (child.node_id, children[child.local_name])
                for child in self._nodes[node].children
                if child.local_name in children
            )
        return met

    def _keys_below(self, nodes: Iterable[int]) -> set[str]:
        keys, seen, waiting = set(), set(), list(nodes)
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            key = self._key(node)
            # The OD API's own program lets the network hold its counter of steps, which is no weight.
            if key is not None and self._described[key].startswith("float"):
                keys.add(key)
            waiting.extend(child.node_id for child in self._nodes[node].children)
        return keys

    def _key(self, node: int) -> str | None:
        for attribute in self._nodes[node].attributes:
            if attribute.name == _VALUE and attribute.checkpoint_key in self._described:
                return str(attribute.checkpoint_key)
        return None


def restorable_parts(network: Any, kind: str) -> dict[str, Any] | None:
    """The parts of a built network that a checkpoint of `kind` fills; None if its architecture knows no such kind."""
    try:
        return dict(network.restore_from_objects(fine_tune_checkpoint_type=kind))
    except (ValueError, NotImplementedError):
        return None


def name_of(variable: tf.Variable) -> str:
    """The name of a variable as `train.freeze` and messages have it."""
    return str(variable.name).removesuffix(":0")


def _variables(root: Any) -> Iterator[tf.Variable]:
    for part in tf.train.TrackableView(root).descendants():
        if isinstance(part, tf.Variable):
            yield part


def _described(dtype: Any, shape: Iterable[int]) -> str:
    return f"{tf.as_dtype(dtype).name} {list(shape)}"
