"""A TCP proxy between a client and a server, which does to the bytes what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from typing_extensions import Self

from waiting import PATIENCE, trickle


class Link:
    """One connection through the proxy. ``towards_client`` says which way bytes go."""

    black = False
    """Swallow everything from now on, and say nothing to anybody."""
    pace: float | None = None
    """Seconds between two pieces of at most 32 kB."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []

    async def forward(
        self, data: bytes, writer: asyncio.StreamWriter, towards_client: bool
    ) -> bool:
        """Pass bytes on; ``False`` ends the connection."""
        if not self.black:
            writer.write(data)
            await writer.drain()
        return True

    def end(self, *, reset: bool = False) -> None:
        for writer in self.writers:
            if reset and not writer.transport.is_closing():
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort() if reset else writer.close()


class Proxy:
    """A proxy in a thread of its own; ``links`` are all connections so far.

    Args:
        target: Where to connect to, ``"host:port"``.
        link: Makes a new connection's ``Link``; ``None`` refuses it.
        receive_buffer: Bytes that the system keeps of what was not read yet.
    """

    def __init__(
        self,
        target: str,
        link: Callable[[], Link | None] = Link,
        *,
        receive_buffer: int | None = None,
    ) -> None:
        self.links: list[Link] = []
        self._target = target.rpartition(":")
        self._make = link
        self._listener = socket.create_server(("127.0.0.1", 0))
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def _stop(self) -> None:
        self._server.close()
        for link in self.links:
            link.end(reset=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def blacken(self) -> None:
        """The connections that are open now vanish without a word; new ones work."""
        for link in self.links:
            link.black = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        link = self._make()
        if link is None:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        self.links.append(link)
        host, _, port = self._target
        with contextlib.suppress(OSError, asyncio.CancelledError):
            beyond_reader, beyond_writer = await asyncio.open_connection(host, int(port))
            link.writers = [writer, beyond_writer]
            up = asyncio.ensure_future(self._pump(link, reader, beyond_writer, False))
            down = asyncio.ensure_future(self._pump(link, beyond_reader, writer, True))
            self._tasks |= {up, down}
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            for pump in (up, down):
                pump.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        link.end()

    @staticmethod
    async def _pump(
        link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, down: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536 if link.pace is None else 32768):
                if link.pace is not None:
                    await trickle(link.pace)
                if not await link.forward(data, writer, down):
                    return
        if link.black:  # a vanished host does not close either; the proxy's end cancels this
            await asyncio.get_running_loop().create_future()
