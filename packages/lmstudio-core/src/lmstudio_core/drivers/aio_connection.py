"""The asyncio driver's socket: callbacks of the event loop, no task of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from ..errors import LMStudioConnectionError, LMStudioError, LMStudioRuntimeError
from ..protocol.conversations import CallState, ChannelState, Conversation
from ..protocol.operations import Endpoint
from ..protocol.outcome import own_copy
from ..timeouts import Limits, clock
from .aio_dialing import dial
from .aio_line import Line
from .loops import in_time

__all__ = ["Connection"]


logger: Final = logging.getLogger("lmstudio")

_EXPIRED: Final = object()

_MOST_HELD: Final = 8
"""Requests that are written together: most of a small one's cost is the system call."""


class Connection(Line):
    """A socket to one namespace; ``open`` it first. It belongs to the loop that made it."""

    async def open(self) -> None:
        """Connect and authenticate.

        Raises:
            LMStudioConnectionError: Nothing listens at the address.
            LMStudioWebsocketError: The server refused, or is none.
        """
        try:
            await dial(self.loop, self, self._wire.address)
            await self._opened
            self._check_alive()
        except BaseException:
            self.abort(LMStudioConnectionError("This connection was given up."))
            raise

    def _check_alive(self) -> None:
        if self._wire.failure is not None:
            raise own_copy(self._wire.failure)

    def check_loop(self) -> None:
        """What lives on is used where it was made.

        Raises:
            LMStudioRuntimeError: Another event loop runs here, or none.
        """
        if not self._in_loop():
            raise LMStudioRuntimeError(
                "This belongs to another event loop, or another thread's. Use it where it was made: "
                "asyncio.run_coroutine_threadsafe(…, loop) runs a call there."
            )

    def _in_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:  # none runs here
            return False

    # -- conversations ---------------------------------------------------------------------------

    def call(self, endpoint: Endpoint, parameter: Any, *, soon: bool = False) -> CallState:
        """Send a remote call; ``soon``: when the loop gets to it, together with a few others."""
        state, payload = self.mux.call(endpoint, parameter)
        self._send(payload, soon=soon)
        return state

    def open_channel(self, endpoint: Endpoint, parameter: Any) -> ChannelState:
        """Open a channel."""
        state, payload = self.mux.open_channel(endpoint, parameter)
        self._send(payload)
        return state

    def send(self, state: ChannelState, message: Any) -> None:
        """Send a packet on a channel, if it is still open."""
        self.check_loop()
        payload = self.mux.send(state, message)
        if payload is not None:
            self._send(payload)

    def _send(self, payload: bytes, *, soon: bool = False) -> None:
        self._check_alive()
        held = self._held
        held.append(self._wire.frame(payload))
        if not soon or len(held) >= _MOST_HELD:
            self._write_held()
        elif len(held) == 1:
            self.loop.call_soon(self._write_held)

    def _write_held(self) -> None:
        if self._held and not self._wire.closed:
            self._write(b"".join(self._held))
        self._held.clear()

    @property
    def congested(self) -> bool:
        """Whether ``drain`` would have to wait."""
        return not self._writable.is_set()

    async def drain(self, limits: Limits | None = None) -> None:
        """Wait until the socket has taken what was written, so that uploads do not pile up."""
        if not self._writable.is_set():
            if self._watcher is None:
                self._watch()
            upload = f"the upload to {self._wire.namespace}"
            await in_time(self._writable.wait(), limits, upload)

    async def wait(self, state: Conversation, limits: Limits | None = None) -> None:
        """Return once ``state`` has something to take.

        Raises:
            LMStudioTimeoutError: It took longer than the limits allow.
        """
        if self._watcher is None:
            self._watch()
        before = self.reads
        try:
            while not state.ready:
                waiter = state.waiter = self.loop.create_future()
                longest = None if limits is None else limits.longest_wait
                if limits is None or longest is None:
                    await waiter
                    continue
                # Not asyncio.wait_for: in Python 3.10 it may swallow a cancellation.
                timer = self.loop.call_later(longest, _expire, waiter)
                try:
                    await waiter
                finally:
                    timer.cancel()
                if waiter.result() is _EXPIRED:
                    raise limits.error(state.endpoint)
        except BaseException:
            if self.reads == before:  # given up, and nothing came meanwhile
                self._alive.doubt(before)
            raise
        self._alive.heard(clock())

    def abandon(self, state: Conversation, message: Any = None) -> None:
        """Nobody waits for ``state`` any more; ``message`` tells the server to stop.

        It is written at once: a cancelled task may not get to await anything. Only from another
        thread, where finalizers may run, it is left to the loop.
        """
        if not self._in_loop():
            with contextlib.suppress(
                RuntimeError
            ):  # a loop that is closed has nothing left to tell
                self.loop.call_soon_threadsafe(self.abandon, state, message)
            return
        if message is not None and isinstance(state, ChannelState) and not self._wire.closed:
            self.send(state, message)
        waiter = state.waiter
        self.mux.abandon(state)
        if waiter is not None and not waiter.done():  # a task waits for what another gave up
            waiter.set_result(None)

    # -- the end ---------------------------------------------------------------------------------

    def forsake(self, failure: LMStudioError) -> bool:
        """Close the socket from another thread or a finalizer; whether it was left open."""
        if self._wire.closed:
            return self._outlived_loop
        try:
            # Never at once: finalizers run anywhere, even amid what the loop does.
            self.loop.call_soon_threadsafe(self.abort, failure)
        except RuntimeError:  # the loop was closed by hand; what it left open ends with its objects
            self._wire.fail(failure)
            self._transport = None
        return True

    async def aclose(self, failure: LMStudioError) -> None:
        """``abort``, and wait until the socket is gone."""
        self.abort(failure)
        if self._transport is not None:
            await asyncio.shield(self._gone)


def _expire(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(_EXPIRED)
