"""``client.batch``: batches on this client's host, or on others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import TypedDict, Unpack

from lmstudio_core.plugins.api import AsyncNamespace, SyncNamespace, nearest

from .driver import run_batch, stream_batch
from .engines import WorkerSpec
from .errors import BatchInputError
from .jobs.options import BatchReport, OnError, Order, RunOptions
from .jobs.rows import BatchRow
from .jobs.spec import BatchSpec
from .pool.members import Member, Missing, members_of
from .pool.settings import PoolSettings

__all__ = ["AsyncBatchNamespace", "BatchNamespace", "worker_spec"]

Hosts = Iterable[str | Member | dict[str, Any]]


class PoolOptions(TypedDict, total=False):
    """What decides how hosts are used; see ``BatchNamespace.run``."""

    retries: int
    row_timeout: float | None
    idle_timeout: float | None
    hedge: bool
    missing: Missing
    patience: float


class StreamOptions(PoolOptions, total=False):
    """The keyword arguments of ``stream``; see ``BatchNamespace.run``."""

    engine: str
    workers: int | None
    address: str | None
    id: str | None
    limit: int | None


class RunSettings(StreamOptions, total=False):
    """The keyword arguments of ``run``; see there."""

    on_error: OnError
    order: Order
    max_tokens_total: int | None
    progress: bool | Callable[[int, int | None], object] | None
    restart: bool
    retry_failed: bool
    force: bool


def worker_spec(
    spec: BatchSpec, hosts: Hosts, *, encode: bool = True, **options: Unpack[PoolOptions]
) -> WorkerSpec:
    """All that a worker is told.

    Raises:
        BatchInputError: A setting cannot be right.
    """
    given: Any = spec
    if not isinstance(given, BatchSpec):
        raise BatchInputError(f"spec is a BatchSpec, not {type(given).__name__}.")
    settings = PoolSettings(spec.model, spec.kind, **options)
    return WorkerSpec(spec, tuple(m.to_dict() for m in members_of(hosts)), settings, encode)


def _split(spec: BatchSpec, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of pools, and those of runs."""
    for name in settings:
        if name not in RunSettings.__annotations__:
            like = nearest(name, list(RunSettings.__annotations__))
            hint = f" Did you mean {like!r}?" if like else ""
            raise BatchInputError(f"There is no setting {name!r}.{hint}")
    pool = {k: v for k, v in settings.items() if k in PoolOptions.__annotations__}
    run = {k: v for k, v in settings.items() if k not in pool}
    if spec.format == "openai" and run.get("id") is None:
        run["id"] = "custom_id"
    return pool, run


def _run(
    source: Any,
    out: str | Path,
    spec: BatchSpec,
    hosts: Hosts,
    settings: Mapping[str, Any],
    stop: threading.Event | None = None,
) -> BatchReport:
    pool, run = _split(spec, settings)
    return run_batch(
        source, Path(out), worker_spec(spec, hosts, **pool), RunOptions(**run, stop=stop)
    )


def _stream(
    rows: Any,
    spec: BatchSpec,
    hosts: Hosts,
    settings: Mapping[str, Any],
    stop: threading.Event | None = None,
) -> Generator[BatchRow, None, None]:
    pool, run = _split(spec, settings)
    return stream_batch(
        rows, worker_spec(spec, hosts, encode=False, **pool), RunOptions(**run, stop=stop)
    )


class BatchNamespace(SyncNamespace):  # public
    """Batches: many rows, answered by one host or by many.

    Example:
        >>> spec = BatchSpec("pocket", prompt="Summarise: {text}", config={"maxTokens": 8})
        >>> rows = [{"text": "Cats sleep."}, {"text": "Dogs bark."}]  # or "in.jsonl"
        >>> report = client.batch.run(rows, "out.jsonl", spec)
        >>> report.rows
        2
    """

    server_namespace: ClassVar[str] = "llm"

    def run(
        self,
        source: Any,
        out: str | Path,
        spec: BatchSpec,
        *,
        hosts: Hosts | None = None,
        **settings: Unpack[RunSettings],
    ) -> BatchReport:
        """Answer every row of an input into an output file.

        What is done is kept in ``OUT.partial`` until the output is whole: after an interruption of any
        kind the same call goes on where it was. Each row is in the output once; a server may have
        been asked more than once.

        Args:
            source: A .jsonl, .csv, .txt or .parquet file, a data frame, an Arrow table, or an iterable.
            out: A .jsonl or .parquet file.
            spec: What is asked.
            hosts: ``"host:port"`` texts or ``Member`` objects; by default this client's host.
            engine: ``"local"``, ``"ray"``, ``"dask"`` or one that another package brings.
            workers: How many processes an engine on a cluster uses.
            address: Of a cluster that exists.
            on_error: What becomes of a row without an answer: ``"keep"`` it in the output with its
                error, ``"skip"`` it there, or ``"stop"``.
            order: ``"input"``, or ``"done"`` for the order in which rows ended.
            id: The field with a row's own id.
            limit: The first rows alone.
            max_tokens_total: Tokens after which no more rows are sent.
            retries: How often a row is asked again after a server's error.
            row_timeout: Seconds that a row may take as a whole.
            idle_timeout: Seconds of silence after which a host is taken for dead.
            hedge: Whether rows that take long are asked on a second host.
            missing: What is done about a host without the model: ``"load"``, ``"skip"``, ``"error"``.
            patience: Seconds that work waits when every host is down.
            progress: ``True`` for a bar, or a function of the number done and the total.
            restart: Begin anew instead of going on.
            retry_failed: Ask rows that ended with an error again.
            force: Replace ``out`` if it is there.

        Returns:
            How it went.

        Raises:
            BatchInputError: The input or a setting cannot be right; nothing was sent.
            JournalError: The journal is another's, or in use.
            BatchStoppedError: It ended early; the message says how to go on.
        """
        return _run(source, out, spec, self._hosts(hosts), settings)

    def stream(
        self,
        rows: Iterable[Any],
        spec: BatchSpec,
        *,
        hosts: Hosts | None = None,
        **settings: Unpack[StreamOptions],
    ) -> Generator[BatchRow, None, None]:
        """Answer rows as they come, in memory that does not grow, and yield them as they end.

        Args:
            rows: What ``run`` takes as ``source``.
            spec: What is asked.
            hosts: As of ``run``.
            **settings: Those of ``run`` that are about hosts, engines, ``id`` and ``limit``.

        Returns:
            An iterator over ``BatchRow``, in the order in which rows end. Leaving it cancels the rest.
        """
        return _stream(rows, spec, self._hosts(hosts), settings)

    def _hosts(self, hosts: Hosts | None) -> Hosts:
        return [_own(self._client)] if hosts is None else hosts


