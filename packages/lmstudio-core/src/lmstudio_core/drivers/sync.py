"""Runs operations in the calling thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ..errors import LMStudioClosedError, LMStudioConnectionError
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.liveness import Pings
from ..protocol.operations import Batch, Call, Channel, Endpoint, Invoke, InvokeMany, Op, Step
from ..protocol.outcome import call_result
from ..protocol.runner import Observer
from ..timeouts import Limits, sync_limits, using
from .batches import SyncBatchStream
from .coroutines import run_coroutine
from .functions import invoke_many
from .keeper import Keeper
from .locks import held, process, take
from .sync_connection import Connection
from .sync_socket import LONGEST_WAIT
from .sync_stream import SyncChannelStream

__all__ = ["SyncDriver"]

R = TypeVar("R")
E = TypeVar("E")


class SyncDriver:
    """The sockets of one client, opened on first use and replaced when lost.

    Args:
        address: Called when a socket is opened; says where the server is. If nothing answers
            there it is called with that address, and may name another one.
        creds: What every socket shows the server.
        observer: Called after each call and channel, or ``None``.
        pings: When to ask a silent server for a sign of life.
    """

    # No lock guards these tables: each step on them is atomic, and ``close`` may run in the middle
    # of any, in a signal handler. What is opened is entered first and then looks whether the client
    # was closed; ``close`` says so first and then looks at what is entered.

    def __init__(
        self,
        address: Callable[[Address | None], Address],
        creds: Credentials,
        observer: Observer | None,
        pings: Pings | None = None,
    ) -> None:
        self._address = address
        self._creds = creds
        self._observer = observer
        self._pings = pings
        self._connections: dict[str, Connection] = {}
        self._locks: dict[str, Any] = {}
        self._pid = process.id
        self._closed = False
        self._opening: set[Connection] = set()
        # What is still in use, though not for new calls; with ``reads`` at the keeper's last look.
        self._aside: dict[Connection, int] = {}
        self._keeper = Keeper(self._open_connections)

    # -- sockets ---------------------------------------------------------------------------------

    def connection(self, namespace: str) -> Connection:
        """The namespace's socket: the one there is, or a new one in place of one that is lost."""
        if self._pid != process.id:
            self._after_fork()
        connection = self._connections.get(namespace)
        if connection is not None:
            if connection.entered:
                return self._open_aside(namespace)
            if connection.usable and not connection.doubtful:
                return connection
        lock = self._locks.setdefault(namespace, threading.RLock())
        if held(lock):
            return self._open_aside(namespace)
        got: list[bool] = []
        limits = sync_limits()
        left = limits.left  # another thread may be connecting, at its own leisure
        try:
            if not take(got, lock, None if left is None else min(left, LONGEST_WAIT)):
                raise limits.error(f"the connection to {namespace}")
            connection = self._connections.get(namespace)
            if connection is not None and connection.usable and connection.sure():
                return connection
            self._check_open()
            self._replace(namespace)
            connection = self._connect(namespace)
            self._connections[namespace] = connection
            self._check_open(connection)
            return connection
        finally:
            if True in got:
                lock.release()

    def _replace(self, namespace: str) -> None:
        """Let go of the namespace's socket; calls that still wait there may yet be answered."""
        replaced = self._connections.pop(namespace, None)
        if replaced is None:
            return
        if replaced.mux.idle:
            replaced.close(LMStudioConnectionError("This connection was replaced by a new one."))
        else:
            self._aside[replaced] = -1

    def _open_aside(self, namespace: str) -> Connection:
        """A socket for a call that is made in the middle of the namespace's own.

        A signal handler or a finalizer interrupted this thread while it connects, or inside the
        connection's locks: it cannot wait for what goes on only when it returns.
        """
        self._check_open()
        connection = self._connect(namespace)
        self._aside[connection] = -1
        self._check_open(connection)
        return connection

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
        """Open a socket; the client may be closed by another thread in the meantime."""
        connection = Connection(address, namespace, self._creds, self._pings)
        try:
            self._opening.add(connection)
            self._check_open()
            connection.open()
            self._keeper.start()
        except BaseException:
            connection.close(LMStudioConnectionError("This connection was given up."))
            raise
        finally:
            self._opening.discard(connection)
        return connection

    def _open_connections(self) -> list[Connection]:
        """For the keeper; sockets that were put aside are closed once nobody uses them."""
        for connection, reads in list(self._aside.items()):
            if reads == connection.reads and connection.mux.idle:
                self._aside.pop(connection, None)
                connection.close(LMStudioConnectionError("This connection was put aside."))
            else:
                self._aside[connection] = connection.reads
        return [*self._connections.values(), *self._aside]

    def _after_fork(self) -> None:
        """In a child process: the parent's sockets stay the parent's, and its locks are void."""
        inherited = [*self._connections.values(), *self._aside]
        self._locks = {}
        self._connections = {}
        self._opening = set()
        self._aside = {}
        self._keeper = Keeper(self._open_connections)
        self._pid = process.id
        for connection in inherited:
            connection.close(LMStudioClosedError())

    def _check_open(self, opened: Connection | None = None) -> None:
        if self._closed:
            if opened is not None:
                opened.close(LMStudioClosedError())
                self._keeper.stop()
            raise LMStudioClosedError

    def is_connected(self, namespace: str) -> bool:
        """Whether the namespace's socket is open."""
        connection = self._connections.get(namespace)
        return connection is not None and (connection.entered or connection.usable)

    def disconnect(self, namespace: str) -> None:
        """Close the namespace's socket, if it is open."""
        if self._pid != process.id:
            self._after_fork()
        connection = self._connections.pop(namespace, None)
        if connection is not None:
            connection.close(LMStudioClosedError(f"The namespace {namespace!r} was disconnected."))

    def close_idle(self) -> None:
        """Close the sockets on which no conversation is open."""
        for name, known in list(self._connections.items()):
            if known.mux.idle:
                self.disconnect(name)

    def close(self) -> None:
        """Close every socket; whoever waits gets an error, and so do later calls."""
        if self._pid != process.id:
            self._after_fork()
        self._closed = True
        connections = [*self._opening, *self._connections.values(), *self._aside]
        self._connections.clear()
        self._aside.clear()
        for connection in connections:
            connection.close(LMStudioClosedError())
        self._keeper.stop()

    def forsake(self) -> bool:
        """The client was dropped: close what it left open, and say whether that was something.

        For finalizers: nobody is inside the driver or waits for it, or it would not be dropped.
        """
        connections = [*self._connections.values(), *self._opening]
        for connection in connections:
            connection.close(LMStudioClosedError())
        self._keeper.stop(wait=False)  # it may need a lock of the thread that this runs in
        return self._pid == process.id and bool(connections)

    # -- operations ------------------------------------------------------------------------------

    def run(self, operation: Step | Op[Any], limits: Limits | None = None) -> Any:
        """Run any operation to its result, within limits of its own if it has any."""
        if isinstance(operation, Call):
            return self._run_call(operation, limits)
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

    def observe(self, endpoint: Endpoint, started: float, error: BaseException | None) -> None:
        """Tell the observer of a finished request."""
        if self._observer is not None:
            self._observer(str(endpoint), time.perf_counter() - started, error)

    def _run_call(self, call: Call[R], limits: Limits | None) -> R:
        if self._observer is None:
            return self._call(call, limits)
        started = time.perf_counter()
        error: BaseException | None = None
        try:
            return self._call(call, limits)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.observe(call.endpoint, started, error)

    def _call(self, call: Call[R], limits: Limits | None) -> R:
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
