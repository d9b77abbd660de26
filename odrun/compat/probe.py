"""`python -m odrun.compat.probe`: load TensorFlow and the Object Detection API, and print as JSON what there is.

In a process of its own, as what does not work here may end the process or never end.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module

from odrun import compat

NEEDED = ("model_lib_v2", "builders.model_builder", "builders.optimizer_builder", "exporter_lib_v2", "inputs")


def probe() -> dict[str, object]:
    """Versions, devices and seconds.

    Raises:
        InputError: as of `odrun.compat.load`.
        ImportError: a package is missing or broken.
    """
    started = time.monotonic()
    compat.load()
    import tensorflow as tf

    tensorflow_s = time.monotonic() - started
    for name in NEEDED:
        import_module(f"object_detection.{name}")
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "tensorflow": tf.__version__,
        "built_with_cuda": tf.test.is_built_with_cuda(),
        "gpus": [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus],
        "tensorflow_s": tensorflow_s,
        "object_detection_s": time.monotonic() - started - tensorflow_s,
        "shims": len(compat.SHIMS),
    }


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(probe())}\n")
