"""Runs operations in the calling thread."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, cast

from typing_extensions import Self

from ..errors import (
    LMStudioClosedError,
    LMStudioConnectionError,
    LMStudioRuntimeError,
)
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.operations import Batch, Call, Channel, Endpoint, Invoke, InvokeMany, Op, Step
from ..protocol.outcome import ChannelReader, call_result
from ..runner import Observer
from ..timeouts import Limits, sync_limits, using
from .batches import SyncBatchStream
from .coroutines import run_coroutine
from .functions import invoke_many
from .keeper import Keeper
from .locks import take
from .sync_connection import Connection
from .sync_socket import LONGEST_WAIT

__all__ = ["SyncChannelStream", "SyncDriver"]

R = TypeVar("R")
E = TypeVar("E")


class SyncDriver:
    """The sockets of one client, opened on first use and replaced when lost.

    Args:
        address: Called when a socket is opened; says where the server is. If nothing answers
            there it is called with that address, and may name another one.
        creds: What every socket shows the server.
        observer: Called after each call and channel, or ``None``.
    """

    def __init__(
        self,
        address: Callable[[Address | None], Address],
        creds: Credentials,
        observer: Observer | None,
    ) -> None:
        self._address = address
        self._creds = creds
        self._observer = observer
        self._connections: dict[str, Connection] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._opening: set[Connection] = set()
        self._keeper = Keeper(self._open_connections)

    # -- sockets ---------------------------------------------------------------------------------

    def connection(self, namespace: str) -> Connection:
        """The namespace's socket: the one there is, or a new one in place of one that is lost."""
        if self._pid != os.getpid():
            self._after_fork()
        connection = self._connections.get(namespace)
        if connection is not None and connection.usable:
            return connection
        with self._lock:
            lock = self._locks.setdefault(namespace, threading.Lock())
        got: list[bool] = []
        limits = sync_limits()
        left = limits.left  # another thread may be connecting, at its own leisure
        try:
            if not take(got, lock, None if left is None else min(left, LONGEST_WAIT)):
                raise limits.error(f"the connection to {namespace}")
            connection = self._connections.get(namespace)
            if connection is not None and connection.usable:
                return connection
            self._check_open()
            replaced = self._connections.pop(namespace, None)
            if replaced is not None:
                replaced.close(
                    LMStudioConnectionError("This connection was replaced by a new one.")
                )
            return self._connect(namespace)
        finally:
            if True in got:
                lock.release()

    def _connect(self, namespace: str) -> Connection:
        address = self._address(None)
        try:
            return self._open(namespace, address)
        except LMStudioConnectionError:
            elsewhere = self._address(address)  # a server that was found may have moved
            if elsewhere == address:
                raise
            return self._open(namespace, elsewhere)

    def _open(self, namespace: str, address: Address) -> Connection:
        """Open and keep a socket; the client may be closed by another thread in the meantime."""
        connection = Connection(address, namespace, self._creds)
        try:
            with self._lock:
                self._check_open()
                self._opening.add(connection)
            connection.open()
            with self._lock:
                self._check_open()
                self._connections[namespace] = connection
                self._keeper.start()
        except BaseException:
            connection.close(LMStudioConnectionError("This connection was given up."))
            raise
        finally:
            self._opening.discard(connection)
        return connection

    def _open_connections(self) -> list[Connection]:
        with self._lock:
            return list(self._connections.values())

    def _after_fork(self) -> None:
        """In a child process: the parent's sockets stay the parent's, and its locks are void."""
        inherited = list(self._connections.values())
        self._lock = threading.Lock()
        self._locks = {}
        self._connections = {}
        self._opening = set()
        self._pid = os.getpid()
        for connection in inherited:
            connection.close(LMStudioClosedError())

    def _check_open(self) -> None:
        if self._closed:
            raise LMStudioClosedError

    def is_connected(self, namespace: str) -> bool:
        """Whether the namespace's socket is open."""
        connection = self._connections.get(namespace)
        return connection is not None and connection.usable

    def disconnect(self, namespace: str) -> None:
        """Close the namespace's socket, if it is open."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            connection = self._connections.pop(namespace, None)
        if connection is not None:
            connection.close(LMStudioClosedError(f"The namespace {namespace!r} was disconnected."))

    def close_idle(self) -> None:
        """Close the sockets on which no conversation is open."""
        with self._lock:
            idle = [name for name, known in self._connections.items() if known.mux.idle]
        for name in idle:
            self.disconnect(name)

    def close(self) -> None:
        """Close every socket; whoever waits gets an error, and so do later calls."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            self._closed = True
            connections = [*self._connections.values(), *self._opening]
            self._connections.clear()
        for connection in connections:
            connection.close(LMStudioClosedError())
        self._keeper.stop()

    # -- operations ------------------------------------------------------------------------------

    def run(self, operation: Step | Op[Any], limits: Limits | None = None) -> Any:
        """Run any operation to its result, within limits of its own if it has any."""
        if isinstance(operation, Call):
            return self._observed(operation.endpoint, lambda: self._run_call(operation, limits))
        if isinstance(operation, Channel):
            return self._run_channel(operation, limits)
        if isinstance(operation, Batch):
            return list(self.stream(operation, limits))
        if isinstance(operation, Invoke):
            return run_coroutine(operation.function())
        if isinstance(operation, InvokeMany):
            return invoke_many(operation, limits)
        return self._run_op(operation, limits)

    def open(self, channel: Channel[E, R], limits: Limits | None = None) -> SyncChannelStream[E, R]:
        """Start a channel."""
        return SyncChannelStream(self, channel, limits)

    def _run_op(self, op: Op[R], limits: Limits | None) -> R:
        try:
            step = next(op)
            while True:
                try:
                    if limits is not None:
                        limits.check()
                    value = self.run(step, limits)
                except BaseException as error:  # noqa: BLE001 - the op gets it
                    step = op.throw(error)
                else:
                    step = op.send(value)
        except StopIteration as stop:
            return cast("R", stop.value)

    def _observed(self, endpoint: Endpoint, action: Callable[[], R]) -> R:
        if self._observer is None:
            return action()
        started = time.perf_counter()
        error: BaseException | None = None
        try:
            return action()
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.observe(endpoint, started, error)

    def observe(self, endpoint: Endpoint, started: float, error: BaseException | None) -> None:
        """Tell the observer of a finished request."""
        if self._observer is not None:
            self._observer(str(endpoint), time.perf_counter() - started, error)

    def _run_call(self, call: Call[R], limits: Limits | None) -> R:
        with using(limits):
            connection = self.connection(call.endpoint.namespace)
            state = connection.call(call.endpoint, call.parameter)
            try:
                connection.wait(state)
            except BaseException:
                connection.abandon(state)
                raise
        return call_result(call, state)

    def _run_channel(self, channel: Channel[Any, R], limits: Limits | None) -> R:
        with SyncChannelStream(self, channel, limits) as stream:
            for _ in stream:
                pass
            return stream.result()

    def stream(self, batch: Batch[R], limits: Limits | None = None) -> SyncBatchStream[R]:
        """The results of a batch, in order, as they come."""
        return SyncBatchStream(self, batch, limits)


