"""The asyncio driver's socket: callbacks of the event loop, no task of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

from ..errors import LMStudioConnectionError, LMStudioError
from ..protocol.address import Address
from ..protocol.auth import Credentials
from ..protocol.mux import CallState, ChannelState, Conversation, Mux
from ..protocol.operations import Endpoint
from .wire import Wire

__all__ = ["Connection", "open_connection"]


class Connection(asyncio.Protocol):
    """An open, authenticated socket to one namespace; belongs to the loop that opened it."""

    def __init__(self, wire: Wire) -> None:
        self.loop = asyncio.get_running_loop()
        self._wire = wire
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = self.loop.create_future()
        self._gone: asyncio.Future[None] = self.loop.create_future()
        self._writable = asyncio.Event()
        self._writable.set()

    # -- callbacks of the loop -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._write_outgoing()

    def data_received(self, data: bytes) -> None:
        """Part of ``asyncio.Protocol``."""
        self._wake(self._wire.receive(data))
        self._write_outgoing()
        if self._wire.closed and self._transport is not None:
            self._transport.close()
        if not self._opened.done() and (self._wire.ready or self._wire.closed):
            self._opened.set_result(None)

    def eof_received(self) -> None:
        """Part of ``asyncio.Protocol``."""
        self._wake(self._wire.receive_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of ``asyncio.Protocol``."""
        self._wake(self._wire.fail(self._wire.lost(exc or ConnectionError("it was closed"))))
        self._writable.set()
        for future in (self._opened, self._gone):
            if not future.done():
                future.set_result(None)

    def pause_writing(self) -> None:
        """Part of ``asyncio.Protocol``."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Part of ``asyncio.Protocol``."""
        self._writable.set()

    @staticmethod
    def _wake(changed: Iterable[Conversation]) -> None:
        for state in changed:
            waiter = state.waiter
            if waiter is not None:
                state.waiter = None
                if not waiter.done():
                    waiter.set_result(None)

    def _write_outgoing(self) -> None:
        data = self._wire.outgoing()
        if data and self._transport is not None:
            self._transport.write(data)

    # -- state -----------------------------------------------------------------------------------

    @property
    def mux(self) -> Mux:
        """The conversations of this socket."""
        return self._wire.mux

    @property
    def usable(self) -> bool:
        """Whether a new call may use this socket."""
        return not self._wire.closed and not (self.mux.exhausted and self.mux.idle)

    async def opened(self) -> None:
        """Wait until the server has accepted this client, or raise what it said instead."""
        await self._opened
        if self._wire.failure is not None:
            raise self._wire.failure

    # -- conversations ---------------------------------------------------------------------------

    def call(self, endpoint: Endpoint, parameter: Any) -> CallState:
        """Send a remote call."""
        state, payload = self.mux.call(endpoint, parameter)
        self._send(payload)
        return state

    def open_channel(self, endpoint: Endpoint, parameter: Any) -> ChannelState:
        """Open a channel."""
        state, payload = self.mux.open_channel(endpoint, parameter)
        self._send(payload)
        return state

    def send(self, state: ChannelState, message: Any) -> None:
        """Send a packet on a channel, if it is still open."""
        payload = self.mux.send(state, message)
        if payload is not None:
            self._send(payload)

    def _send(self, payload: bytes) -> None:
        if self._wire.failure is not None:
            raise self._wire.failure
        assert self._transport is not None
        self._transport.write(self._wire.frame(payload))

    async def drain(self) -> None:
        """Wait until the socket has taken what was written, so that uploads do not pile up."""
        if not self._writable.is_set():
            await self._writable.wait()

    async def wait(self, state: Conversation) -> None:
        """Return once ``state`` has something to take."""
        while not state.ready:
            waiter = state.waiter = self.loop.create_future()
            await waiter

    def abandon(self, state: Conversation, message: Any = None) -> None:
        """Nobody waits for ``state`` any more; ``message`` tells the server to stop.

        It is written at once: a cancelled task may not get to await anything.
        """
        if self.loop.is_closed():
            return
        if message is not None and isinstance(state, ChannelState) and not self._wire.closed:
            self.send(state, message)
        self.mux.abandon(state)

    # -- the end ---------------------------------------------------------------------------------

    def abort(self, failure: LMStudioError) -> None:
        """Close the socket at once; whoever waits gets ``failure``."""
        self._wake(self._wire.close(failure))
        if self._transport is not None and not self.loop.is_closed():
            self._write_outgoing()
            self._transport.close()

    async def aclose(self, failure: LMStudioError) -> None:
        """``abort``, and wait until the socket is gone."""
        self.abort(failure)
        if self._transport is not None:
            await asyncio.shield(self._gone)


async def open_connection(address: Address, namespace: str, creds: Credentials) -> Connection:
    """Open and authenticate a socket.

    Raises:
        LMStudioConnectionError: Nothing listens at the address.
        LMStudioAuthenticationError: The server refused the credentials.
    """
    connection = Connection(Wire(address, namespace, creds))
    tls = ssl.create_default_context() if address.secure else None
    try:
        await connection.loop.create_connection(
            lambda: connection,
            address.host,
            address.port,
            ssl=tls,
            server_hostname=address.host if tls else None,
        )
    except OSError as error:
        raise LMStudioConnectionError(
            f"No server answers at {address}: {error}. Is LM Studio running, with its server on?",
            tried=(str(address),),
        ) from error
    try:
        await connection.opened()
    except BaseException:
        connection.abort(LMStudioConnectionError(f"The connection to {address} was given up."))
        raise
    return connection
