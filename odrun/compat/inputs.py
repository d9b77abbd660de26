"""Records → the batches that the OD API's models take, by number instead of through a shuffle buffer.

The OD API's own `train_input` decodes, augments, resizes and pads; only its reading of files is replaced, at the place
where it lets a data set builder be exchanged. Which record is read for a sample, and every draw of its augmentation, is
then a pure function of the sample's number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from odrun.compat.autograph import library_code_converted
from odrun.compat.draws import stateless_draws
from odrun.compat.refusals import refusals_told
from odrun.compat.tensorflow import tf
from odrun.runs.machine import usable_cores

# isort: split
from object_detection import inputs
from object_detection.builders import decoder_builder

Features = Mapping[str, tf.Tensor]
Labels = Mapping[str, tf.Tensor]
ReadSample = Callable[[int], bytes]
"""The serialized `tf.train.Example` of the sample with this number."""

_SAMPLES_MAX = 2**62


def training_batches(
    pipeline: Any, network: Any, read: ReadSample, *, batch_size: int, first_number: int, seed: int
) -> tf.data.Dataset:
    """Endless (features, labels) batches of the samples from `first_number` on, augmented as the pipeline says.

    A few augmentations of the OD API (`random_square_crop_by_scale`) are written for AutoGraph; with one of them the
    input is converted, though library code is not otherwise.

    Raises:
        InputError: an image size or an augmentation has a value that the OD API cannot work with.
    """
    numbers = tf.data.Dataset.range(first_number, _SAMPLES_MAX)

    def build() -> tf.data.Dataset:
        return _built(pipeline, network, read, numbers, batch_size, seed)

    with refusals_told("pipeline", "prepare the training images"):
        try:
            return build()
        except tf.errors.OperatorNotAllowedInGraphError:
            with library_code_converted():
                return build()


def evaluation_batches(
    pipeline: Any, network: Any, read: ReadSample, *, count: int, batch_size: int
) -> tf.data.Dataset:
    """(features, labels) batches of the samples 0 to `count` - 1 as they are, with labels as for training.

    Every batch is full: the last one is filled up with samples from 0 on.
    """
    unaugmented = type(pipeline)()
    unaugmented.CopyFrom(pipeline)
    del unaugmented.train_config.data_augmentation_options[:]
    batches = -(-count // batch_size)
    numbers = tf.data.Dataset.range(count).repeat().take(batches * batch_size)
    with refusals_told("pipeline", "prepare the validation images"):
        return _built(unaugmented, network, read, numbers, batch_size, seed=0)


def _built(
    pipeline: Any, network: Any, read: ReadSample, numbers: tf.data.Dataset, batch_size: int, seed: int
) -> tf.data.Dataset:
    def read_bytes(some: Any) -> Any:
        return np.array([read(int(number)) for number in some], object)

    def by_number(reader: Any, *, transform_input_data_fn: Callable[[Any], Any], **_: Any) -> tf.data.Dataset:
        decoder = decoder_builder.build(reader)

        def with_records(some: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return some, tf.ensure_shape(tf.numpy_function(read_bytes, [some], tf.string, stateful=False), [None])

        def sample(number: tf.Tensor, record: tf.Tensor) -> Any:
            with stateless_draws(seed, number):
                return transform_input_data_fn(decoder.decode(record))

        # A batch at a time: one call of Python costs more than reading a small record.
        records = numbers.batch(batch_size).map(with_records).unbatch()
        samples = records.map(sample, num_parallel_calls=usable_cores(), deterministic=True)
        return samples.batch(batch_size, drop_remainder=True).prefetch(2).with_options(_untuned())

    with _data_set_builder(by_number):
        return inputs.train_input(
            train_config=pipeline.train_config,
            train_input_config=pipeline.train_input_reader,
            model_config=pipeline.model,
            model=network,
        )


def _untuned() -> tf.data.Options:
    """Without tf.data's tuner, whose thread now and then misses that its data set is closed.

    It then sleeps until it is due again, up to a minute, and with it all who wait for the end: TensorFlow's
    `CancellationManager` runs the callback that wakes it before it says that anything is cancelled.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@contextmanager
def _data_set_builder(builder: Callable[..., tf.data.Dataset]) -> Iterator[None]:
    published = inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"]
    inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"] = builder
    try:
        yield
    finally:
        inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"] = published
