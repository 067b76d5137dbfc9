"""One WebSocket without its socket: handshake, authentication, then frames. Used by both drivers.

Framing is the ``websockets`` library's Sans-I/O layer, but for plain text frames: see ``framing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from ..errors import LMStudioConnectionError, LMStudioError
from ..lenient import error_text
from ..protocol.address import Address
from ..protocol.auth import Credentials, auth_request, check_auth_reply, credentials_for
from ..protocol.conversations import Conversation
from ..protocol.mux import Mux
from ..protocol.refusals import early_hint, no_http, path_hint, refused, tls_failed
from ..protocol.replies import NotHttpError, read_reply
from .framing import LARGE, Framer, Masker, Other

__all__ = ["Wire"]

_Stage = Literal["handshake", "auth", "open", "closed"]
_NONE: Final[Sequence[Conversation]] = ()


class Wire:
    """Bytes in, changed conversations out; ``outgoing`` is what to write after every step."""

    def __init__(self, address: Address, namespace: str, creds: Credentials) -> None:
        self.address = address
        self.namespace = namespace
        self.mux: Mux = Mux()
        self.failure: LMStudioError | None = None
        self.closed: bool = False
        """Whether the connection is over; ``failure`` says why, unless this side closed it."""
        self.pongs: int = 0
        self._creds = credentials_for(address, creds)
        self._stage: _Stage = "handshake"
        # One frame may hold a whole file, so there is no limit to a message's size.
        self._protocol = ClientProtocol(parse_uri(address.uri(namespace)), max_size=None)
        self._protocol.debug = False  # it would log the credentials, and what people write
        request = self._protocol.connect()
        for name, value in address.access.headers:
            request.headers.pop(name, None)
            request.headers[name] = value
        self._protocol.send_request(request)
        self._reply = b""
        self._framer = Framer()
        self._masker = Masker()
        self._partial: list[bytes] = []

    @property
    def ready(self) -> bool:
        """Whether the server has accepted this client, so that frames may be sent."""
        return self._stage == "open"

    @property
    def pending(self) -> bool:
        """Whether ``outgoing`` has something: pongs and goodbyes come up while reading."""
        return bool(self._protocol.writes)

    def outgoing(self) -> bytes:
        """Everything to be written now."""
        return b"".join(self._protocol.data_to_send())

    def frame(self, payload: bytes) -> bytes:
        """The bytes of one text message, after what was waiting to be written."""
        protocol = self._protocol
        if len(payload) < LARGE and protocol.state is State.OPEN and not protocol.writes:
            return self._masker.frame(payload)
        protocol.send_text(payload)
        return b"".join(protocol.data_to_send())

    def ping(self) -> bytes:
        """The bytes of a ping; none where the protocol has no place for one (yet, or any more)."""
        if self._protocol.state is State.OPEN and self._stage != "closed":
            self._protocol.send_ping(b"")
        return self.outgoing()

    def receive(self, data: bytes) -> Sequence[Conversation]:
        """Take bytes of the socket; returns the conversations that changed."""
        if self._stage == "handshake":
            return self._on_reply(data)
        protocol = self._protocol
        if protocol.state is not State.OPEN:
            return self._of_library(data)
        take = self.mux.receive if self._stage == "open" else self._on_message
        changed: list[Conversation] = []
        last: Conversation | None = None
        try:
            for piece in self._framer.feed(data):
                if piece.__class__ is not Other:
                    state = take(piece)  # every token comes this way
                    if state is not None and state is not last:
                        changed.append(state)
                        last = state
                    continue
                changed += self._of_library(piece)
                last = None
                if protocol.state is not State.OPEN:
                    break
        except UnicodeDecodeError as error:  # RFC 6455 wants this end
            protocol.fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
            failure = self._lost("it sent text that is not UTF-8")
            failure.__cause__ = error
            return [*changed, *self.fail(failure)]
        return changed

    def _of_library(self, data: bytes) -> Sequence[Conversation]:
        """What is no plain text frame."""
        protocol = self._protocol
        protocol.receive_data(data)
        changed: list[Conversation] = []
        for event in protocol.events_received():
            if isinstance(event, Frame):
                state = self._on_frame(event)
                if state is not None:
                    changed.append(state)
            elif isinstance(event, Response):
                self._on_response()
        if protocol.state is not State.OPEN:
            changed += self._on_close()
        return changed

    def receive_eof(self) -> Sequence[Conversation]:
        """The socket has ended."""
        if self._stage == "handshake":
            return self._on_reply(b"", ended=True)
        self._protocol.receive_data(self._framer.rest)
        self._protocol.receive_eof()
        return self.fail(self._lost("the server closed the connection"))

    def fail(self, failure: LMStudioError) -> Sequence[Conversation]:
        """The connection is over for ``failure``; every conversation ends with it."""
        if self._stage == "closed":
            return _NONE
        self._stage = "closed"
        self.closed = True
        self.failure = failure
        return self.mux.fail_all(failure)

    def close(self, failure: LMStudioError) -> Sequence[Conversation]:
        """Say goodbye (``outgoing`` has the frame); conversations end with ``failure``."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
        return self.fail(failure)

    def silent(self, seconds: float) -> LMStudioConnectionError:
        """The exception for a server that says nothing, not even in answer to a ping."""
        return self._lost(
            f"nothing came from the server in {seconds:g} seconds, not even an answer to a ping "
            "(ping_interval= and ping_timeout= of the client say how long to wait)"
        )

    def lost(self, error: BaseException) -> LMStudioConnectionError:
        """The exception for a socket error."""
        if self._stage == "handshake" and "SSL" in type(error).__name__:
            failure = tls_failed(self.address, error, agreed=True)
            failure.__cause__ = error
            return failure
        failure = self._lost(error_text(error))
        failure.__cause__ = error
        return failure

    def _lost(self, reason: str) -> LMStudioConnectionError:
        hint = {"handshake": early_hint, "auth": path_hint}.get(self._stage, _no_hint)(self.address)
        return LMStudioConnectionError(
            f"The connection to {self.address} ({self.namespace}) was lost: {reason}. "
            f"{hint or 'The next call opens a new one.'}",
            tried=(str(self.address),),
        )

    def _on_frame(self, frame: Frame) -> Conversation | None:
        opcode = frame.opcode
        if opcode is Opcode.PONG:
            self.pongs += 1
        if opcode is Opcode.TEXT and frame.fin:
            payload: Any = frame.data  # any buffer will do
            return self._on_message(payload)
        if opcode is Opcode.TEXT:
            self._partial = [bytes(frame.data)]
        elif opcode is Opcode.CONT and self._partial:  # a binary message in parts is ignored
            self._partial.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(self._partial)
                self._partial = []
                return self._on_message(message)
        return None

    def _on_message(self, data: bytes) -> Conversation | None:
        if self._stage == "open":
            return self.mux.receive(data)
        if self._stage == "auth":
            try:
                check_auth_reply(data, self._creds, str(self.address))
            except LMStudioError as error:
                self.close(error)
            else:
                self._stage = "open"
        return None

    def _on_reply(self, data: bytes, *, ended: bool = False) -> Sequence[Conversation]:
        """Bytes of the answer to the handshake. One that refuses is read here, since it says why."""
        self._reply += data
        try:
            reply = read_reply(self._reply, ended=ended)
        except NotHttpError as error:
            return self.fail(no_http(self.address, self.namespace, str(error)))
        if reply is None:
            return _NONE
        if reply.status != 101:
            secrets = (self._creds.passkey,)
            return self.fail(refused(self.address, self.namespace, reply, secrets))
        head, end, frames = self._reply.partition(b"\r\n\r\n")
        self._reply = b""
        self._stage = "auth"
        return [*self._of_library(head + end), *self.receive(frames)]

    def _on_response(self) -> None:
        error = self._protocol.handshake_exc
        if error is not None:
            self.fail(
                no_http(
                    self.address, self.namespace, f"its handshake is wrong ({error_text(error)})"
                )
            )
        elif self._protocol.state is State.OPEN:  # else it was closed in the same breath
            self._protocol.send_text(auth_request(self._creds))

    def _on_close(self) -> Sequence[Conversation]:
        close = self._protocol.close_rcvd
        reason = "the server closed the connection"
        if close is not None and close.reason:
            reason += f" ({close.reason})"
        elif self._protocol.parser_exc is not None:
            reason = f"it sent what is no WebSocket frame ({self._protocol.parser_exc})"
        return self.fail(self._lost(reason))


def _no_hint(_: Address) -> str:
    return ""
