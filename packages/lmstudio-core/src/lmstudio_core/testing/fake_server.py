"""A scripted LM Studio server on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Literal, cast

from typing_extensions import Self
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from ..protocol.operations import VOID
from .fake_socket import (
    NO_ANSWER,
    PATIENCE,
    FakeCall,
    FakeChannel,
    FakeSocket,
    FakeSubscription,
    ServerFailure,
)
from .recorder import Recorder
from .rules import AuthRule, accept

__all__ = ["FakeServer"]

_LOOPBACK: Final = "127.0.0.1"
_WARNING_LIMIT: Final = 5

ChannelScript = Iterable[Any] | Callable[[FakeChannel], Any]


class FakeServer(Recorder):
    """A scripted server. Use it in a ``with`` statement, or call ``start`` and ``stop``.

    What it is asked without a script for, it answers as a real server does: with a warning.

    Attributes:
        auth: Whom it lets in: ``accept``, ``silent``, ``refuse(reason)``, ``require_token(token)``
            or a function of the client's packet.
        handshake: ``None`` opens the WebSocket; a number is an HTTP status to refuse it with;
            ``"silent"`` never answers.
        pages: What it answers to plain HTTP requests: path → (status, JSON value).
        failures: Exceptions that scripts raised by mistake; leaving the ``with`` raises the first.
    """

    def __init__(self, *, auth: AuthRule = accept, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.auth = auth
        self._tls = tls
        self.handshake: int | Literal["silent"] | None = None
        self.pages: dict[str, tuple[int, Any]] = {
            "/lmstudio-greeting": (200, {"lmstudio": True}),
            "/lms-status": (200, {"package": "fake", "version": "0.0.0"}),
        }
        self.failures: list[BaseException] = []
        self.port = 0
        self._scripts: dict[str, Any] = {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    # -- scripts ---------------------------------------------------------------------------------

    def on(self, endpoint: str, reply: Any = VOID) -> None:
        """Answer calls to ``"namespace.name"``.

        Args:
            endpoint: Which.
            reply: The value; ``VOID`` for none; a ``ServerFailure``; ``NO_ANSWER``; or a function
                of the call's parameter that returns (or raises) one of these.
        """
        self._scripts[endpoint] = reply

    def on_channel(self, endpoint: str, script: Any = NO_ANSWER) -> None:
        """Serve channels of ``"namespace.name"``.

        Args:
            endpoint: Which.
            script: The packets, after which the channel is closed; or a function (or coroutine
                function) of the ``FakeChannel``, which it has to end itself; or a
                ``ServerFailure``; or ``NO_ANSWER``, to drive it from the test.
        """
        self._scripts[endpoint] = script

    # -- life ------------------------------------------------------------------------------------

    @property
    def api_host(self) -> str:
        """``"host:port"``; with TLS ``"wss://localhost:port"``."""
        return f"wss://localhost:{self.port}" if self._tls else f"{_LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Listen; after a ``stop``, on the same port as before."""
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(started)), name="fake-server", daemon=True
        )
        self._thread.start()
        started.result(PATIENCE)

    def stop(self) -> None:
        """Close every socket and stop listening; what was recorded stays."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        loop.call_soon_threadsafe(stopping.set)
        thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError("the fake server did not stop")
        self._thread = self._loop = self._stopping = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()
        if exc is None and self.failures:
            raise self.failures[0]

    async def _main(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server: Server = await cast("Any", serve)(  # whose type says too little
                self._serve,
                _LOOPBACK,
                self.port,
                ssl=self._tls,
                process_request=self._answer_http,
                compression=None,
                max_size=None,
                open_timeout=None,
                ping_interval=None,
                close_timeout=1 if self._tls else 0,  # TLS says goodbye, too
            )
        except OSError as error:
            started.set_exception(error)
            return
        self.port = int(next(iter(server.sockets)).getsockname()[1])
        started.set_result(None)
        await self._stopping.wait()
        for socket in self.open_sockets:
            socket.finish(1001)
        server.close()
        # A client in the middle of its handshake has no socket here yet.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name() == "silent handshake":
                task.cancel()
        await server.wait_closed()

    # -- serving ---------------------------------------------------------------------------------

    async def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self.handshake is None:
                return None
            if self.handshake == "silent":
                asyncio.current_task().set_name("silent handshake")  # type: ignore[union-attr]
                await asyncio.get_running_loop().create_future()
            return connection.respond(cast("int", self.handshake), "")
        self._note(lambda: self._page_requests.append(request.path))
        status, value = self.pages.get(request.path, (404, None))
        return connection.respond(status, value if isinstance(value, str) else json.dumps(value))

    async def _serve(self, connection: ServerConnection) -> None:
        path = connection.request.path if connection.request is not None else ""
        socket = FakeSocket(self, connection, path.rpartition("/")[2])
        self._note(lambda: self._sockets.append(socket))
        tasks = {asyncio.ensure_future(socket.write())}
        try:
            if await self._authenticate(socket, connection):
                async for message in connection:
                    self._receive(socket, message, tasks)
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

            def closed() -> None:
                socket.closed = True

            self._note(closed)

    async def _authenticate(self, socket: FakeSocket, connection: ServerConnection) -> bool:
        packet = json.loads(await connection.recv())

        def seen() -> None:
            socket.auth = packet

        self._note(seen)
        reply = self.auth(packet)
        if isinstance(reply, str):
            socket.send_text(reply)
        elif reply is not None:
            socket.send_frame(reply)
            if reply.get("success") is True:
                return True
            socket.close()
        return False

    def _receive(self, socket: FakeSocket, message: str | bytes, tasks: set[Any]) -> None:
        try:
            frame = json.loads(message)
            if not isinstance(message, str):
                raise TypeError("a client sends text messages, not binary ones")
            self._note(lambda: self._frames.append((socket, frame)))
            self._on_frame(socket, frame, tasks)
        except Exception as error:  # noqa: BLE001 - kept, and raised when the server is left
            self.failures.append(error)

    def _on_frame(self, socket: FakeSocket, frame: dict[str, Any], tasks: set[Any]) -> None:
        endpoint = f"{socket.namespace}.{frame.get('endpoint')}"
        match frame["type"]:
            case "rpcCall":
                call = FakeCall(socket, frame["callId"], endpoint, frame.get("parameter", VOID))
                self._note(lambda: self._requests.append(call))
                self._answer_call(call)
            case "channelCreate":
                parameter = frame.get("creationParameter", VOID)
                channel = FakeChannel(socket, frame["channelId"], endpoint, parameter)
                socket.channels[channel.id] = channel
                self._note(lambda: self._requests.append(channel))
                self._run_channel(channel, tasks)
            case "channelSend":
                self._on_channel_send(socket, frame)
            case "signalSubscribe" | "writableSignalSubscribe" as kind:
                parameter = frame.get("creationParameter", VOID)
                writable = kind.startswith("writable")
                subscription = FakeSubscription(
                    socket, frame["subscribeId"], endpoint, parameter, writable=writable
                )
                self._note(lambda: self._requests.append(subscription))
            case "keepAlive":
                socket.send_frame({"type": "keepAliveAck"})
            case _:
                pass

    def _on_channel_send(self, socket: FakeSocket, frame: dict[str, Any]) -> None:
        channel = socket.channels.get(frame["channelId"])
        if channel is None or channel.finished:
            self._warn(
                socket, f"Received channelSend for unknown channel {frame}", "channelUnknown"
            )
        else:
            self._note(lambda: channel.arrived(frame.get("message")))

    @staticmethod
    def _warn(socket: FakeSocket, text: str, kind: str) -> None:
        if socket.warnings_sent < _WARNING_LIMIT:
            socket.warn(text, kind)

    def _answer_call(self, call: FakeCall) -> None:
        name = call.endpoint.partition(".")[2]
        if call.endpoint not in self._scripts:
            text = f"Received rpcCall for unknown endpoint, endpoint = {name}"
            self._warn(call.socket, text, "rpcEndpointUnknown")
            return
        reply = self._scripts[call.endpoint]
        try:
            if callable(reply):
                reply = reply(call.parameter)
        except ServerFailure as failure:
            reply = failure
        if isinstance(reply, ServerFailure):
            call.fail(reply)
        elif reply is not NO_ANSWER:
            call.reply(reply)

    def _run_channel(self, channel: FakeChannel, tasks: set[Any]) -> None:
        name = channel.endpoint.partition(".")[2]
        if channel.endpoint not in self._scripts:
            text = f"Received channelCreate for unknown endpoint, endpoint = {name}"
            self._warn(channel.socket, text, "channelEndpointUnknown")
            return
        script = self._scripts[channel.endpoint]
        if isinstance(script, ServerFailure):
            channel.fail(script)
        elif callable(script):
            self._run_script(channel, script, tasks)
        elif script is not NO_ANSWER:
            channel.send(*script)
            channel.close()

    def _run_script(
        self, channel: FakeChannel, script: Callable[[FakeChannel], Any], tasks: set[Any]
    ) -> None:
        async def run() -> None:
            try:
                result = script(channel)
                if inspect.isawaitable(result):
                    await result
            except ServerFailure as failure:
                channel.fail(failure)
            except Exception as error:  # noqa: BLE001 - kept, and raised when the server is left
                self.failures.append(error)

        tasks.add(asyncio.ensure_future(run()))
