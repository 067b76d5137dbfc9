"""HTTP to a worker over its private socket: requests, replies, event streams.

One connection per request: closing it is how llama.cpp learns that a generation is not wanted any
more.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h11

from lmstudio_core.lenient import error_text

from .sse import SseDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

_READ_BYTES = 65536


class ConnectionLostError(Exception):
    """The worker closed the connection before its answer was complete, or did not accept one."""


class StatusError(Exception):
    """The worker answered with an error status; ``payload`` is the JSON it sent."""

    def __init__(self, status: int, payload: Mapping[str, Any]) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status
        self.payload = payload


@dataclass(frozen=True)
class Address:
    """Where a worker listens: a unix socket, or a port on 127.0.0.1."""

    socket_path: str | None = None
    port: int = 0
    api_key: str | None = field(default=None, repr=False)


class _Exchange:
    """One request and its answer on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(our_role=h11.CLIENT)

    async def send(self, method: str, path: str, body: bytes, api_key: str | None) -> None:
        headers = [
            ("Host", "localhost"),
            ("Connection", "close"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ]
        if api_key is not None:
            headers.append(("Authorization", f"Bearer {api_key}"))
        request = h11.Request(method=method, target=path, headers=headers)
        parts = (request, h11.Data(data=body), h11.EndOfMessage())
        self._writer.write(b"".join(self._http.send(part) or b"" for part in parts))
        await self._writer.drain()

    async def next_event(self) -> Any:
        """Return h11's next event, reading as much as it takes."""
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._reader.read(_READ_BYTES))

    async def read_status(self) -> int:
        while True:
            event = await self.next_event()
            if isinstance(event, h11.Response):
                return event.status_code
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionLostError("the worker closed the connection without an answer")

    async def read_data(self) -> bytes | None:
        """Return the next piece of the answer's body, ``None`` at its end."""
        event = await self.next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def read_all(self) -> bytes:
        pieces: list[bytes] = []
        while (piece := await self.read_data()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close at once, without waiting: the caller may be cancelled."""
        self._writer.transport.abort()


class WorkerClient:
    """Asks one worker."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def get(self, path: str) -> Any:
        """Return the JSON at ``path``. Raises as ``post`` does."""
        return await self._ask("GET", path, b"")

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send ``body`` and return the JSON answer.

        Raises:
            StatusError: the worker refused.
            ConnectionLostError: there is no worker any more.
        """
        return await self._ask("POST", path, _encode(body))

    async def stream(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Send ``body`` and yield the events of the answer; closing this generator cancels.

        Raises as ``post`` does; an error that comes inside the stream is a ``StatusError`` too.
        """
        exchange = await self._open()
        try:
            await exchange.send("POST", path, _encode(body), self._address.api_key)
            await _raise_for_status(exchange)
            decoder = SseDecoder()
            while (data := await exchange.read_data()) is not None:
                for event in decoder.feed(data):
                    if "error" in event:
                        raise StatusError(int(event["error"].get("code") or 500), event)
                    yield event
        except (OSError, h11.RemoteProtocolError) as error:
            raise ConnectionLostError(error_text(error)) from error
        finally:
            exchange.close()

    async def _ask(self, method: str, path: str, body: bytes) -> Any:
        exchange = await self._open()
        try:
            await exchange.send(method, path, body, self._address.api_key)
            await _raise_for_status(exchange)
            return json.loads(await exchange.read_all())
        except (OSError, h11.RemoteProtocolError) as error:
            raise ConnectionLostError(error_text(error)) from error
        finally:
            exchange.close()

    async def _open(self) -> _Exchange:
        try:
            if self._address.socket_path is not None:
                streams = await asyncio.open_unix_connection(self._address.socket_path)
            else:
                streams = await asyncio.open_connection("127.0.0.1", self._address.port)
        except OSError as error:
            raise ConnectionLostError(error_text(error)) from error
        return _Exchange(*streams)


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


async def _raise_for_status(exchange: _Exchange) -> None:
    status = await exchange.read_status()
    if status == 200:
        return
    text = await exchange.read_all()
    try:
        payload: Any = json.loads(text)
        error: dict[str, Any] = dict(payload["error"])
    except (ValueError, TypeError, KeyError):
        error = {"message": text.decode("utf-8", "replace")}
    raise StatusError(status, {"error": error})
