"""The engine ``local``: one worker, in an event loop of a thread of this process."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final

from ..jobs.rows import Outcome, Row
from ..pool.sync import LoopThread
from .base import WorkerSpec
from .worker import Worker

__all__ = ["LocalEngine"]

_SLOTS: Final = 16
"""Slots of a host that says nothing of them, for the window: more are no harm."""


class LocalEngine:
    """Part of ``Engine``."""

    def __init__(self) -> None:
        self.chunk_rows: int = 16
        self.window: int = 64
        self._worker: Worker | None = None
        self._thread: LoopThread | None = None
        self._out: queue.SimpleQueue[list[Outcome] | Exception] = queue.SimpleQueue()

    def open(self, worker: WorkerSpec, workers: int | None, address: str | None) -> None:
        """Part of ``Engine``."""
        del workers, address
        slots = sum(host.get("slots") or _SLOTS for host in worker.hosts)
        self.window = max(64, 3 * slots)
        if worker.spec.task == "embed":
            self.chunk_rows = 256
            self.window = 256 * 6 * len(worker.hosts)
        self._worker = Worker(worker)
        self._thread = LoopThread("lmstudio-batch")

    def submit(self, chunk: Sequence[Row]) -> None:
        """Part of ``Engine``."""
        if self._worker is None or self._thread is None:
            raise RuntimeError("the engine is not open")
        work = self._worker.process(chunk, self._out.put)
        asyncio.run_coroutine_threadsafe(work, self._thread.loop).add_done_callback(self._ended)

    def _ended(self, future: Future[None]) -> None:
        if not future.cancelled() and isinstance(error := future.exception(), Exception):
            self._out.put(error)

    def results(self, timeout: float) -> list[Outcome]:
        """Part of ``Engine``."""
        try:
            found = self._out.get(timeout=timeout)
        except queue.Empty:
            return []
        if isinstance(found, Exception):
            raise found
        return found

    def status(self) -> list[Any]:
        """Part of ``Engine``."""
        worker, thread = self._worker, self._thread
        if worker is None or thread is None:
            return []

        async def status() -> list[Any]:
            return worker.pool.status()

        return thread.run(status())

    def close(self, cancel: bool) -> None:
        """Part of ``Engine``."""
        del cancel  # what is in flight is cancelled in any case
        if self._worker is not None and self._thread is not None:
            self._thread.run(self._worker.aclose())
            self._thread.close()
        self._worker = self._thread = None
