"""Taking turns where generations share one context and have filled it together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class SharedContext:
    """Counts the generations of one model, and lets one that found no room run alone."""

    def __init__(self) -> None:
        self._running = 0
        self._none_running = asyncio.Event()
        self._none_running.set()
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def together(self) -> AsyncGenerator[None, None]:
        """Run beside others, but wait while one runs alone."""
        while self._alone.locked():
            async with self._alone:
                pass
        async with self._count():
            yield

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None, None]:
        """Run when all others have ended; those that come meanwhile wait."""
        async with self._alone:
            await self._none_running.wait()
            async with self._count():
                yield

    @asynccontextmanager
    async def _count(self) -> AsyncGenerator[None, None]:
        self._running += 1
        self._none_running.clear()
        try:
            yield
        finally:
            self._running -= 1
            if self._running == 0:
                self._none_running.set()
