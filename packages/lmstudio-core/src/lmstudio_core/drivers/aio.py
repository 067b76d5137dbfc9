"""Runs operations in an asyncio event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from typing_extensions import Self

from ..errors import (
    LMStudioClosedError,
    LMStudioConnectionError,
    LMStudioError,
    LMStudioRuntimeError,
)
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.operations import Batch, Call, Channel, Endpoint, Invoke, InvokeMany, Op, Step
from ..protocol.outcome import ChannelReader, call_result
from ..runner import Observer
from ..timeouts import Limits
from .aio_connection import Connection
from .batches import AsyncBatchStream
from .functions import invoke_async, invoke_many_async

__all__ = ["AsyncChannelStream", "AsyncDriver"]

R = TypeVar("R")
E = TypeVar("E")


class AsyncDriver:
    """The sockets of one client, opened on first use and replaced when lost.

    Args:
        address: Awaited when a socket is opened; says where the server is. If nothing answers
            there it is called with that address, and may name another one.
        creds: What every socket shows the server.
        observer: Called after each call and channel, or ``None``.
    """

    def __init__(
        self,
        address: Callable[[Address | None], Awaitable[Address]],
        creds: Credentials,
        observer: Observer | None,
    ) -> None:
        self._address = address
        self._creds = creds
        self._observer = observer
        self._connections: dict[str, Connection] = {}
        self._opening: set[Connection] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    # -- sockets ---------------------------------------------------------------------------------

    def _adopt_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and not self._loop.is_closed() and self._connections:
            raise LMStudioRuntimeError(
                "This AsyncClient is in use in another event loop. Sockets belong to their loop: "
                "use one client per loop, or close it there first."
            )
        self._loop = loop
        self._locks = {}
        self._connections = {}

    async def connection(self, namespace: str) -> Connection:
        """The namespace's socket: the one there is, or a new one in place of one that is lost."""
        self._adopt_loop()
        connection = self._connections.get(namespace)
        if connection is not None:
            if connection.unread and connection.mux.idle:
                await connection.catch_up()
            if connection.usable:
                return connection
        # Each waiter connects itself if the one before it gave up: one cancelled caller must not
        # take the others down with it.
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            connection = self._connections.get(namespace)
            if connection is not None and connection.usable:
                return connection
            self._check_open()
            if (replaced := self._connections.pop(namespace, None)) is not None:
                replaced.abort(
                    LMStudioConnectionError("This connection was replaced by a new one.")
                )
            connection = await self._connect(namespace)
            self._connections[namespace] = connection
            return connection

    async def _connect(self, namespace: str) -> Connection:
        address = await self._address(None)
        try:
            return await self._open(namespace, address)
        except LMStudioConnectionError:
            elsewhere = await self._address(address)  # a server that was found may have moved
            if elsewhere == address:
                raise
            return await self._open(namespace, elsewhere)

    async def _open(self, namespace: str, address: Address) -> Connection:
        self._check_open()
        connection = Connection(address, namespace, self._creds)
        self._opening.add(connection)  # so that aclose() finds it
        try:
            await connection.open()
        finally:
            self._opening.discard(connection)
        return connection

    async def reach(self, endpoint: Endpoint, limits: Limits | None) -> Connection:
        """The socket that serves ``endpoint``, if it can be had within the limits."""
        if limits is None:
            return await self.connection(endpoint.namespace)
        limits.check(endpoint)
        try:
            return await asyncio.wait_for(self.connection(endpoint.namespace), limits.longest_wait)
        except asyncio.TimeoutError:  # in Python 3.10 not the builtin one
            raise limits.error(endpoint) from None

    def _check_open(self) -> None:
        if self._closed:
            raise LMStudioClosedError

    def is_connected(self, namespace: str) -> bool:
        """Whether the namespace's socket is open."""
        connection = self._connections.get(namespace)
        return connection is not None and connection.usable

    async def disconnect(self, namespace: str) -> None:
        """Close the namespace's socket, if it is open."""
        connection = self._connections.pop(namespace, None)
        if connection is not None:
            await self._close_one(
                connection, LMStudioClosedError(f"The namespace {namespace!r} was disconnected.")
            )

    async def close_idle(self) -> None:
        """Close the sockets on which no conversation is open."""
        for name in [name for name, known in self._connections.items() if known.mux.idle]:
            await self.disconnect(name)

    async def aclose(self) -> None:
        """Close every socket; whoever waits gets an error, and so do later calls."""
        self._closed = True
        connections = [*self._connections.values(), *self._opening]
        self._connections.clear()
        for connection in connections:  # all at once, even if this task is cancelled meanwhile
            if connection.loop is asyncio.get_running_loop():
                connection.abort(LMStudioClosedError())
        for connection in connections:
            await self._close_one(connection, LMStudioClosedError())

    @staticmethod
    async def _close_one(connection: Connection, failure: LMStudioError) -> None:
        if connection.loop is asyncio.get_running_loop():
            await connection.aclose(failure)
        else:
            with contextlib.suppress(RuntimeError):  # that loop is closed
                connection.loop.call_soon_threadsafe(connection.abort, failure)

    # -- operations ------------------------------------------------------------------------------

    async def run(self, operation: Step | Op[Any], limits: Limits | None = None) -> Any:
        """Run any operation to its result, within limits of its own if it has any."""
        if isinstance(operation, Call):
            return await self._run_call(operation, limits)
        if isinstance(operation, Channel):
            return await self._run_channel(operation, limits)
        if isinstance(operation, Batch):
            return [result async for result in self.stream(operation, limits)]
        if isinstance(operation, Invoke):
            return await invoke_async(operation)
        if isinstance(operation, InvokeMany):
            return await invoke_many_async(operation, limits)
        return await self._run_op(operation, limits)

    def open(
        self, channel: Channel[E, R], limits: Limits | None = None
    ) -> AsyncChannelStream[E, R]:
        """The stream of a channel; it starts when it is first used."""
        return AsyncChannelStream(self, channel, limits)

    async def _run_op(self, op: Op[R], limits: Limits | None) -> R:
        try:
            step = next(op)
            while True:
                try:
                    if limits is not None:
                        limits.check()
                    value = await self.run(step, limits)
                except BaseException as error:  # noqa: BLE001 - the op gets it
                    step = op.throw(error)
                else:
                    step = op.send(value)
        except StopIteration as stop:
            return cast("R", stop.value)

    def observe(self, endpoint: Endpoint, started: float, error: BaseException | None) -> None:
        """Tell the observer of a finished request."""
        if self._observer is not None:
            self._observer(str(endpoint), time.perf_counter() - started, error)

    async def _run_call(self, call: Call[R], limits: Limits | None) -> R:
        started = time.perf_counter() if self._observer is not None else 0.0
        error: BaseException | None = None
        try:
            connection = await self.reach(call.endpoint, limits)
            state = connection.call(call.endpoint, call.parameter)
            try:
                await connection.drain(limits)
                await connection.wait(state, limits)
            except BaseException:
                connection.abandon(state)
                raise
            return call_result(call, state)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if self._observer is not None:
                self.observe(call.endpoint, started, error)

    async def _run_channel(self, channel: Channel[Any, R], limits: Limits | None) -> R:
        async with AsyncChannelStream(self, channel, limits) as stream:
            async for _ in stream:
                pass
            return stream.result()

    def stream(self, batch: Batch[R], limits: Limits | None = None) -> AsyncBatchStream[R]:
        """The results of a batch, in order, as they come."""
        return AsyncBatchStream(self, batch, limits)


class AsyncChannelStream(Generic[E, R]):
    """A running channel. See ``lmstudio_core.runner.AsyncChannelStream``."""

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
                if not self._keep or reader.state.closed:
                    self._end(error)
                raise
        self._end(None)
        raise StopAsyncIteration

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
        self._waiting = True
        try:
            await connection.wait(reader.state, self._limits)
        finally:
            self._waiting = False

    def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
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
        """``aclose`` for finalizers; a loop that is gone has nothing left to tell.

        Nothing happens while a task waits for an event: then what went away is an iteration that
        was turned away because of that task.
        """
        connection = self._connection
        if self._ended or self._waiting or connection is None or connection.loop.is_closed():
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is connection.loop:
            self._end(None)
        else:  # collected in another thread; the loop may close this very moment
            with contextlib.suppress(RuntimeError):
                connection.loop.call_soon_threadsafe(self._end, None)

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
