"""Matplotlib and SciPy, which the OD API imports at the top of its modules for functions that few runs reach.

Importing them takes more than a second. In odrun's own processes the modules that name them get these in their place,
which import the real ones when they are first used. `compat.load()` alone changes nothing of the kind.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from odrun.compat.imports import MendingFinder, Rewrite, substitution


class LateModule(ModuleType):
    """The module of its name, imported when something is first asked of it."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


class _Pyplot(LateModule):
    def __getattr__(self, name: str) -> object:
        if self.__name__ not in sys.modules:
            importlib.import_module("matplotlib").use("Agg")
        return super().__getattr__(name)


plt = _Pyplot("matplotlib.pyplot")
scipy = ModuleType("scipy")
scipy.io = LateModule("scipy.io")  # type: ignore[attr-defined]


def linear_sum_assignment(*arguments: Any, **options: Any) -> Any:
    """SciPy's function of that name."""
    return importlib.import_module("scipy.optimize").linear_sum_assignment(*arguments, **options)


_REWRITES: dict[str, Rewrite] = {
    "object_detection.utils.visualization_utils": substitution(
        r"import matplotlib; matplotlib\.use\('Agg'\).*\nimport matplotlib\.pyplot as plt\b",
        "from odrun.compat.late import plt",
    ),
    "object_detection.core.densepose_ops": substitution(r"import scipy\.io\b", "from odrun.compat.late import scipy"),
    "object_detection.matchers.hungarian_matcher": substitution(
        r"from scipy\.optimize import", "from odrun.compat.late import"
    ),
}


def import_late() -> None:
    """Let the OD API's modules import Matplotlib and SciPy late; a module that is imported already is left as it is."""
    finder = next(finder for finder in sys.meta_path if isinstance(finder, MendingFinder))
    for module, change in _REWRITES.items():
        if module not in sys.modules:
            finder.rewrite(module, change)
