"""Many calls at once: some are sent while others wait for their answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from typing_extensions import Self

from ..errors import LMStudioServerError
from ..protocol.operations import Batch, Call
from ..protocol.outcome import call_result
from ..timeouts import Limits, using

if TYPE_CHECKING:
    from .aio import AsyncDriver
    from .sync import SyncDriver

__all__ = ["AsyncBatchStream", "SyncBatchStream"]

R = TypeVar("R")


class _BatchStream(Generic[R]):
    """What both share: the calls still to be sent, and those without an answer, oldest first.

    A stream that is simply dropped leaves its last calls unanswered for a moment; their answers
    are then thrown away as they come.
    """

    def __init__(self, batch: Batch[R], limits: Limits | None) -> None:
        self._limits = limits
        self._calls: Iterator[Call[R]] = iter(batch.calls)
        self._limit = batch.max_in_flight
        self._keep_errors = batch.keep_errors
        self._waiting: deque[tuple[Call[R], Any, Any]] = deque()
        self._failure: Exception | None = None

    def _next_call(self) -> Call[R] | None:
        """The next call to send; ``None`` if enough are on their way or there are no more.

        If their source raises, what was sent before is waited for first: see ``_end``.
        """
        if len(self._waiting) >= self._limit or self._failure is not None:
            return None
        try:
            return next(self._calls, None)
        except Exception as error:  # noqa: BLE001 - raised by _end
            self._failure = error
            return None

    def _end(self) -> None:
        """Everything sent has its answer: raise what the source of the calls raised."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _in_use(self, call: Call[R]) -> Any:
        """The socket of the newest call under way, if ``call`` belongs there too.

        If it is lost meanwhile, so are the calls under way, and the batch fails in any case.
        """
        if not self._waiting:
            return None
        newest, _, connection = self._waiting[-1]
        return connection if newest.endpoint.namespace == call.endpoint.namespace else None

    def _oldest(self) -> tuple[Any, Any]:
        _, state, connection = self._waiting[0]
        return state, connection

    def _settle(self) -> Any:
        """What came of the oldest call, which has its answer."""
        call, state, _ = self._waiting.popleft()
        try:
            return call_result(call, state)
        except LMStudioServerError as error:
            if self._keep_errors:
                return error
            raise

    def _abandon(self) -> None:
        self._calls = iter(())
        while self._waiting:
            _, state, connection = self._waiting.popleft()
            connection.abandon(state)


class SyncBatchStream(_BatchStream[R]):
    """The results of a batch, in order, as they come."""

    def __init__(self, driver: SyncDriver, batch: Batch[R], limits: Limits | None = None) -> None:
        super().__init__(batch, limits)
        self._driver = driver

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            while (call := self._next_call()) is not None:
                with using(self._limits):
                    connection = self._in_use(call)
                    if connection is None:
                        connection = self._driver.connection(call.endpoint.namespace)
                    state = connection.call(call.endpoint, call.parameter)
                self._waiting.append((call, state, connection))
            if self._waiting:
                state, connection = self._oldest()
                with using(self._limits):
                    connection.wait(state)
                return self._settle()
            self._end()
        except BaseException:
            self._abandon()
            raise
        raise StopIteration

    def close(self) -> None:
        """Send no more, and wait for nothing any more."""
        self._abandon()


class AsyncBatchStream(_BatchStream[R]):
    """The results of a batch, in order, as they come, for asyncio."""

    def __init__(self, driver: AsyncDriver, batch: Batch[R], limits: Limits | None = None) -> None:
        super().__init__(batch, limits)
        self._driver = driver

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            while (call := self._next_call()) is not None:
                connection = self._in_use(call)
                if connection is None:
                    connection = await self._driver.reach(call.endpoint, self._limits)
                state = connection.call(call.endpoint, call.parameter, soon=True)
                self._waiting.append((call, state, connection))
                if connection.congested:
                    await connection.drain(self._limits)
            if self._waiting:
                state, connection = self._oldest()
                if not state.ready:
                    connection.check_loop()
                    await connection.wait(state, self._limits)
                return self._settle()
            self._end()
        except BaseException:
            self._abandon()
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Send no more, and wait for nothing any more."""
        self._abandon()
