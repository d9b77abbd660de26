"""The log file of a run: what the engine has to say goes there, and odrun's own facts with their time.

`quiet_terminal` moves the file descriptors 1 and 2 themselves, because the noise of TensorFlow's C++ never passes
through Python's `sys.stderr`.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

logger = logging.getLogger("odrun")
logger.addHandler(logging.NullHandler())

_TAIL_INTERVAL_S = 0.2
_NOWHERE = Path(os.devnull)
_UNENCODABLE = "backslashreplace"


@contextmanager
def quiet_terminal(log: Path, *, verbose: bool) -> Iterator[TextIO]:
    """Send all that is printed, by Python or below it, to `log`; yield a stream on the real terminal.

    The yielded stream keeps the encoding and `isatty` of standard output. It escapes what that encoding lacks, and
    falls silent instead of raising when nobody reads it any more. `logger` writes to `log` with time stamps, and
    subprocesses write to `log` too. With `verbose`, what arrives in `log` is shown on standard error as well. On the
    way out everything is put back, whatever happened.
    """
    with ExitStack() as undo:
        _occupy_standard_descriptors()
        _flush_standard_streams()
        saved_stdout, saved_stderr = os.dup(1), os.dup(2)
        undo.callback(os.close, saved_stdout)
        undo.callback(os.close, saved_stderr)
        terminal = _terminal_stream(sys.stdout, saved_stdout, undo)
        descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o666)
        undo.callback(os.close, descriptor)
        if verbose:
            undo.enter_context(_shown(log, saved_stderr))
        undo.callback(_redirect, saved_stdout, saved_stderr)
        _redirect(descriptor, descriptor)
        undo.enter_context(_python_streams(log))
        undo.enter_context(_time_stamped(log))
        yield terminal


class _LastingStream(io.TextIOWrapper):
    """A stream that goes silent when its reader is gone: a run must not end because a pipe or a terminal did."""

    _gone = False

    def write(self, text: str, /) -> int:
        if not self._gone:
            try:
                return super().write(text)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if not self._gone and not self.closed:
            try:
                super().flush()
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._gone = True
        with _NOWHERE.open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self.fileno())
        logger.info("the terminal is gone (%s); the run goes on", error.strerror)


def _occupy_standard_descriptors() -> None:
    """Open closed descriptors 0 to 2 on the null device; else the next opened file would become standard output."""
    for number in range(3):
        if not _is_open(number):
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _flush_standard_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _redirect(stdout: int, stderr: int) -> None:
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)


def _terminal_stream(stdout: TextIO | None, saved_stdout: int, undo: ExitStack) -> TextIO:
    """A stream on the saved descriptor; where Python's own output goes elsewhere (a notebook, a test), that one."""
    if stdout is None or stdout.closed:
        return undo.enter_context(_NOWHERE.open("w", encoding="utf-8"))
    try:
        number = stdout.fileno()
    except OSError:
        return stdout
    if number != 1:
        return stdout
    raw = io.BufferedWriter(io.FileIO(saved_stdout, "w", closefd=False))
    lasting = _LastingStream(raw, stdout.encoding, _UNENCODABLE, line_buffering=True, write_through=True)
    return undo.enter_context(lasting)


@contextmanager
def _python_streams(log: Path) -> Iterator[None]:
    """Python's streams onto the log as well: they need not be the descriptors 1 and 2."""
    kept = sys.stdout, sys.stderr
    with log.open("a", encoding="utf-8", errors=_UNENCODABLE, buffering=1) as stream:
        sys.stdout = sys.stderr = stream
        try:
            yield
        finally:
            sys.stdout, sys.stderr = kept
            _flush_standard_streams()


@contextmanager
def _time_stamped(log: Path) -> Iterator[None]:
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s odrun %(levelname)s %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def _shown(log: Path, descriptor: int) -> Iterator[None]:
    """Copy what arrives in `log` to `descriptor`, in a thread: a pipe would block on children that outlive the run."""
    ended = threading.Event()
    with log.open("rb") as stream:
        stream.seek(0, os.SEEK_END)

        def copy() -> None:
            last = False
            while not last:
                last = ended.wait(_TAIL_INTERVAL_S)
                try:
                    while arrived := stream.read(65536):
                        os.write(descriptor, arrived)
                except OSError:
                    return

        thread = threading.Thread(target=copy, name="odrun-log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
