"""TensorFlow, imported in the only order that works: `from odrun.compat.tensorflow import tf`.

TensorFlow, tf-keras and tf-slim take up pandas, SciPy and scikit-learn where they are installed, for functions that no
path of odrun reaches; importing those packages costs more than two seconds. So they seem to be absent meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from odrun import compat
from odrun.compat.late import import_late

_OPTIONAL = ("pandas", "scipy", "sklearn")


@contextmanager
def _optional_packages_left_out() -> Iterator[None]:
    """Within it importing one of them is an `ImportError`, unless it has been imported before."""
    left_out = [name for name in _OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(left_out))  # type: ignore[arg-type] # None is how Python says "not to be found"
    try:
        yield
    finally:
        for name in left_out:
            del sys.modules[name]


compat.load()
import_late()
with _optional_packages_left_out():
    import tensorflow as tf
    import tf_keras
    import tf_slim

__all__ = ["tf", "tf_keras", "tf_slim"]
