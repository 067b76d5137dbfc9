"""The frames of the protocol: what a client may send, and how the server's answers look.

A frame that does not fit its schema yields ``None``: the protocol drops it without an answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from lmstudio_core.lenient import escaped, is_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ABSENT",
    "MAX_VALUES",
    "Absent",
    "ChannelAck",
    "ChannelCreate",
    "ChannelSend",
    "ClientFrame",
    "KeepAlive",
    "PeerWarning",
    "RpcCall",
    "SignalSubscribe",
    "SignalUnsubscribe",
    "SignalUpdate",
    "Unreadable",
    "dump",
    "has_too_many_values",
    "load_object",
    "parse",
]


class Absent(Enum):
    """The type of ``ABSENT``: a key that was not sent (void), which is not the same as null."""

    ABSENT = "absent"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True)
class RpcCall:
    endpoint: str
    call_id: int
    parameter: Any = ABSENT


@dataclass(frozen=True)
class ChannelCreate:
    endpoint: str
    channel_id: int
    parameter: Any = ABSENT


@dataclass(frozen=True)
class ChannelSend:
    channel_id: int
    message: Any = ABSENT


@dataclass(frozen=True)
class ChannelAck:
    channel_id: int
    ack_id: int


@dataclass(frozen=True)
class SignalSubscribe:
    endpoint: str
    subscribe_id: int
    writable: bool


@dataclass(frozen=True)
class SignalUnsubscribe:
    subscribe_id: int
    writable: bool


@dataclass(frozen=True)
class SignalUpdate:
    subscribe_id: int


@dataclass(frozen=True)
class PeerWarning:
    """The other side warned us; answering a warning with a warning would never end."""

    warning: str
    kind: str | None = None


@dataclass(frozen=True)
class KeepAlive:
    pass


@dataclass(frozen=True)
class Unreadable:
    """JSON that is nested too deeply or has too many values; its sender can be told all the same."""

    kind: str
    identifier: int


ClientFrame: TypeAlias = (
    RpcCall
    | ChannelCreate
    | ChannelSend
    | ChannelAck
    | SignalSubscribe
    | SignalUnsubscribe
    | SignalUpdate
    | PeerWarning
    | KeepAlive
    | Unreadable
)


MAX_VALUES: Final = 1_000_000
"""How many values one text may hold. Each takes 100 bytes and more, and reading them holds up everybody:
no thread helps, as Python's reader keeps all others waiting. A file or a text is one value."""
_MANY: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{,]', re.DOTALL)
_LOOKED_AT: Final = 1000
_DEEP: Final = 200
"""Brackets in a text below which its nesting is not why it cannot be read."""
_KIND: Final = re.compile(r'(?<!\\)"type"\s*:\s*"(rpcCall|channelCreate|channelSend)"')
_ID: Final = re.compile(r'(?<!\\)"(?:callId|channelId)"\s*:\s*(\d{1,15})(?![\d.])')


class _BadFrame(Exception):  # noqa: N818 - a signal inside this module, never raised out of it
    pass


def dump(frame: Mapping[str, Any]) -> str:
    """One frame as the text that goes on the socket."""
    return escaped(_ENCODER.encode(frame))


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""``json.dumps`` makes one for each call with options, which takes as long as a packet."""


def has_too_many_values(text: str) -> bool:
    """Whether a JSON text holds more than ``MAX_VALUES``; known without reading it."""
    if len(text) <= MAX_VALUES or text.count(",") + text.count("[") + text.count("{") <= MAX_VALUES:
        return False
    # Some of these may be inside strings, which a file of numbers is.
    found = (match for match in _MANY.finditer(text) if text[match.start()] != '"')
    return next(islice(found, MAX_VALUES, None), None) is not None


def load_object(text: str) -> dict[str, Any] | None:
    """The JSON object in ``text``, or ``None`` if it holds anything else."""
    try:
        value = _read(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _read(text: str) -> Any:
    try:
        return _READER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a constant, or a number that Python finds too long
        return _PATIENT_READER.decode(text)


def _whole_number(digits: str) -> int | float:
    """JSON knows no longest number, and Python does; JavaScript reads such a one as Infinity."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _refuse_constant(name: str) -> None:
    # Python reads NaN and Infinity; JSON has no such numbers, and no answer could carry them.
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads would make one for each frame, which takes longer than to read most of them.
_READER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_PATIENT_READER: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_whole_number)


def parse(text: str) -> ClientFrame | None:
    """Read one frame of a client; ``None`` when it fits no frame of the protocol."""
    if has_too_many_values(text):
        return _unreadable(text)
    frame = load_object(text)
    if frame is None:
        return _unreadable(text) if text.count("[") + text.count("{") > _DEEP else None
    kind = frame.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        return None
    try:
        return reader(frame)
    except _BadFrame:
        return None


def _unreadable(text: str) -> Unreadable | None:
    """What a frame that cannot be read was to be, as far as its beginning tells."""
    head = text[:_LOOKED_AT]
    kind, identifier = _KIND.search(head), _ID.search(head)
    if kind is None or identifier is None:
        return None
    return Unreadable(kind[1], int(identifier[1]))


def _text(frame: Mapping[str, Any], key: str) -> str:
    value = frame.get(key)
    if not isinstance(value, str):
        raise _BadFrame
    return value


def _integer(frame: Mapping[str, Any], key: str) -> int:
    value = frame.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _BadFrame
    return value


def _read_channel_send(frame: Mapping[str, Any]) -> ClientFrame:
    if "ackId" in frame:
        _integer(frame, "ackId")
    return ChannelSend(_integer(frame, "channelId"), frame.get("message", ABSENT))


def _read_update(frame: Mapping[str, Any]) -> ClientFrame:
    tags, patches = frame.get("tags"), frame.get("patches")
    if not is_list(patches) or not is_list(tags) or not all(isinstance(t, str) for t in tags):
        raise _BadFrame
    return SignalUpdate(_integer(frame, "subscribeId"))


def _read_warning(frame: Mapping[str, Any]) -> ClientFrame:
    kind = frame.get("kind")
    return PeerWarning(_text(frame, "warning"), kind if isinstance(kind, str) else None)


def _subscribe(writable: bool) -> Callable[[Mapping[str, Any]], ClientFrame]:
    return lambda frame: SignalSubscribe(
        _text(frame, "endpoint"), _integer(frame, "subscribeId"), writable
    )


def _unsubscribe(writable: bool) -> Callable[[Mapping[str, Any]], ClientFrame]:
    return lambda frame: SignalUnsubscribe(_integer(frame, "subscribeId"), writable)


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], ClientFrame]]] = {
    "rpcCall": lambda frame: RpcCall(
        _text(frame, "endpoint"), _integer(frame, "callId"), frame.get("parameter", ABSENT)
    ),
    "channelCreate": lambda frame: ChannelCreate(
        _text(frame, "endpoint"),
        _integer(frame, "channelId"),
        frame.get("creationParameter", ABSENT),
    ),
    "channelSend": _read_channel_send,
    "channelAck": lambda frame: ChannelAck(_integer(frame, "channelId"), _integer(frame, "ackId")),
    "signalSubscribe": _subscribe(writable=False),
    "writableSignalSubscribe": _subscribe(writable=True),
    "signalUnsubscribe": _unsubscribe(writable=False),
    "writableSignalUnsubscribe": _unsubscribe(writable=True),
    "writableSignalUpdate": _read_update,
    "communicationWarning": _read_warning,
    "keepAlive": lambda _frame: KeepAlive(),
}
