"""Training records → batches, in the order that `Order` gives, from any step on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from typing import Any

from google.protobuf.message import DecodeError

from odrun.compat.inputs import Features, Labels, training_batches
from odrun.compat.refusals import first_line
from odrun.compat.tensorflow import tf
from odrun.errors import OdrunError, RunFailedError
from odrun.records.index import RecordIndex
from odrun.training.order import Order

_LABELS = "image/object/class/label"


class TrainingInput:
    """The batches of a training; `num_classes` is the highest label id that a record may have.

    As a context it ends all reading on leaving: TensorFlow's threads call Python to read, and would wait for ever for
    an interpreter that ends while they do.
    """

    def __init__(self, records: RecordIndex, order: Order, *, num_classes: int) -> None:
        self._records = records
        self._order = order
        self._num_classes = num_classes
        self._fault: OdrunError | None = None
        self._boxes: dict[int, int] = {}
        self._begun = ExitStack()

    def __enter__(self) -> TrainingInput:
        return self

    def __exit__(self, *failure: object) -> None:
        self._begun.close()
        self._records.close()

    def batches(self, pipeline: Any, network: Any, *, first_step: int) -> Iterator[tuple[Features, Labels]]:
        """Endless batches, from that of `first_step` on (counted from 1).

        Raises:
            InputError: the pipeline's image size or an augmentation of it cannot be used.
            RunFailedError: a record is damaged, has no image or a class that is not there, or images of different
                sizes cannot be batched.
        """
        batches = training_batches(
            pipeline,
            network,
            self._read,
            batch_size=self._order.batch_size,
            first_number=self._order.first_number(first_step),
            seed=self._order.seed,
        )
        return self._begun.enter_context(closing(self._told(iter(batches))))

    def images(self, step: int) -> str:
        """The images of a step's batch, for a message: `3 (a.jpg), 17 (b.jpg)`."""
        names = []
        for number in self._order.batch(step):
            features = tf.train.Example.FromString(self._records[number]).features.feature
            source, name = (_text(features, key) for key in ("image/source_id", "image/filename"))
            names.append(f"{source} ({name})" if name else source)
        return ", ".join(names)

    def decoded(self, step: int) -> tuple[int, int]:
        """How many images the steps up to `step` have taken, and how many boxes those have."""
        records = self._order.records_until(step)
        for record in records - self._boxes.keys():
            # Taken before the run was resumed.
            self._checked(record)
        return len(records), sum(self._boxes[record] for record in records)

    def _told(self, batches: Iterator[tuple[Features, Labels]]) -> Generator[tuple[Features, Labels], None, None]:
        try:
            yield from batches
        except tf.errors.OpError as error:
            if self._fault is not None:
                raise self._fault from error
            raise RunFailedError(
                f"a batch cannot be made: {first_line(error)}",
                where="pipeline.train_input_reader",
                remedy="if sizes differ, train.batch_size=1 or pad_to_max_dimension in the image resizer",
            ) from error

    def _read(self, number: int) -> bytes:
        try:
            return self._checked(self._order.record(number))
        except OdrunError as error:
            # TensorFlow makes a message of its own of what is raised in here.
            self._fault = error
            raise

    def _checked(self, record: int) -> bytes:
        payload = self._records[record]
        if record in self._boxes:
            return payload
        try:
            features = tf.train.Example.FromString(payload).features.feature
        except DecodeError as error:
            raise self._bad(record, "is no tf.train.Example") from error
        if not features["image/encoded"].bytes_list.value:
            raise self._bad(record, "has no image")
        labels = features[_LABELS].int64_list.value
        if labels and not 1 <= min(labels) <= max(labels) <= self._num_classes:
            odd = next(label for label in labels if not 1 <= label <= self._num_classes)
            raise self._bad(record, f"has the label {odd}, and there are the classes 1 to {self._num_classes}")
        self._boxes[record] = len(labels)
        return payload

    def _bad(self, record: int, what: str) -> RunFailedError:
        return RunFailedError(
            f"a training record {what}", where=self._records.where(record), remedy="prepare the records again"
        )


def _text(features: Any, key: str) -> str:
    return b" ".join(features[key].bytes_list.value).decode(errors="replace")
