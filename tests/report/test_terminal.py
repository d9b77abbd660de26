"""On a terminal the bars move; in a file there are a few plain lines; no path is ever cut."""

from __future__ import annotations

import io
import os
import re
import select
import sys
from collections.abc import Iterator

import pytest

from odrun.report.closing import Closing
from odrun.report.terminal import IMAGES_PER_S, LEARNING_RATE, LOSS, Terminal

LOGGED = {LOSS: 0.7123, LEARNING_RATE: 0.0786, IMAGES_PER_S: 91.6, "train/loss/localization": 0.2}
LONG_PATH = "/data/" + "a-long-folder/" * 12 + "[bold]image.jpg"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def train(terminal: Terminal, clock: Clock, *, steps: int = 100, step_s: float = 0.1, first_step: int = 1) -> None:
    with terminal.training(steps, first_step=first_step) as after_step:
        for step in range(first_step, steps + 1):
            clock.now += step_s
            after_step(step, LOGGED if step % 50 == 0 or step == first_step else {})


def plain_lines(**arguments: float) -> list[str]:
    stream, clock = io.StringIO(), Clock()
    train(Terminal(stream, clock=clock), clock, **arguments)
    return stream.getvalue().splitlines()


def test_a_file_gets_a_line_for_the_first_step_and_each_tenth() -> None:
    lines = plain_lines()
    assert [int(re.findall(r"step (\d+)/100", line)[0]) for line in lines] == [1, *range(11, 92, 10), 100]
    assert lines[0] == "training   step 1/100  loss 0.712  lr 0.079  92 images/s"
    assert lines[5] == "training   step 51/100  loss 0.712  lr 0.079  92 images/s  5 s left"


def test_slow_steps_get_a_line_each_half_minute() -> None:
    steps = [re.findall(r"step (\d+)/", line)[0] for line in plain_lines(steps=1000, step_s=10.0)[:4]]
    assert steps == ["1", "4", "7", "10"]


def test_a_resumed_training_counts_on() -> None:
    assert plain_lines(first_step=96) == [
        "training   step 96/100  loss 0.712  lr 0.079  92 images/s",
        "training   step 100/100  loss 0.712  lr 0.079  92 images/s",
    ]


def test_a_file_gets_no_escape_codes_even_if_colour_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.stage("records", "600 images")
    terminal.warning("near-duplicates: 3")
    with terminal.progress("export", total=2, unit="file") as show:
        show(1)
        show(2)
    assert stream.getvalue().splitlines() == [
        "records    600 images",
        "warning    near-duplicates: 3",
        "export     file 1/2",
        "export     file 2/2",
    ]


def test_long_paths_and_brackets_are_printed_as_they_are() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.fact(LONG_PATH)
    terminal.closing(Closing("done", None, (("run", LONG_PATH),), ()))
    assert stream.getvalue() == f"{' ' * 11}{LONG_PATH}\n\ndone\n\nwhere\n  run  {LONG_PATH}\n"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, plain_environment: None) -> Iterator[tuple[io.TextIOWrapper, int]]:
    """A pseudo-terminal of 80 columns: the stream to write to and the descriptor that shows what arrived."""
    if sys.platform == "win32":
        pytest.skip("pseudo-terminals are a Unix thing")
    import fcntl
    import pty
    import struct
    import termios

    monkeypatch.setenv("TERM", "xterm-256color")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield stream, master
    os.close(master)


def shown(master: int) -> str:
    """All that the stream wrote; what is written reaches the other end of a pseudo-terminal a little later."""
    output = b""
    while select.select([master], [], [], 0.3)[0]:
        output += os.read(master, 1 << 20)
    return output.decode()


def test_on_a_terminal_the_bar_moves_and_lines_stand_above_it(screen: tuple[io.TextIOWrapper, int]) -> None:
    stream, master = screen
    clock = Clock()
    terminal = Terminal(stream, clock=clock)
    with terminal.training(1000) as after_step:
        clock.now += 20.0
        after_step(1, LOGGED)
        clock.now += 1.0
        after_step(11, {})
        terminal.stage("eval", "AP 0.512")
    output = shown(master)
    frame = "step 11/1000  loss 0.712  lr 0.079  92 images/s  1:39 left"
    assert frame in output
    assert output.index("AP 0.512") < output.rindex(frame)
    assert output.rstrip().endswith("11 of 1000 steps in 21 s")


def test_a_moving_line_fits_its_terminal_with_all_its_facts(screen: tuple[io.TextIOWrapper, int]) -> None:
    stream, master = screen
    clock = Clock()
    train(Terminal(stream, clock=clock), clock, steps=100)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown(master)).replace("\r", "\n").splitlines()
    assert max(len(line) for line in lines) <= 80
    assert any(line.endswith("step 100/100  loss 0.712  lr 0.079  92 images/s") for line in map(str.rstrip, lines))


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_without_colours_gets_plain_lines(
    screen: tuple[io.TextIOWrapper, int], monkeypatch: pytest.MonkeyPatch, variable: tuple[str, str]
) -> None:
    monkeypatch.setenv(*variable)
    stream, master = screen
    clock = Clock()
    train(Terminal(stream, clock=clock), clock, steps=2)
    assert re.sub(r"\x1b\[1m|\x1b\[0m", "", shown(master)).splitlines() == [
        "training   step 1/2  loss 0.712  lr 0.079  92 images/s",
        "training   step 2/2  loss 0.712  lr 0.079  92 images/s",
    ]


def test_a_table_that_is_too_wide_for_its_terminal_is_a_block_a_row() -> None:
    stream = io.StringIO()
    Terminal(stream).table(("trial", "AP", "model"), [("6", "0.5", "m" * 80), ("2", "0.4", "n")])
    indent = " " * 11
    assert stream.getvalue().splitlines() == [
        f"{indent}trial 6",
        f"{indent}  AP 0.5, model {'m' * 80}",
        f"{indent}trial 2",
        f"{indent}  AP 0.4, model n",
    ]


def test_a_table_that_fits_is_one() -> None:
    stream = io.StringIO()
    Terminal(stream).table(("trial", "AP"), [("6", "0.5")])
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == ["trial  AP", "6      0.5"]
