from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from odrun.errors import InputError
from odrun.training.callbacks import Callback, Profile, Training, make_callbacks, tell_all
from odrun.training.loop import Control, StepReport

MODULE = """
from odrun.training.callbacks import Callback

class Patient(Callback):
    def __init__(self, *, steps):
        self.steps = steps
    def after_step(self, report):
        if report.step == self.steps:
            report.control.stop("enough")

class Stranger:
    pass
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_callbacks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("users_module")
def test_a_callback_is_made_by_its_dotted_path_with_its_arguments() -> None:
    patient, profile = make_callbacks(
        {
            "mine": {"_target_": "users_callbacks.Patient", "steps": 3},
            "off": None,
            "profile": {"_target_": "odrun.training.callbacks.Profile", "first_step": 5, "steps": 10},
        }
    )
    control = Control()

    for step in (1, 2, 3):
        patient.after_step(StepReport(step, 9, {}, control))

    assert control.reason == "enough"
    assert isinstance(profile, Profile)


@pytest.mark.usefixtures("users_module")
@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ({"_target_": "users_callbacks.Patience"}, "cannot be made"),
        ({"_target_": "no_such_module.Patient"}, "cannot be made: No module named"),
        ({"_target_": "users_callbacks.Patient"}, "cannot be made: .*steps"),
        ({"_target_": "users_callbacks.Stranger"}, "is no odrun.training.callbacks.Callback"),
        ({"target": "users_callbacks.Patient"}, "needs the dotted path"),
        ("users_callbacks.Patient", "needs the dotted path"),
    ],
)
def test_what_is_no_callback_is_refused_by_its_key(node: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as refusal:
        make_callbacks({"mine": node})

    assert refusal.value.where == "train.callbacks.mine"


@pytest.mark.parametrize(("steps", "recorded"), [(20, (4, 6)), (5, (4, 5)), (3, None)])
def test_a_profile_covers_its_steps_and_is_written_however_training_ends(
    steps: int, recorded: tuple[int, int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    now = [0]
    profiler = "odrun.training.callbacks.tf.profiler.experimental"
    monkeypatch.setattr(f"{profiler}.start", lambda folder: calls.append((folder, now[0] + 1)))
    monkeypatch.setattr(f"{profiler}.stop", lambda: calls.append(("stop", now[0])))
    control = Control()
    profile: list[Callback] = [Profile(first_step=4, steps=3)]

    tell_all(profile, "on_start", Training(tmp_path, steps, None, control))
    for step in range(1, steps + 1):
        now[0] = step
        tell_all(profile, "after_step", StepReport(step, steps, {}, control))
    tell_all(profile, "on_end")

    expected = [] if recorded is None else [(str(tmp_path / "tensorboard"), recorded[0]), ("stop", recorded[1])]
    assert calls == expected
