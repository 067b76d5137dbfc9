"""The blocking driver's socket with its locks: what any thread writes, reads and ends.

Two locks, and no thread ever sleeps with one: ``_lock`` guards the state, ``_write_lock`` the order of
what is written. One thread at a time reads and files, so that bytes are filed in the order in which
they came. Writing goes through ``_outbox``: whoever has something appends it, and whoever gets
``_write_lock`` writes for everybody, as much as fits.

What must be safe anywhere (``cancel``, ``close``, ``abandon``: in a signal handler or finalizer that
runs while this very thread is inside ``with self._lock``, or in a log handler whose own lock another
thread wants) is *posted*: it goes to a deque, which is done at once if ``_lock`` is free, and else by
its holder, who looks at the deque after every release. An append comes before the failed attempt to
take the lock, that before the release, and that before the look: so nothing that was posted is
overlooked. Posted actions are done before they are taken off the deque, and may be done twice: an
interrupt in the middle of one does not lose it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NoReturn

from ..errors import LMStudioError, LMStudioRuntimeError
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.conversations import ChannelState, Conversation
from ..protocol.liveness import Liveness, Pings
from ..protocol.mux import Mux
from ..protocol.outcome import own_copy
from ..timeouts import clock, sync_limits
from .locks import owner_check, process, take
from .sync_socket import connect
from .wire import Wire

__all__ = ["Line"]


class Line:
    """A connected socket with the WebSocket on it.

    Raises:
        LMStudioConnectionError: Nothing listens at the address.
    """

    def __init__(
        self, address: Address, namespace: str, creds: Credentials, pings: Pings | None = None
    ) -> None:
        self._wire = Wire(address, namespace, creds)
        self._pid = process.id
        self._lock: Any = threading.RLock()
        self._write_lock: Any = threading.RLock()
        # Kept bound, since every call asks; see ``locks.owner_check``.
        self._locked_here: Callable[[], bool] = owner_check(self._lock)
        self._writing_here: Callable[[], bool] = owner_check(self._write_lock)
        self._posted: deque[Callable[[], None]] = deque()
        self._outbox: deque[bytes | memoryview] = deque()
        self._full = False  # the socket did not take all that was in the outbox
        self._leader: int | None = None  # the thread that waits for the socket
        self._awaited: Conversation | None = None  # what that thread waits for
        self._parked: dict[Conversation, Any] = {}
        self._probe: Conversation | None = None  # who waits for the next pong
        self._pongs = 0
        self._reading = False  # the leader has taken bytes that are not filed yet
        self._released = False
        self._written = 0
        self.reads: int = 0
        self._pings = pings or Pings()
        self._alive = Liveness(self._pings, clock())
        limits = sync_limits()
        if limits.longest_wait == 0:  # for a socket, no time to wait means not to block
            raise limits.error(f"a connection to {address}")
        self._socket = connect(address, limits.longest_wait)

    @property
    def address(self) -> Address:
        """The server's address."""
        return self._wire.address

    @property
    def mux(self) -> Mux:
        """The conversations of this socket."""
        return self._wire.mux

    @property
    def entered(self) -> bool:
        """Whether this thread is at work here further out: a signal handler or the like is asking."""
        return (
            self._locked_here()
            or self._writing_here()
            or (self._reading and self._leader == threading.get_ident())
        )

    def _check_alive(self) -> None:
        if self._wire.failure is not None:
            raise own_copy(self._wire.failure)
        if self._pid != process.id:
            raise LMStudioRuntimeError(
                "This was started in the parent process; what it gets is for the parent alone."
            )

    def _refuse(self) -> NoReturn:
        """For who may not wait here: a child process, or who has ``entered``."""
        self._check_alive()
        raise LMStudioRuntimeError(
            "A signal handler, finalizer or log handler interrupted this connection at work, "
            "and cannot wait for the same stream there. cancel() and close() may be called "
            "anywhere; for anything else, set a flag and do it outside."
        )

    # -- what may be asked for anywhere ----------------------------------------------------------

    def _post(self, action: Callable[[], None]) -> None:
        """Do this with the lock held: now if it is free, else when its holder lets it go."""
        self._posted.append(action)
        self._settle()

    def _settle(self) -> None:
        """Do what was posted, unless the lock's holder will."""
        while self._posted:
            got: list[bool] = []
            try:
                if not take(got, self._lock):
                    return
                while self._posted:  # an action raises nothing but what a signal handler does
                    self._posted[0]()
                    self._posted.popleft()
            finally:
                if True in got:
                    self._lock.release()
            self._flush()

    def abandon(self, state: Conversation, message: Any = None) -> None:
        """Nobody waits for ``state`` any more; ``message`` tells the server to stop."""
        if self._pid != process.id:
            return  # it goes on in the parent process
        payload: bytes | None = None
        if message is not None and isinstance(state, ChannelState):
            payload = self.mux.send(state, message)
        self._post(partial(self._abandon_now, state, payload))

    def _abandon_now(self, state: Conversation, payload: bytes | None) -> None:
        if payload is not None:
            self._say_now(state, payload)
        waiter = state.waiter
        self.mux.abandon(state)
        if waiter is not None:  # a thread waits for what another one gave up
            state.waiter = waiter
            self._wake((state,))
        elif self._awaited is state:
            # The leader itself waits for it, asleep in the system: the pong will wake it up.
            self._collect(self._wire.ping())

    def say(self, state: ChannelState, message: Any) -> None:
        """Send a packet on a channel, if it is still open; without waiting, and from anywhere."""
        if self._pid != process.id:
            self._check_alive()
        payload = self.mux.send(state, message)  # changes nothing; complains of what is no JSON
        if payload is not None:
            self._post(partial(self._say_now, state, payload))

    def _say_now(self, state: Conversation, payload: bytes) -> None:
        if not (state.closed or self._wire.closed):
            self._collect(self._wire.frame(payload))

    def close(self, failure: LMStudioError) -> None:
        """Close the socket; whoever waits gets ``failure``."""
        if self._pid != process.id:
            self._socket.close()  # of a parent process: its conversations go on there
        else:
            self._post(partial(self._close_now, failure))

    def _close_now(self, failure: LMStudioError) -> None:
        self._file(self._wire.close(failure))
        self._collect(self._wire.outgoing())
        self._flush()  # a goodbye that does not fit is not said
        self._socket.shutdown()
        # A leader may be about to poll this file descriptor, whose number would be given to the
        # next socket of the process: it closes it itself when it has noticed.
        self._released = True
        if self._leader is None:
            self._socket.close()

    def _lose(self, error: BaseException) -> LMStudioError:
        """The connection is over; the server is to notice at once, too."""
        lost = error if isinstance(error, LMStudioError) else self._wire.lost(error)
        self._post(partial(self._lose_now, lost))
        return self._wire.failure or lost

    def _lose_now(self, lost: LMStudioError) -> None:
        self._file(self._wire.fail(lost))
        self._socket.shutdown()

    # -- waking ----------------------------------------------------------------------------------

    def _wake(self, changed: Iterable[Conversation]) -> None:
        for state in changed:
            if state.waiter is not None:
                parking = self._parked.pop(state, None)
                state.waiter = None
                if parking is not None:
                    parking.release()

    def _file(self, changed: Iterable[Conversation]) -> None:
        """Something came, or the connection ended."""
        self._wake(changed)
        probe = self._probe
        if probe is not None and (self._wire.pongs != self._pongs or self._wire.closed):
            self._probe = None
            probe.closed = True
            self._wake((probe,))

    # -- reading ---------------------------------------------------------------------------------

    def _readable(self, timeout: float | None) -> bool:
        try:
            return self._socket.readable(timeout)
        except (OSError, ValueError):  # closed by another thread
            return True

    def _receive(self) -> None:
        """Read once and file what came; by the leader, or with the lock held while there is none.

        Waiting may be interrupted at any point. An interrupt between reading and filing would lose
        bytes, so that one ends the connection.
        """
        self._reading = True
        try:
            data = self._socket.receive()
            if data is not None:
                with self._lock:
                    self._take(data)
        except OSError as error:
            self._lose(error)
        except BaseException as interrupt:
            self._reading = False
            self._lose(interrupt)
            raise
        self._reading = False
        if self._posted:
            self._settle()
        if self._outbox:  # pongs, goodbyes
            self._flush()
        if self._wire.closed:
            self._socket.shutdown()

    def _take(self, data: bytes) -> None:
        self.reads += 1
        self._file(self._wire.receive(data) if data else self._wire.receive_eof())
        if self._wire.pending:
            self._collect(self._wire.outgoing())

    def _read_and_write(self, timeout: float | None) -> bool:
        """Read once and write on, while something is left over that the full socket did not take.

        ``False`` if neither could be done in time.
        """
        try:
            readable, writable = self._socket.wait(timeout, reading=True, writing=True)
        except (OSError, ValueError):  # closed by another thread
            readable, writable = True, False
        if writable:
            self._flush()
        if readable:
            self._receive()
        return readable or writable

    # -- writing ---------------------------------------------------------------------------------

    def _collect(self, data: bytes) -> None:
        """Put bytes in the outbox; with the lock held, so that frames keep their order."""
        if data:
            self._outbox.append(data)

    def _flush(self) -> None:
        """Write as much of the outbox as fits now, unless the code below a signal handler will.

        The first of it may be a part of a frame, and an interrupt between writing and noting how
        much was written ends the connection: the rest could not follow.
        """
        while self._outbox and not self._writing_here():
            with self._write_lock:  # its holder never sleeps, and calls nobody's code
                if not self._write():
                    return

    def _write(self) -> bool:
        """Write what is in the outbox; ``False`` if the socket takes no more."""
        outbox = self._outbox
        try:
            self._full = False
            while outbox:
                data = outbox[0]
                sent = self._socket.send(data)
                self._written += sent
                if sent < len(data):
                    outbox[0] = memoryview(data)[sent:]
                    self._full = True
                    return False
                outbox.popleft()
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            outbox.clear()
            self._lose(error)
        except BaseException as interrupt:
            outbox.clear()
            self._lose(interrupt)
            raise
        return True
