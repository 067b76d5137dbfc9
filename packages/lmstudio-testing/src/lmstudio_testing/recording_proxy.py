"""A server between a program and a real one: it passes everything on, and records it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from lmstudio_core.client.network import Network
from lmstudio_core.drivers.dialing import dial, tls_context
from lmstudio_core.lenient import as_mapping, error_text
from lmstudio_core.protocol.address import FoundServer, parse_api_host
from lmstudio_core.protocol.operations import VOID

from .fake_socket import FakeCall, FakeChannel, FakeRequest, FakeSocket
from .local_server import LocalServer
from .recordings import RecordedRequest, Recording, Scrubber

_quiet = logging.getLogger("lmstudio.recording_proxy")
_quiet.setLevel(logging.INFO)  # websockets would log headers, and what people write

_PATIENCE: Final = 20.0
"""Seconds that the server may take to answer."""

_IDS: Final = {
    "rpcResult": "callId",
    "rpcError": "callId",
    "channelSend": "channelId",
    "channelClose": "channelId",
    "channelError": "channelId",
}


class RecordingProxy(LocalServer):  # public
    """Stands before a server and records what a program and that server say to each other.

    Any client may use it: its ``api_host`` takes the place of the server's. Authentication passes
    through and is not recorded; credentials in requests and answers are replaced by ``***``.

    Args:
        target: ``"host:port"`` of the server, or all that ``Client`` takes for one; headers,
            certificates and proxies are those of the environment.
        path: The file to write when the ``with`` block ends; ``None`` writes none.
        secrets: More texts to hide.
        keep_timings: Whether to keep what differs in every run: speeds, durations, times of use.

    Example:
        >>> with RecordingProxy(client.api_host, "session.jsonl") as proxy:
        ...     with Client(proxy.api_host) as recorded:
        ...         _ = recorded.llm.model("pocket").respond("Hi")
        >>> with FakeServer() as server, Client(server.api_host) as replayed:
        ...     server.replay("session.jsonl")
        ...     _ = replayed.llm.model("pocket").respond("Hi")
    """

    scripted: ClassVar[bool] = False

    def __init__(
        self,
        target: str,
        path: str | Path | None = None,
        *,
        secrets: Iterable[str] = (),
        keep_timings: bool = False,
    ) -> None:
        super().__init__()
        self._address = Network().to(parse_api_host(target), written=True)
        self.target: str = str(self._address)  # without the password that it may hold
        self._path = path
        hidden = (*secrets, *self._address.secrets)
        self._scrubber = Scrubber(hidden, keep_timings=keep_timings)
        self._recorded: list[RecordedRequest] = []
        self._recording_lock = threading.Lock()

    @property
    def api_host(self) -> str:
        """``"host:port"``; where the server came with a token, so does this."""
        here, found = super().api_host, self._address.found
        return here if found is None else FoundServer(here, found.api_token, found.alive)

    @property
    def recording(self) -> Recording:
        """What was recorded so far."""
        with self._recording_lock:
            return Recording(
                [
                    RecordedRequest(one.kind, one.endpoint, one.parameter, list(one.steps))
                    for one in self._recorded
                ]
            )

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()
        if self._path is not None and exc is None:
            self.recording.save(self._path)
        if exc is None:
            self.check()

    async def _serve(self, connection: ServerConnection) -> None:
        path = connection.request.path if connection.request is not None else ""
        socket = FakeSocket(self, connection, path.rpartition("/")[2])
        self._note(lambda: self._sockets.append(socket))
        writing = asyncio.ensure_future(socket.write())
        tape = _Tape(self, socket)
        try:
            async with connect(
                self._address.uri(socket.namespace),
                sock=await asyncio.to_thread(dial, replace(self._address, secure=False), _PATIENCE),
                ssl=tls_context(self._address) if self._address.secure else None,
                additional_headers=self._address.access.headers,
                logger=_quiet,
                compression=None,
                max_size=None,
                ping_interval=None,
                close_timeout=1,
            ) as upstream:
                pumps = [
                    asyncio.ensure_future(self._to_server(connection, upstream, tape)),
                    asyncio.ensure_future(self._to_client(upstream, socket, tape)),
                ]
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
            upstream.transport.close()  # else Python 3.10 complains of one whose TLS peer went first
        except (OSError, InvalidHandshake) as error:
            self.failures.append(
                ConnectionError(
                    f"RecordingProxy: nothing answers at {self.target}: {error_text(error)}"
                )
            )
        finally:
            tape.lost()
            socket.finish(1001)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

            def closed() -> None:
                socket.closed = True

            self._note(closed)

    async def _to_server(self, connection: ServerConnection, upstream: Any, tape: _Tape) -> None:
        first = True
        try:
            async for message in connection:
                if first:
                    tape.authentication(message)
                    first = False
                else:
                    tape.asked(message)
                    message = self.outgoing(tape.namespace, message)
                await upstream.send(message)
        except ConnectionClosed:
            pass

    async def _to_client(self, upstream: Any, socket: FakeSocket, tape: _Tape) -> None:
        first = True
        try:
            async for message in upstream:
                if not first:
                    tape.came(message)
                first = False
                socket.send_text(message)
            socket.close()
            await asyncio.get_running_loop().create_future()  # until the client has it and goes
        except ConnectionClosed:
            pass

    def outgoing(self, namespace: str, message: str | bytes) -> str | bytes:
        """What goes to the server for a client's message; here, the message itself."""
        del namespace
        return message

    def note_request(self, request: FakeRequest, recorded: RecordedRequest) -> None:
        """A request came; called by the tape of its socket."""
        self._note(lambda: self._requests.append(request))
        with self._recording_lock:
            self._recorded.append(recorded)

    def note_step(self, recorded: RecordedRequest, step: dict[str, Any]) -> None:
        """Something happened to a request; called by the tape of its socket."""
        clean = self._scrubber.clean(step)
        with self._recording_lock:
            recorded.steps.append(clean)

    def note_frame(self, socket: FakeSocket, frame: Any) -> None:
        """A frame of the client's; called by the tape of its socket."""
        self._note(lambda: self._frames.append((socket, frame)))

    def note_message(self, request: FakeRequest, message: Any) -> None:
        """A message of the client's on a channel; called by the tape of its socket."""
        if isinstance(request, FakeChannel):
            self._note(lambda: request.messages.append(message))

    @property
    def scrubber(self) -> Scrubber:
        """What takes credentials out."""
        return self._scrubber


