from __future__ import annotations

import subprocess
import sys


def _said_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_engine_is_imported_without_matplotlib_and_scipy() -> None:
    program = "import sys, odrun.compat.engine; print(sorted({'matplotlib', 'scipy'} & set(sys.modules)))"

    assert _said_by(program) == ["[]"]


def test_what_is_late_works_when_it_is_used() -> None:
    program = """
import odrun.compat.engine
from object_detection.core import densepose_ops
from object_detection.matchers import hungarian_matcher
from object_detection.utils import visualization_utils
from odrun.compat.tensorflow import tf

colours = visualization_utils.plt.get_cmap("jet")
match = hungarian_matcher.HungarianBipartiteMatcher().match(tf.constant([[1.0, 5.0], [6.0, 1.0]]))
import matplotlib
print(colours.N, match.matched_column_indices().numpy().tolist(), matplotlib.get_backend())
print(densepose_ops.scipy.io.loadmat)
"""
    said = _said_by(program)

    assert said[:4] == ["256", "[0,", "1]", "Agg"]
    assert "loadmat" in said[5]


def test_a_module_imported_before_keeps_what_it_has() -> None:
    program = """
import odrun.compat
odrun.compat.load()
from object_detection.utils import visualization_utils
import matplotlib.pyplot, odrun.compat.engine
print(visualization_utils.plt is matplotlib.pyplot)
"""
    assert _said_by(program) == ["True"]
