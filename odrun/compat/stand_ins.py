"""Modules that stand in for what is gone or not installed: they can be imported, and say what they are when used."""

from __future__ import annotations

from functools import partial
from types import ModuleType

from odrun.compat.imports import MendingFinder
from odrun.errors import InputError


def estimator(finder: MendingFinder) -> None:
    """Stand in for `tensorflow.compat.v1.estimator`, which TensorFlow 2.16 dropped.

    Without it `object_detection.inputs` and `model_lib` fail at their import line; TF2 paths use its `ModeKeys` only.
    It may go when TensorFlow brings Estimators back, or the OD API no longer names them.
    """
    finder.stand_in("tensorflow.compat.v1.estimator", _estimator)


def lvis(finder: MendingFinder) -> None:
    """Stand in for `lvis`, which pulls in OpenCV for one metric that odrun does not offer; a real one is preferred.

    Without it `object_detection.eval_util`, and so the trainer, fails to import. It may go when the OD API imports lvis
    where it is used.
    """
    for name, classes in _LVIS_CLASSES.items():
        finder.stand_in(name, partial(_lvis, name, classes))


_LVIS_CLASSES: dict[str, tuple[str, ...]] = {
    "lvis": (),
    "lvis.lvis": ("LVIS",),
    "lvis.eval": ("LVISEval",),
    "lvis.results": ("LVISResults",),
}


class ModeKeys:
    """The names of an Estimator's modes (tensorflow_estimator 2.15, `mode_keys.py`)."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


class StandInUsedError(InputError, AttributeError):
    """Something was asked of a stand-in that it does not have; an AttributeError too, so that `hasattr` says False."""


class StandInModule(ModuleType):
    """A module without content that answers every public name with an error saying why and what to do."""

    reason: str
    remedy: str

    def __getattr__(self, name: str) -> object:
        raise StandInUsedError(self.reason, where=f"{self.__name__}.{name}", remedy=self.remedy)


def _estimator() -> ModuleType:
    module = _stand_in(
        "tensorflow.compat.v1.estimator",
        "Estimators were removed from TensorFlow 2.16; this is a TF1 path of the Object Detection API.",
        "use the TF2 programs: object_detection.model_main_tf2, object_detection.exporter_main_v2",
    )
    module.ModeKeys = ModeKeys  # type: ignore[attr-defined]
    return module


def _lvis(name: str, classes: tuple[str, ...]) -> ModuleType:
    module = _stand_in(name, "The LVIS metrics need the package lvis, which is not installed.", "pip install lvis")
    for title in classes:
        setattr(module, title, type(title, (_Absent,), {"__module__": name}))
    return module


class _Absent:
    # In __new__, since the OD API's subclasses do not call the __init__ of their base.
    def __new__(cls, *_: object, **__: object) -> _Absent:
        raise StandInUsedError(
            "The LVIS metrics need the package lvis, which is not installed.",
            where=f"class {cls.__qualname__}",
            remedy="pip install lvis",
        )


def _stand_in(name: str, reason: str, remedy: str) -> StandInModule:
    module = StandInModule(name, reason)
    module.reason = reason
    module.remedy = remedy
    return module