class _Tape:
    """What was said over one socket."""

    def __init__(self, proxy: RecordingProxy, socket: FakeSocket) -> None:
        self._proxy = proxy
        self._socket = socket
        self._open: dict[tuple[str, int], tuple[FakeRequest, RecordedRequest]] = {}

    @property
    def namespace(self) -> str:
        """The server's namespace that the socket is for."""
        return self._socket.namespace

    def authentication(self, message: Any) -> None:
        """The client's first message: not kept, and what is in it is hidden everywhere else."""
        packet = as_mapping(_read(message))
        self._socket.auth = packet
        self._proxy.scrubber.hide(packet.get("clientIdentifier"))
        self._proxy.scrubber.hide(packet.get("clientPasskey"))

    def asked(self, message: Any) -> None:
        """A frame of the client's."""
        frame = as_mapping(_read(message))
        self._proxy.note_frame(self._socket, frame)
        endpoint = f"{self._socket.namespace}.{frame.get('endpoint')}"
        match frame.get("type"):
            case "rpcCall":
                call = FakeCall(
                    self._socket, frame["callId"], endpoint, frame.get("parameter", VOID)
                )
                self._begin("callId", call)
            case "channelCreate":
                parameter = frame.get("creationParameter", VOID)
                channel = FakeChannel(self._socket, frame["channelId"], endpoint, parameter)
                self._begin("channelId", channel)
            case "channelSend":
                found = self._open.get(("channelId", frame["channelId"]))
                if found is not None:
                    self._proxy.note_message(found[0], frame.get("message"))
                    self._proxy.note_step(found[1], {"sent": frame.get("message")})
            case _:
                pass

    def _begin(self, id_key: str, request: FakeRequest) -> None:
        parameter = request.parameter
        if parameter is not VOID:
            parameter = self._proxy.scrubber.clean(parameter)
        recorded = RecordedRequest(request.kind, request.endpoint, parameter)
        self._open[id_key, request.id] = request, recorded
        self._proxy.note_request(request, recorded)

    def came(self, message: Any) -> None:
        """A frame of the server's."""
        frame = as_mapping(_read(message))
        kind = str(frame.get("type"))
        if kind == "communicationWarning":
            self._warned(frame)
            return
        id_key = _IDS.get(kind)
        found = None if id_key is None else self._open.get((id_key, frame.get(id_key, -1)))
        if id_key is None or found is None:
            return
        self._proxy.note_step(found[1], _step(kind, frame))
        if kind != "channelSend":
            del self._open[id_key, frame[id_key]]

    def _warned(self, frame: Any) -> None:
        """A warning carries no id: it is for the oldest open request that its text names."""
        text = str(frame.get("warning"))
        for key, (request, recorded) in list(self._open.items()):
            if request.endpoint.partition(".")[2] in text and not recorded.steps:
                self._proxy.note_step(recorded, {"warning": text, "kind": frame.get("kind", VOID)})
                del self._open[key]
                return

    def lost(self) -> None:
        """The connection ended, and whatever was open on it."""
        for _, recorded in self._open.values():
            cancelled = any("sent" in step for step in recorded.steps)
            if not cancelled:
                self._proxy.note_step(recorded, {"lost": True})
        self._open.clear()


def _step(kind: str, frame: Any) -> dict[str, Any]:
    match kind:
        case "rpcResult":
            return {"result": frame["result"]} if "result" in frame else {"void": True}
        case "rpcError" | "channelError":
            return {"error": frame.get("error")}
        case "channelSend":
            return {"packet": frame.get("message")}
        case _:
            return {"closed": True}


def _read(message: Any) -> Any:
    try:
        return json.loads(message)
    except ValueError:
        return None
