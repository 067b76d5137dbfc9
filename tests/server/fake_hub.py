"""A Hugging Face hub of our own: what ``huggingface_hub`` and the server ask of the real one.

``HF_ENDPOINT`` is pointed at it. Connections can be broken after some bytes, or held until a test lets
them go on; every request is kept with its headers.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PATIENCE = 30.0
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_BLOCK = 64 * 1024


@dataclass
class Request:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass
class Answer:
    """A whole answer to a download."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    chunked: bool = False
    """Without a length."""


@dataclass
class HubFile:
    data: bytes
    lfs: bool = True
    sha256: str | None = None
    """What the hub says; ``None``: the truth."""

    def described(self, name: str) -> dict[str, Any]:
        blob = hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(self.data), "blobId": blob}
        if self.lfs:
            digest = self.sha256 or hashlib.sha256(self.data).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": len(self.data), "pointerSize": 134}
        return entry


@dataclass
class FakeHub:
    endpoint: str = ""
    repositories: dict[str, dict[str, HubFile]] = field(
        default_factory=dict[str, dict[str, HubFile]]
    )
    tagged: set[str] = field(default_factory=set[str])
    """Repositories that a search finds."""
    gated: set[str] = field(default_factory=set[str])
    aliases: dict[str, str] = field(default_factory=dict[str, str])
    """What repositories are called in answers about them."""
    requests: list[Request] = field(default_factory=list[Request])
    breaks: list[int] = field(default_factory=list[int])
    """After how many bytes each of the next downloads breaks off."""
    hold_after: int | None = None
    """After how many bytes downloads wait for ``release``."""
    ranges: bool = True
    status: int | None = None
    """What every request is answered with instead."""
    busy: list[str | None] = field(default_factory=list[str | None])
    """The ``Retry-After`` of each of the next answers, which are 429."""
    other: list[Answer] = field(default_factory=list["Answer"])
    """What each of the next downloads is answered with instead, by a proxy or a mirror."""
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def add(self, repository: str, name: str, data: bytes, **options: Any) -> None:
        self.repositories.setdefault(repository, {})[name] = HubFile(data, **options)
        self.tagged.add(repository)

    def downloads(self) -> list[Request]:
        return [request for request in self.requests if "/resolve/" in request.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        pass

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        path, query = unquote(split.path), parse_qs(split.query)
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.requests.append(Request(path, query, headers))
        if self.hub.status is not None:
            self._json({"error": "no"}, self.hub.status)
        elif self.hub.busy:
            wait = self.hub.busy.pop(0)
            self._json({"error": "slow"}, 429, **({} if wait is None else {"Retry_After": wait}))
        elif path == "/api/models":
            self._search(query)
        elif path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/"), "blobs" in query)
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        else:
            self._json({"error": "not found"}, 404)

    def _json(self, value: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _search(self, query: dict[str, list[str]]) -> None:
        term = query.get("search", [""])[0].lower()
        found = [{"id": name} for name in sorted(self.hub.tagged) if term in name.lower()]
        self._json(found)

    def _info(self, name: str, blobs: bool) -> None:
        real = next((k for k in self.hub.repositories if k.lower() == name.lower()), None)
        if real is None:
            self._json({"error": "Repository not found"}, 401, X_Error_Code="RepoNotFound")
            return
        files = self.hub.repositories[real]
        listed = [f.described(n) if blobs else {"rfilename": n} for n, f in files.items()]
        self._json({"id": self.hub.aliases.get(real, real), "sha": COMMIT, "siblings": listed})

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        if repository in self.hub.gated:
            self._json({"error": "gated"}, 403, X_Error_Code="GatedRepo")
            return
        file = self.hub.repositories.get(repository, {}).get(name)
        if file is None or revision != COMMIT:
            self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            return
        if self.hub.other:
            self._other(self.hub.other.pop(0))
            return
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked and self.hub.ranges:
            start = int(asked[1])
            self.send_response(206)
            last = len(file.data) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(file.data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(file.data) - start))
        self.end_headers()
        self._send(file.data[start:])

    def _other(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        if answer.chunked:
            self.close_connection = True
        elif "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _send(self, data: bytes) -> None:
        end = self.hub.breaks.pop(0) if self.hub.breaks else None
        sent = 0
        try:
            while sent < len(data):
                if end is not None and sent >= end:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if self.hub.hold_after is not None and sent >= self.hub.hold_after:
                    self.hub.held.set()
                    assert self.hub.release.wait(PATIENCE)
                limits = [_BLOCK, *(x - sent for x in (end, self.hub.hold_after) if x and x > sent)]
                sent += self.wfile.write(data[sent : sent + min(limits)])
        except (ConnectionError, ValueError):
            self.close_connection = True


@contextmanager
def fake_hub() -> Generator[FakeHub, None, None]:
    """A hub on a free port of this machine, empty at first."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def partials(folder: Path) -> list[Path]:
    """What unfinished downloads have left below a folder."""
    return sorted(folder.rglob(".*.part"))
