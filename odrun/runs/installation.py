"""Which packages odrun needs, as its own metadata says, and which of them are installed; none of them is imported."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_INNER = re.compile(r"\s*\[([^]]*)\]")
_EXTRA = re.compile(r"extra\s*==\s*[\"']([^\"']+)[\"']")


@dataclass(frozen=True)
class Installed:
    """A package that is needed: by odrun itself, or by its extra `extra`.

    `needed` are the versions that will do (empty: any), `found` the one that is installed, None if none is; `fits` says
    whether that will do.
    """

    name: str
    needed: str
    found: str | None
    fits: bool
    extra: str | None

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f'{installer()} "{self.name}{self.needed}"'


def packages(of: str = "odrun") -> list[Installed]:
    """What the installed package `of` needs in this environment, in the order of its metadata.

    Without the package `packaging` versions are not compared: what is there is taken to fit.

    Raises:
        importlib.metadata.PackageNotFoundError: `of` is not installed.
    """
    found = []
    for line in importlib.metadata.requires(of) or ():
        requirement, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        if _applies(marker, extra[1] if extra else ""):
            found.append(_installed(requirement.strip(), extra[1] if extra else None))
    return found


def python_needed(of: str = "odrun") -> tuple[str, bool]:
    """The versions of Python that the installed package `of` runs on, and whether this is one of them.

    Raises:
        importlib.metadata.PackageNotFoundError: `of` is not installed.
    """
    needed = importlib.metadata.metadata(of)["Requires-Python"] or ""
    return needed, _contains(needed, platform.python_version())


def installer() -> str:
    """The command that installs packages into this environment."""
    configuration = Path(sys.prefix) / "pyvenv.cfg"
    made_by_uv = configuration.is_file() and "\nuv = " in f"\n{configuration.read_text(encoding='utf-8')}"
    return "uv pip install" if made_by_uv else f"{Path(sys.executable).name} -m pip install"


def _installed(requirement: str, extra: str | None) -> Installed:
    named = _NAME.match(requirement)
    assert named is not None, f"a requirement without a name: {requirement}"
    inner = _INNER.match(requirement, named.end())
    needed = requirement[(inner or named).end() :].strip(" ()")
    parts = [] if inner is None else [(named[0], name.strip()) for name in inner[1].split(",")]
    try:
        found: str | None = importlib.metadata.version(named[0])
    except importlib.metadata.PackageNotFoundError:
        found = None
    fits = found is not None and _contains(needed, found) and all(map(_is_complete, parts))
    return Installed(f"{named[0]}{inner[0] if inner else ''}", needed, found, fits, extra)


def _is_complete(part: tuple[str, str]) -> bool:
    """Whether a package has all that its extra, as in `tensorflow[and-cuda]`, asks for."""
    package, extra = part
    return all(each.fits for each in packages(package) if each.extra == extra)


def _contains(needed: str, version: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    return SpecifierSet(needed).contains(version, prereleases=True)


def _applies(marker: str, extra: str) -> bool:
    if not marker.strip():
        return True
    try:
        from packaging.markers import Marker
    except ImportError:
        return True
    return bool(Marker(marker).evaluate({"extra": extra}))
