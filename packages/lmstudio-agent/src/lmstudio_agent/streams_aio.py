"""A run for asyncio: a stream of events. ``act()`` is the same, run to its end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, cast

from typing_extensions import Self, TypeVar

from lmstudio_core.errors import LMStudioRuntimeError
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.runner import AsyncRunner

from .calls import PendingCall
from .events import ActEvent, ActOp, Round, Settle
from .results import ActResult
from .state import Run
from .stream_base import MORE, ActStreamBase
from .threads import in_thread, workers

T = TypeVar("T", default=Any)


class AsyncActStream(ActStreamBase[T]):  # public
    """A run while it goes on, for asyncio: iterate over what happens, then take the result.

    The first request is sent when the stream is first used. Leaving an ``async with`` block early
    ends the run: the server is told to stop, and ``transcript`` is a chat that another run can go
    on from. So does leaving an ``async for`` loop.

    Example:
        >>> async def main() -> None:
        ...     async with model.act_stream("What is 6 times 7?", [multiply]) as stream:
        ...         async for event in stream:
        ...             print(event)
        ...     print(stream.result().final)
    """

    def __init__(self, client: AsyncRunner, run: Run, op: ActOp[ActResult[T]]) -> None:
        super().__init__(run, op)
        self._client = client
        self._tasks: list[asyncio.Task[None]] = []
        self._news: asyncio.Event | None = None
        self._slots: asyncio.Semaphore | None = None
        self._one_question: asyncio.Lock | None = None

    def __aiter__(self) -> AsyncIterator[ActEvent]:
        return _AsyncIteration(self)

    async def __anext__(self) -> ActEvent:
        while not self._events:
            if self.over:
                raise StopAsyncIteration
            await self._advance()
        return self._events.popleft()

    async def wait_for_result(self) -> ActResult[T]:
        """Run to the end, whatever was iterated over so far.

        Raises:
            LMStudioCancelledError: The stream was left or closed before the end.
            Exception: What ended the run; see ``act``.
        """
        self._silence()
        while not self.over:
            await self._advance()
        return self._result or self._no_result()

    def result(self) -> ActResult[T]:
        """The result, after the end of the iteration; ``await wait_for_result()`` gets there.

        Raises:
            LMStudioRuntimeError: The run has not ended.
            LMStudioCancelledError: It was left before its end.
        """
        if self._result is None and not self.over:
            raise LMStudioRuntimeError(
                "The run has not ended: iterate over the stream first, or use "
                "'await stream.wait_for_result()'."
            )
        return self._result or self._no_result()

    async def aclose(self) -> None:
        """End the run, if it has not ended: the server is told to stop, the tools are cancelled."""
        if not self.over:
            self.over: bool = True
            source, tasks = self._source, self._tasks
            self.abandon()
            if source is not None:
                await source.aclose()
            await _ended(tasks)

    def abandon(self) -> None:
        """``close`` for finalizers: nothing is waited for."""
        self.over = True
        self._stop_reading()
        for task in self._tasks:
            task.cancel()
        self._close_op()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self

    # --- the interpreter -----------------------------------------------------------------------

    async def _advance(self) -> None:
        try:
            self._check_time()
            value = None if self._step is None else await self._perform(self._step)
        except BaseException as error:  # noqa: BLE001 - the run gets it
            self._stop_reading()
            try:
                await _ended(self._tasks)
            finally:
                self._go(self._op.throw, error)
        else:
            if value is not MORE:
                self._go(self._op.send, value)

    async def _perform(self, step: Any) -> Any:
        if isinstance(step, Round):
            return await self._read(step)
        if isinstance(step, Settle):
            return await self._settle()
        return await self._client.run(step, **self._limits_of(step))

    async def _read(self, step: Round) -> Any:
        if self._source is None:
            self._source = self._client.open(step.channel, **self._limits_left())
            self._reading = self._source.__aiter__()
            self._tasks = []
            self._news = asyncio.Event()
            self._slots = asyncio.Semaphore(workers(step.max_parallel))
            self._one_question = asyncio.Lock()
        see = step.requests.see
        take = self._source.__anext__  # _reading is held only for what its end does
        while True:
            try:
                event = await take()
            except StopAsyncIteration:
                break
            call = see(event)
            if call is not None:
                task = asyncio.ensure_future(self._serve(call, step))
                task.add_done_callback(self._notice)
                self._tasks.append(task)
            if self._events:
                return MORE
        result = self._source.result()
        self._stop_reading()
        return result

    async def _settle(self) -> Any:
        for task in self._tasks:
            if task.done():
                task.result()  # raises what the guard raised
        if all(task.done() for task in self._tasks):
            return None
        news = cast("asyncio.Event", self._news)
        news.clear()
        await news.wait()
        return MORE

    def _notice(self, *_: Any) -> None:
        if self._news is not None:
            self._news.set()

    async def _serve(self, call: PendingCall, step: Round) -> None:
        if step.guard is not None:
            async with cast("asyncio.Lock", self._one_question):
                with call.context.entered():
                    verdict: Any = step.guard(call.request)
                    call.heed(await verdict if inspect.isawaitable(verdict) else verdict)
        if not call.refused:
            async with cast("asyncio.Semaphore", self._slots):
                self._limit(call)
                step.requests.started(call)
                self._notice()
                await self._work(call)
        step.requests.ended(call)

    @staticmethod
    async def _work(call: PendingCall) -> None:
        if call.is_async:
            await call.work()
            return
        running = in_thread(call.work)
        done, _ = await asyncio.wait([running], timeout=call.timeout)
        if not done:
            call.time_out()
        elif inspect.isawaitable(left := running.result()):
            await left


class _AsyncIteration(Short, AsyncIterator[ActEvent]):
    """One ``async for``: leaving it early ends the run, since this goes away.

    Not an async generator: the event loop closes one that was left only some time later.
    """

    def __init__(self, stream: AsyncActStream[Any]) -> None:
        self._stream = stream

    async def __anext__(self) -> ActEvent:
        return await self._stream.__anext__()

    def __del__(self) -> None:
        if not self._stream.over:
            self._stream.abandon()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until they know it."""
    if unfinished := [task for task in tasks if task.cancel()]:
        await asyncio.wait(unfinished)
