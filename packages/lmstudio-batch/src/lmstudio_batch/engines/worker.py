"""A worker: a pool, and the rows that it is given. It runs in the program, or far from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmstudio_core.plugins.api import LMStudioServerError

from ..jobs import openai
from ..jobs.requests import Requests, error_record
from ..jobs.rows import Outcome, Row
from ..pool.aio import CHUNK, AsyncPool
from ..pool.tasks import Done, embed_rows
from ..scheduling import Job
from .base import WorkerSpec

__all__ = ["Worker", "process_rows"]

Emit = Callable[[list[Outcome]], None]


class Worker:
    """Answers rows by a pool of its own, in one event loop.

    It is made without connecting to anything: the pool connects when the first rows come.
    """

    def __init__(self, worker: WorkerSpec) -> None:
        self.spec = worker
        self.pool: AsyncPool = AsyncPool.of(worker.hosts, worker.settings)

    async def process(self, rows: Sequence[Row], emit: Emit) -> None:
        """Answer rows; ``emit`` is told of their outcomes as they come.

        Raises:
            NoHostError: No host takes work; rows without an outcome have not been answered.
        """
        work = _Work(self.spec, emit, len(rows))
        for job in work.jobs(rows):
            self.pool.running.submit(job)
        await work.end

    async def aclose(self) -> None:
        """Cancel what is in flight and close every connection."""
        await self.pool.aclose()


async def process_rows(worker: WorkerSpec, rows: Sequence[Row]) -> list[Outcome]:
    """All outcomes of some rows, by a worker made for them."""
    outcomes: list[Outcome] = []
    made = Worker(worker)
    try:
        await made.process(rows, outcomes.extend)
    finally:
        await made.aclose()
    return outcomes


class _Work:
    """The task of one chunk of rows."""

    def __init__(self, worker: WorkerSpec, emit: Emit, rows: int) -> None:
        self._worker = worker
        self._requests = Requests(worker.spec)
        self._emit = emit
        self._left = rows
        self._ready: list[Outcome] = []
        self._loop = asyncio.get_running_loop()
        self.end: asyncio.Future[None] = self._loop.create_future()
        if not rows:
            self.end.set_result(None)

    def jobs(self, rows: Sequence[Row]) -> Iterator[Job]:
        """One for each row, or for some hundred texts; what cannot be asked has ended already."""
        askable: list[tuple[Row, Any]] = []
        for row in rows:
            try:
                askable.append((row, self._asked(row)))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a row is its own error
                self.deliver((row, None), error, "", 0)
        size = CHUNK if self._worker.spec.task == "embed" else 1
        for at in range(0, len(askable), size):
            yield Job(askable[at : at + size], self)

    def _asked(self, row: Row) -> Any:
        spec = self._worker.spec
        if spec.task != "embed":
            return self._requests.arguments(row)
        return (
            openai.embedding_input(row.fields)
            if spec.format == "openai"
            else self._requests.text(row)
        )

    async def run(self, handle: Any, rows: Sequence[Any], done: Done) -> None:
        """Part of ``Task``."""
        spec, limits = self._worker.spec, self._worker.settings.limits
        if spec.task == "embed":
            options = {"normalize": spec.normalize, "chunk": spec.chunk, **limits}
            await embed_rows(handle, rows, [text for _, text in rows], done, options)
            return
        ask = handle.respond if spec.task == "respond" else handle.complete
        for row in rows:
            asked, options = row[1]
            done(row, await ask(asked, **options, **limits))

    def deliver(self, row: Any, result: Any, host: str, attempts: int) -> None:
        """Part of ``Task``."""
        found: Row = row[0]
        if self._worker.encode:
            try:
                outcome = self._encoded(found, result, host, attempts)
            except Exception as error:  # noqa: BLE001 - an answer that cannot be kept is one row's
                outcome = self._encoded(found, error, host, attempts)
        else:
            ok = not isinstance(result, BaseException)
            outcome = Outcome(found.position, ok, result, host, attempts, _tokens(result))
        if not self._ready:  # one message for all that end in the same turn of the loop
            self._loop.call_soon(self._flush)
        self._ready.append(outcome)

    def _encoded(self, row: Row, result: Any, host: str, attempts: int) -> Outcome:
        error = result if isinstance(result, BaseException) else None
        if error is None and (problems := getattr(result, "problems", ())):
            error = LMStudioServerError(f"The output is not in its format: {'; '.join(problems)}")
        spec = self._worker.spec
        text = (
            self._requests.record(row, result) if error is None else error_record(spec, row, error)
        )
        return Outcome(row.position, error is None, text, host, attempts, _tokens(result))

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        self._left -= len(ready)
        self._emit(ready)
        if self._left <= 0 and not self.end.done():
            self.end.set_result(None)

    def stop(self, error: Exception) -> None:
        """Part of ``Task``."""
        if not self.end.done():
            self.end.set_exception(error)


def _tokens(result: Any) -> int:
    return getattr(getattr(result, "stats", None), "total_tokens_count", None) or 0
