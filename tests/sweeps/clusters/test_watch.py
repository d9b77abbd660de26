"""What becomes of trials, with a cluster that is told how each of them ends."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from counting_sweeps import summary
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from odrun.errors import InputError, RunFailedError
from odrun.sweeps.clusters.errand import Errand
from odrun.sweeps.clusters.watch import Watch
from odrun.sweeps.record import SweepRecord
from odrun.sweeps.warm.accounts import Accounts
from odrun.sweeps.warm.board import Board
from odrun.sweeps.warm.child import Order
from odrun.sweeps.warm.stopping import SweepStoppedError
from odrun.sweeps.warm.trials import Trial, TrialError


class PlayedCluster:
    """Ends one errand each time it is asked; `ends` holds what each leaves: a result, or the fault that it left none.

    Those without an end run until they are stopped.
    """

    poll_s = 0.001

    def __init__(self, ends: Mapping[int, Any]) -> None:
        self._ends = ends
        self._waiting: dict[int, Errand] = {}
        self.stopped: list[int] = []
        self.most = 0

    def __enter__(self) -> PlayedCluster:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, errands: Mapping[int, Errand]) -> None:
        self._waiting |= errands
        self.most = max(self.most, len(self._waiting))

    def ended(self, *, now: bool) -> list[int]:
        able = [number for number in self._waiting if number in self._ends or number in self.stopped]
        for number in able[:1]:
            order = self._waiting.pop(number).order
            if isinstance(end := self._ends.get(number), JobReturn):
                order.result.write_bytes(pickle.dumps(end))
        return able[:1]

    def fault(self, number: int) -> BaseException | str:
        return self._ends[number]

    def stop(self, number: int) -> None:
        self.stopped.append(number)


def result(error: Exception | None = None) -> JobReturn:
    done = JobReturn()
    done.status = JobStatus.COMPLETED if error is None else JobStatus.FAILED
    done.return_value = error
    return done


def watch(
    sweep: Path, count: int, *, later: Sequence[int] = (), at_a_time: int | None = None
) -> tuple[Watch, Accounts]:
    def planned(number: int) -> tuple[Errand, Trial]:
        directory = sweep / str(number)
        directory.mkdir(parents=True)
        (directory / "output.log").touch()
        trial = Trial(number, (f"train.seed={number}",), directory)
        order = Order(number, pickle.dumps(OmegaConf.create({})), {}, directory / "output.log", sweep / f"{number}.p")
        return Errand(order, directory, sweep, sweep, b""), trial

    known = [planned(number) for number in range(count)]
    accounts = Accounts(sweep, (), hook=SweepRecord(), board=Board(io.StringIO()), is_here=False)
    return Watch(accounts, known, later=map(planned, later), at_a_time=at_a_time), accounts


def lines(sweep: Path) -> list[tuple[str, str | None]]:
    trials = json.loads((sweep / "sweep.json").read_text())["trials"]
    return [(trial["status"], trial["error"]) for trial in trials]


def test_every_end_is_told_as_what_it_is(tmp_path: Path) -> None:
    watched, accounts = watch(tmp_path, 5)
    summary("interrupted", steps=7).write(tmp_path / "4" / "summary.json")
    unseen = InputError("it does not see the sweep's directory", where="here")
    failed = RunFailedError("diverged")
    watched.run(PlayedCluster({0: result(), 1: result(failed), 2: "out of memory", 3: unseen, 4: "gone"}))
    stopped = "the cluster stopped it after step 7, and did not start it again: gone"
    assert lines(tmp_path) == [
        ("completed", None),
        ("failed", "diverged"),
        ("failed", "out of memory"),
        ("failed", str(unseen)),
        ("interrupted", stopped),
    ]
    assert [type(accounts.returned[number]._return_value) for number in range(5)] == [
        type(None),
        RunFailedError,
        TrialError,
        InputError,
        TrialError,
    ]
    assert list(tmp_path.glob("*.p")) == []


def test_a_signal_stops_those_that_run_and_keeps_what_has_ended(tmp_path: Path) -> None:
    watched, _ = watch(tmp_path, 3)
    cluster = PlayedCluster({0: result()})
    look = cluster.ended

    def ended(*, now: bool) -> list[int]:
        found = look(now=now)
        if found == [0]:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    cluster.ended = ended  # type: ignore[method-assign]
    with pytest.raises(SweepStoppedError) as caught:
        watched.run(cluster)
    assert caught.value.signal_number == signal.SIGTERM
    assert cluster.stopped == [1, 2]
    assert lines(tmp_path) == [
        ("completed", None),
        ("interrupted", "stopped by SIGTERM"),
        ("interrupted", "stopped by SIGTERM"),
    ]


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    watched, _ = watch(tmp_path, 1)
    cluster = PlayedCluster({})

    def stop(number: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    cluster.stop = stop  # type: ignore[method-assign]
    cluster.submit = lambda errands: os.kill(os.getpid(), signal.SIGINT)  # type: ignore[method-assign]
    with pytest.raises(SweepStoppedError):
        watched.run(cluster)
    assert lines(tmp_path) == [("interrupted", "stopped by SIGINT")]


def test_later_trials_are_asked_for_when_there_is_a_place(tmp_path: Path) -> None:
    watched, accounts = watch(tmp_path, 1, later=range(1, 5), at_a_time=2)
    cluster = PlayedCluster({number: result() for number in range(5)})
    watched.run(cluster)
    assert cluster.most == 2
    assert sorted(accounts.returned) == list(range(5))
    assert lines(tmp_path) == [("completed", None)] * 5
