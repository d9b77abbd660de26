"""Where the shipped `conf/` lies: inside the installed package, or at the root of a checkout."""

from __future__ import annotations

from pathlib import Path

from odrun.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent
_ROOT_CONFIG = "train.yaml"


def conf_dir() -> Path:
    """The folder that holds `train.yaml` and the groups.

    Raises:
        InputError: the installation is incomplete.
    """
    for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf"):
        if (folder / _ROOT_CONFIG).is_file():
            return folder
    raise InputError(
        "the configuration that comes with odrun is missing",
        where=str(_PACKAGE / "conf"),
        remedy="pip install --force-reinstall odrun",
    )
