"""The state of one socket: what is open, what has been warned about, what comes next.

A driver hands every text it receives to ``receive`` and carries out the events that come back,
in their order; it sends what the ``rpc_*`` and ``channel_*`` methods return.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from . import frames
from .auth import Admission, Authenticator, parse_credentials
from .frames import ABSENT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AUTH_TIMEOUT_SECONDS",
    "MAX_WARNINGS",
    "ChannelMessage",
    "ChannelOpened",
    "EndpointSpec",
    "Entered",
    "Event",
    "HangUp",
    "InvalidParameterError",
    "Reply",
    "RpcRequested",
    "Session",
    "WarningReceived",
    "WarningSent",
]

MAX_WARNINGS: Final = 5
AUTH_TIMEOUT_SECONDS: Final = 10.0


class InvalidParameterError(ValueError):
    """A parameter or message does not fit its endpoint; the text says where and why."""


class EndpointSpec(Protocol):
    """What the protocol needs to know about an endpoint."""

    @property
    def kind(self) -> Literal["rpc", "channel"]: ...

    @property
    def tells_misfits(self) -> bool:
        """Whether a message that does not fit is an event, too, and not a warning alone."""
        ...

    def read_parameter(self, parameter: Any) -> Any:
        """Check and convert a parameter; raises ``InvalidParameterError``."""

    def read_message(self, message: Any) -> Any:
        """Check and convert a channel message of the client; raises ``InvalidParameterError``."""


@dataclass(frozen=True)
class Reply:
    """Send this text."""

    text: str


@dataclass(frozen=True)
class HangUp:
    """Close the socket after what has been sent."""

    reason: str


@dataclass(frozen=True)
class Entered:
    """The client is authenticated."""

    admission: Admission


@dataclass(frozen=True)
class RpcRequested:
    endpoint: str
    call_id: int
    parameter: Any


@dataclass(frozen=True)
class ChannelOpened:
    endpoint: str
    channel_id: int
    parameter: Any


@dataclass(frozen=True)
class ChannelMessage:
    channel_id: int
    message: Any


@dataclass(frozen=True)
class WarningReceived:
    warning: str
    kind: str | None


@dataclass(frozen=True)
class WarningSent:
    """The client made a mistake and is told so (by the ``Reply`` that follows)."""

    warning: str
    kind: str


Event: TypeAlias = (
    Reply
    | HangUp
    | Entered
    | RpcRequested
    | ChannelOpened
    | ChannelMessage
    | WarningReceived
    | WarningSent
)


class Session:
    """One socket of one namespace."""

    def __init__(
        self, namespace: str, endpoints: Mapping[str, EndpointSpec], authenticator: Authenticator
    ) -> None:
        self.namespace = namespace
        self.admission: Admission | None = None
        self._warnings = 0
        self._endpoints = endpoints
        self._authenticator = authenticator
        self._channels: dict[int, EndpointSpec] = {}
        self._finished = False

    def receive(self, text: str) -> list[Event]:
        """Take one text frame in; what it leads to comes out."""
        if self._finished:
            return []
        if self.admission is None:
            return self._authenticate(text)
        frame = frames.parse(text)
        match frame:
            case frames.RpcCall():
                return self._rpc_call(frame)
            case frames.ChannelCreate():
                return self._channel_create(frame)
            case frames.ChannelSend():
                return self._channel_send(frame)
            case frames.KeepAlive():
                return [Reply(frames.dump({"type": "keepAliveAck"}))]
            case frames.PeerWarning():
                return [WarningReceived(frame.warning, frame.kind)]
            case frames.Unreadable():
                return self._unreadable(frame)
            case frames.ChannelAck() | None:
                # No port of the protocol sends acks on receipt; a bad frame gets no answer.
                return []
            case _:
                return self._signal(frame)

    def auth_timed_out(self) -> list[Event]:
        """The time for the first frame is over."""
        if self.admission is not None or self._finished:
            return []
        return self._refuse("Authentication timed out")

    def closed(self) -> bool:
        """The socket is gone. True when it was the client's last one."""
        self._finished = True
        admission, self.admission = self.admission, None
        return admission is not None and self._authenticator.release(admission.identifier)

    def rpc_result(self, call_id: int, result: Any = ABSENT) -> str:
        frame: dict[str, Any] = {"type": "rpcResult", "callId": call_id}
        if result is not ABSENT:
            frame["result"] = result
        return frames.dump(frame)

    def rpc_error(self, call_id: int, error: Mapping[str, Any]) -> str:
        return frames.dump({"type": "rpcError", "callId": call_id, "error": error})

    def channel_send(self, channel_id: int, message: Any) -> str | None:
        """A packet for an open channel; ``None`` when the channel has ended."""
        if channel_id not in self._channels:
            return None
        return frames.dump({"type": "channelSend", "channelId": channel_id, "message": message})

    def channel_close(self, channel_id: int) -> str | None:
        """End a channel well; its id is free afterwards."""
        if self._channels.pop(channel_id, None) is None:
            return None
        return frames.dump({"type": "channelClose", "channelId": channel_id})

    def channel_error(self, channel_id: int, error: Mapping[str, Any]) -> str | None:
        """End a channel with an error; its id is free afterwards."""
        if self._channels.pop(channel_id, None) is None:
            return None
        return frames.dump({"type": "channelError", "channelId": channel_id, "error": error})

    def _unreadable(self, frame: frames.Unreadable) -> list[Event]:
        """JSON that we cannot read although it may be right: whoever sent it waits for an answer."""
        title = (
            "The request could not be read: it is nested too deeply, or holds more than "
            f"{frames.MAX_VALUES:,} values."
        )
        error = {"title": title, "rootTitle": title}
        if frame.kind == "rpcCall":
            return [Reply(self.rpc_error(frame.identifier, error))]
        if frame.kind == "channelSend":
            text = self.channel_error(frame.identifier, error)
            return [] if text is None else [Reply(text)]
        failed = {"type": "channelError", "channelId": frame.identifier, "error": error}
        return [Reply(frames.dump(failed))]

    def _authenticate(self, text: str) -> list[Event]:
        credentials = parse_credentials(text)
        if credentials is None:
            return []
        admission = self._authenticator.admit(credentials)
        if admission.error is not None:
            return self._refuse(admission.error)
        self.admission = admission
        return [Reply(frames.dump({"success": True})), Entered(admission)]

    def _refuse(self, error: str) -> list[Event]:
        self._finished = True
        return [Reply(frames.dump({"success": False, "error": error})), HangUp(error)]

    def _rpc_call(self, frame: frames.RpcCall) -> list[Event]:
        spec = self._endpoints.get(frame.endpoint)
        if spec is None or spec.kind != "rpc":
            return self._warn(
                "rpcEndpointUnknown",
                f"Namespace {self.namespace} has no rpc endpoint of that name (callId = "
                f"{frame.call_id}), endpoint = {frame.endpoint}",
            )
        try:
            parameter = spec.read_parameter(frame.parameter)
        except InvalidParameterError as error:
            return self._warn(
                "rpcParameterTypeError",
                f"The parameter of an rpc call does not fit (callId = {frame.call_id}): {error}, "
                f"endpoint = {frame.endpoint}",
            )
        return [RpcRequested(frame.endpoint, frame.call_id, parameter)]

    def _channel_create(self, frame: frames.ChannelCreate) -> list[Event]:
        if frame.channel_id in self._channels:
            return self._warn(
                "channelAlreadyOpen", f"Channel {frame.channel_id} is open already; use another id"
            )
        spec = self._endpoints.get(frame.endpoint)
        if spec is None or spec.kind != "channel":
            return self._warn(
                "channelEndpointUnknown",
                f"Namespace {self.namespace} has no channel endpoint of that name (channelId = "
                f"{frame.channel_id}), endpoint = {frame.endpoint}",
            )
        try:
            parameter = spec.read_parameter(frame.parameter)
        except InvalidParameterError as error:
            return self._warn(
                "channelCreationParameterTypeError",
                f"The creationParameter of a channel does not fit (channelId = "
                f"{frame.channel_id}): {error}, endpoint = {frame.endpoint}",
            )
        self._channels[frame.channel_id] = spec
        return [ChannelOpened(frame.endpoint, frame.channel_id, parameter)]

    def _channel_send(self, frame: frames.ChannelSend) -> list[Event]:
        spec = self._channels.get(frame.channel_id)
        if spec is None:
            return self._warn(
                "channelUnknown",
                f"A message came for channel {frame.channel_id}, which is not open",
            )
        try:
            message = spec.read_message(frame.message)
        except InvalidParameterError as error:
            warned = self._warn(
                "channelMessageTypeError",
                f"A message for channel {frame.channel_id} does not fit: {error}",
            )
            if not spec.tells_misfits:
                return warned
            misfit = {"type": "misfit", "problem": str(error), "message": frame.message}
            return [*warned, ChannelMessage(frame.channel_id, misfit)]
        return [ChannelMessage(frame.channel_id, message)]

    def _signal(
        self, frame: frames.SignalSubscribe | frames.SignalUnsubscribe | frames.SignalUpdate
    ) -> list[Event]:
        # No namespace of the public protocol has a signal; each frame about one is a mistake.
        if isinstance(frame, frames.SignalSubscribe):
            kind = "writableSignal" if frame.writable else "signal"
            return self._warn(
                f"{kind}EndpointUnknown",
                f"Namespace {self.namespace} has no signal of that name (subscribeId = "
                f"{frame.subscribe_id}), endpoint = {frame.endpoint}",
            )
        writable = isinstance(frame, frames.SignalUpdate) or frame.writable
        return self._warn(
            "writableSignalUnknown" if writable else "signalUnknown",
            f"No signal is subscribed under the id {frame.subscribe_id}",
        )

    def _warn(self, kind: str, text: str) -> list[Event]:
        if self._warnings >= MAX_WARNINGS:
            return []
        self._warnings += 1
        return [
            WarningSent(text, kind),
            Reply(frames.dump({"type": "communicationWarning", "warning": text, "kind": kind})),
        ]
