"""Texts that arrive at their own pace, for a fold that does not wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable

from typing_extensions import Self

from lmstudio_core.drivers.loops import running_loop

__all__ = ["ArrivingTexts"]


class ArrivingTexts:
    """What an async iterable has yielded so far, as an iterator that ends where it is not known yet.

    It may be asked again after that; ``fill`` gets more.

    Args:
        source: The texts.
    """

    def __init__(self, source: AsyncIterable[str]) -> None:
        self._source = source.__aiter__()
        self._texts: deque[str] = deque()
        self._coming: asyncio.Task[str] | None = None
        self._ended = False
        self._failure: Exception | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if self._texts:
            return self._texts.popleft()
        if (failure := self._failure) is not None:
            self._failure = None
            raise failure
        raise StopIteration

    async def fill(self, room: int, *, wait: bool) -> None:
        """Take what is there, up to ``room`` texts.

        Args:
            room: How many texts may be held.
            wait: Wait until there is one, or no more to come.
        """
        while len(self._texts) < room and not self._ended:
            if self._coming is None:
                running_loop()
                self._coming = asyncio.ensure_future(self._take())
                await asyncio.sleep(0)  # what need not be waited for is there then
            if not self._coming.done():
                if self._texts or not wait:
                    return
                await asyncio.wait([self._coming])
            coming, self._coming = self._coming, None
            try:
                self._texts.append(coming.result())
            except StopAsyncIteration:
                self._ended = True
            except Exception as error:  # noqa: BLE001 - raised when the texts before it are taken
                self._ended, self._failure = True, error

    async def _take(self) -> str:
        return await self._source.__anext__()

    async def aclose(self) -> None:
        """Take no more."""
        self._ended = True
        coming, self._coming = self._coming, None
        if coming is not None and coming.cancel():
            await asyncio.wait([coming])
