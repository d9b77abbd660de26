"""What the pages under docs/ tell people to type composes, and what they name is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from odrun.cli import COMMANDS, TOOLS
from odrun.commands import init
from odrun.config.application import run
from odrun.config.zoo import main as zoo

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def commands(page: Path) -> list[list[str]]:
    """The words after `odrun` of each command on a page, continued lines joined."""
    code = "\n".join(re.findall(r"```\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)).replace("\\\n", " ")
    lines = [line.partition("  #")[0] for line in code.splitlines()]
    return [shlex.split(found[1]) for line in lines if (found := re.search(r"(?:^|uv run )odrun (\w.*)", line))]


EACH = [pytest.param(words, id=" ".join(words)) for page in PAGES for words in commands(page)]


def test_there_are_pages_with_commands_and_the_readme_leads_to_each() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")

    assert len(EACH) >= 8
    assert [page.name for page in PAGES if f"(docs/{page.name})" not in readme] == []


@pytest.mark.parametrize("words", EACH)
def test_a_command_of_a_page_exists_and_composes(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    init.main([str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    command, *arguments = words
    if "-m" in arguments:
        # Of a sweep its first trial.
        arguments = [argument.partition(",")[0] for argument in arguments if argument != "-m"]

    assert command in (*COMMANDS, *TOOLS)
    if command in COMMANDS:
        assert run(command, [*arguments, "--cfg", "job"]) == 0, capsys.readouterr().err
    elif command == "zoo":
        assert zoo(arguments) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_within_the_repository_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []
