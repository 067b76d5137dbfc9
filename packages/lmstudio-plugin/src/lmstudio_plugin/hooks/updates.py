"""What a plugin shows of a prediction, sent in order and without a round trip for each piece."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from lmstudio_core.protocol.operations import Batch

from ..data import PredictionProcess
from ..operations import handle_update

__all__ = ["Updates"]

_MAX_WAITING: Final = 10_000
"""How many updates wait for the server before the task fails: it does not read any more."""


class Updates:
    """The updates of one prediction process.

    ``put`` never waits and may be called in any thread. While the server has not answered what was
    sent, new ones gather and go together. The first that fails makes ``flush`` raise.
    """

    def __init__(self, session: Any, process: PredictionProcess) -> None:
        self._session = session
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Mapping[str, Any]] = []
        self._sender: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    def put(self, update: Mapping[str, Any]) -> None:
        """Send an update after those before it."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._put(update)
        else:
            self._loop.call_soon_threadsafe(self._put, update)

    def _put(self, update: Mapping[str, Any]) -> None:
        if self._failure is not None:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._failure = RuntimeError(f"the server does not take updates: {_MAX_WAITING} wait")
            return
        self._waiting.append(update)
        if self._sender is None or self._sender.done():
            self._sender = self._loop.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                updates, self._waiting = self._waiting, []
                calls = [handle_update(self._process, update) for update in updates]
                await self._session.client.run(Batch(calls))
        except Exception as error:  # noqa: BLE001 - flush raises it
            self._failure = error
            self._waiting.clear()

    async def flush(self) -> None:
        """Wait until the server has all; raises what one of them failed with."""
        # What other threads have put is filed by callbacks of the loop that come before this one's.
        await asyncio.sleep(0)
        while self._sender is not None and not self._sender.done():
            await asyncio.wait({self._sender})
        if self._failure is not None:
            raise self._failure
