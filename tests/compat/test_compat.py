"""`load()` and its table of shims against the real package: what breaks without them, and that it works with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from numpy.lib import NumpyVersion

import odrun.compat

PROBES = Path(__file__).with_name("probes.py")
NAMES = [shim.__name__ for shim in odrun.compat.SHIMS]
# What the package raises where a shim is missing. legacy_keras is asked for in a process of its own.
BROKEN = {
    "old_message_modules": "Descriptors cannot be created directly",
    "estimator": "cannot import name 'estimator'",
    "lvis": "No module named 'lvis'",
    "control_flow_functions": "has no attribute 'cond'",
    "keras_resnet": "Keras 3 was imported",
    "unfetched_backbones": "weights ['imagenet', 'imagenet']",
    "lab_colours": "No module named 'tensorflow_io'",
    "font_measures": "has no attribute 'getsize'",
    "canvas_pixels": "has no attribute 'tostring_rgb'",
    "numpy_names": "has no attribute 'float'",
    "whole_number_features": "Expected an int, got a boolean",
    "empty_box_lists": "could not be broadcast together",
    "structured_comparisons": "to a TensorFlow DType",
    "float_pictures": "Cannot handle this data type",
    "trainer_and_exporter": "No module named 'lvis'",
}
if NumpyVersion(numpy.__version__) >= "2.4.0":
    BROKEN["one_element_counts"] = "only 0-dimensional arrays"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def ask(*ways: str) -> dict[str, dict[str, str]]:
    """What the probes say for each way to begin, in processes side by side."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    runs = {how: subprocess.Popen([sys.executable, PROBES, how], env=environment, stdout=-1, stderr=-3) for how in ways}
    return {how: json.loads(run.communicate()[0]) for how, run in runs.items()}


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, str]]:
    return ask("bare", "mended") | ask("keras3")


@pytest.mark.slow
def test_every_shim_has_a_probe(answers: dict[str, dict[str, str]]) -> None:
    assert set(answers["mended"]) == {*NAMES, "trainer_and_exporter"}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_the_package_breaks_without_the_shim(answers: dict[str, dict[str, str]], name: str) -> None:
    assert BROKEN[name] in answers["bare"][name]


@pytest.mark.slow
def test_tensorflow_takes_keras_3_without_the_shim(answers: dict[str, dict[str, str]]) -> None:
    assert answers["keras3"]["legacy_keras"].startswith("AssertionError: keras.src")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "trainer_and_exporter"])
def test_the_package_works_after_load(answers: dict[str, dict[str, str]], name: str) -> None:
    assert answers["mended"][name] == "works"


@pytest.mark.slow
def test_load_mends_after_a_tensorflow_with_legacy_keras() -> None:
    works = dict.fromkeys(("legacy_keras", "control_flow_functions", "trainer_and_exporter"), "works")
    assert ask("late") == {"late": works}


@pytest.mark.slow
def test_load_refuses_a_tensorflow_with_keras_3_and_names_what_came_first(answers: dict[str, dict[str, str]]) -> None:
    refusal = answers["keras3"]["load"]
    assert refusal.startswith("InputError: TensorFlow was imported before odrun.compat.load()")
    assert "where:  module tensorflow, imported from " in refusal
    assert "TF_USE_LEGACY_KERAS=1" in refusal


@pytest.mark.parametrize("shim", odrun.compat.SHIMS, ids=NAMES)
def test_each_shim_says_what_breaks_without_it_and_when_it_may_go(shim: object) -> None:
    text = " ".join(str(shim.__doc__).split())
    assert "ithout it" in text
    assert "may go" in text


def test_load_imports_no_tensorflow_prints_nothing_and_installs_one_finder() -> None:
    done = python(
        "-c",
        "import odrun.compat, sys\n"
        "odrun.compat.load(); odrun.compat.load()\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'numpy', 'tensorflow_io', 'lvis'} & set(sys.modules)\n"
        "finders = [finder for finder in sys.meta_path if type(finder).__name__ == 'MendingFinder']\n"
        "assert (heavy, len(finders)) == (set(), 1), (heavy, finders)\n",
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_part_of_the_od_api_imported_too_early_is_refused_by_name() -> None:
    done = python(
        "-c",
        "import sys, types, odrun.compat\n"
        "sys.modules['object_detection.utils.metrics'] = types.ModuleType('object_detection.utils.metrics')\n"
        "odrun.compat.load()\n",
    )
    assert "where:  module object_detection.utils.metrics" in done.stderr


def test_a_refused_load_changes_no_import() -> None:
    done = python(
        "-c",
        "import sys, types, odrun.compat\n"
        "sys.modules['object_detection.utils.metrics'] = types.ModuleType('object_detection.utils.metrics')\n"
        "before = list(sys.meta_path)\n"
        "try: odrun.compat.load()\n"
        "except odrun.errors.InputError: print(sys.meta_path == before)\n",
    )
    assert done.stdout == "True\n"
