"""The blocking driver's connection: any number of threads, and no thread of its own in the way.

Whoever waits reads. One waiting thread at a time is the *leader*: it reads the socket and files
what comes for everybody, the others are parked until their conversation changes or they are handed
the lead. For the usual single caller this saves two thread switches per answer. Between calls
nobody reads; the client's ``Keeper`` looks after sockets left alone, so that a server's pings are
answered.

There are two locks, each held for moments only, or while a full socket takes a large frame:
``_write_lock`` keeps frames whole and in order, ``_lock`` guards everything else; a thread that
needs both takes ``_write_lock`` first.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from ..errors import LMStudioError, LMStudioRuntimeError, LMStudioTimeoutError
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.conversations import CallState, ChannelState, Conversation
from ..protocol.mux import Mux
from ..protocol.operations import Endpoint
from ..protocol.outcome import own_copy
from ..timeouts import sync_limits
from .locks import sleep_until_released, take
from .sync_socket import connect
from .wire import Wire

__all__ = ["Connection"]

_SLICE: Final = 0.05
"""Seconds after which a writer that is stuck looks whether it has become the one to read."""


class Connection:
    """A socket to one namespace, connected; ``open`` authenticates it.

    Raises:
        LMStudioConnectionError: Nothing listens at the address.
    """

    def __init__(self, address: Address, namespace: str, creds: Credentials) -> None:
        self._wire = Wire(address, namespace, creds)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._leader: int | None = None  # the thread that reads
        self._parked: dict[Conversation, Any] = {}
        self._abandoned: deque[tuple[ChannelState, Any]] = deque()
        self._released = False
        self.reads = 0
        limits = sync_limits()
        if limits.longest_wait == 0:  # for a socket, no time to wait means not to block
            raise limits.error(f"a connection to {address}")
        self._socket = connect(address, limits.longest_wait)

    @property
    def address(self) -> Address:
        """The server's address."""
        return self._wire.address

    def open(self) -> None:
        """Do both handshakes. Another thread may ``close`` the connection meanwhile.

        Raises:
            LMStudioWebsocketError: The server refused, or is none.
            LMStudioTimeoutError: The server said nothing within the sync timeout.
        """
        limits = sync_limits()
        with self._lock:
            self._leader = threading.get_ident()
        try:
            self._flush()
            while not self._wire.ready:
                self._check_alive()
                if not self._read(limits.longest_wait):
                    raise limits.error(Endpoint(self._wire.namespace, "authentication"))
        finally:
            self._hand_over()

    # -- state -----------------------------------------------------------------------------------

    @property
    def mux(self) -> Mux:
        """The conversations of this socket."""
        return self._wire.mux

    @property
    def usable(self) -> bool:
        """Whether a new call may use this socket; looks whether the server has closed it."""
        if self._wire.closed or self._pid != os.getpid():
            return False
        if self.mux.exhausted and self.mux.idle:
            return False
        self.pump_idle()
        return not self._wire.closed

    def pump_idle(self) -> None:
        """Read what has arrived while nobody was waiting, and send what finalizers left."""
        if self._pid != os.getpid():
            return
        me = threading.get_ident()
        if self._leader is None:
            try:
                with self._lock:
                    if self._leader is None:
                        self._leader = me
                while self._leader == me and not self._wire.closed and self._readable(0):
                    self._read(0)
            finally:
                if self._leader == me:
                    self._hand_over()
        self._cancel_abandoned()

    def _check_alive(self) -> None:
        if self._wire.failure is not None:
            raise own_copy(self._wire.failure)
        if self._pid != os.getpid():
            raise LMStudioRuntimeError(
                "This was started in the parent process; what it gets is for the parent alone."
            )

    # -- conversations ---------------------------------------------------------------------------

    def call(self, endpoint: Endpoint, parameter: Any) -> CallState:
        """Send a remote call."""
        with self._lock:
            state, payload = self.mux.call(endpoint, parameter)
        self._send(payload)
        return state

    def open_channel(self, endpoint: Endpoint, parameter: Any) -> ChannelState:
        """Open a channel."""
        with self._lock:
            state, payload = self.mux.open_channel(endpoint, parameter)
        self._send(payload)
        return state

    def send(self, state: ChannelState, message: Any) -> None:
        """Send a packet on a channel, if it is still open."""
        if self._pid != os.getpid():
            self._check_alive()
        with self._lock:
            payload = self.mux.send(state, message)
        if payload is not None:
            self._send(payload)

    def wait(self, state: Conversation) -> None:
        """Return once ``state`` has something to take.

        Raises:
            LMStudioTimeoutError: Nothing came for it within the limits that hold.
        """
        if state.ready:
            return
        if self._pid != os.getpid():
            self._check_alive()
        limits = sync_limits()
        limit = limits.longest_wait
        deadline = None if limit is None else time.monotonic() + limit
        me = threading.get_ident()
        try:
            while not state.ready:
                with self._lock:
                    if state.ready:
                        break
                    # That this thread leads already can only be left over from an interrupt.
                    lead = self._leader is None or self._leader == me
                    if lead:
                        self._leader = me
                    parking = None if lead else self._park(state)
                if parking is None:
                    self._lead(state, deadline)
                else:
                    sleep_until_released(parking, deadline)
                if not state.ready and deadline is not None and time.monotonic() >= deadline:
                    raise limits.error(state.endpoint, limit)
        finally:
            try:
                self._leave(state, me)
            except BaseException:  # an interrupt here would leave the others without a reader
                self._leave(state, me)
                raise

    def abandon(self, state: Conversation, message: Any = None) -> None:
        """Nobody waits for ``state`` any more; ``message`` tells the server to stop."""
        if self._pid != os.getpid():
            return  # it goes on in the parent process
        with self._lock:
            payload = None
            if message is not None and isinstance(state, ChannelState) and not self._wire.closed:
                payload = self.mux.send(state, message)
            waiter = state.waiter
            self.mux.abandon(state)
            if waiter is not None:  # a thread waits for what another one gave up
                state.waiter = waiter
                self._wake((state,))
        if payload is not None:
            with contextlib.suppress(LMStudioError):  # a connection that is gone has stopped it too
                self._send(payload)

    def abandon_later(self, state: ChannelState, message: Any) -> None:
        """``abandon`` for finalizers: at once if no thread holds the locks (this one might), else
        soon."""
        self._abandoned.append((state, message))
        if not (self._write_lock.locked() or self._lock.locked()):
            self._cancel_abandoned()

    def _cancel_abandoned(self) -> None:
        while self._abandoned:
            with contextlib.suppress(IndexError):  # another thread was faster
                self.abandon(*self._abandoned.popleft())

    def close(self, failure: LMStudioError) -> None:
        """Close the socket; whoever waits gets ``failure``."""
        if self._pid != os.getpid():
            self._socket.close()  # of a parent process: its conversations go on there
            return
        with self._lock:
            self._wake(self._wire.close(failure))
        # A thread that is stuck in writing would keep this one waiting; then there is no goodbye.
        got: list[bool] = []
        try:
            if take(got, self._write_lock):
                with contextlib.suppress(OSError):
                    self._socket.send(self._wire.outgoing())
        finally:
            if True in got:
                self._write_lock.release()
            self._socket.shutdown()
        with self._lock:
            # A leader may be about to poll this file descriptor, whose number would be given to
            # the next socket of the process: it closes it itself when it has noticed.
            self._released = True
            if self._leader in (None, threading.get_ident()):
                self._socket.close()

    # -- reading ---------------------------------------------------------------------------------

    def _lead(self, state: Conversation, deadline: float | None) -> None:
        """Read for everybody until ``state`` is ready."""
        while not state.ready:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            self._read(left)
            if self._abandoned:
                self._cancel_abandoned()

    def _park(self, state: Conversation) -> Any:
        """A lock that is released when ``state`` changes or this thread is chosen to lead."""
        parking = state.waiter = self._parked[state] = threading.Lock()
        parking.acquire()
        return parking

    def _leave(self, state: Conversation, me: int) -> None:
        """This thread stops waiting; if it led, or was chosen to lead next, another one does."""
        with self._lock:
            if state.waiter is not None:
                self._parked.pop(state, None)
                state.waiter = None
            if self._leader == me or self._leader is None:
                self._release_lead()

    def _hand_over(self) -> None:
        with self._lock:
            self._release_lead()

    def _release_lead(self) -> None:
        self._leader = None
        if self._released:
            self._socket.close()
        for waiting, parking in self._parked.items():
            if not waiting.ready:
                del self._parked[waiting]
                parking.release()
                return

    def _wake(self, changed: Iterable[Conversation]) -> None:
        for state in changed:
            if state.waiter is not None:
                parking = self._parked.pop(state, None)
                state.waiter = None
                if parking is not None:
                    parking.release()

    def _readable(self, timeout: float | None) -> bool:
        try:
            return self._socket.readable(timeout)
        except (OSError, ValueError):  # closed by another thread
            return True

    def _read(self, timeout: float | None) -> bool:
        """Read once and file what came; ``False`` if nothing came in time.

        Waiting may be interrupted at any point. An interrupt between reading and filing would lose
        bytes, so that one ends the connection.
        """
        if not self._readable(timeout):
            return False
        try:
            data = self._socket.receive()
            if data is not None:
                self._take(data)
        except OSError as error:
            self._lose(error)
        except BaseException as interrupt:
            self._lose(interrupt)
            raise
        return True

    def _take(self, data: bytes) -> None:
        self.reads += 1
        with self._lock:
            self._wake(self._wire.receive(data) if data else self._wire.receive_eof())
        if self._wire.pending:  # pongs, goodbyes
            with contextlib.suppress(LMStudioError):
                self._flush()
        if self._wire.closed:
            self._socket.shutdown()

    def _lose(self, error: BaseException) -> LMStudioError:
        """The connection is over; the server is to notice at once, too."""
        with self._lock:
            self._wake(self._wire.fail(self._wire.lost(error)))
        self._socket.shutdown()
        assert self._wire.failure is not None
        return self._wire.failure

    # -- writing ---------------------------------------------------------------------------------

    def _send(self, payload: bytes) -> None:
        with self._write_lock:
            with self._lock:
                self._check_alive()
                data = self._wire.frame(payload)
            self._write(data)
        if self._wire.pending:  # what came up for a reader that found this thread writing
            with contextlib.suppress(LMStudioError):
                self._flush()

    def _flush(self) -> None:
        """Write what the wire has to say of itself, unless another thread is writing and will."""
        while self._wire.pending:
            got: list[bool] = []
            try:
                if not take(got, self._write_lock):
                    return
                with self._lock:
                    data = self._wire.outgoing()
                self._write(data)
            finally:
                if True in got:
                    self._write_lock.release()

    def _write(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
            if sent < len(data):
                self._write_rest(memoryview(data)[sent:])
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            lost = self._lose(error)
            if isinstance(error, LMStudioTimeoutError):
                raise
            raise own_copy(lost) from error
        except BaseException as interrupt:  # half a frame may be out: the rest cannot follow
            self._lose(interrupt)
            raise

    def _write_rest(self, data: memoryview) -> None:
        """Write to a socket that is full.

        A server that is busy sending may take nothing more before this side has read, so this
        thread reads while it waits, unless another one does.
        """
        limits = sync_limits()
        limit = limits.idle
        me = threading.get_ident()
        led = self._leader == me
        last = time.monotonic()
        try:
            while data:
                with self._lock:
                    lead = self._leader in (None, me)
                    if lead:
                        self._leader = me
                left = _SLICE if limit is None else min(_SLICE, last + limit - time.monotonic())
                readable, writable = self._socket.wait(max(0.0, left), reading=lead, writing=True)
                if readable:
                    self._read(0)
                if self._wire.closed:
                    raise ConnectionError("the connection was closed")
                limits.check()
                if writable and (sent := self._socket.send(data)):
                    data = data[sent:]
                    last = time.monotonic()
                elif limit is not None and time.monotonic() - last >= limit:
                    raise TimeoutError(f"the server took no data for {limit:g} seconds")
        finally:
            if not led and self._leader == me:
                self._hand_over()
