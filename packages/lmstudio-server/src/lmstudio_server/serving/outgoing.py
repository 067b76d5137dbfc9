"""The fast path of what the server says: a packet costs no more of ``websockets`` than it has to.

Two things are done here. ``JoinedWrites`` stands before a socket's transport and writes what comes in
one turn of the loop by one system call: with many streams on a socket, each turn has many tokens.
``plain_frame`` makes a frame by itself of a text that is

* shorter than 64 KiB, so that its length takes one or three bytes,
* for a connection that is open, has nothing else of ``websockets`` to be written before, and
* whose client reads: nobody waits for its buffer to empty.

Everything else goes to ``websockets``, which writes to the same transport, so that the order stays.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from websockets.protocol import State

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["JoinedWrites", "plain_frame"]

_LARGE: Final = 65536
_MOST_HELD: Final = 65536
"""Bytes that are written at once: whoever writes much in one turn has to notice a slow client."""


def plain_frame(connection: ServerConnection, text: str) -> bytes | None:
    """The frame of a text that may be written right away; ``None``: ``websockets`` has to see to it."""
    data = text.encode()
    protocol, size = connection.protocol, len(data)
    if size >= _LARGE or protocol.state is not State.OPEN or protocol.writes or connection.paused:
        return None
    if size < 126:
        return bytes((0x81, size)) + data
    return b"\x81\x7e" + size.to_bytes(2, "big") + data


class JoinedWrites:
    """A transport that writes once in a turn of the loop, and at once before it ends."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write soon; see ``asyncio.Transport.write``."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > _MOST_HELD:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            data, self._size = b"".join(self._held), 0
            self._held.clear()
            self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        """Bytes that are still to be written."""
        return self._size + self._transport.get_write_buffer_size()

    def write_eof(self) -> None:
        """End this side, after what was written."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close, after what was written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._held.clear()
        self._transport.abort()
