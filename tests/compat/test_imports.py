from __future__ import annotations

import importlib
import inspect
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from odrun.compat.imports import MendingFinder, substitution
from odrun.errors import InputError

SOURCE = "def answer():\n    return old_name\n"


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MendingFinder]:
    """A finder in place, and a module `ailing` whose function fails."""
    (tmp_path / "ailing.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    finder = MendingFinder()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    yield finder
    for name in ("ailing", "absent"):
        sys.modules.pop(name, None)


def import_ailing() -> ModuleType:
    return importlib.import_module("ailing")


def test_a_module_is_loaded_from_its_rewritten_source(finder: MendingFinder) -> None:
    finder.rewrite("ailing", substitution(r"\bold_name\b", "2"), substitution("2", "1 + 2"))
    assert import_ailing().answer() == 3


def test_byte_code_of_the_file_is_not_taken_for_that_of_the_rewritten_source(finder: MendingFinder) -> None:
    import_ailing()
    del sys.modules["ailing"]
    finder.rewrite("ailing", substitution("old_name", "3"))
    assert import_ailing().answer() == 3


def test_the_source_that_inspect_reads_is_the_rewritten_one(finder: MendingFinder) -> None:
    finder.rewrite("ailing", substitution("old_name", "3"))
    module = import_ailing()
    assert inspect.getsource(module.answer) == "def answer():\n    return 3\n"
    assert Path(str(module.__file__)).read_text() == SOURCE


def test_a_module_run_as_a_program_is_rewritten_too(finder: MendingFinder) -> None:
    finder.rewrite("ailing", substitution("old_name", "__name__"))
    assert runpy.run_module("ailing", run_name="__main__")["answer"]() == "__main__"


def test_a_module_that_no_change_names_is_left_alone(finder: MendingFinder) -> None:
    finder.rewrite("another", substitution("old_name", "3"))
    assert finder.find_spec("ailing") is None
    with pytest.raises(NameError):
        import_ailing().answer()


def test_a_change_that_comes_after_the_import_is_refused(finder: MendingFinder) -> None:
    import_ailing()
    with pytest.raises(InputError) as caught:
        finder.rewrite("ailing", substitution("old_name", "3"))
    assert caught.value.where == "module ailing"


@pytest.mark.parametrize("imported_first", [False, True])
def test_a_completion_runs_once_the_module_is_there(finder: MendingFinder, imported_first: bool) -> None:
    if imported_first:
        import_ailing()
    finder.complete("ailing", lambda module: vars(module).update(old_name=3))
    assert import_ailing().answer() == 3


def test_a_stand_in_answers_for_a_module_that_is_not_installed(finder: MendingFinder) -> None:
    finder.stand_in("absent", lambda: ModuleType("absent", "made here"))
    assert importlib.import_module("absent").__doc__ == "made here"


def test_an_installed_module_is_preferred_to_its_stand_in(finder: MendingFinder) -> None:
    finder.stand_in("ailing", lambda: ModuleType("ailing", "made here"))
    assert import_ailing().__file__ is not None