_PATIENT: Final = Limits(idle_timeout=math.inf)


class SyncChannelStream(Generic[E, R]):
    """A running channel. See ``lmstudio_core.runner.ChannelStream``."""

    def __init__(
        self, driver: SyncDriver, channel: Channel[E, R], limits: Limits | None = None
    ) -> None:
        self._driver = driver
        # What a patient channel waits for may take days; getting it opened may not.
        self._limits = _PATIENT if channel.patient and limits is None else limits
        self._open = self._waiting = self._keep = False
        self._started = time.perf_counter()
        channel.on_begin()
        try:
            with using(limits):
                self._connection = driver.connection(channel.endpoint.namespace)
                state = self._connection.open_channel(channel.endpoint, channel.parameter)
        except BaseException as error:
            channel.on_end(error, None)
            raise
        self._reader = ChannelReader(channel, state)
        self._open = True

    def __iter__(self) -> Iterator[E]:
        try:
            while (event := self._step()) is not None:
                yield event[0]
        finally:
            # This generator goes away with the loop that was left early, and so does the stream.
            self.abandon()

    def __next__(self) -> E:
        event = self._step()
        if event is None:
            raise StopIteration
        return event[0]

    def receive(self, limits: Limits | None = None) -> tuple[E] | None:
        """The next event in a tuple, or ``None`` at the end, within limits of its own.

        For channels that live on: when the limits are exceeded or the wait is interrupted, the
        channel stays open, other than with ``next``.
        """
        self._limits, self._keep = limits, True
        return self._step()

    def _step(self) -> tuple[E] | None:
        """The next event, in a tuple since an event may be anything; ``None`` at the end."""
        reader = self._reader
        if self._waiting:
            raise LMStudioRuntimeError("Another thread is waiting for this stream's next event.")
        try:
            while self._open:
                event = reader.take()
                if event is not None:
                    return event
                if reader.finished:
                    break
                if self._limits is not None:
                    self._limits.check(reader.channel.endpoint)
                self._wait()
        except BaseException as error:
            if not self._keep or reader.state.closed:
                self._end(error)
            raise
        self._end(None)
        return None

    def _wait(self) -> None:
        self._waiting = True
        try:
            with using(self._limits):
                self._connection.wait(self._reader.state)
        finally:
            self._waiting = False

    def _end(self, error: BaseException | None) -> None:
        if not self._open:
            return
        self._open = False
        reader = self._reader
        if not reader.state.closed:
            self._connection.abandon(reader.state, reader.cancel_message)
        reader.channel.on_end(error, self._connection.address)
        self._driver.observe(reader.channel.endpoint, self._started, error)

    @property
    def ended(self) -> bool:
        """Whether it is over: read to its end, closed, left early, or failed."""
        return not self._open

    def cancel(self) -> None:
        """Ask the server to stop; go on iterating to get what it still sends, and the result."""
        message = self._reader.cancel_message
        if message is not None and self._open:
            self._connection.send(self._reader.state, message)

    def send(self, message: Any) -> None:
        """Send a packet on the channel."""
        self._connection.send(self._reader.state, message)

    def close(self) -> None:
        """Stop waiting; the server is told if it had not finished."""
        self._end(None)

    def abandon(self) -> None:
        """``close`` for finalizers, which run anywhere, even inside the connection's locks.

        Nothing happens while a thread waits for an event: then what went away is an iteration
        that was turned away because of that thread.
        """
        if self._open and not self._waiting:
            self._open = False
            self._connection.abandon_later(self._reader.state, self._reader.cancel_message)
            self._reader.channel.on_end(None, self._connection.address)
            self._driver.observe(self._reader.channel.endpoint, self._started, None)

    def result(self) -> R:
        """The result, once the iteration has ended.

        Raises:
            LMStudioRuntimeError: The channel has not ended, or was closed before its end.
        """
        if not self._reader.channel.done:
            raise LMStudioRuntimeError(
                f"There is no result yet: iterate over the whole stream of "
                f"{self._reader.channel.endpoint} first."
            )
        return self._reader.channel.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.abandon()
