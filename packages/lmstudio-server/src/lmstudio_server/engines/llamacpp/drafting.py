"""Workers in which a draft model helps.

llama.cpp takes a draft when a model is loaded, and LM Studio's API with each prediction. So each draft
in use gets a worker that loads the model once more, beside the one without; where the file is mapped
into memory, both share its weights.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import EngineCrashedError

from .starting import start_generator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmstudio_server.engines.base import Draft, LoadRequest

    from .generation import Generator


@dataclass(eq=False)
class _Entry:
    generator: Generator
    users: int = 0


class DraftWorkers:
    """The workers of one model, by draft: the last one used, and those still in use.

    Args:
        request: How the model was loaded without a draft.
    """

    def __init__(self, request: LoadRequest) -> None:
        self._request = request
        self._entries: dict[Draft, _Entry] = {}
        self._starting = asyncio.Lock()
        self._ended = False

    @asynccontextmanager
    async def use(self, draft: Draft) -> AsyncGenerator[Generator, None]:
        """Give the worker for ``draft``, which is started where there is none.

        Raises:
            EngineError: the draft cannot be used with this model.
        """
        entry = await self._entry(draft)
        try:
            yield entry.generator
        finally:
            entry.users -= 1
            await self._stop_others()

    async def stop(self) -> None:
        """End all workers."""
        self._ended = True
        entries = list(self._entries.values())
        self._entries.clear()
        await asyncio.gather(*(entry.generator.stop() for entry in entries))

    async def _entry(self, draft: Draft) -> _Entry:
        async with self._starting:
            entry = self._entries.pop(draft, None)
            if entry is None or entry.generator.worker.gone:
                request = replace(self._request, draft=draft)
                entry = _Entry(await start_generator(request, lambda _: None))
            if self._ended:
                await entry.generator.stop()
                raise EngineCrashedError(
                    f"{self._request.path.name} was unloaded while its draft model was loaded"
                )
            # The one used last is the last in order.
            self._entries[draft] = entry
            entry.users += 1
        await self._stop_others()
        return entry

    async def _stop_others(self) -> None:
        """End the workers that nobody uses any more, but for the one used last."""
        for draft in list(self._entries)[:-1]:
            entry = self._entries[draft]
            if entry.users == 0:
                del self._entries[draft]
                await entry.generator.stop()
