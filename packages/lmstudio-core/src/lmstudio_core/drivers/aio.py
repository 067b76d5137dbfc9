"""Runs operations in an asyncio event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from ..errors import (
    LMStudioClosedError,
    LMStudioConnectionError,
    LMStudioError,
    LMStudioRuntimeError,
)
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.liveness import Pings
from ..protocol.operations import Batch, Call, Channel, Endpoint, Invoke, InvokeMany, Op, Step
from ..protocol.outcome import call_result
from ..protocol.runner import Observer
from ..timeouts import Limits
from .aio_connection import Connection
from .aio_stream import AsyncChannelStream
from .batches import AsyncBatchStream
from .functions import invoke_async, invoke_many_async
from .loops import in_time, running_loop

__all__ = ["AsyncDriver"]

R = TypeVar("R")
E = TypeVar("E")


class AsyncDriver:
    """The sockets of one client, opened on first use and replaced when lost.

    Args:
        address: Awaited when a socket is opened; says where the server is. If nothing answers
            there it is called with that address, and may name another one.
        creds: What every socket shows the server.
        observer: Called after each call and channel, or ``None``.
        pings: When to ask a silent server for a sign of life.
    """

    def __init__(
        self,
        address: Callable[[Address | None], Awaitable[Address]],
        creds: Credentials,
        observer: Observer | None,
        pings: Pings | None = None,
    ) -> None:
        self._address = address
        self._creds = creds
        self._observer = observer
        self._connections: dict[str, Connection] = {}
        self._pings = pings
        self._opening: set[Connection] = set()
        self._aside: set[Connection] = set()  # still in use, though not for new calls
        self._locks: dict[str, asyncio.Lock] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    # -- sockets ---------------------------------------------------------------------------------

    def _adopt_loop(self) -> None:
        loop = running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and not self._loop.is_closed() and self._sockets():
            raise LMStudioRuntimeError(
                "This AsyncClient is in use in another event loop. Sockets belong to their loop: "
                "use one client per loop, or close it there first."
            )
        for connection in self._sockets():  # of a loop that is closed
            connection.forsake(LMStudioClosedError())
        self._loop = loop
        self._locks = {}
        self._connections = {}
        self._aside = set()

    def _sockets(self) -> list[Connection]:
        return [*self._connections.values(), *self._opening, *self._aside]

    def _at_hand(self, namespace: str) -> Connection | None:
        """The namespace's socket, if nothing has to be waited for."""
        self._adopt_loop()
        connection = self._connections.get(namespace)
        if connection is None or connection.behind or connection.doubtful or not connection.usable:
            return None
        return connection

    async def connection(self, namespace: str) -> Connection:
        """The namespace's socket: the one there is, or a new one in place of one that is lost."""
        if (ready := self._at_hand(namespace)) is not None:
            return ready
        if (connection := self._connections.get(namespace)) is not None:
            await connection.catch_up()
            if connection.usable and not connection.doubtful:
                return connection
        # Each waiter connects itself if the one before it gave up: one cancelled caller must not
        # take the others down with it.
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            connection = self._connections.get(namespace)
            if connection is not None and connection.usable and await connection.sure():
                return connection
            self._check_open()
            self._replace(namespace)
            connection = await self._connect(namespace)
            self._connections[namespace] = connection
            return connection

    def _replace(self, namespace: str) -> None:
        """Let go of the namespace's socket; calls that still wait there may yet be answered."""
        replaced = self._connections.pop(namespace, None)
        for connection in [*self._aside, *([] if replaced is None else [replaced])]:
            if connection.mux.idle:
                self._aside.discard(connection)
                connection.abort(
                    LMStudioConnectionError("This connection was replaced by a new one.")
                )
            else:
                self._aside.add(connection)

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
        connection = Connection(address, namespace, self._creds, self._pings)
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
        if (ready := self._at_hand(endpoint.namespace)) is not None:
            return ready
        return await in_time(self.connection(endpoint.namespace), limits, endpoint)

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
        connections = self._sockets()
        for connection in connections:  # all at once, even if this task is cancelled meanwhile
            if connection.loop is running_loop():
                connection.abort(LMStudioClosedError())
        self._connections.clear()
        self._aside.clear()
        for connection in connections:
            await self._close_one(connection, LMStudioClosedError())

    @staticmethod
    async def _close_one(connection: Connection, failure: LMStudioError) -> None:
        if connection.loop is running_loop():
            await connection.aclose(failure)
        else:
            connection.forsake(failure)

    def forsake(self) -> bool:
        """The client was dropped: close what it left open, and say whether that was something."""
        left = [connection.forsake(LMStudioClosedError()) for connection in self._sockets()]
        return any(left)

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
