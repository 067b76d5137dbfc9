"""The blocking driver: one socket, any number of threads, and no thread of its own in the way.

Whoever waits reads. One waiting thread at a time is the *leader*: it reads the socket and files
what comes for everybody, the others are parked until their conversation changes or they are handed
the lead. For the usual single caller this saves two thread switches per answer. Between calls
nobody reads; the client's ``Keeper`` looks after sockets left alone, so that a server's pings are
answered.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..errors import LMStudioConnectionError, LMStudioError, LMStudioRuntimeError
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.mux import CallState, ChannelState, Conversation, Mux
from ..protocol.operations import Endpoint
from ..protocol.outcome import timeout_error
from ..timeouts import get_sync_api_timeout
from .wire import Wire

__all__ = ["Connection", "Keeper"]

_CHUNK: Final = 65536


class Connection:
    """An open, authenticated socket to one namespace. Safe to use from several threads.

    Raises:
        LMStudioConnectionError: Nothing listens at the address.
        LMStudioAuthenticationError: The server refused the credentials.
    """

    def __init__(self, address: Address, namespace: str, creds: Credentials) -> None:
        self._wire = Wire(address, namespace, creds)
        self._pid = os.getpid()
        self._lock = threading.Lock()  # guards the wire, _leader and _parked; never held in I/O
        self._write_lock = threading.Lock()  # keeps frames whole and in order
        self._leader: int | None = None  # the thread that reads
        self._fd_open = True
        self._parked: dict[Conversation, Any] = {}
        self._abandoned: list[tuple[ChannelState, Any]] = []
        self.reads = 0
        self._socket = _connect(address, get_sync_api_timeout())
        self._poller = _Poller(self._socket)
        try:
            self._handshake()
        except BaseException:
            self._socket.close()
            raise

    def _handshake(self) -> None:
        limit = get_sync_api_timeout()
        self._write(self._wire.outgoing())
        while not self._wire.ready:
            if self._wire.failure is not None:
                raise self._wire.failure
            if not self._read(limit):
                raise timeout_error(Endpoint(self._wire.namespace, "authentication"), limit or 0)

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
        """Read what has arrived while nobody was waiting."""
        with self._lock:
            if self._leader is not None or self._wire.closed:
                return
            self._leader = threading.get_ident()
        try:
            while not self._wire.closed and self._readable(0):
                self._read(0)
        finally:
            self._hand_over()
        self._cancel_abandoned()

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
        with self._lock:
            payload = self.mux.send(state, message)
        if payload is not None:
            self._send(payload)

    def wait(self, state: Conversation) -> None:
        """Return once ``state`` has something to take.

        Raises:
            LMStudioTimeoutError: Nothing came for it within the sync timeout.
        """
        limit = get_sync_api_timeout()
        deadline = None if limit is None else time.monotonic() + limit
        me = threading.get_ident()
        while not state.ready:
            with self._lock:
                if state.ready:
                    return
                # That this thread leads already can only be left over from an interrupt.
                lead = self._leader is None or self._leader == me
                if lead:
                    self._leader = me
                else:
                    state.waiter = self._parked[state] = lock = threading.Lock()
                    lock.acquire()
            if lead:
                self._lead(state, deadline)
            else:
                self._park(state, lock, deadline)
            if not state.ready and deadline is not None and time.monotonic() >= deadline:
                self._pass_on()
                raise timeout_error(state.endpoint, limit or 0)

    def abandon(self, state: Conversation, message: Any = None) -> None:
        """Nobody waits for ``state`` any more; ``message`` tells the server to stop."""
        with self._lock:
            payload = None
            if message is not None and isinstance(state, ChannelState) and not self._wire.closed:
                payload = self.mux.send(state, message)
            self.mux.abandon(state)
        if payload is not None:
            with contextlib.suppress(LMStudioError):  # a connection that is gone has stopped it too
                self._send(payload)

    def abandon_later(self, state: ChannelState, message: Any) -> None:
        """``abandon`` for finalizers: at once if this thread holds none of the locks, else soon."""
        self._abandoned.append((state, message))
        for lock in (self._write_lock, self._lock):
            if not lock.acquire(blocking=False):
                return
            lock.release()
        self._cancel_abandoned()

    def _cancel_abandoned(self) -> None:
        while self._abandoned:
            self.abandon(*self._abandoned.pop())

    def close(self, failure: LMStudioError) -> None:
        """Close the socket; whoever waits gets ``failure``."""
        if self._pid != os.getpid():
            self._socket.close()  # of a parent process: its conversations go on there
            return
        with self._lock:
            self._wake(self._wire.close(failure))
            goodbye = self._wire.outgoing()
        with contextlib.suppress(OSError), self._write_lock:
            self._socket.send(goodbye)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a leader in another thread
        with self._lock:
            # A leader may be about to poll this file descriptor, whose number would be given to
            # the next socket of the process: it closes it itself when it has noticed.
            self._fd_open = False
            if self._leader in (None, threading.get_ident()):
                self._socket.close()

    # -- reading ---------------------------------------------------------------------------------

    def _lead(self, state: Conversation, deadline: float | None) -> None:
        """Read for everybody until ``state`` is ready."""
        try:
            while not state.ready:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._read(left)
        finally:
            self._hand_over()

    def _park(self, state: Conversation, lock: Any, deadline: float | None) -> None:
        """Sleep until ``state`` changes or this thread is chosen to lead."""
        try:
            if deadline is None:
                lock.acquire()
            else:
                lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except BaseException:
            self._unpark(state)
            self._pass_on()
            raise
        self._unpark(state)

    def _unpark(self, state: Conversation) -> None:
        with self._lock:
            self._parked.pop(state, None)
            state.waiter = None

    def _pass_on(self) -> None:
        """This thread stops waiting, and may have been chosen to lead: let another one."""
        with self._lock:
            if self._leader is None:
                self._wake_next()

    def _hand_over(self) -> None:
        with self._lock:
            self._leader = None
            self._wake_next()
            if not self._fd_open:
                self._socket.close()

    def _wake_next(self) -> None:
        for waiting, lock in self._parked.items():
            if not waiting.ready:
                del self._parked[waiting]
                lock.release()
                return

    def _wake(self, changed: Iterable[Conversation]) -> None:
        for state in changed:
            if state.waiter is not None:
                lock = self._parked.pop(state, None)
                state.waiter = None
                if lock is not None:
                    lock.release()

    def _readable(self, timeout: float | None) -> bool:
        try:
            return self._poller.readable(timeout)
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
            self._take()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            with self._lock:
                self._wake(self._wire.fail(self._wire.lost(error)))
        except BaseException as interrupt:
            with self._lock:
                self._wake(self._wire.fail(self._wire.lost(interrupt)))
            raise
        return True

    def _take(self) -> None:
        data = self._socket.recv(_CHUNK)
        self.reads += 1
        with self._lock:
            self._wake(self._wire.receive(data) if data else self._wire.receive_eof())
            answer = self._wire.outgoing()
        if answer:  # pongs, goodbyes
            with contextlib.suppress(LMStudioError):
                self._write(answer)

    # -- writing ---------------------------------------------------------------------------------

    def _send(self, payload: bytes) -> None:
        with self._write_lock:
            with self._lock:
                if self._wire.failure is not None:
                    raise self._wire.failure
                data = self._wire.frame(payload)
            self._write_all(data)

    def _write(self, data: bytes) -> None:
        with self._write_lock:
            self._write_all(data)

    def _write_all(self, data: bytes) -> None:
        try:
            sent = self._try_send(data)
            if sent < len(data):
                self._write_rest(memoryview(data)[sent:])
        except OSError as error:
            self._fail(error)
        except BaseException as interrupt:  # half a frame may be out: the rest cannot follow
            with contextlib.suppress(LMStudioError):
                self._fail(interrupt)
            raise

    def _fail(self, error: BaseException) -> None:
        failure = self._wire.lost(error)
        with self._lock:
            self._wake(self._wire.fail(failure))
        raise failure from error

    def _write_rest(self, data: memoryview) -> None:
        limit = get_sync_api_timeout()
        while data:
            if not self._poller.writable(limit):
                raise TimeoutError(f"the server took no data for {limit:g} seconds")
            data = data[self._try_send(data) :]

    def _try_send(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0


class _Poller:
    """Waits for one socket; the clock and signals may interrupt it, and no data is taken."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._pending: Callable[[], int] = getattr(sock, "pending", int)  # TLS keeps some itself
        self._poll: Callable[[Any], Any] | None = None
        if hasattr(select, "poll"):
            reading = select.poll()
            reading.register(sock.fileno(), select.POLLIN)
            self._poll = reading.poll

    def readable(self, timeout: float | None) -> bool:
        """Whether there is something to read within ``timeout`` seconds."""
        if self._pending():
            return True
        if self._poll is not None:
            return bool(self._poll(None if timeout is None else timeout * 1000))
        return bool(select.select([self._socket], [], [], timeout)[0])

    def writable(self, timeout: float | None) -> bool:
        """Whether something can be written within ``timeout`` seconds."""
        if hasattr(select, "poll"):
            writing = select.poll()
            writing.register(self._socket.fileno(), select.POLLOUT)
            return bool(writing.poll(None if timeout is None else timeout * 1000))
        return bool(select.select([], [self._socket], [], timeout)[1])


