"""Loads under way. Callers who want the same model at the same time share one load."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from .errors import ShuttingDownError
from .registry import Instance, ModelRegistry

__all__ = ["Loads"]

Progress = Callable[[float], Awaitable[None]]
Start = Callable[[Callable[[float], None]], Coroutine[Any, Any, Instance]]

PATIENCE_SECONDS = 1.0


class _Job:
    def __init__(self, start: Start) -> None:
        self._listeners: list[asyncio.Queue[float | None]] = []
        self.followers = 0
        self.delivered = False
        self.task = asyncio.get_running_loop().create_task(start(self._report))
        self.task.add_done_callback(lambda _task: self._tell(None))

    def listen(self) -> asyncio.Queue[float | None]:
        queue: asyncio.Queue[float | None] = asyncio.Queue()
        self._listeners.append(queue)
        if self.task.done():
            queue.put_nowait(None)
        return queue

    def _report(self, progress: float) -> None:
        self._tell(min(max(progress, 0.0), 1.0))

    def _tell(self, progress: float | None) -> None:
        for queue in self._listeners:
            queue.put_nowait(progress)


class Loads:
    """Runs loads in tasks of their own, so that one of several callers can give up alone."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._jobs: dict[object, _Job] = {}
        self._under_way: set[_Job] = set()
        self._callers: set[asyncio.Future[None]] = set()
        self._closed = False

    async def run(
        self,
        key: object | None,
        start: Start,
        *,
        progress: Progress,
        cancelled: asyncio.Event,
    ) -> Instance | None:
        """Load, or join the load with the same key; ``None`` when ``cancelled`` was set.

        ``progress`` is told rising values from 0.0 to 1.0. When the last caller gives up, the
        load itself is cancelled.

        Args:
            key: What makes two loads the same; ``None`` for one that nobody joins.
            start: Begins the load; called if there is none under way.
            progress: Called with 0.0 to 1.0.
            cancelled: Set when the client gives up.

        Raises:
            ShuttingDownError: The server ends.
        """
        if self._closed:
            raise ShuttingDownError
        job = self._jobs.get(key) if key is not None else None
        if job is None:
            job = _Job(start)
            self._under_way.add(job)
            if key is not None:
                self._jobs[key] = job
                job.task.add_done_callback(lambda _task: self._jobs.pop(key, None))
        job.followers += 1
        loop = asyncio.get_running_loop()
        waiter, caller = loop.create_task(cancelled.wait()), loop.create_future()
        self._callers.add(caller)
        try:
            return await self._follow(job, progress, cancelled, waiter)
        finally:
            waiter.cancel()
            job.followers -= 1
            try:
                await self._leave(job)
            finally:
                self._callers.discard(caller)
                caller.set_result(None)

    async def close(self) -> None:
        """End the loads under way: what they are for would be refused. Their callers are told."""
        self._closed = True
        for job in self._under_way:
            job.task.cancel()
        if self._callers:
            # A client that does not read cannot be told.
            await asyncio.wait(self._callers, timeout=PATIENCE_SECONDS)

    async def _follow(
        self, job: _Job, progress: Progress, cancelled: asyncio.Event, waiter: asyncio.Task[Any]
    ) -> Instance | None:
        queue = job.listen()
        waiter.add_done_callback(lambda _task: queue.put_nowait(None))
        shown = 0.0
        await progress(shown)
        while (value := await queue.get()) is not None:
            if value > shown:
                shown = value
                await progress(shown)
        if cancelled.is_set():
            return None
        if job.task.cancelled():
            raise ShuttingDownError
        instance = job.task.result()
        if shown < 1.0:
            await progress(1.0)
        job.delivered = True
        return instance

    async def _leave(self, job: _Job) -> None:
        if job.followers > 0:
            return
        self._under_way.discard(job)
        if job.delivered:
            return
        if not job.task.done():
            job.task.cancel()
            await asyncio.wait({job.task})
        if not job.task.cancelled() and job.task.exception() is None:
            # It was ready in the moment in which the last caller gave up.
            await self._registry.unload(job.task.result())
