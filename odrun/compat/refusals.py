"""What the OD API stumbles over, told as a setting of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from odrun.compat.tensorflow import tf
from odrun.errors import InputError

_KERAS_FRAME = "Exception encountered when calling layer"
"""What Keras puts before the message itself."""


@contextmanager
def refusals_told(where: str, what: str) -> Iterator[None]:
    """A value of the pipeline that the OD API stumbles over, while it builds or traces, is the user's to correct."""
    try:
        yield
    except (ValueError, NotImplementedError, tf.errors.InvalidArgumentError) as error:
        lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(_KERAS_FRAME)]
        told = lines[0] if lines else type(error).__name__
        raise InputError(
            f"the Object Detection API cannot {what}: {told.strip()}",
            where=where,
            remedy="odrun train --cfg job shows the node; correct the value that the message names",
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, without the rest of what TensorFlow puts into its messages."""
    return (str(error).splitlines() or [type(error).__name__])[0]
