"""Mends at the moment of import: named modules are loaded from a rewritten source, or completed after they ran.

Nothing is imported ahead of its use, no file is written, and a module that no shim names is left to Python's own
import. A module run as a program (`python -m`, runpy) gets its rewritten source as well.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import linecache
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CodeType, ModuleType

from odrun.errors import InputError

Rewrite = Callable[[str], str]
Completion = Callable[[ModuleType], None]
Maker = Callable[[], ModuleType]


def substitution(pattern: str, replacement: str) -> Rewrite:
    """The change that puts `replacement` (as of `re.sub`) in place of every match of `pattern`."""
    compiled = re.compile(pattern)
    return lambda source: compiled.sub(replacement, source)


@dataclass
class MendingFinder:
    """A finder for `sys.meta_path` that mends the modules it has been told of; all others it leaves to the next."""

    rewrites: dict[str, list[Rewrite]] = field(default_factory=dict)
    completions: dict[str, list[Completion]] = field(default_factory=dict)
    stand_ins: dict[str, Maker] = field(default_factory=dict)

    def rewrite(self, module: str, *changes: Rewrite) -> None:
        """Load `module` from the source that `changes` make of its text, in the order given.

        Raises:
            InputError: the module has been imported already, so the change would come too late.
        """
        if module in sys.modules:
            raise InputError(
                "A module was imported before odrun.compat.load() could mend it.",
                where=f"module {module}",
                remedy="import odrun.compat and call its load() before anything of object_detection",
            )
        self.rewrites.setdefault(module, []).extend(changes)

    def stand_in(self, module: str, make: Maker) -> None:
        """Answer an import of `module` with what `make` returns, unless a real one is installed."""
        self.stand_ins.setdefault(module, make)

    def complete(self, module: str, completion: Completion) -> None:
        """Call `completion` with `module` right after it has run, or now if it has been imported already."""
        if module in sys.modules:
            completion(sys.modules[module])
        else:
            self.completions.setdefault(module, []).append(completion)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module to mend, with a loader that mends it; None for every other module."""
        if name in self.stand_ins:
            return _stand_in_spec(name, path, self.stand_ins[name])
        if name not in self.rewrites and name not in self.completions:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return spec
        loader = MendingLoader(spec.loader.name, spec.loader.path)
        loader.rewrites = tuple(self.rewrites.get(name, ()))
        loader.completions = tuple(self.completions.get(name, ()))
        spec.loader = loader
        return spec


class MendingLoader(importlib.machinery.SourceFileLoader):
    """Python's own source loader, with the changes of one module."""

    rewrites: tuple[Rewrite, ...] = ()
    completions: tuple[Completion, ...] = ()

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code; of a rewritten module never the cached byte code, which is that of the file."""
        if not self.rewrites:
            return super().get_code(fullname)
        source = self.get_source(fullname)
        if source is None:
            return None
        for change in self.rewrites:
            source = change(source)
        # AutoGraph and tracebacks read the source by this name, so it may not be the file's, which holds the old one.
        name = f"{self.get_filename(fullname)} (mended)"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        code: CodeType = compile(source, name, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then complete it."""
        super().exec_module(module)
        for completion in self.completions:
            completion(module)


@dataclass(frozen=True)
class StandInLoader(importlib.abc.Loader):
    """A loader that hands out a module made here."""

    make: Maker

    def create_module(self, _: importlib.machinery.ModuleSpec) -> ModuleType:
        """The stand-in, made when it is first imported."""
        return self.make()

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run."""


def _stand_in_spec(name: str, path: Sequence[str] | None, make: Maker) -> importlib.machinery.ModuleSpec:
    real = importlib.machinery.PathFinder.find_spec(name, path)
    if real is not None:
        return real
    return importlib.machinery.ModuleSpec(name, StandInLoader(make), origin="stand-in of odrun.compat", is_package=True)
