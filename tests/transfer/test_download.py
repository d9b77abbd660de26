from __future__ import annotations

import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from odrun.errors import InputError
from odrun.transfer import download as module
from odrun.transfer.download import TRIES, TRIES_UNKNOWN, download

Serving = Callable[..., AbstractContextManager[Any]]
CONTENT = random.Random(0).randbytes(3 << 20)

DOWNLOADING = """
import sys
from pathlib import Path
from odrun.transfer.download import download

report = lambda line: print(line.partition(" ")[0], flush=True)
print(download(sys.argv[1], Path(sys.argv[2]), report=report, progress=lambda done, total: None).read_bytes()[:4])
"""


class Watching:
    """What a download was told, and how long it would have waited."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[int, int | None]] = []
        self.waits: list[float] = []

    def fetch(self, server: Any, folder: Path, path: str = "/data/images.zip", *, stalled_s: float = 5) -> Path:
        return self.fetch_address(server.address(path), folder, stalled_s=stalled_s)

    def fetch_address(self, address: str, folder: Path, *, stalled_s: float = 5) -> Path:
        return download(
            address,
            folder,
            report=self.lines.append,
            progress=lambda done, total: self.counts.append((done, total)),
            sleep=self.waits.append,
            stalled_s=stalled_s,
        )

    def refusal(self, server: Any, folder: Path, *, stalled_s: float = 5) -> InputError:
        with pytest.raises(InputError) as caught:
            self.fetch(server, folder, stalled_s=stalled_s)
        assert [path.name for path in folder.iterdir() if path.suffix == ".zip"] == []
        return caught.value


@pytest.fixture
def watching() -> Watching:
    return Watching()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_fetched_once_under_a_name_of_its_address(
    tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT) as server:
        file = watching.fetch(server, tmp_path)
        digest = hashlib.sha256(server.address().encode()).hexdigest()
        assert file == tmp_path / f"images-{digest[:12]}.zip"
        assert file.read_bytes() == CONTENT
        assert watching.fetch(server, tmp_path) == file
        assert len(server.asked) == 1
        assert watching.fetch(server, tmp_path, "/other/images.zip") != file
        assert watching.fetch(server, tmp_path, "/data/images.zip?version=2") != file
    assert len(names_in(tmp_path)) == 3
    assert watching.lines[0] == f"fetching http://127.0.0.1:{server.port}/data/images.zip to {file}"
    assert watching.counts[0] == (0, len(CONTENT))
    assert (len(CONTENT), len(CONTENT)) in watching.counts


@pytest.mark.parametrize("validator", [{"etag": '"one"'}, {"etag": None, "last_modified": "Sun, 01 Jan 2023"}])
def test_a_cut_connection_is_gone_on_from(
    validator: dict[str, str], tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, faults=2, cut_after=1_000_000, **validator) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-", "bytes=2000000-"]
    assert {headers.get("If-Range") for headers in server.asked[1:]} == set(validator.values()) - {None}
    assert watching.waits == [1.0, 2.0]
    assert watching.lines[1] == (f"the server broke off after 1000000 of {len(CONTENT)} bytes: trying again in 1 s")
    assert [done for done, _ in watching.counts] == sorted(done for done, _ in watching.counts)
    assert len(names_in(tmp_path)) == 1


@pytest.mark.parametrize(
    ("settings", "second_range"),
    [({"knows_ranges": False}, "bytes=1000000-"), ({"etag": None}, None), ({"etag": 'W/"weak"'}, None)],
    ids=["no ranges", "no validator", "weak validator"],
)
def test_what_cannot_be_gone_on_from_is_fetched_anew(
    settings: dict[str, Any], second_range: str | None, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, faults=1, cut_after=1_000_000, **settings) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, second_range]


def test_a_server_that_goes_on_from_elsewhere_is_found_out(
    tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, start_missed_by=-7) as server:
        leave_a_part(server, tmp_path, CONTENT[:1_000_000])
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-", None]


@pytest.mark.parametrize(("asked", "wait_s"), [("7", 7), ("99999", 60), ("0", None), ("Sun, 01 Jan 2023", 1)])
def test_a_server_is_given_the_time_it_asks_for(
    asked: str, wait_s: float | None, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, statuses=[503], headers={"Retry-After": asked}) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert watching.waits == ([] if wait_s is None else [wait_s])


def test_an_ended_process_is_gone_on_from(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT) as server:
        leave_a_part(server, tmp_path, CONTENT[:1_000_000])
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-"]
    assert watching.counts[0] == (1_000_000, len(CONTENT))
    assert len(names_in(tmp_path)) == 1


def leave_a_part(server: Any, folder: Path, content: bytes, **stated: object) -> None:
    digest = hashlib.sha256(server.address().encode()).hexdigest()
    part = folder / f"images-{digest[:12]}.zip.part"
    part.write_bytes(content)
    known = {"etag": '"one"', "last_modified": None, "length_bytes": len(CONTENT), **stated}
    part.with_name(f"{part.name}.json").write_text(json.dumps(known))


def test_a_part_of_a_file_that_has_changed_is_not_used(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT) as server:
        leave_a_part(server, tmp_path, bytes(1_000_000), etag='"old"')
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("stated", [{"length_bytes": len(CONTENT) + 1}, {"last_modified": "Mon, 02 Jan 2023"}])
def test_a_server_that_goes_on_with_another_file_is_found_out(
    stated: dict[str, object], tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, last_modified="Sun, 01 Jan 2023") as server:
        leave_a_part(server, tmp_path, bytes(1_000_000), **stated)
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-", None]
    assert watching.waits == []
    assert watching.lines[1].endswith("is not the file that it was: fetched from its beginning")


def test_a_part_longer_than_the_servers_file_is_not_used(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT) as server:
        leave_a_part(server, tmp_path, bytes(len(CONTENT) + 9), length_bytes=None)
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_complete_part_is_the_file(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT) as server:
        leave_a_part(server, tmp_path, CONTENT)
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize(
    "record",
    ["", "[" * 100_000, "[]", "{}", '{"etag": 1, "last_modified": null, "length_bytes": null}', "\xff", "null"]
    + [json.dumps({"etag": '"one"\r\nX: y', "last_modified": None, "length_bytes": None})]
    + [json.dumps({"etag": '"one"', "last_modified": None, "length_bytes": value}) for value in (-1, True, "7", 0.5)],
)
def test_a_damaged_record_of_a_part_is_not_used(
    record: str, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT) as server:
        leave_a_part(server, tmp_path, bytes(1_000_000))
        next(tmp_path.glob("*.json")).write_text(record, encoding="latin-1")
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None]


def test_a_stall_is_a_lost_connection(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT, faults=1, stall_s=30) as server:
        assert watching.fetch(server, tmp_path, stalled_s=0.3).read_bytes() == CONTENT
    assert watching.lines[1] == "the server sends nothing: trying again in 1 s"


def test_a_server_that_states_too_many_bytes_is_refused_in_the_end(
    tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, extra_length=100, etag=None) as server:
        error = watching.refusal(server, tmp_path)
    assert len(server.asked) == TRIES
    assert error.what == (
        f"http://127.0.0.1:{server.port}/data/images.zip could not be fetched in {TRIES} tries: the server broke off "
        f"after {len(CONTENT)} of {len(CONTENT) + 100} bytes"
    )
    assert watching.waits == [1, 2, 4, 8, 16]


def test_a_download_that_gets_further_is_not_given_up(
    tmp_path: Path, watching: Watching, monkeypatch: pytest.MonkeyPatch, serving: Serving
) -> None:
    monkeypatch.setattr(module, "FURTHER_BYTES", 100_000)
    with serving(content=CONTENT, faults=20, cut_after=150_000) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert watching.waits == [1.0] * 20


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_passing_fault_of_the_server_is_waited_for(
    status: int, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, statuses=[status] * 3) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert watching.waits == [1, 2, 4]


def test_a_standing_fault_of_the_server_is_refused_with_what_to_do_by_hand(
    tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, statuses=[500] * 99) as server:
        error = watching.refusal(server, tmp_path)
        digest = hashlib.sha256(server.address().encode()).hexdigest()
    assert error.what.endswith(f"could not be fetched in {TRIES} tries: the server answers 500 Internal Server Error")
    assert error.where == "dataset.path"
    by_hand = tmp_path / f"images-{digest[:12]}.zip"
    assert error.remedy == f"try again later, or fetch it by hand and put it at {by_hand}"
    assert watching.waits == [1, 2, 4, 8, 16]
    by_hand.write_bytes(b"by hand")
    assert watching.fetch(server, tmp_path) == by_hand


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501, 204])
def test_a_refusal_of_the_server_is_told_at_once(
    status: int, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, statuses=[status]) as server:
        error = watching.refusal(server, tmp_path)
    assert f"/data/images.zip answers {status} " in error.what
    assert watching.waits == []


def test_keys_in_a_query_are_not_told(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT, statuses=[404]) as server, pytest.raises(InputError) as caught:
        watching.fetch(server, tmp_path, "/images.zip?key=secret#fragment")
    assert "secret" not in f"{caught.value}{watching.lines}{names_in(tmp_path)}"
    assert "fragment" not in f"{caught.value}{watching.lines}"


def test_a_redirect_is_followed_with_the_range(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT, location="/moved/images.zip") as server:
        leave_a_part(server, tmp_path, CONTENT[:1_000_000])
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-"] * 2


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/a.zip", "data:,a", "javascript:a", "//"])
def test_a_redirect_to_something_else_is_refused(
    location: str, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, location=location) as server:
        error = watching.refusal(server, tmp_path)
    assert error.where == "dataset.path"
    assert watching.waits == []


def test_redirects_in_a_circle_end(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT, location="/data/images.zip") as server:
        assert "infinite loop" in watching.refusal(server, tmp_path).what


def test_an_unknown_length_is_taken_as_it_comes(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=CONTENT, states_length=False) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT
    assert {total for _, total in watching.counts} == {None}


@pytest.mark.parametrize("stated", ["-5", "many", "1e3", "9" * 30, "\u00b2"])
def test_a_length_that_is_none_is_passed_over(
    stated: str, tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=CONTENT, states_length=False, headers={"Content-Length": stated}) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT


def test_an_empty_file_is_refused(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    with serving(content=b"") as server:
        assert watching.refusal(server, tmp_path).what.endswith("/data/images.zip sends an empty file")


def test_a_length_beyond_the_disk_is_refused_before_it_is_fetched(
    tmp_path: Path, watching: Watching, serving: Serving
) -> None:
    with serving(content=b"abc", extra_length=10**17) as server:
        error = watching.refusal(server, tmp_path)
    assert error.what.startswith("the disk of the cache has too little room: 100000000000.0 MB are to be fetched")
    assert error.remedy == "paths.cache=DIR"


@pytest.mark.parametrize(
    "said",
    [b"", b"not http\r\n\r\n", b"HTTP/1.1 999999999999 \r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"]
    + [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nabc" for size in (b"5", b"zz", b"-1")]
    + [b"HTTP/1.1 206 Part\r\n\r\nabc", b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-2/3\r\n\r\nabc"]
    + [b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\n\r\n", b"\xff\xfe" * 40_000],
)
def test_what_is_not_http_ends_in_a_refusal(said: bytes, tmp_path: Path, watching: Watching) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(TRIES):
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(InputError) as caught:
            watching.fetch_address(f"http://127.0.0.1:{listening.getsockname()[1]}/a.zip", tmp_path)
    assert caught.value.where == "dataset.path"
    assert caught.value.what.isprintable()


def test_an_unreachable_server_is_told(tmp_path: Path, watching: Watching) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(InputError, match="tries: the connection failed: connection refused"):
        watching.fetch_address(f"http://127.0.0.1:{port}/a.zip", tmp_path)
    assert len(watching.waits) == TRIES - 1


def test_without_a_network_it_is_told_soon(tmp_path: Path, watching: Watching) -> None:
    """Names that end in .invalid belong to nobody (RFC 2606)."""
    with pytest.raises(InputError, match=f"in {TRIES_UNKNOWN} tries: the connection failed"):
        watching.fetch_address("http://zoo.invalid/a.zip", tmp_path)
    assert len(watching.waits) == TRIES_UNKNOWN - 1


def test_a_network_that_is_lost_on_the_way_is_waited_for(
    tmp_path: Path, watching: Watching, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    find = socket.getaddrinfo

    def lost(*arguments: Any, **more: Any) -> Any:
        asked.append(arguments)
        if 1 < len(asked) < TRIES_UNKNOWN + 3:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return find(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lost)
    with serving(content=CONTENT, faults=1, cut_after=1000) as server:
        assert watching.fetch(server, tmp_path).read_bytes() == CONTENT

    assert len(asked) == TRIES_UNKNOWN + 3


def test_an_unwritable_cache_is_told(tmp_path: Path, watching: Watching, serving: Serving) -> None:
    (tmp_path / "cache").write_text("")
    with serving(content=CONTENT) as server, pytest.raises(InputError) as caught:
        watching.fetch(server, tmp_path / "cache" / "downloads")
    assert caught.value.what == "the cache cannot be written: not a directory"
    assert server.asked == []


def test_several_processes_fetch_a_file_once(tmp_path: Path, serving: Serving) -> None:
    with serving(content=CONTENT, headers={"X": "y"}) as server:
        arguments = [sys.executable, "-c", DOWNLOADING, server.address(), str(tmp_path)]
        running = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        said = [process.communicate(timeout=60)[0].splitlines() for process in running]
    assert {lines[-1] for lines in said} == {repr(CONTENT[:4])}
    assert len(server.asked) == 1
    assert sum("fetching" in lines for lines in said) == 1
    assert len(names_in(tmp_path)) == 1
