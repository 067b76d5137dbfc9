"""A channel that is read in an event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from typing_extensions import Self

from ..errors import LMStudioRuntimeError
from ..protocol.operations import Channel
from ..protocol.outcome import ChannelReader
from ..timeouts import Limits
from .aio_connection import Connection

if TYPE_CHECKING:
    from .aio import AsyncDriver

__all__ = ["AsyncChannelStream"]

R = TypeVar("R")
E = TypeVar("E")


class AsyncChannelStream(Generic[E, R]):
    """A running channel. See ``lmstudio_core.protocol.runner.AsyncChannelStream``."""

    def __init__(
        self, driver: AsyncDriver, channel: Channel[E, R], limits: Limits | None = None
    ) -> None:
        self._driver = driver
        self._channel = channel
        self._limits = limits
        self._started = time.perf_counter()
        self._connection: Connection | None = None
        self._reader: ChannelReader[E, R] | None = None
        self._begun = self._ended = self._waiting = self._keep = self._cancelled = False

    async def start(self) -> None:
        """Send the request; the first step of the iteration does it otherwise."""
        if self._reader is not None or self._ended:
            return
        self._begin()
        try:
            connection = await self._driver.reach(self._channel.endpoint, self._limits)
            if self._ended:  # closed by another task
                self._channel.on_end(None, None)
                return
            if self._reader is not None:  # another task was faster
                return
            state = connection.open_channel(self._channel.endpoint, self._channel.parameter)
        except BaseException as error:
            self._begun = False  # it may be tried again
            self._channel.on_end(error, None)
            raise
        self._connection = connection
        self._reader = ChannelReader(self._channel, state)
        if self._cancelled:
            self._send_cancel()
        try:
            await connection.drain(self._limits)
        except BaseException as error:
            self._end(error)
            raise

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._channel.on_begin()

    def __aiter__(self) -> AsyncIterator[E]:
        return _Iteration(self)

    async def __anext__(self) -> E:
        if self._reader is None:
            await self.start()
        reader, connection = self._reader, self._connection
        if reader is not None and connection is not None:
            if self._waiting:
                raise LMStudioRuntimeError("Another task is waiting for this stream's next event.")
            try:
                while not self._ended:
                    event = reader.take()
                    if event is not None:
                        return event[0]
                    if reader.finished:
                        break
                    if self._limits is not None:
                        self._limits.check(reader.channel.endpoint)
                    await self._wait(connection, reader)
            except BaseException as error:
                self._fail(reader, error)
                raise
        self._end(None)
        raise StopAsyncIteration

    def at_hand(self) -> tuple[E] | None:
        """The next event, in a tuple, if it has come already; ``None`` to wait for it by ``anext``.

        Every token comes this way, without a coroutine of its own.
        """
        reader = self._reader
        if reader is None or self._ended or self._waiting or not reader.state.inbox:
            return None
        try:
            return reader.take()
        except BaseException as error:
            self._fail(reader, error)
            raise

    def _fail(self, reader: ChannelReader[E, R], error: BaseException) -> None:
        if not self._keep or reader.state.closed:
            self._end(error)

    async def receive(self, limits: Limits | None = None) -> tuple[E] | None:
        """The next event in a tuple, or ``None`` at the end, within limits of its own.

        For channels that live on: when the limits are exceeded or the task is cancelled, the
        channel stays open, other than with ``anext``.
        """
        self._limits, self._keep = limits, True
        try:
            return (await self.__anext__(),)
        except StopAsyncIteration:
            return None

    async def _wait(self, connection: Connection, reader: ChannelReader[E, R]) -> None:
        connection.check_loop()
        self._waiting = True
        try:
            await connection.wait(reader.state, self._limits)
        finally:
            self._waiting = False

    def _end(self, error: BaseException | None) -> None:
        if not self._ended:
            self._ended = True
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        reader, connection = self._reader, self._connection
        if reader is None or connection is None:
            return
        if not reader.state.closed:
            connection.abandon(reader.state, reader.cancel_message)
        self._channel.on_end(error, connection.address)
        self._driver.observe(self._channel.endpoint, self._started, error)

    @property
    def ended(self) -> bool:
        """Whether it is over: read to its end, closed, left early, or failed."""
        return self._ended

    async def cancel(self) -> None:
        """Ask the server to stop; go on iterating to get what it still sends, and the result."""
        self._cancelled = True  # a request that is not sent yet is followed by the cancel
        self._send_cancel()

    def _send_cancel(self) -> None:
        if self._reader is not None and self._connection is not None and not self._ended:
            message = self._reader.cancel_message
            if message is not None:
                self._connection.send(self._reader.state, message)

    async def send(self, message: Any) -> None:
        """Send a packet on the channel."""
        await self.start()
        if self._reader is not None and self._connection is not None:
            self._connection.send(self._reader.state, message)
            await self._connection.drain()

    async def aclose(self) -> None:
        """Stop waiting; the server is told if it had not finished."""
        self._end(None)

    def abandon(self) -> None:
        """``aclose`` for finalizers.

        Nothing happens while a task waits for an event: then what went away is an iteration that
        was turned away because of that task.
        """
        connection = self._connection
        if self._ended or self._waiting or connection is None:
            return
        # A collection may run in the middle of the connection's own code, or in another thread: so
        # the server is told when the loop gets to it. A loop that is closed has nothing to tell.
        self._ended = True
        try:
            connection.loop.call_soon_threadsafe(self._finish, None)
        except RuntimeError:
            self._finish(None)

    def result(self) -> R:
        """The result, once the iteration has ended.

        Raises:
            LMStudioRuntimeError: The channel has not ended, or was closed before its end.
        """
        if not self._channel.done:
            raise LMStudioRuntimeError(
                f"There is no result yet: iterate over the whole stream of "
                f"{self._channel.endpoint} first."
            )
        return self._channel.result()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._end(exc)

    def __del__(self) -> None:
        if not getattr(self, "_ended", True):
            self.abandon()


class _Iteration(Generic[E]):
    """One ``async for`` over a stream: leaving it early abandons the stream, since it goes away."""

    def __init__(self, stream: AsyncChannelStream[E, Any]) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        return await self._stream.__anext__()

    def __del__(self) -> None:
        self._stream.abandon()
