"""Random operations by seed and place, and TensorFlow's own again after the context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from odrun.compat.draws import stateless_draws
from odrun.compat.tensorflow import tf

# isort: split
from tensorflow.python.ops import gen_image_ops, gen_random_ops, image_ops_impl

BOXES = [[[0.1, 0.1, 0.9, 0.9]]]
DRAWS: dict[str, Callable[[], Any]] = {
    "uniform": lambda: tf.random.uniform([100], -1.0, 3.0),
    "uniform integers": lambda: tf.random.uniform([100], 2, 9, tf.int32),
    "normal": lambda: tf.random.normal([100], 5.0, 2.0),
    "truncated normal": lambda: tf.random.truncated_normal([100]),
    "shuffle": lambda: tf.random.shuffle(tf.range(100)),
    "shuffle of rows": lambda: tf.compat.v1.random_shuffle(tf.reshape(tf.range(100), [50, 2])),
    "categorical": lambda: tf.random.categorical(tf.zeros([1, 7]), 100),
    "hue": lambda: tf.image.random_hue(tf.ones([2, 2, 3]) * [0.1, 0.5, 0.9], 0.4),
    "crop": lambda: tf.compat.v1.image.sample_distorted_bounding_box([90, 90, 3], BOXES)[2],
    "dropout": lambda: tf.nn.dropout(tf.ones([100]), 0.5),
}


def drawn(draw: Callable[[], Any], stream: int = 1) -> Callable[[int], np.ndarray]:
    """`draw` twice in one graph, by the number that is given."""

    @tf.function(autograph=False)
    def graph(number: tf.Tensor) -> tuple[Any, Any]:
        with stateless_draws(stream, number):
            return draw(), draw()

    return lambda number: [part.numpy() for part in graph(tf.constant(number, tf.int64))]


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_a_function_of_stream_number_and_place(name: str) -> None:
    graph, again, other_stream = drawn(DRAWS[name]), drawn(DRAWS[name]), drawn(DRAWS[name], stream=2)
    first, second = graph(3)

    graph(4)
    np.testing.assert_array_equal(graph(3), [first, second])
    np.testing.assert_array_equal(again(3), [first, second])
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, graph(4)[0])
    assert not np.array_equal(first, other_stream(3)[0])


def test_the_draws_have_the_limits_and_moments_of_the_published_operations() -> None:
    values = np.concatenate([drawn(DRAWS["uniform"])(number)[0] for number in range(50)])
    assert (values.min() > -1, values.max() < 3) == (True, True)
    assert values.mean() == pytest.approx(1.0, abs=0.1)
    integers = np.concatenate([drawn(DRAWS["uniform integers"])(number)[0] for number in range(5)])
    assert set(integers.tolist()) == set(range(2, 9))
    normal = np.concatenate([drawn(DRAWS["normal"])(number)[0] for number in range(50)])
    assert (normal.mean(), normal.std()) == (pytest.approx(5.0, abs=0.1), pytest.approx(2.0, abs=0.1))
    assert sorted(drawn(DRAWS["shuffle"])(1)[0].tolist()) == list(range(100))


def test_no_operation_with_a_state_is_left_in_the_graph() -> None:
    def all_draws() -> list[Any]:
        return [tf.cast(tf.reduce_sum(draw()), tf.float32) for draw in DRAWS.values()]

    @tf.function(autograph=False)
    def graph(number: tf.Tensor) -> tf.Tensor:
        with stateless_draws(0, number):
            return tf.cond(number > 0, lambda: tf.add_n(all_draws()), lambda: 0.0)

    definition = graph.get_concrete_function(tf.constant(1, tf.int64)).graph.as_graph_def()
    kinds = {node.op for node in definition.node}
    kinds |= {node.op for function in definition.library.function for node in function.node_def}
    drawing = {
        kind for kind in kinds if any(word in kind for word in ("Random", "Shuffle", "Multinomial", "Distorted"))
    }
    assert len(drawing) >= 5
    assert {kind for kind in drawing if not kind.startswith("Stateless")} == set()


def test_within_a_loop_operations_stay_as_they_are() -> None:
    @tf.function(autograph=False)
    def graph(number: tf.Tensor) -> tf.Tensor:
        with stateless_draws(0, number):
            return tf.map_fn(lambda _: tf.random.uniform([]), tf.zeros([20]))

    assert len(set(graph(tf.constant(1, tf.int64)).numpy().tolist())) == 20


def test_tensorflow_is_itself_again_after_the_context_also_after_an_error() -> None:
    before = (gen_random_ops.random_uniform, gen_image_ops.sample_distorted_bounding_box_v2, image_ops_impl.config)

    with pytest.raises(RuntimeError, match="planted"), stateless_draws(0, tf.constant(0, tf.int64)):
        raise RuntimeError("planted")

    after = (gen_random_ops.random_uniform, gen_image_ops.sample_distorted_bounding_box_v2, image_ops_impl.config)
    assert after == before
