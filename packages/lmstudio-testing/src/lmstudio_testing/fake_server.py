"""A scripted LM Studio server on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from lmstudio_core.lenient import error_text
from lmstudio_core.protocol.operations import VOID

from .fake_models import FakeEmbeddingModel, FakeLlm
from .fake_socket import NO_ANSWER, FakeCall, FakeChannel, FakeRequest, FakeSocket, ServerFailure
from .local_server import LocalServer
from .model_endpoints import ANY, FakeModels
from .recordings import Recording
from .replay import Replay, ReplayMismatchError
from .rules import AuthRule, accept
from .scripts import UnscriptedRequestError

_WARNING_LIMIT: Final = 5
_UNKNOWN: Final = object()


class FakeServer(LocalServer):  # public
    """A scripted server. Use it in a ``with`` statement, or call ``start`` and ``stop``.

    ``llm()`` and ``embedding()`` script models; ``on`` and ``on_channel`` single endpoints. What it
    is asked without a script for, it answers as a real server does: with a warning; a ``strict``
    one remembers it as a failure, too, which ``check()`` and the end of the ``with`` block raise.

    Attributes:
        auth: Whom it lets in: ``accept``, ``silent``, ``refuse(reason)``, ``require_token(token)``
            or a function of the client's packet.
        strict: Whether a request without a script is a failure, whatever the program makes of the
            error; the pytest fixture's is.

    Example:
        >>> with FakeServer() as server, Client(server.api_host) as client:
        ...     _ = server.llm().respond("Hello!")
        ...     print(client.llm.model("any").respond("Hi"))
        Hello!
    """

    scripted: ClassVar[bool] = True

    def __init__(
        self,
        *,
        auth: AuthRule = accept,
        tls: ssl.SSLContext | None = None,
        strict: bool = False,
    ) -> None:
        super().__init__(tls=tls)
        self.auth = auth
        self.strict = strict
        self._scripts: dict[str, Any] = {}
        self._models = FakeModels(self)
        self._replay: Replay | None = None

    # -- models ----------------------------------------------------------------------------------

    def llm(self, key: str = ANY, *, loaded: bool = True, **info: Any) -> FakeLlm:
        """A language model; the same object whenever it is called with the same key.

        Args:
            key: Its model key. Without it, any model that the program asks for.
            loaded: Whether it is loaded already; if not, it is loaded when it is asked for.
            info: More of its info, by the server's names: ``vision=True``, ``contextLength=512``.

        Returns:
            The model, whose ``respond``, ``call_tool``, ``fail`` and others say what it answers.
        """
        return self._models.add(FakeLlm, key, loaded=loaded, info=info)

    def embedding(
        self, key: str = ANY, *, loaded: bool = True, dimensions: int | None = None, **info: Any
    ) -> FakeEmbeddingModel:
        """An embedding model; see ``llm``. Its vectors are the same in every run.

        Args:
            key: Its model key. Without it, any model that the program asks for.
            loaded: Whether it is loaded already.
            dimensions: The length of its vectors; 8 if nothing is said.
            info: More of its info, by the server's names.
        """
        model = self._models.add(FakeEmbeddingModel, key, loaded=loaded, info=info)
        if dimensions is not None:
            model.dimensions = dimensions
        return model

    def assert_all_used(self) -> None:
        """Every scripted answer was given; those with ``times=None`` at least once.

        Raises:
            AssertionError: Which were not.
        """
        left = self._models.unused() + (self._replay.unused if self._replay is not None else [])
        if left:
            raise AssertionError("Scripted answers that nobody asked for: " + "; ".join(left))

    def replay(self, recording: str | Path | Recording) -> None:
        """Answer as a recorded session did; ``RecordingProxy`` records one.

        Every recorded request is answered once, in whatever order they come. A request that is
        not in the recording fails, and says in what it differs. What ``on``, ``on_channel`` and
        scripted models answer is answered by them.

        Args:
            recording: The file, or the recording itself.

        Raises:
            ValueError: The file is no recording.
        """
        given = recording if isinstance(recording, Recording) else Recording.load(recording)
        self._replay = Replay(given)

    # -- scripts ---------------------------------------------------------------------------------

    def on(self, endpoint: str, reply: Any = VOID) -> None:
        """Answer calls to ``"namespace.name"``.

        Args:
            endpoint: Which.
            reply: The value; ``VOID`` for none; a ``ServerFailure``; ``NO_ANSWER``; or a function
                of the call's parameter that returns (or raises) one of these.

        Raises:
            ValueError: The endpoint names no namespace.
        """
        self._scripts[_full(endpoint)] = reply

    def on_channel(self, endpoint: str, script: Any = NO_ANSWER) -> None:
        """Serve channels of ``"namespace.name"``.

        Args:
            endpoint: Which.
            script: The packets, after which the channel is closed; or a function (or coroutine
                function) of the ``FakeChannel``, which it has to end itself; or a
                ``ServerFailure``; or ``NO_ANSWER``, to drive it from the test.

        Raises:
            ValueError: The endpoint names no namespace.
        """
        self._scripts[_full(endpoint)] = script

    # -- serving ---------------------------------------------------------------------------------

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

    def _unexpected(self, request: FakeRequest, text: str, kind: str) -> None:
        """A request without a script."""
        if self.strict:
            asked = f"FakeServer was asked for {request.endpoint}, which the test has no script for"
            self.failures.append(UnscriptedRequestError(f"{asked}.{_hint(request)}"))
        self._warn(request.socket, text, kind)

    @staticmethod
    def _warn(socket: FakeSocket, text: str, kind: str) -> None:
        if socket.warnings_sent < _WARNING_LIMIT:
            socket.warn(text, kind)

    def _script_of(self, endpoint: str) -> Any:
        models = self._models.endpoints.get(endpoint, _UNKNOWN)
        return self._scripts.get(endpoint, models)

    def _answer_call(self, call: FakeCall) -> None:
        name = call.endpoint.partition(".")[2]
        reply = self._script_of(call.endpoint)
        if reply is _UNKNOWN and self._replay is not None:
            self._replay_call(call, self._replay)
            return
        if reply is _UNKNOWN:
            text = f"Received rpcCall for unknown endpoint, endpoint = {name}{_hint(call)}"
            self._unexpected(call, text, "rpcEndpointUnknown")
            return
        try:
            if callable(reply):
                reply = reply(call.parameter)
        except ServerFailure as failure:
            reply = failure
        except Exception as error:  # noqa: BLE001 - kept, and raised when the server is left
            reply = self._mistake(error)
        if isinstance(reply, ServerFailure):
            call.fail(reply)
        elif reply is not NO_ANSWER:
            call.reply(reply)

    def _replay_call(self, call: FakeCall, replay: Replay) -> None:
        try:
            replay.answer(call)
        except ReplayMismatchError as error:
            call.fail(self._mistake(error))

    def _mistake(self, error: Exception) -> ServerFailure:
        """A script raised by mistake: the program that waits for it is not left waiting."""
        self.failures.append(error)
        if isinstance(error, ReplayMismatchError):
            return ServerFailure(f"FakeServer: {error}")
        return ServerFailure(f"The script raised {error_text(error, named=True)}")

    def _run_channel(self, channel: FakeChannel, tasks: set[Any]) -> None:
        name = channel.endpoint.partition(".")[2]
        script = self._script_of(channel.endpoint)
        if script is _UNKNOWN and self._replay is not None:
            script = self._replay.run
        if script is _UNKNOWN:
            text = f"Received channelCreate for unknown endpoint, endpoint = {name}{_hint(channel)}"
            self._unexpected(channel, text, "channelEndpointUnknown")
            return
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
                channel.fail(self._mistake(error))

        tasks.add(asyncio.ensure_future(run()))


def _hint(request: FakeRequest) -> str:
    """What to do about a request without a script; the endpoint's name stands before it alone."""
    if isinstance(request, FakeChannel):
        how = f"server.on_channel({request.endpoint!r}, packets)"
    else:
        how = f"server.on({request.endpoint!r}, value)"
    models = ", or a model with server.llm() or server.embedding()"
    scripted = request.endpoint.startswith(("llm.", "embedding."))
    return f" (FakeServer has no script for it: add {how}{models if scripted else ''})"


def _full(endpoint: str) -> str:
    namespace, _, name = endpoint.partition(".")
    if not namespace or not name:
        raise ValueError(
            f"An endpoint is 'namespace.name', such as 'llm.predict'; not {endpoint!r}."
        )
    return endpoint
