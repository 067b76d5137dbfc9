"""The first bytes of a connection: whether it goes on as a WebSocket or as HTTP.

``websockets`` reads GET requests without a body, which is what a WebSocket begins with and what
``/lms-status`` needs. Everything else is handed to the HTTP application (``doors``), which is
imported then.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from websockets.asyncio.server import ServerConnection

from .outgoing import JoinedWrites

if TYPE_CHECKING:
    from lmstudio_server.doors.app import HttpDoor
    from lmstudio_server.services import Services

__all__ = ["Front", "FrontConnection", "goes_to_http"]

_REQUEST_LINE: Final = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?")
_HTTP_PATH: Final = re.compile(
    # Some clients send the whole URL, as they would to a proxy.
    rb"(?:https?://[^/?]*)?(?:/?(?:\?|$)|/v1(?:[/?]|$)|/api(?:[/?]|$)|/status\.json(?:[/?]|$))",
    re.IGNORECASE,
)
MAX_LINE_BYTES: Final = 8192
OPEN_SECONDS: Final = 10.0
READ_BYTES: Final = 64 * 1024


def goes_to_http(received: bytes) -> bool | None:
    """Whether what has been received belongs to the HTTP application; ``None``: not known yet."""
    line, found, _ = received.partition(b"\n")
    if not found:
        return None if len(received) < MAX_LINE_BYTES else False
    request = _REQUEST_LINE.fullmatch(line)
    if request is None:
        return False
    return request[1] != b"GET" or _HTTP_PATH.match(request[2]) is not None


class Front:
    """What the connections of one server share."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._door: HttpDoor | None = None
        self.waiting: set[asyncio.Transport] = set()
        """Connections on which nothing has come in yet."""

    def connection(self, *args: Any, **kwargs: Any) -> FrontConnection:
        """A new connection, as ``websockets`` makes them."""
        connection = FrontConnection(*args, **kwargs)
        connection.front = self
        return connection

    def enter(self, transport: asyncio.Transport) -> str | None:
        """Count a connection; its peer, or ``None`` when there are too many."""
        name: Any = transport.get_extra_info("peername")
        peer = str(name[0]) if name else ""
        return peer if self._services.connections.enter(peer) else None

    def leave(self, peer: str) -> None:
        """A connection has ended."""
        self._services.connections.leave(peer)

    def to_http(self, transport: asyncio.Transport, received: bytes, peer: str) -> None:
        """Hand a connection over.

        Args:
            transport: The connection.
            received: The bytes that were read already.
            peer: Who is at the other end.
        """
        if self._door is None:
            from lmstudio_server.doors.app import HttpDoor

            self._door = HttpDoor(self._services)
        self._door.connect(transport, received, lambda: self.leave(peer))

    async def close(self) -> None:
        """End the connections that are no WebSockets."""
        for transport in list(self.waiting):
            transport.abort()
        if self._door is not None:
            await self._door.close()


class FrontConnection(ServerConnection):
    """A connection that becomes a WebSocket once its first line has been read.

    Until then ``websockets`` does not know of it; afterwards nothing stands in between.
    """

    front: Front
    _received = b""
    _timer: asyncio.TimerHandle | None = None
    _peer: str | None = None
    """Whom it was counted for; nobody, once it was handed over or refused."""
    _refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first line."""
        # No isinstance: uvloop's transports are of no class of asyncio's.
        self._raw = stream = cast("asyncio.Transport", transport)
        # First of all: were anything below to fail, the loop would log it and keep the connection.
        self._timer = asyncio.get_running_loop().call_later(OPEN_SECONDS, stream.abort)
        self._peer = self.front.enter(stream)
        if self._peer is None:
            self._refused = True
            stream.abort()
            return
        self.front.waiting.add(stream)
        with suppress(AttributeError):  # uvloop chooses by itself
            # asyncio asks for 256 KiB at each read, which costs more to allocate than frames to read.
            cast("Any", stream).max_size = READ_BYTES

    def data_received(self, data: bytes) -> None:
        """Find out whose connection this is."""
        if self._refused:
            return
        if self._timer is None:
            super().data_received(data)
            return
        received = self._received + data
        to_http = goes_to_http(received)
        if to_http is None:
            self._received = received
            return
        self._decided()
        if to_http:
            peer, self._peer = self._peer or "", None
            self.front.to_http(self._raw, received, peer)
        else:
            joined: Any = JoinedWrites(self._raw)  # it has what websockets asks of a transport
            super().connection_made(joined)
            super().data_received(received)

    def eof_received(self) -> None:
        """Nothing more comes; before the first line that is the end."""
        if self._timer is None:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection."""
        if self._peer is not None:
            self.front.leave(self._peer)
            self._peer = None
        if self._timer is None:
            super().connection_lost(exc)
        else:
            self._decided()

    def _decided(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.front.waiting.discard(self._raw)
        self._received = b""
