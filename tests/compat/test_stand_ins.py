from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from odrun.compat import stand_ins
from odrun.compat.imports import MendingFinder
from odrun.compat.stand_ins import StandInUsedError
from odrun.errors import InputError


def stand_in(name: str) -> ModuleType:
    finder = MendingFinder()
    stand_ins.estimator(finder)
    stand_ins.lvis(finder)
    spec = finder.find_spec(name, path=[])
    assert spec is not None
    return importlib.util.module_from_spec(spec)


def test_the_estimator_stand_in_has_the_modes_of_the_real_one() -> None:
    modes = stand_in("tensorflow.compat.v1.estimator").ModeKeys
    assert (modes.TRAIN, modes.EVAL, modes.PREDICT) == ("train", "eval", "infer")


def test_anything_else_of_the_estimator_is_refused_with_the_programs_to_use() -> None:
    with pytest.raises(InputError) as caught:
        stand_in("tensorflow.compat.v1.estimator").RunConfig  # noqa: B018  reading it is the test
    assert caught.value.where == "tensorflow.compat.v1.estimator.RunConfig"
    assert "object_detection.model_main_tf2" in str(caught.value)


def test_a_stand_in_admits_that_it_lacks_a_name() -> None:
    module = stand_in("tensorflow.compat.v1.estimator")
    assert not hasattr(module, "Estimator")
    assert not hasattr(module, "__path_of_nobody__")


@pytest.mark.parametrize(
    ("name", "title"), [("lvis.lvis", "LVIS"), ("lvis.eval", "LVISEval"), ("lvis.results", "LVISResults")]
)
def test_classes_of_lvis_can_be_derived_from_but_not_made(name: str, title: str) -> None:
    base = getattr(stand_in(name), title)
    derived = type("Wrapper", (base,), {"__init__": lambda *_, **__: None})
    with pytest.raises(StandInUsedError) as caught:
        derived({}, iou_type="bbox")
    assert caught.value.remedy == "pip install lvis"
