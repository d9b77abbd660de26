"""Random numbers as a pure function of a seed, for code that was written with TensorFlow's stateful random operations.

The OD API draws from operations that keep a state of their own (augmentations, samplers of anchors and proposals), so
that what is drawn at a step depends on all steps before it. Within `stateless_draws` a graph that is being traced gets
the stateless counterparts instead: equal seeds give equal draws, whatever was drawn before. It is applied by odrun
around its own tracing; `load()` has no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from odrun.compat.tensorflow import tf

# isort: split
from tensorflow.python.ops import gen_image_ops, gen_random_ops, image_ops_impl
from tensorflow.python.ops.control_flow_v2_func_graphs import WhileBodyFuncGraph

DRAWS_MAX = 2**16
"""Seeds for the draws of one use, one after the other, are this far apart from those of the next use."""


@contextmanager
def stateless_draws(stream: int, number: tf.Tensor) -> Iterator[None]:
    """Within it each random operation that is traced draws by `stream`, `number` (int64 scalar) and its own place.

    An operation within the body of a loop (`tf.while_loop`, `tf.map_fn`) stays stateful: its place in the graph is the
    same in each round, and so its draws would be.
    """
    draws = _Draws(stream, number)
    published = {(module, name): getattr(module, name) for module, name in _REPLACED}
    settings = image_ops_impl.config
    for (module, name), replacement in _REPLACED.items():
        setattr(module, name, _replaced(published[module, name], replacement, draws))
    image_ops_impl.config = _Undetermined
    try:
        yield
    finally:
        image_ops_impl.config = settings
        for (module, name), function in published.items():
            setattr(module, name, function)


class _Undetermined:
    """With determinism on, TensorFlow refuses a sampled crop without a seed of its own before ours can get there."""

    @staticmethod
    def is_op_determinism_enabled() -> bool:
        return False


class _Draws:
    """Hands out one seed after the other."""

    def __init__(self, stream: int, number: tf.Tensor) -> None:
        self._stream = tf.constant(stream, tf.int64)
        self._first = tf.cast(number, tf.int64) * DRAWS_MAX
        self._count = 0

    def seed(self) -> tf.Tensor:
        self._count += 1
        return tf.stack([self._stream, self._first + self._count])


def _replaced(published: Callable[..., Any], replacement: Callable[..., Any], draws: _Draws) -> Callable[..., Any]:
    def draw(*arguments: Any, **named: Any) -> Any:
        if _in_loop():
            return published(*arguments, **named)
        for state in ("seed", "seed2", "name"):
            named.pop(state, None)
        return replacement(draws.seed(), *arguments, **named)

    return draw


def _in_loop() -> bool:
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        if isinstance(graph, WhileBodyFuncGraph):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def _uniform(seed: tf.Tensor, shape: Any, dtype: Any) -> Any:
    return tf.raw_ops.StatelessRandomUniform(shape=shape, seed=seed, dtype=dtype)


def _uniform_int(seed: tf.Tensor, shape: Any, minval: Any, maxval: Any) -> Any:
    return tf.raw_ops.StatelessRandomUniformInt(shape=shape, seed=seed, minval=minval, maxval=maxval)


def _normal(seed: tf.Tensor, shape: Any, dtype: Any) -> Any:
    return tf.raw_ops.StatelessRandomNormal(shape=shape, seed=seed, dtype=dtype)


def _truncated_normal(seed: tf.Tensor, shape: Any, dtype: Any) -> Any:
    return tf.raw_ops.StatelessTruncatedNormal(shape=shape, seed=seed, dtype=dtype)


def _shuffle(seed: tf.Tensor, value: Any) -> Any:
    value = tf.convert_to_tensor(value)
    keys = tf.raw_ops.StatelessRandomUniform(shape=tf.shape(value)[:1], seed=seed, dtype=tf.float32)
    return tf.ensure_shape(tf.gather(value, tf.argsort(keys, stable=True)), value.shape)


def _multinomial(seed: tf.Tensor, logits: Any, num_samples: Any, output_dtype: Any = tf.int64) -> Any:
    return tf.raw_ops.StatelessMultinomial(logits=logits, num_samples=num_samples, seed=seed, output_dtype=output_dtype)


def _distorted_box(
    seed: tf.Tensor, image_size: Any, bounding_boxes: Any, min_object_covered: Any, **limits: Any
) -> Any:
    return tf.raw_ops.StatelessSampleDistortedBoundingBox(
        image_size=image_size, bounding_boxes=bounding_boxes, min_object_covered=min_object_covered, seed=seed, **limits
    )


_REPLACED: dict[tuple[Any, str], Callable[..., Any]] = {
    (gen_random_ops, "random_uniform"): _uniform,
    (gen_random_ops, "random_uniform_int"): _uniform_int,
    (gen_random_ops, "random_standard_normal"): _normal,
    (gen_random_ops, "truncated_normal"): _truncated_normal,
    (gen_random_ops, "random_shuffle"): _shuffle,
    (gen_random_ops, "multinomial"): _multinomial,
    (gen_image_ops, "sample_distorted_bounding_box_v2"): _distorted_box,
}
"""Where TensorFlow's Python functions end in an operation with state, and what is to stand there instead."""
