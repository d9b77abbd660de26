"""Any program of the OD API under the shims: `python -m odrun.compat MODULE [ARGS...]`.

The program sees itself as `__main__` with its own arguments; its output and its exit status are left as they are.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys

from odrun.compat import load
from odrun.errors import InputError, OdrunError, nearest

USAGE = "python -m odrun.compat MODULE [ARGS...]"
PROGRAMS = {
    "object_detection.model_main_tf2": "trains or evaluates what a pipeline.config says",
    "object_detection.exporter_main_v2": "writes a checkpoint as a SavedModel",
    "object_detection.export_tflite_graph_tf2": "writes an SSD or CenterNet checkpoint for the TFLite converter",
    "object_detection.dataset_tools.create_coco_tf_record": "turns COCO annotations into TFRecords",
    "object_detection.dataset_tools.create_kitti_tf_record": "turns KITTI annotations into TFRecords",
    "object_detection.dataset_tools.create_oid_tf_record": "turns Open Images annotations into TFRecords",
    "object_detection.dataset_tools.create_pascal_tf_record": "turns PASCAL VOC annotations into TFRecords",
    "object_detection.builders.model_builder_tf2_test": "tests that the models can be built",
}


def main(arguments: list[str]) -> None:
    """Run the module that the first of `arguments` names with the others as its own.

    Raises:
        InputError: no module is named, or there is none of that name, or the OD API cannot be loaded here.
        SystemExit: whatever the program ends with.
    """
    if not arguments or arguments[0].startswith("-"):
        raise InputError(
            "No program was named. Some of the Object Detection API:\n" + _listing(),
            where=" ".join(["python -m odrun.compat", *arguments]),
            remedy=USAGE,
        )
    load()
    name = arguments[0]
    if not _exists(name):
        raise InputError(
            "There is no Python module of that name. Some programs of the Object Detection API:\n" + _listing(),
            where=name,
            remedy=f"{USAGE} ({nearest(name, PROGRAMS)})",
        )
    sys.argv = list(arguments)
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _exists(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except (ImportError, ValueError):
        return False
    return spec is not None


def _listing() -> str:
    width = max(map(len, PROGRAMS))
    return "\n".join(f"  {name:{width}}  {purpose}" for name, purpose in PROGRAMS.items())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OdrunError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_status)