class AsyncBatchNamespace(AsyncNamespace):  # public
    """Batches, for asyncio; see ``BatchNamespace``.

    Example:
        >>> async def main() -> None:
        ...     spec = BatchSpec("pocket", prompt="Summarise: {text}", config={"maxTokens": 8})
        ...     report = await client.batch.run([{"text": "Cats sleep."}], "out.jsonl", spec)
        ...     print(report.rows)
        >>> asyncio.run(main())
        1
    """

    server_namespace: ClassVar[str] = "llm"

    async def run(
        self,
        source: Any,
        out: str | Path,
        spec: BatchSpec,
        *,
        hosts: Hosts | None = None,
        **settings: Unpack[RunSettings],
    ) -> BatchReport:
        """Answer every row of an input into an output file, in a thread; see ``BatchNamespace.run``.

        When it is cancelled, what is done is kept in the journal.

        Args:
            source: A .jsonl, .csv, .txt or .parquet file, a data frame, an Arrow table, or an iterable.
            out: A .jsonl or .parquet file.
            spec: What is asked.
            hosts: ``"host:port"`` texts or ``Member`` objects; by default this client's host.
            **settings: Those of ``BatchNamespace.run``.

        Returns:
            How it went.

        Raises:
            BatchInputError: The input or a setting cannot be right; nothing was sent.
            JournalError: The journal is another's, or in use.
            BatchStoppedError: It ended early; the message says how to go on.
        """
        given, stop = await self._hosts(hosts), threading.Event()
        work = asyncio.ensure_future(
            asyncio.to_thread(_run, source, out, spec, given, settings, stop)
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([work])
            with contextlib.suppress(Exception):  # that it was stopped, which is what was wanted
                work.result()
            raise

    async def stream(
        self,
        rows: Iterable[Any] | AsyncIterable[Any],
        spec: BatchSpec,
        *,
        hosts: Hosts | None = None,
        **settings: Unpack[StreamOptions],
    ) -> AsyncGenerator[BatchRow, None]:
        """Answer rows as they come, and yield them as they end; see ``BatchNamespace.stream``.

        Args:
            rows: What ``run`` takes as ``source``, or an async iterable.
            spec: What is asked.
            hosts: As of ``run``.
            **settings: Those of ``run`` that are about hosts, engines, ``id`` and ``limit``.

        Returns:
            An async iterator over ``BatchRow``, in the order in which rows end. Leaving it cancels the rest.
        """
        given, stop = await self._hosts(hosts), threading.Event()
        loop = asyncio.get_running_loop()
        source = _pulled(rows, loop) if isinstance(rows, AsyncIterable) else rows
        found = await asyncio.to_thread(_stream, source, spec, given, settings, stop)
        step: asyncio.Future[BatchRow | None] | None = None
        try:
            while True:
                step = asyncio.ensure_future(asyncio.to_thread(next, found, None))
                if (row := await asyncio.shield(step)) is None:
                    return
                yield row
        finally:
            stop.set()
            if step is not None:  # a generator that runs in its thread cannot be closed
                await asyncio.wait([step])
                if not step.cancelled():
                    step.exception()  # nobody asks for it any more, and asyncio would complain
            await asyncio.to_thread(found.close)

    async def _hosts(self, hosts: Hosts | None) -> Hosts:
        if hosts is not None:
            return hosts
        await self._client.connect("llm")  # before, a server that is looked for is not known
        return [_own(self._client)]


def _own(client: Any) -> Member:
    """The host of a client, and the token for it: workers may be processes elsewhere."""
    return Member(str(client.api_host), api_token=client.api_token)


def _pulled(rows: AsyncIterable[Any], loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """The items of an async iterable, for a thread that is not its loop's."""
    items = rows.__aiter__()
    end = object()

    async def step() -> Any:
        try:
            return await items.__anext__()
        except StopAsyncIteration:
            return end

    while (item := asyncio.run_coroutine_threadsafe(step(), loop).result()) is not end:
        yield item
