"""What the shims change in the published sources; that the changes mend is tested with `load()`."""

from __future__ import annotations

import subprocess
import sys

IDLE_CHANGES = """
import pathlib
import object_detection
from odrun import compat
from odrun.compat.imports import MendingFinder, substitution

finder = MendingFinder()
for shim in compat.SHIMS:
    shim(finder)
{planted}
root = pathlib.Path(object_detection.__path__[0]).parent
for module, changes in finder.rewrites.items():
    source = (root / module.replace(".", "/")).with_suffix(".py").read_text()
    for number, change in enumerate(changes):
        if change(source) == source:
            print(module, number)
        compile(change(source), module, "exec")
"""
PLANTED = "finder.rewrite('object_detection.inputs', substitution('no such text', ''))"
LIBRARY_CHANGES = """
import pathlib, re, warnings
import numpy
import object_detection
from odrun.compat.shims import NUMPY_1_MODULES

warnings.simplefilter("ignore")
root = pathlib.Path(object_detection.__path__[0])
for path in sorted(root.rglob("*.py")):
    module = ".".join(("object_detection", *path.relative_to(root).with_suffix("").parts))
    # "np.arrays" is prose.
    names = set(re.findall(r"\\bnp\\.(?!arrays)([A-Za-z_]\\w*)", path.read_text()))
    if module not in NUMPY_1_MODULES and not module.startswith("object_detection.datasets."):
        print(*(f"{module} np.{name}\\n" for name in sorted(names) if not hasattr(numpy, name)), sep="", end="")
"""


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_change_finds_what_it_changes_in_the_installed_package() -> None:
    assert python(IDLE_CHANGES.format(planted="")) == ""


def test_a_change_that_finds_nothing_is_noticed() -> None:
    assert python(IDLE_CHANGES.format(planted=PLANTED)) == "object_detection.inputs 0\n"


def test_no_other_module_uses_a_name_that_numpy_has_dropped() -> None:
    assert python(LIBRARY_CHANGES) == ""


def test_a_module_missing_from_the_table_of_numpy_1_modules_is_noticed() -> None:
    short = LIBRARY_CHANGES.replace("import NUMPY_1_MODULES\n", "import NUMPY_1_MODULES\nNUMPY_1_MODULES = ()\n")
    assert "object_detection.utils.metrics np.NAN\nobject_detection.utils.metrics np.float\n" in python(short)
