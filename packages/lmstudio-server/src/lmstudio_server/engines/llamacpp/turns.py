"""Taking turns: so many generations at once, the others in order.

The queue is here and not in llama.cpp, where each that waits would take up a connection and its thread.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Turns:
    """Lets some generations of one model run at once, or one alone that found no room beside others.

    Args:
        parallel: How many run at once.
    """

    def __init__(self, parallel: int) -> None:
        self._places = asyncio.Semaphore(parallel)
        self._running = 0
        self._none_running = asyncio.Event()
        self._none_running.set()
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def together(self) -> AsyncGenerator[None, None]:
        """Run beside others, in the order of asking; wait while one runs alone."""
        async with self._places:
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
