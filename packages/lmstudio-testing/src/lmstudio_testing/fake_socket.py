"""The scripted server's side of one socket, and of the requests that came over it.

Everything that sends may be called from any thread, returns at once, and keeps its order: what a
test writes in three lines arrives in these three steps.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from lmstudio_core.lazy import lazy_hints
from lmstudio_core.lenient import as_mapping
from lmstudio_core.protocol.frames import encode_frame
from lmstudio_core.protocol.operations import VOID

if TYPE_CHECKING:
    from .local_server import LocalServer


PATIENCE: Final = 20.0
"""Seconds after which a wait gives up; a failsafe, no test should come near it."""

_Action = Callable[[], Awaitable[None]]


class _NoAnswer:
    def __repr__(self) -> str:
        return "NO_ANSWER"


NO_ANSWER: Final = _NoAnswer()  # public
"""As a script: the request stays unanswered, unless the test answers it by hand."""


class ServerFailure(Exception):  # noqa: N818 - the server's failure, not one of this package  # public
    """As a script or raised in one: the server answers with this error.

    Args:
        title: What happened.
        fields: More keys of the error object, such as ``cause`` and ``displayData``.
    """

    def __init__(self, title: str, **fields: Any) -> None:
        super().__init__(title)
        self.error: dict[str, Any] = {"title": title, **fields}


def error_object(error: ServerFailure | Mapping[str, Any] | str) -> Any:
    """The wire form of what a test gave as an error."""
    if isinstance(error, ServerFailure):
        return error.error
    return {"title": error} if isinstance(error, str) else error


_HINTS: Final = {"LocalServer": f"{__package__}.local_server:LocalServer"}


@lazy_hints
class FakeSocket:  # public
    """One open socket. ``auth`` is the packet by which the client said who it is."""

    def __init__(self, server: LocalServer, connection: ServerConnection, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self.auth: Mapping[str, Any] = {}
        self.closed = False
        self.warnings_sent: int = 0
        self.channels: dict[int, FakeChannel] = {}
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._outbox: asyncio.Queue[_Action] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"<FakeSocket {self.namespace}{' closed' if self.closed else ''}>"

    async def write(self) -> None:
        """Carry out what was asked for, in order, until the socket is gone."""
        try:
            while True:
                await (await self._outbox.get())()
        except ConnectionClosed:
            pass

    def _do(self, action: _Action) -> None:
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, action)

    def send_text(self, text: str | bytes) -> None:
        """Send one text message as it is, sense or nonsense."""
        self._do(lambda: self._connection.send(text, text=True))

    def send_frame(self, frame: Mapping[str, Any]) -> None:
        """Send one frame; keys whose value is ``VOID`` are left out."""
        self.send_text(encode_frame(frame))

    def send_fragments(self, parts: Iterable[str]) -> None:
        """Send one text message in several WebSocket frames."""
        parts = list(parts)
        self._do(lambda: self._connection.send(parts))

    def send_binary(self, data: bytes) -> None:
        """Send one binary message, which clients ignore."""
        self._do(lambda: self._connection.send(data))

    def send_raw(self, data: bytes) -> None:
        """Write bytes past the WebSocket layer."""

        async def action() -> None:
            self._connection.transport.write(data)

        self._do(action)

    def warn(self, text: str, kind: str | None = None) -> None:
        """Send a ``communicationWarning``."""
        self.warnings_sent += 1
        self.send_frame(
            {
                "type": "communicationWarning",
                "warning": text,
                "kind": VOID if kind is None else kind,
            }
        )

    def ping(self) -> Future[float]:
        """Send a ping; the future gets the seconds until the pong, or the loss of the socket."""
        answer: Future[float] = Future()

        def done(waiter: asyncio.Future[float]) -> None:
            if waiter.cancelled():
                answer.cancel()
            elif (error := waiter.exception()) is not None:
                answer.set_exception(error)
            else:
                answer.set_result(waiter.result())

        async def action() -> None:
            waiter = await self._connection.ping()
            asyncio.ensure_future(waiter).add_done_callback(done)

        self._do(action)
        return answer

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and end the connection, without waiting for the client's goodbye."""

        async def action() -> None:
            self.finish(code, reason)

        self._do(action)

    def drop(self) -> None:
        """Cut the connection without a word."""

        async def action() -> None:
            self._connection.transport.abort()

        self._do(action)

    def finish(self, code: int, reason: str = "") -> None:
        """``close`` for the server's own thread."""
        connection = self._connection
        if connection.protocol.state.name == "OPEN":
            connection.protocol.send_close(code, reason)
            for data in connection.protocol.data_to_send():
                if data:
                    connection.transport.write(data)
        try:
            unsent = connection.transport.get_write_buffer_size()
        except AttributeError:  # Python 3.10's of TLS is at an end before it tells
            unsent = 0
        if unsent:
            connection.transport.abort()  # a client that does not read gets no goodbye
        else:
            connection.transport.close()

    def pause_reading(self) -> None:
        """Take nothing more from the network, so that what the client sends piles up."""
        self._now(self._connection.transport.pause_reading)

    def resume_reading(self) -> None:
        """Read again."""
        self._now(self._connection.transport.resume_reading)

    def _now(self, action: Callable[[], None]) -> None:
        async def run() -> None:
            action()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def wait_until_closed(self, timeout: float = PATIENCE) -> None:
        """Wait until this socket is gone."""
        self.server.wait_for(lambda: self.closed, f"{self!r} to be closed", timeout)


