"""An MCP server with switches, for what servers in the wild do: by HTTP, by the older HTTP+SSE, by stdio.

It is plain JSON-RPC, without the ``mcp`` package, which would not do these things.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


class Odd:
    """What the server is asked and does; the tests set the switches while it runs.

    Attributes:
        names: Its tools. ``load`` adds the tool ``loaded`` and says so; ``leave`` ends a process.
        cursors: How its list goes on: ``"same"`` cursor for ever, ``"new"`` ones, or ``None``.
        refuse: The status for each JSON-RPC method, or HTTP method, that it answers with one.
        says: The body of these answers.
        older: Whether it speaks HTTP+SSE in place of streamable HTTP.
        asked: The JSON-RPC methods that came, with the name of the tool where there is one.
    """

    def __init__(self, *names: str, cursors: str | None = None, older: bool = False) -> None:
        self.names = list(names or ("echo", "load"))
        self.cursors = cursors
        self.refuse: dict[str, int] = {}
        self.says: bytes = b""
        self.older = older
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.sessions: set[str] = set()
        self.outboxes: list[queue.SimpleQueue[Any]] = []
        self._count = itertools.count()

    def answer(self, request: dict[str, Any]) -> Any:
        """The messages that answer a request: what is announced, then the result."""
        method, given = request["method"], request.get("params") or {}
        self.asked.append(" ".join(filter(None, (method, given.get("name")))))
        result: dict[str, Any] = {"tools": []}
        news = []
        if method == "initialize":
            result = {
                "protocolVersion": given["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "odd", "version": "1"},
            }
        elif method == "tools/list":
            result["tools"] = [{"name": n, "inputSchema": {"type": "object"}} for n in self.names]
            if self.cursors == "new":
                number = next(self._count)
                result["tools"] = [{"name": f"t{number}", "inputSchema": {"type": "object"}}]
            if self.cursors is not None:
                result["nextCursor"] = "same" if self.cursors == "same" else f"c{next(self._count)}"
        elif method == "tools/call":
            if given["name"] == "leave":
                os._exit(3)
            if given["name"] == "load" and "loaded" not in self.names:
                self.names.append("loaded")
                news.append(CHANGED)
            result = {"content": [{"type": "text", "text": f"{given['name']} {os.getpid()}"}]}
        return [*news, {"jsonrpc": "2.0", "id": request.get("id"), "result": result}]

    def count(self, asked: str) -> int:
        return self.asked.count(asked)


class _Handler(BaseHTTPRequestHandler):
    odd: Odd
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    def _say(
        self, status: int, body: bytes = b"", kind: str = "application/json", **more: str
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        odd = self.odd
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = request.get("method", "")
        odd.headers.append({name.lower(): value for name, value in self.headers.items()})
        status = odd.refuse.get(method) or odd.refuse.get("POST")
        if odd.older and "session" not in self.path:
            status = status or 405
        if odd.older and not odd.outboxes:
            status = status or 404
        known = self.headers.get("Mcp-Session-Id") in odd.sessions or method == "initialize"
        if not odd.older and not known:
            status = status or odd.refuse.get("unknown", 404)
        if status:
            odd.asked.append(f"{method} {status}")
            self._say(status, odd.says, "text/plain")
        elif "id" not in request:
            self._say(202)
        elif odd.older:
            for message in odd.answer(request):
                odd.outboxes[-1].put(message)
            self._say(202)
        else:
            session = self.headers.get("Mcp-Session-Id") or f"s{next(odd._count)}"
            odd.sessions.add(session)
            events = b"".join(_event(message) for message in odd.answer(request))
            self._say(200, events, "text/event-stream", Mcp_Session_Id=session)

    def do_GET(self) -> None:
        odd = self.odd
        status = odd.refuse.get("GET", 0 if odd.older else 405)
        if status:
            self._say(status)
            return
        outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        odd.outboxes.append(outbox)
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"event: endpoint\ndata: /post?session=1\n\n")
        while (message := outbox.get()) is not None:
            self.wfile.write(_event(message))
            self.wfile.flush()

    def do_DELETE(self) -> None:
        self.odd.sessions.discard(self.headers.get("Mcp-Session-Id", ""))
        self._say(200)


def _event(message: Any) -> bytes:
    return f"event: message\ndata: {json.dumps(message)}\n\n".encode()


class OddServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def serving(odd: Odd, port: int = 0) -> Iterator[str]:
    """The address of the server, which runs as long as the block."""
    handler = type("Handler", (_Handler,), {"odd": odd})
    with OddServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/mcp"
        finally:
            hang_up(odd)
            server.shutdown()
            thread.join()


def hang_up(odd: Odd) -> None:
    """End the streams of the older transport."""
    while odd.outboxes:
        odd.outboxes.pop().put(None)


if __name__ == "__main__":
    spoken = Odd(*sys.argv[2:], cursors=sys.argv[1] if sys.argv[1] != "none" else None)
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            for said in spoken.answer(asked):
                print(json.dumps(said), flush=True)
