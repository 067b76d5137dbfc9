"""Who is connected, and the end of a server that nobody needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Presence"]


class Presence:
    """Counts sockets and calls ``on_idle`` once none has been open for ``idle_timeout`` seconds."""

    def __init__(self, idle_timeout: float | None, on_idle: Callable[[], None]) -> None:
        self._idle_timeout = idle_timeout
        self._on_idle = on_idle
        self._timer: asyncio.TimerHandle | None = None
        self.sockets: int = 0

    def start(self) -> None:
        """Begin to wait for the first client."""
        self._arm()

    def entered(self) -> None:
        """A socket opened."""
        self.sockets += 1
        self.stop()

    def left(self) -> None:
        """A socket closed."""
        self.sockets -= 1
        self._arm()

    def claim(self) -> None:
        """Somebody is about to connect: the waiting starts again."""
        self._arm()

    def stop(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self.stop()
        if self._idle_timeout is not None and self.sockets == 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._idle_timeout, self._on_idle)
