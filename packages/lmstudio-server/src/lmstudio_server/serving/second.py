"""The port that clients may open besides the server's own (``system.startHttpServer``)."""

from __future__ import annotations

import asyncio
import copy
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from lmstudio_server.config import DEFAULT_PORT, is_loopback

from .front import Front

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from websockets.asyncio.server import Server

    from lmstudio_server.config import ServerConfig
    from lmstudio_server.services import Services

__all__ = ["SecondPort"]

_log = logging.getLogger(__name__)


class SecondPort:
    """One more port with everything that the first one has; there is at most one of them."""

    def __init__(
        self,
        services: Services,
        own_port: int,
        listen: Callable[[ServerConfig, Services, Front], Awaitable[Server]],
    ) -> None:
        self._services = services
        self._own_port = own_port
        self._listen = listen
        self._open: tuple[Server, Front] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self, port: int | None, host: str | None, *, cors: bool) -> None:
        """Listen on a port (1234 if none is given); one opened before is closed.

        The server's own port is open anyway.

        Args:
            port: The port; ``None`` for 1234.
            host: The address; ``None`` for 127.0.0.1.
            cors: Whether pages of any origin may ask.

        Raises:
            OSError: It cannot be listened on.
        """
        port, host = port or DEFAULT_PORT, host or "127.0.0.1"
        if port == self._own_port:
            return
        self.stop()
        await self._closed()
        config = replace(
            self._services.config,
            host=host,
            port=port,
            allowed_origins=("*",) if cors else self._services.config.allowed_origins,
        )
        # The same state, under other rules for who may connect; what is made when it is first used is
        # made now, for both.
        _ = self._services.download_jobs
        services = copy.copy(self._services)
        services.config = config
        front = Front(services)
        self._open = (await self._listen(config, services, front), front)
        where = "" if is_loopback(host) else ", from other machines too"
        _log.info("a client opened port %d%s%s", port, where, " to every web page" if cors else "")

    def stop(self) -> bool:
        """Begin to close the port and its connections; whether there is one."""
        if self._open is None:
            return False
        task = asyncio.get_running_loop().create_task(_close(*self._open))
        self._open = None
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return True

    async def close(self) -> None:
        """Close the port, and wait until that is done."""
        self.stop()
        await self._closed()

    async def _closed(self) -> None:
        if self._closing:
            await asyncio.wait(self._closing)


async def _close(server: Server, front: Front) -> None:
    server.close()
    with suppress(Exception):
        await front.close()
    await server.wait_closed()
    _log.info("the port that a client had opened is closed")
