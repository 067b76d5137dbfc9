"""The blocking driver's connection: any number of threads, and no thread of its own in the way.

Whoever waits reads. One waiting thread at a time is the *leader*: it waits for the socket and files
what comes for everybody, the others are parked until their conversation changes or they are handed
the lead. For the usual single caller this saves two thread switches per answer. The leader also asks
a server that has long been silent for a sign of life. Between calls nobody reads; the client's
``Keeper`` looks after sockets left alone, so that a server's pings are answered.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from ..errors import LMStudioTimeoutError
from ..protocol.conversations import CallState, ChannelState, Conversation
from ..protocol.operations import Endpoint
from ..protocol.outcome import own_copy
from ..timeouts import Limits, clock, sync_limits, using
from .locks import process, sleep_until_released, take
from .sync_line import Line

__all__ = ["Connection"]

_SLICE: Final = 0.05
"""Seconds after which a writer that is stuck looks whether it has become the one to read."""


class Connection(Line):
    """A socket to one namespace, connected; ``open`` authenticates it."""

    def open(self) -> None:
        """Do both handshakes. Another thread may ``close`` the connection meanwhile.

        Raises:
            LMStudioWebsocketError: The server refused, or is none.
            LMStudioTimeoutError: The server said nothing within the sync timeout.
            LMStudioConnectionError: It said nothing for as long as a ping and its answer may take.
        """
        limits = sync_limits()
        with self._lock:
            self._leader = threading.get_ident()
            self._collect(self._wire.outgoing())
        try:
            self._flush()
            while not self._wire.ready:
                self._check_alive()
                if not self._watch(_deadline(limits.longest_wait)):
                    raise limits.error(Endpoint(self._wire.namespace, "authentication"))
        finally:
            self._hand_over()

    # -- before it is used -----------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether a new call may use this socket; looks whether the server has closed it.

        Several threads that ask at once wait for the first of them to have read what there is.
        Not to be asked by who has ``entered``.
        """
        if self._wire.closed or self._pid != process.id:
            return False
        if self.mux.exhausted and self.mux.idle:
            return False
        if self._leader is None:  # a leader finds out by itself
            with self._lock:
                self._catch_up()
            if self._posted:
                self._settle()
        return not self._wire.closed

    @property
    def doubtful(self) -> bool:
        """Whether it was left alone for long, or a call timed out on it: see ``sure``."""
        now = clock()
        return now > self._alive.fresh_until and self._alive.doubtful(now, self.reads)

    def sure(self) -> bool:
        """Whether the server is there; a doubtful one is asked for a sign of life first.

        One thread does it for all; nothing has been sent yet, so nothing is lost.

        Raises:
            LMStudioTimeoutError: The limits of the call allow less time than a probe may take.
        """
        if not self.doubtful:
            return True
        limits = sync_limits()
        longest = limits.longest_wait
        seconds = self._pings.probe or 0.0
        probe = Conversation(0, Endpoint(self._wire.namespace, "ping"))
        with self._lock:
            self._pongs = self._wire.pongs
            self._probe = probe
            self._collect(self._wire.ping())
        self._flush()
        try:
            with using(Limits(seconds if longest is None else max(min(seconds, longest), 1e-6))):
                self.wait(probe)
        except LMStudioTimeoutError:
            if longest is not None and longest < seconds:
                raise limits.error(probe.endpoint, longest) from None
        # Not just anything: what comes after a broken frame may be bytes that mean nothing.
        return self._wire.pongs != self._pongs and not self._wire.closed

    def tend(self) -> None:
        """Read what has come while nobody was waiting, and write what is left to be written.

        For the keeper: it never waits for a lock, since ``close`` waits for the keeper.
        """
        if self._pid != process.id:
            return
        got: list[bool] = []
        try:
            if take(got, self._lock):
                self._catch_up()
        finally:
            if True in got:
                self._lock.release()
        self._settle()
        self._flush()

    def _catch_up(self) -> None:
        """Read what there is, unless a leader will; with the lock held."""
        before = self.reads
        while self._leader is None and not self._wire.closed and self._readable(0):
            seen = self.reads
            self._receive()
            if self.reads == seen:  # the end, which is noted as soon as the lock is free
                break
        if self.reads != before:
            self._alive.heard(clock())

    # -- conversations ---------------------------------------------------------------------------

    def call(self, endpoint: Endpoint, parameter: Any) -> CallState:
        """Send a remote call."""
        with self._lock:
            self._check_alive()
            state, payload = self._wire.mux.call(endpoint, parameter)
            self._outbox.append(self._wire.frame(payload))
        self._send()
        return state

    def open_channel(self, endpoint: Endpoint, parameter: Any) -> ChannelState:
        """Open a channel."""
        with self._lock:
            self._check_alive()
            state, payload = self._wire.mux.open_channel(endpoint, parameter)
            self._outbox.append(self._wire.frame(payload))
        self._send()
        return state

    def send(self, state: ChannelState, message: Any) -> None:
        """Send a packet on a channel, if it is still open."""
        if self._pid != process.id or self.entered:
            self._refuse()
        payload = self.mux.send(state, message)
        if payload is not None:
            with self._lock:
                self._check_alive()
                self._outbox.append(self._wire.frame(payload))
            self._send()
            self._check_alive()

    def _send(self) -> None:
        """Write what was put in the outbox."""
        if self._posted:
            self._settle()
        self._flush()
        if self._full:
            self._push()

    def _push(self) -> None:
        """Write to a socket that is full.

        A server that is busy sending may take nothing more before this side has read, so this
        thread reads while it waits, unless another one does.
        """
        me = threading.get_ident()
        led = self._leader == me
        try:
            self._push_on(sync_limits(), me)
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            lost = self._lose(error)
            if isinstance(error, LMStudioTimeoutError):
                raise
            raise own_copy(lost) from error
        except BaseException as interrupt:  # half a frame may be out: the rest cannot follow
            self._lose(interrupt)
            raise
        finally:
            if not led and self._leader == me:
                self._hand_over()
        self._check_alive()

    def _push_on(self, limits: Limits, me: int) -> None:
        limit = limits.idle
        last, written = time.monotonic(), self._written
        while self._outbox and not self._wire.closed:
            with self._lock:
                lead = self._leader in (None, me)
                if lead:
                    self._leader = me
            if self._posted:
                self._settle()
            left = _SLICE if limit is None else min(_SLICE, last + limit - time.monotonic())
            left = max(0.0, left)
            readable, writable = self._socket.wait(left, reading=lead, writing=True)
            if readable:
                self._receive()
            if writable:
                self._flush()
            elif lead and not readable:
                self._ask(left)
            limits.check()
            if self._written != written:
                last, written = time.monotonic(), self._written
            elif limit is not None and time.monotonic() - last >= limit:
                raise TimeoutError(f"the server took no data for {limit:g} seconds")

    # -- waiting ---------------------------------------------------------------------------------

    def wait(self, state: Conversation) -> None:
        """Return once ``state`` has something to take.

        Raises:
            LMStudioTimeoutError: Nothing came for it within the limits that hold.
        """
        if state.ready:
            return
        if self._pid != process.id or self.entered:
            self._refuse()
        limits = sync_limits()
        limit = limits.longest_wait
        deadline = _deadline(limit)
        me = threading.get_ident()
        # A signal handler waits while the code below it, in this very thread, waits as well.
        nested = self._leader == me
        before = self.reads
        try:
            while not self._lead_or_sleep(state, deadline, me):
                if deadline is not None and time.monotonic() >= deadline:
                    self._alive.doubt(self.reads)
                    raise limits.error(state.endpoint, limit)
        finally:
            try:
                self._leave(state, me, nested)
            except BaseException:  # an interrupt here would leave the others without a reader
                self._leave(state, me, nested)
                raise
            if self.reads != before and state.ready:  # else what was heard may be long past
                self._alive.heard(clock())

    def _lead_or_sleep(self, state: Conversation, deadline: float | None, me: int) -> bool:
        """Wait in either role; whether ``state`` is ready."""
        with self._lock:
            if self._leader is None or self._leader == me:
                self._leader, parking = me, None
            else:
                parking = self._park(state)
        if self._posted:
            self._settle()
        if parking is None:
            return self._lead(state, deadline)
        sleep_until_released(parking, deadline)
        return state.ready

    def _lead(self, state: Conversation, deadline: float | None) -> bool:
        """Read for everybody until ``state`` is ready; ``False`` if it is not before the deadline."""
        outer, self._awaited = self._awaited, state
        while not (ready := state.ready) and self._watch(deadline):
            pass
        self._awaited = outer
        return ready

    def _watch(self, deadline: float | None) -> bool:
        """Read once; ``False`` if nothing came before the deadline."""
        while True:
            seconds = self._alive.patience
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if seconds is None or left < seconds:
                    seconds = left
            if self._outbox:
                if self._read_and_write(seconds):
                    return True
            elif self._readable(seconds):
                self._receive()
                return True
            self._ask(seconds or 0.0)
            if self._wire.closed:
                return True

    def _ask(self, seconds: float) -> None:
        """Nothing came in so many seconds: ask for a sign of life, or give the connection up."""
        left_over = sum(map(len, tuple(self._outbox)))
        verdict = self._alive.silent(
            seconds,
            clock(),
            reads=self.reads,
            written=self._written + left_over,
            unsent=self._socket.unsent() + left_over,
        )
        if verdict == "ping":
            with self._lock:
                self._collect(self._wire.ping())
            self._settle()
            self._flush()
        elif verdict == "dead":
            self._lose(self._wire.silent(self._alive.allowed))

    def _park(self, state: Conversation) -> Any:
        """A lock that is released when ``state`` changes or this thread is chosen to lead."""
        parking: Any = threading.Lock()
        if not state.ready:  # it may have changed before this thread got the lock
            state.waiter = self._parked[state] = parking
            parking.acquire()
        return parking

    def _leave(self, state: Conversation, me: int, nested: bool) -> None:
        """This thread stops waiting; if it led, or was chosen to lead next, another one does."""
        with self._lock:
            if state.waiter is not None:
                self._parked.pop(state, None)
                state.waiter = None
            if nested:
                # The code below leads on. What it waits for may have come just now, while it is
                # asleep in the system: the pong will wake it up.
                self._collect(self._wire.ping())
            elif self._leader == me or self._leader is None:
                self._release_lead()
        if self._posted:
            self._settle()
        if nested:
            self._flush()

    def _hand_over(self) -> None:
        with self._lock:
            self._release_lead()
        if self._posted:
            self._settle()

    def _release_lead(self) -> None:
        self._leader = self._awaited = None
        if self._released:
            self._socket.close()
        for waiting, parking in self._parked.items():
            if not waiting.ready:
                del self._parked[waiting]
                parking.release()
                return


def _deadline(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds
