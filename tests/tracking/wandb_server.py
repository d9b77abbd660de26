"""A stand-in for the W&B server on the loopback interface: as much of its interface as a run needs."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Sweep:
    """A sweep with the id `s`: its agent is given `trials`, the parameters by run id, one after the other.

    A run in `stopped` is told to stop once a row of its history has arrived. `wandb sweep` brings the `config`.
    """

    trials: dict[str, dict[str, object]]
    stopped: frozenset[str] = frozenset()
    config: str = ""
    begun: list[str] = field(default_factory=list)

    def answer(
        self, operation: str, variables: dict[str, object], histories: dict[str, list[dict[str, object]]]
    ) -> dict[str, object]:
        if operation == "UpsertSweep":
            self.config = str(variables["config"])
            project = {"name": variables["projectName"], "entity": {"name": "team"}}
            return {"upsertSweep": {"sweep": {"name": "s", "project": project}, "configValidationWarnings": []}}
        if operation == "SweepWithRuns":
            return {"project": {"sweep": {"id": "S", "name": "s", "config": self.config, "runs": {"edges": []}}}}
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": "A"}}}
        if operation == "Heartbeat":
            commands = self._commands(list(json.loads(str(variables["runState"]))), histories)
            return {"agentHeartbeat": {"agent": {"id": "A"}, "commands": json.dumps(commands)}}
        return {}

    def _commands(self, running: list[str], histories: dict[str, list[dict[str, object]]]) -> list[dict[str, object]]:
        if running:
            return [{"type": "stop", "run_id": run} for run in running if run in self.stopped and run in histories]
        left = [run for run in self.trials if run not in self.begun]
        if not left:
            return [{"type": "exit"}]
        self.begun.append(left[0])
        args = {key: {"value": value} for key, value in self.trials[left[0]].items()}
        return [{"type": "run", "run_id": left[0], "program": "odrun", "args": args}]


@dataclass
class WandbServer:
    """What arrived: the operations asked for, the run's attributes, its history, its exit code, the files' names."""

    url: str
    accepts_key: bool
    operations: list[str] = field(default_factory=list)
    run: dict[str, object] = field(default_factory=dict)
    history: list[dict[str, object]] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    runs: dict[str, dict[str, object]] = field(default_factory=dict)
    histories: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    sweep: Sweep | None = None

    def answer(self, query: str, variables: dict[str, object]) -> dict[str, object]:
        match = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = match[1] if match else "?"
        self.operations.append(operation)
        if operation == "Viewer":
            return {"viewer": {"id": "u", "entity": "team", "username": "user", "flags": "{}", "teams": {"edges": []}}}
        if operation == "UpsertBucket":
            given = {key: value for key, value in variables.items() if value is not None}
            self.run |= given
            self.runs.setdefault(str(variables["name"]), {}).update(given)
            return {"upsertBucket": {"bucket": bucket(variables), "inserted": True}}
        if operation == "RunResumeStatus":
            return {"model": {"id": "p", "name": "project", "entity": {"id": "e", "name": "team"}, "bucket": None}}
        if operation == "CreateRunFiles":
            names = [str(name) for name in variables["files"]]
            self.files += names
            addresses = [{"name": name, "uploadUrl": f"{self.url}/storage/{name}"} for name in names]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": addresses}}
        return {} if self.sweep is None else self.sweep.answer(operation, variables, self.histories)

    def stream(self, run: str, content: dict[str, object]) -> None:
        files = content.get("files") or {}
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.history.append(json.loads(line))
            self.histories.setdefault(run, []).append(json.loads(line))
        if "exitcode" in content:
            self.exit_codes.append(int(content["exitcode"]))
            self.exits[run] = int(content["exitcode"])


def bucket(variables: dict[str, object]) -> dict[str, object]:
    return {
        "id": "r",
        "name": variables["name"],
        "displayName": variables.get("displayName"),
        "description": None,
        "config": "{}",
        "sweepName": None,
        "historyLineCount": 0,
        "project": {"id": "p", "name": variables.get("project") or "project", "entity": {"id": "e", "name": "team"}},
    }


@contextmanager
def wandb_server(*, accepts_key: bool = True) -> Iterator[WandbServer]:
    listener = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server = WandbServer(f"http://127.0.0.1:{listener.server_address[1]}", accepts_key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._body()
            if not server.accepts_key:
                self._reply(401, {"errors": [{"message": "user is not logged in"}]})
            elif self.path.endswith("/graphql"):
                content = json.loads(body)
                self._reply(200, {"data": server.answer(content["query"], content.get("variables") or {})})
            elif self.path.endswith("/file_stream"):
                server.stream(self.path.split("/")[-2], json.loads(body))
                self._reply(200, {"exitcode": None, "limits": {}})
            else:
                self._reply(200, {})

        def do_PUT(self) -> None:
            self._body()
            self._reply(200, {})

        def do_GET(self) -> None:
            self._reply(200, {})

        def log_message(self, *_: object) -> None:
            """Nothing."""

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _reply(self, status: int, content: dict[str, object]) -> None:
            payload = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    listener.RequestHandlerClass = Handler
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
