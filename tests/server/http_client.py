"""A small HTTP client for tests: shows status, headers and body as they came."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h11

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmstudio_server.serving.server import RunningServer

PATIENCE = 30.0
HERE = os.environ.get("LMSTUDIO_TEST_BIND", "127.0.0.1")
"""Where servers made in a test's own process listen; see ``test_beyond.py``."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        """The data of server-sent events."""
        lines = self.body.decode().splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [one if one == "[DONE]" else json.loads(one) for one in data]


class Connection:
    """One connection, for any number of requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._h11 = h11.Connection(h11.CLIENT)

    async def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        content = body if isinstance(body, bytes) else b""
        if body is not None and not isinstance(body, bytes):
            content = json.dumps(body).encode()
        given = {"host": HERE, **(headers or {})}
        if content:
            given |= {"content-length": str(len(content)), "content-type": "application/json"}
        request = h11.Request(method=method, target=path, headers=list(given.items()))
        self.writer.write(self._h11.send(request) or b"")
        if content:
            self.writer.write(self._h11.send(h11.Data(data=content)) or b"")
        self.writer.write(self._h11.send(h11.EndOfMessage()) or b"")
        await self.writer.drain()

    async def event(self) -> Any:
        """The next event of the protocol (a response, data, an end)."""
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(await asyncio.wait_for(self.reader.read(65536), PATIENCE))
        return event

    async def answer(self) -> Answer:
        response = await self.event()
        assert isinstance(response, h11.Response), response
        body = b""
        while isinstance(event := await self.event(), h11.Data):
            body += bytes(event.data)
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        headers = {name.decode(): value.decode() for name, value in response.headers}
        return Answer(response.status_code, headers, body)


@asynccontextmanager
async def connected(server: RunningServer) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(HERE, server.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):  # the server may have reset it
            await writer.wait_closed()


async def ask(
    server: RunningServer,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    async with connected(server) as connection:
        await connection.send(method, path, body, headers)
        return await connection.answer()


async def post(server: RunningServer, path: str, **body: Any) -> Answer:
    return await ask(server, "POST", path, body)


async def get(server: RunningServer, path: str, **headers: str) -> Answer:
    return await ask(server, "GET", path, headers=headers)


def user(text: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]
