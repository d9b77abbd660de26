"""A server on the loopback that gives one file, and is as faulty as a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class FileServer:
    """What is served, and what was asked; each fault but the standing ones is for the first `faults` answers."""

    content: bytes = b""
    etag: str | None = '"one"'
    last_modified: str | None = None
    knows_ranges: bool = True
    states_length: bool = True
    faults: int = 0
    statuses: list[int] = field(default_factory=list)
    cut_after: int | None = None
    stall_s: float = 0.0
    extra_length: int = 0
    start_missed_by: int = 0
    location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def address(self, path: str = "/data/images.zip") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]


@pytest.fixture
def serving() -> Callable[..., AbstractContextManager[FileServer]]:
    """Serves while its context lasts; its arguments are the fields of `FileServer`."""
    return _serving


@contextmanager
def _serving(**settings: object) -> Iterator[FileServer]:
    state = FileServer(**settings)  # type: ignore[arg-type]

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, state)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            state.stop.set()
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, state: FileServer) -> None:
    state.asked.append(dict(request.headers))
    faulty, state.faults = state.faults > 0, max(state.faults - 1, 0)
    if state.location is not None and not request.path.startswith("/moved"):
        request.send_response(302)
        request.send_header("Location", state.location)
        request.end_headers()
        return
    if state.statuses:
        request.send_response(state.statuses.pop(0))
        for name, value in state.headers.items():
            request.send_header(name, value)
        request.end_headers()
        return
    start = _start(request, state)
    if start > len(state.content):
        request.send_response(416)
        request.end_headers()
        return
    body = state.content[start:]
    _head(request, state, start, len(body))
    if faulty and state.stall_s:
        request.wfile.write(body[: len(body) // 2])
        request.wfile.flush()
        state.stop.wait(state.stall_s)
        return
    request.wfile.write(body[: state.cut_after] if faulty else body)


def _head(request: BaseHTTPRequestHandler, state: FileServer, start: int, body_bytes: int) -> None:
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
    if state.states_length:
        request.send_header("Content-Length", str(body_bytes + state.extra_length))
    for name, value in {"ETag": state.etag, "Last-Modified": state.last_modified, **state.headers}.items():
        if value is not None:
            request.send_header(name, value)
    request.end_headers()


def _start(request: BaseHTTPRequestHandler, state: FileServer) -> int:
    stated = request.headers.get("Range")
    if stated is None or not state.knows_ranges:
        return 0
    if request.headers.get("If-Range") not in (state.etag, state.last_modified):
        return 0
    missed_by, state.start_missed_by = state.start_missed_by, 0
    return int(stated.removeprefix("bytes=").removesuffix("-")) + missed_by