def _connect(address: Address, timeout: float | None) -> socket.socket:
    try:
        sock = socket.create_connection((address.host, address.port), timeout=timeout)
    except OSError as error:
        raise LMStudioConnectionError(
            f"No server answers at {address}: {error}. Is LM Studio running, with its server on?",
            tried=(str(address),),
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.secure:
        try:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=address.host)
        except OSError as error:
            sock.close()
            raise LMStudioConnectionError(
                f"No encrypted connection to {address}: {error}.", tried=(str(address),)
            ) from error
    sock.setblocking(False)
    return sock


class Keeper:
    """Looks after sockets that nobody is reading: one thread per client, a look every few seconds.

    A server that sends pings drops a client that does not answer them, and a sync client between
    two calls reads nothing.
    """

    interval: float = 5.0

    def __init__(self, connections: Callable[[], Iterable[Connection]]) -> None:
        self._connections = connections
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._seen: dict[Connection, int] = {}

    def start(self) -> None:
        """Start looking, unless it runs already in this process."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._run, name="lmstudio-keeper", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        if self._thread is None or self._pid != os.getpid():
            return
        self._stop.set()
        if self._thread is threading.current_thread():
            raise LMStudioRuntimeError("A client cannot be closed from its own keeper thread.")
        self._thread.join()
        self._thread = None
        self._pid = 0

    def _run(self) -> None:
        stop = self._stop
        while not stop.wait(self.interval):
            self.look()

    def look(self) -> None:
        """Read what has arrived on sockets that nobody has read since the last look."""
        connections = list(self._connections())
        for connection in connections:
            if self._seen.get(connection) == connection.reads:
                connection.pump_idle()
        self._seen = {connection: connection.reads for connection in connections}
