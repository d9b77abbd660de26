"""Making a class known to Hydra as a plugin, wherever the class lies."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

_PACKAGE = "hydra_plugins"


def register_plugin(kind: type[Plugin]) -> None:
    """Register `kind`, whose `__module__` has to be `hydra_plugins.NAME`; calling it again changes nothing.

    Hydra 1.3 makes only plugins whose target begins with `hydra_plugins.`, and locates them by it. So a module of that
    name, which holds the class, is put beside the plugins that are installed there.
    """
    try:
        package = import_module(_PACKAGE)
    except ModuleNotFoundError:
        package = sys.modules[_PACKAGE] = ModuleType(_PACKAGE)
        package.__path__ = []
    module = ModuleType(kind.__module__)
    setattr(module, kind.__name__, kind)
    sys.modules[kind.__module__] = module
    setattr(package, kind.__module__.rpartition(".")[2], module)
    Plugins.instance().register(kind)