class FakeRequest:  # public
    """What a client asked for: ``endpoint`` as ``"namespace.name"``, ``VOID`` for no parameter."""

    kind: str = ""

    def __init__(self, socket: FakeSocket, identifier: int, endpoint: str, parameter: Any) -> None:
        self.socket = socket
        self.id = identifier
        self.endpoint = endpoint
        self.parameter = parameter

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.endpoint} {self.id}>"


class FakeCall(FakeRequest):  # public
    """A remote call."""

    kind = "rpc"

    def reply(self, value: Any = VOID) -> None:
        """Answer it."""
        self.socket.send_frame({"type": "rpcResult", "callId": self.id, "result": value})

    def fail(self, error: ServerFailure | Mapping[str, Any] | str) -> None:
        """Answer it with an error."""
        frame = {"type": "rpcError", "callId": self.id, "error": error_object(error)}
        self.socket.send_frame(frame)


@lazy_hints
class FakeChannel(FakeRequest):  # public
    """A channel; ``messages`` are those of the client, ``finished`` says that the server ended it."""

    kind = "channel"

    def __init__(self, socket: FakeSocket, identifier: int, endpoint: str, parameter: Any) -> None:
        super().__init__(socket, identifier, endpoint, parameter)
        self.messages: list[Any] = []
        self.finished: bool = False
        self._taken = 0
        self._arrived = asyncio.Event()

    def send(self, *packets: Any) -> None:
        """Send packets."""
        for packet in packets:
            frame = {"type": "channelSend", "channelId": self.id, "message": packet}
            self.socket.send_frame(frame)

    def close(self) -> None:
        """End the channel."""
        self.finished = True
        self.socket.send_frame({"type": "channelClose", "channelId": self.id})

    def fail(self, error: ServerFailure | Mapping[str, Any] | str) -> None:
        """End the channel with an error."""
        self.finished = True
        frame = {"type": "channelError", "channelId": self.id, "error": error_object(error)}
        self.socket.send_frame(frame)

    def arrived(self, message: Any) -> None:
        """A message of the client's; called by the server."""
        self.messages.append(message)
        self._arrived.set()

    async def next_message(self) -> Any:
        """The client's next message, for scripts that are coroutine functions."""
        while len(self.messages) <= self._taken:
            self._arrived.clear()
            await self._arrived.wait()
        self._taken += 1
        return self.messages[self._taken - 1]

    def wait_for_message(self, kind: str | None = None, timeout: float = PATIENCE) -> Any:
        """Wait for a message of the client's (of that ``type``), for tests; the first such one."""

        def find() -> list[Any]:
            if kind is None:
                return self.messages[:1]
            return [m for m in self.messages if as_mapping(m).get("type") == kind][:1]

        what = f"a message {kind or ''} on {self!r}, which got {json.dumps(self.messages)[:300]}"
        found: list[Any] = self.server.wait_for(find, what, timeout)
        return found[0]

    @property
    def server(self) -> LocalServer:
        """The server that it came to."""
        return self.socket.server
