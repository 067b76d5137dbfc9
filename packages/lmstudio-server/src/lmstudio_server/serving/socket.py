"""Drives one WebSocket: moves texts between it and its session, and runs the handlers."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from lmstudio_server.api.endpoint import Call, Channel, Endpoint, Namespace
from lmstudio_server.config import is_loopback
from lmstudio_server.errors import PASSING, WireError, internal
from lmstudio_server.limits import limit_frames
from lmstudio_server.wire.session import (
    AUTH_TIMEOUT_SECONDS,
    ChannelMessage,
    ChannelOpened,
    Entered,
    Event,
    HangUp,
    Reply,
    RpcRequested,
    Session,
    WarningReceived,
    WarningSent,
)

from .http import is_forwarded
from .outgoing import plain_frame

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from websockets.asyncio.server import ServerConnection

    from lmstudio_server.services import Services

__all__ = ["Socket"]

_log = logging.getLogger(__name__)

FIRST_FRAME_BYTES: Final = 8 * 1024
"""Until a client is known, none of its frames may be larger: whoever it is, it costs nothing."""
MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
"""An uploaded file is one frame."""
MAX_CALLS: Final = 1024
"""How many calls of one socket may be unanswered, or their answers unread."""
MAX_CHANNELS: Final = 1024


class Socket:
    """One connection of a client to one namespace."""

    def __init__(
        self, connection: ServerConnection, namespace: Namespace, services: Services
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._services = services
        self._session = Session(namespace.name, namespace.endpoints, services.authenticator)
        self._channels: dict[int, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unanswered = 0
        self._answered = asyncio.Event()
        self._client = ""
        self._trusted = False
        self._revoked = False

    async def run(self) -> None:
        """Serve the socket until it closes; nothing it started outlives this."""
        self._services.presence.entered()
        timer = asyncio.get_running_loop().call_later(
            AUTH_TIMEOUT_SECONDS, lambda: self._spawn(self._auth_timeout())
        )
        try:
            async for message in self._connection:
                if self._revoked:
                    break
                if isinstance(message, str):
                    for event in self._session.receive(message):
                        await self._take(event)
        except ConnectionClosed:
            pass
        finally:
            timer.cancel()
            await self._finish()

    def revoke(self) -> None:
        """End it now: its client may be here no more. What it has asked for stops."""
        self._revoked = True
        for task in list(self._tasks):
            task.cancel()
        # Not by a closing handshake alone, in which the other end could take its time.
        loop = asyncio.get_running_loop()
        closing = loop.create_task(self._connection.close(4001, "the plugin is registered no more"))
        closing.add_done_callback(lambda _: self._connection.transport.abort())

    async def _finish(self) -> None:
        if self._client:
            self._services.plugins.left(self._client, self.revoke)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._session.closed():
            self._services.files.release(self._client)
        self._services.presence.left()

    async def _take(self, event: Event) -> None:
        match event:
            case Reply():
                await self._send(event.text)
            case RpcRequested():
                # Whoever does not read the answers cannot go on to ask: the rest waits in its memory.
                if self._unanswered >= MAX_CALLS:
                    await self._in_turn(self._has_room())
                self._begin_rpc(event)
            case ChannelOpened():
                await self._open_channel(event)
            case ChannelMessage():
                await self._hand_on(event)
            case Entered():
                self._enter(event)
            case WarningReceived():
                self._services.record.warnings_received += 1
                _log.warning("a client warns (%r): %r", event.kind, event.warning)
            case WarningSent():
                self._services.record.warnings_sent += 1
                _log.warning("warned a client (%s): %r", event.kind, event.warning)
            case HangUp():
                _log.info("refused a client of %s: %r", self._namespace.name, event.reason)
                await self._connection.close()

    async def _send(self, text: str) -> None:
        """Send a text; every token goes this way."""
        connection = self._connection
        frame = plain_frame(connection, text)
        if frame is None:
            await connection.send(text)
        else:
            connection.transport.write(frame)

    def _begin_rpc(self, event: RpcRequested) -> None:
        self._unanswered += 1
        self._spawn(self._run_rpc(event)).add_done_callback(self._end_rpc)

    def _end_rpc(self, _task: object) -> None:
        self._unanswered -= 1
        self._answered.set()

    async def _has_room(self) -> None:
        while self._unanswered >= MAX_CALLS:
            self._answered.clear()
            await self._answered.wait()

    async def _hand_on(self, event: ChannelMessage) -> None:
        channel = None if self._revoked else self._channels.get(event.channel_id)
        if channel is not None and channel.inbox.full():
            await self._in_turn(channel.take(event.message))
        elif channel is not None:
            await channel.take(event.message)

    async def _in_turn(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Await what may take long; it is given up when the connection ends in the meantime."""
        task = asyncio.ensure_future(waiting)
        closed = asyncio.ensure_future(self._connection.wait_closed())
        try:
            await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ConnectionClosedError(None, None)
        finally:
            task.cancel()
            closed.cancel()

    def _enter(self, event: Entered) -> None:
        address: Any = self._connection.remote_address
        request = self._connection.request
        local = (
            self._services.config.trust_local
            and bool(address)
            and is_loopback(str(address[0]))
            # What a proxy on this machine passes on comes from anywhere.
            and not (request is not None and is_forwarded(request.headers))
        )
        self._client = event.admission.identifier
        self._trusted = event.admission.trusted or local
        self._services.plugins.entered(self._client, self.revoke)
        limit_frames(self._connection.protocol, MAX_FRAME_BYTES)

    async def _auth_timeout(self) -> None:
        for event in self._session.auth_timed_out():
            await self._take(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        # The reading side notices a closed connection too and ends the socket.
        with suppress(ConnectionClosed):
            await work

    async def _run_rpc(self, event: RpcRequested) -> None:
        endpoint = self._namespace.endpoints[event.endpoint]
        call = Call(self._services, self._namespace.name, self._client, self._trusted)
        session = self._session
        try:
            result = await endpoint.handler(cast("Any", call), event.parameter)
            text = session.rpc_result(event.call_id, result)
        except (ConnectionClosed, *PASSING):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            text = session.rpc_error(event.call_id, self._describe(endpoint, error))
        await self._send(text)

    async def _open_channel(self, event: ChannelOpened) -> None:
        channel_id = event.channel_id
        if len(self._channels) >= MAX_CHANNELS:
            # Not by waiting: a channel may be for good, and what ends it comes by this socket.
            error = WireError(f"{MAX_CHANNELS} channels are open on this socket. End some first.")
            text = self._session.channel_error(channel_id, error.to_wire())
            await self._send(text or "")
            return

        async def send(packet: Mapping[str, Any], /) -> None:
            text = self._session.channel_send(channel_id, packet)
            if text is not None:
                await self._send(text)

        channel = Channel(self._services, self._namespace.name, self._client, self._trusted, send)
        self._channels[channel_id] = channel
        self._spawn(self._run_channel(event, channel))

    async def _run_channel(self, event: ChannelOpened, channel: Channel) -> None:
        endpoint = self._namespace.endpoints[event.endpoint]
        session = self._session
        try:
            await endpoint.handler(channel, event.parameter)
            text = session.channel_close(event.channel_id)
        except (ConnectionClosed, *PASSING):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            text = session.channel_error(event.channel_id, self._describe(endpoint, error))
        finally:
            if self._channels.get(event.channel_id) is channel:
                del self._channels[event.channel_id]
            channel.end()
        if text is not None:
            await self._send(text)

    def _describe(self, endpoint: Endpoint, error: BaseException) -> Mapping[str, Any]:
        name = f"{self._namespace.name}.{endpoint.name}"
        if isinstance(error, WireError):
            _log.info("%s answers with an error: %r", name, str(error))
            return error.to_wire()
        _log.error("%s failed", name, exc_info=error)
        return internal(name, error).to_wire()
