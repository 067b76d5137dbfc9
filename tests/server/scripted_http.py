"""An HTTP server on loopback that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h11

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping


@dataclass
class Answer:
    """One answer: ``body`` is sent as JSON unless it is bytes; a list is a stream of events."""

    body: Any = None
    status: int = 200
    stays_open: bool = False
    """Wait for the client to close after the last event, in place of the end."""
    breaks: bool = False
    """Close in the middle of the answer."""


@dataclass
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class ScriptedServer:
    port: int
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    asked: list[Asked] = field(default_factory=list[Asked])
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client closed a connection that was to stay open."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def events(*chunks: Mapping[str, Any]) -> bytes:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


@asynccontextmanager
async def scripted_server(**answers: Answer) -> AsyncGenerator[ScriptedServer, None]:
    """Serve; in the names of ``answers`` ``__`` stands for a slash."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await _serve(server, reader, writer)
        except (OSError, h11.ProtocolError):
            pass
        finally:
            handlers.discard(task)
            writer.transport.abort()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    server = ScriptedServer(listener.sockets[0].getsockname()[1])
    server.answers = {f"/{name.replace('__', '/')}": answer for name, answer in answers.items()}
    try:
        yield server
    finally:
        listener.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def _serve(
    server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    http = h11.Connection(h11.SERVER)
    request: Any = None
    data = b""
    while True:
        event: Any = http.next_event()
        if event is h11.NEED_DATA:
            received = await reader.read(65536)
            http.receive_data(received)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            data += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return
    path = request.target.decode()
    headers = {name.decode(): value.decode() for name, value in request.headers}
    body = json.loads(data) if data else None
    server.asked.append(Asked(request.method.decode(), path, headers, body))
    answer = server.answers.get(path, Answer({"error": {"message": "no such path"}}, 404))
    content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    kind = "text/event-stream" if content.startswith(b"data:") else "application/json"
    sent = [("Content-Type", kind), ("Connection", "close")]
    if not (answer.stays_open or answer.breaks):
        sent.append(("Content-Length", str(len(content))))
    else:
        sent.append(("Transfer-Encoding", "chunked"))
    writer.write(http.send(h11.Response(status_code=answer.status, headers=sent)) or b"")
    if content:
        writer.write(http.send(h11.Data(data=content)) or b"")
    await writer.drain()
    if answer.stays_open:
        await reader.read()
        server.left.set()
    elif not answer.breaks:
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()
