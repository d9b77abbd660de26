"""Hydra's own tests for launchers, run against `hydra/launcher=warm`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import version
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

from odrun.sweeps import warm

PROGRAM = """
import runpy, sys
from odrun.sweeps import warm
warm.register()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


# Hydra's tests rely on the version base that nobody set, of which Hydra warns wherever run_job is called from.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:(?s).*Future Hydra versions:UserWarning")]


@pytest.fixture(autouse=True)
def registered(hydra_restore_singletons: None, monkeypatch: pytest.MonkeyPatch) -> None:
    warm.register()
    version.VersionBase.instance().setbase(version.__compat_version__)
    monkeypatch.setenv("PYTHONPATH", str(Path(warm.__file__).parents[3]))


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("warm", []), ("warm", ["hydra.launcher.n_jobs=2"])],
    ids=["one at a time", "two at a time"],
)
class TestWarmLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({}, ["-m", "hydra/launcher=warm"])],
    ids=["warm"],
)
class TestWarmLauncherIntegration(IntegrationTestSuite):
    def generate_custom_cmd(self) -> Callable[..., list[str]]:
        """Plain scripts know nothing of the plugin: it is registered before they run."""
        return lambda command, filename: [command[0], "-c", PROGRAM, *command[1:]]
