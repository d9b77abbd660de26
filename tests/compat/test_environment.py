from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOAD = "import os, odrun.compat; odrun.compat.load(); print(os.environ['TF_USE_LEGACY_KERAS'])"


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"} | variables
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variables", [{}, {"TF_USE_LEGACY_KERAS": "1"}, {"TF_USE_LEGACY_KERAS": "True"}])
def test_legacy_keras_is_chosen_for_this_process_and_its_children(variables: dict[str, str]) -> None:
    assert python(LOAD, **variables).stdout == "1\n"


def test_an_environment_that_asks_for_keras_3_is_refused_with_what_to_unset() -> None:
    done = python(LOAD, TF_USE_LEGACY_KERAS="0")
    assert "where:  TF_USE_LEGACY_KERAS=0" in done.stderr
    assert "remedy: unset TF_USE_LEGACY_KERAS" in done.stderr


def test_without_tf_keras_the_error_says_what_to_install() -> None:
    done = python("import sys; sys.modules['tf_keras'] = None\n" + LOAD)
    assert 'remedy: pip install "tf-keras>=2.20,<2.21"' in done.stderr


@pytest.mark.slow
def test_a_keras_that_was_switched_after_tensorflow_came_is_refused() -> None:
    switch = "import os, tensorflow as tf; os.environ['TF_USE_LEGACY_KERAS'] = '0'; tf.keras.layers\n"
    done = python(switch + LOAD, TF_USE_LEGACY_KERAS="1")
    assert "where:  tf.keras, resolved to keras._tf_keras.keras" in done.stderr
