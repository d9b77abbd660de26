from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from odrun.annotations.parallel import Workers, map_in_order
from odrun.errors import RunFailedError


def test_results_come_in_the_order_of_the_items_whoever_is_first():
    later = threading.Event()

    def square(number: int) -> int:
        if number == 0:
            later.wait(5)
        if number == 1:
            later.set()
        return number * number

    assert list(map_in_order(square, range(20), workers=2)) == [number * number for number in range(20)]


def test_no_more_items_are_taken_than_are_worked_on():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = map_in_order(abs, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 8


def test_an_error_is_raised_at_its_turn():
    results = map_in_order(lambda number: 1 // number, [1, 0, 1], workers=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def _die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_processes_give_results_in_order_and_import_no_tensorflow():
    with Workers(2) as workers:
        assert list(workers.map(math.sqrt, [4, 9, 16])) == [2, 3, 4]
        assert list(workers.map(_imported, ["tensorflow", "hydra"])) == [False, False]


@pytest.mark.parametrize("number", [1, 2])
def test_one_call_goes_on_beside_a_map_and_raises_when_it_is_asked_for(number):
    with Workers(number) as workers:
        root, none = workers.begin(math.sqrt, 4), workers.begin(math.sqrt, -1)
        assert list(workers.map(abs, range(-20, 0))) == [*range(20, 0, -1)]
        assert root() == 2
        with pytest.raises(ValueError, match="math domain"):
            none()


def _imported(name: str) -> bool:
    return name in sys.modules


def test_a_worker_that_is_killed_is_told_as_such():
    with pytest.raises(RunFailedError, match="a worker process was killed"), Workers(2) as workers:
        list(workers.map(_die, range(6)))
    with pytest.raises(RunFailedError, match="a worker process was killed"), Workers(2) as workers:
        workers.begin(_die, 3)()


_PARENT = """
import multiprocessing, os, time
from odrun.annotations.parallel import Workers
if __name__ == "__main__":
    with Workers(2) as workers:
        results = workers.map(time.sleep, iter(lambda: 0.2, None))
        next(results)
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(60)
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while any(_is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.1)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
