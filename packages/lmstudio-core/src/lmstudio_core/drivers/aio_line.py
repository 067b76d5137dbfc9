"""One asyncio socket: the loop's callbacks, its state, and whether the server is still there."""

from __future__ import annotations

import asyncio
import logging
import select
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from ..errors import LMStudioConnectionError, LMStudioError
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.conversations import Conversation
from ..protocol.liveness import Liveness, Pings
from ..protocol.mux import Mux
from ..timeouts import clock
from .loops import at_loop_end, running_loop
from .sync_socket import unsent
from .wire import Wire

__all__ = ["Line"]


logger: Final = logging.getLogger("lmstudio")

_STILL_SECONDS: Final = 0.01
"""A loop that has read nothing for so long, although something has come, stood still."""

_ENDED: Final[int] = sum(
    getattr(select, name, 0) for name in ("POLLHUP", "POLLERR", "POLLNVAL", "POLLRDHUP")
)
"""What ``poll`` says of a socket that the other side has closed or reset."""


class Line(asyncio.Protocol):
    """A socket to one namespace; it belongs to the loop that made it."""

    def __init__(
        self, address: Address, namespace: str, creds: Credentials, pings: Pings | None = None
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = running_loop()
        self.reads: int = 0
        self._seen = 0
        self._written = 0
        self._pings = pings or Pings()
        self._alive = Liveness(self._pings, clock())
        self._watcher: asyncio.TimerHandle | None = None
        self._probe: asyncio.Future[Any] | None = None  # who waits for the next pong
        self._pongs = 0
        self._wire = Wire(address, namespace, creds)
        self._transport: asyncio.Transport | None = None
        self._poll: Callable[[int], list[tuple[int, int]]] | None = None
        self._ignore_loop_end: Callable[[], None] | None = None
        self._outlived_loop = False
        self._heard = 0.0  # when bytes came last, by time.monotonic()
        self._held: list[bytes] = []
        self._opened: asyncio.Future[None] = self.loop.create_future()
        self._gone: asyncio.Future[None] = self.loop.create_future()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def address(self) -> Address:
        """The server's address."""
        return self._wire.address

    # -- callbacks of the loop -------------------------------------------------------------------
    # A loop only logs what its callbacks raise. Here it fails whoever waits.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of ``asyncio.Protocol``."""
        # No isinstance: uvloop's transports, and those of test clients, are of no such class.
        self._transport = stream = cast("asyncio.Transport", transport)
        try:
            self._poll = _poll_of(stream)
            self._ignore_loop_end = at_loop_end(self._on_loop_end)
            if self._wire.closed:  # given up while it was connecting
                stream.abort()
            else:
                self._write_outgoing()
                self._watch()
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            self._break(error)

    def data_received(self, data: bytes) -> None:
        """Part of ``asyncio.Protocol``."""
        try:
            self.reads += 1
            self._heard = time.monotonic()
            self._wake(self._wire.receive(data))
            self._write_outgoing()
            if self._probe is not None and self._wire.pongs != self._pongs:
                _answered(self._probe)
            if self._wire.closed:
                self._end()
            elif self._wire.ready and not self._opened.done():
                self._opened.set_result(None)
        except BaseException as error:  # noqa: BLE001 - what has been filed, nobody knows
            self._break(error)

    def eof_received(self) -> None:
        """Part of ``asyncio.Protocol``."""
        try:
            self._wake(self._wire.receive_eof())
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            self._break(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of ``asyncio.Protocol``."""
        self._poll = None
        try:
            self._wake(self._wire.fail(self._wire.lost(exc or ConnectionError("it was closed"))))
        finally:
            self._writable.set()
            self._stop_watching()
            if self._transport is not None:
                self._transport.close()  # else Python 3.10 complains of a TLS one the peer ended
            for future in (self._opened, self._gone):
                if not future.done():
                    future.set_result(None)
            if self._ignore_loop_end is not None:
                self._ignore_loop_end()

    def pause_writing(self) -> None:
        """Part of ``asyncio.Protocol``."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Part of ``asyncio.Protocol``."""
        self._writable.set()

    def _break(self, error: BaseException) -> None:
        """A callback failed, so that this connection cannot be relied on; Ctrl-C goes on from here."""
        given_up = self._wire.closed  # uvloop's closed transports may refuse what is said last
        waiting = self._wire.fail(lost := self._wire.lost(error))
        self._wake(waiting)
        self._writable.set()
        if not self._opened.done():
            self._opened.set_result(None)
        elif not (waiting or given_up):
            logger.warning("%s", lost, exc_info=error)
        if self._transport is not None:
            self._transport.abort()
        if not isinstance(error, Exception):
            raise error

    def _on_loop_end(self) -> None:
        if not self._wire.closed:
            self._outlived_loop = True
            self.abort(LMStudioConnectionError("The event loop of this connection has ended."))

    @staticmethod
    def _wake(changed: Iterable[Conversation]) -> None:
        for state in changed:
            waiter = state.waiter
            if waiter is not None:
                state.waiter = None
                if not waiter.done():
                    waiter.set_result(None)

    def _write_outgoing(self) -> None:
        self._write(self._wire.outgoing())

    def _write(self, data: bytes) -> None:
        # A transport that has noticed its end tells in the loop's next turn. Until then it takes no
        # more, and after some attempts it says so on stderr.
        if not data or self._transport is None or self.ending:
            return
        try:
            self._written += len(data)
            self._transport.write(data)
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            self._break(error)

    def _end(self) -> None:
        """Nobody has anything to expect of this socket any more."""
        self._stop_watching()
        if not self._opened.done():
            self._opened.set_result(None)
        if self._transport is None or self.ending:
            return
        self._write_outgoing()
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # a server that reads nothing would keep it open for ever
        else:
            self._transport.close()

    # -- state -----------------------------------------------------------------------------------

    @property
    def mux(self) -> Mux:
        """The conversations of this socket."""
        return self._wire.mux

    @property
    def usable(self) -> bool:
        """Whether a new call may use this socket."""
        mux = self._wire.mux
        return not (self._wire.closed or (mux.exhausted and mux.idle) or self.ending)

    @property
    def ending(self) -> bool:
        """Whether the transport is about to be gone; it tells whoever waits by itself."""
        try:
            return self._transport is None or self._transport.is_closing()
        except AttributeError:  # Python 3.10's of TLS has an end of its own before it tells
            return True

    @property
    def unread(self) -> int:
        """What has come that the loop has not taken yet, such as a goodbye; 0 for nothing."""
        events = self._poll(0) if self._poll is not None else ()
        return events[0][1] if events else 0

    @property
    def behind(self) -> bool:
        """Whether the loop should take what has come before the next call."""
        if not (unread := self.unread):
            return False
        # While others wait for answers, something is always on its way; to let each call wait for
        # that would cost a fifth of the calls per second. It matters after the loop stood still.
        still = time.monotonic() - self._heard > _STILL_SECONDS
        return still or bool(unread & _ENDED) or self.mux.idle

    async def catch_up(self) -> None:
        """Let the loop take what has come: after it stood still, a lost connection looks open."""
        for turn in range(6):
            if not (unread := self.unread):
                return
            # In its first turn the loop notices, in the second it reads; more may have come then,
            # which only matters if it is the end. That has to go through TLS, for one.
            if turn > 1 and not unread & _ENDED:
                return
            await asyncio.sleep(0)

    # -- whether the server is still there -------------------------------------------------------

    def _watch(self) -> None:
        """Look soon whether something came. One timer serves for all calls, and ends with them."""
        seconds = self._alive.glance
        if seconds is not None and not self._wire.closed:
            self._watcher = self.loop.call_later(seconds, self._look, seconds)

    def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        if self._probe is not None:
            _answered(self._probe)

    def _look(self, seconds: float) -> None:
        self._watcher = None
        try:
            self._judge(seconds)
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            self._break(error)

    def _judge(self, seconds: float) -> None:
        writing = not self._writable.is_set()
        if self._wire.closed or not (self.mux.awaited or writing or not self._opened.done()):
            return
        transport = self._transport
        left_over = 0 if transport is None or self.ending else transport.get_write_buffer_size()
        taken = 0 if transport is None else unsent(transport.get_extra_info("socket"))
        verdict = self._alive.silent(
            0.0 if self.reads != self._seen else seconds,
            clock(),
            reads=self.reads,
            written=self._written,
            unsent=left_over + taken,
        )
        self._seen = self.reads
        if verdict == "ping":
            self._write(self._wire.ping())
        elif verdict == "dead" and not self.unread:  # a loop that stood still has yet to read
            self._wake(self._wire.fail(self._wire.silent(self._alive.allowed)))
            self._end()
        self._watch()

    @property
    def doubtful(self) -> bool:
        """Whether it was left alone for long, or a call timed out on it: see ``sure``."""
        now = clock()
        return now > self._alive.fresh_until and self._alive.doubtful(now, self.reads)

    async def sure(self) -> bool:
        """Whether the server is there; a doubtful one is asked for a sign of life first.

        One task does it for all; nothing has been sent yet, so nothing is lost.
        """
        if not self.doubtful:
            return True
        self._pongs = self._wire.pongs
        probe = self._probe = self.loop.create_future()
        self._write(self._wire.ping())
        timer = self.loop.call_later(self._pings.probe or 0.0, _answered, probe)
        try:
            await probe
        finally:
            timer.cancel()
            self._probe = None
        self._alive.heard(clock())
        # Not just anything: what comes after a broken frame may be bytes that mean nothing.
        return self._wire.pongs != self._pongs and not self._wire.closed

    def abort(self, failure: LMStudioError) -> None:
        """Close the socket at once; whoever waits gets ``failure``."""
        changed = self._wire.close(failure)
        if not self.loop.is_closed():  # else nobody waits, and nothing can be said
            self._wake(changed)
            self._end()


def _answered(probe: asyncio.Future[Any]) -> None:
    if not probe.done():
        probe.set_result(None)


def _poll_of(transport: asyncio.Transport) -> Callable[[int], list[tuple[int, int]]] | None:
    """What asks the system about the transport's socket, where both have such a thing."""
    socket = transport.get_extra_info("socket")
    number = -1 if socket is None else socket.fileno()
    if number < 0 or not hasattr(select, "poll"):
        return None
    arriving = select.poll()
    arriving.register(number, select.POLLIN | getattr(select, "POLLRDHUP", 0))
    return arriving.poll
