"""One socket's conversations: which frames belong to whom. No I/O, no waiting.

A driver asks for frames to send (``call``, ``open_channel``, …) and feeds every frame it receives
to ``receive``, which files it with the conversation it belongs to and returns that one, so that the
driver can wake who waits for it. Nothing here blocks, locks or knows the time; a driver that uses
several threads guards it. A server may send anything: kinds of frames that are not known are ignored,
and a frame that cannot be read fails the conversation it was for, or is a warning in the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from ..errors import (
    LMStudioError,
    LMStudioRequestRejectedError,
    LMStudioServerError,
    LMStudioValueError,
)
from ..lenient import error_text, readable
from .conversations import CallState, ChannelState, Conversation
from .frames import (
    Prepared,
    decode_frame,
    decode_value,
    encode_sendable,
    encode_value,
)
from .operations import VOID, Endpoint

__all__ = ["Mux"]

logger: Final = logging.getLogger("lmstudio")

WARNING_LIMIT: Final = 5
"""A server that has sent this many warnings on a socket says nothing more of bad requests."""

_NAMED_ID = re.compile(rb'(?<!\\)"(callId|channelId)"\s*:\s*(\d{1,15})(?!\d)')
"""The id in a frame that is no JSON; within a text its quotation marks would be escaped."""

_WARNED_ENDPOINT = re.compile(r"endpoint(?:Name)?\s*=\s*\"?([A-Za-z0-9_.]+)")


_C = TypeVar("_C", bound=Conversation)


class Mux:
    """The conversations of one socket. Ids are counted from 1 and never used again."""

    def __init__(self) -> None:
        self._next_id = 0
        self._calls: dict[int, CallState] = {}
        self._channels: dict[int, ChannelState] = {}
        self._handlers: dict[str, Callable[[dict[str, Any]], Conversation | None]] = {
            "channelSend": self._on_channel_send,
            "channelAck": self._on_channel_ack,
            "channelClose": self._on_channel_close,
            "channelError": self._on_channel_error,
            "rpcResult": self._on_rpc_result,
            "rpcError": self._on_rpc_error,
            "communicationWarning": self._on_warning,
            "keepAliveAck": _nothing,
        }
        self._by_id: dict[bytes, dict[int, Any]] = {
            b"callId": self._calls,
            b"channelId": self._channels,
        }
        self.warnings: int = 0
        self._told: set[str] = set()

    # -- what goes out ---------------------------------------------------------------------------

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id

    def call(self, endpoint: Endpoint, parameter: Any = VOID) -> tuple[CallState, bytes]:
        """Start a remote call."""
        state = CallState(self._id(), endpoint)
        self._calls[state.id] = state
        frame = {
            "type": "rpcCall",
            "endpoint": endpoint.name,
            "callId": state.id,
            "parameter": encode_value(parameter, endpoint.serialization),
        }
        return state, self._encoded(self._calls, state, frame)

    def open_channel(self, endpoint: Endpoint, parameter: Any = VOID) -> tuple[ChannelState, bytes]:
        """Open a channel."""
        state = ChannelState(self._id(), endpoint)
        self._channels[state.id] = state
        frame = {
            "type": "channelCreate",
            "endpoint": endpoint.name,
            "channelId": state.id,
            "creationParameter": encode_value(parameter, endpoint.serialization),
        }
        if not isinstance(parameter, Prepared):
            return state, self._encoded(self._channels, state, frame)
        frame["creationParameter"] = parameter.rest
        return state, parameter.complete(self._encoded(self._channels, state, frame))

    def _encoded(
        self, table: dict[int, Any], state: Conversation, frame: Mapping[str, Any]
    ) -> bytes:
        try:
            return self._sendable(state, frame)
        except LMStudioValueError:
            del table[state.id]  # what cannot be sent gets no answer
            raise

    def _sendable(self, state: Conversation, frame: Mapping[str, Any]) -> bytes:
        try:
            data, mended = encode_sendable(frame)
        except ValueError as error:
            raise _unsendable(state.endpoint, error) from error
        # One line for a text, however often it is sent, and for all that is sent at once.
        told, self._told = self._told, self._told.union(mended[:1])
        if mended and mended[0] not in told and not (told and len(self._calls) > 1):
            logger.warning(
                "half a surrogate pair in what %s gets is sent as U+FFFD: %r",
                state.endpoint,
                mended[0][:80],
            )
        return data

    def send(self, state: ChannelState, message: Any) -> bytes | None:
        """A packet for a channel; ``None`` if the server has closed it, so that nobody would read it."""
        if state.closed:
            return None
        frame = {
            "type": "channelSend",
            "channelId": state.id,
            "message": encode_value(message, state.endpoint.serialization),
        }
        return self._sendable(state, frame)

    def abandon(self, state: Conversation) -> None:
        """Nobody waits for this any more: what still comes for it is dropped."""
        state.waiter = None
        if isinstance(state, ChannelState):
            state.abandoned = True
            state.inbox.clear()
        else:
            self._calls.pop(state.id, None)

    # -- what the driver asks --------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no conversation is under way that somebody waits for."""
        # A copy: other threads may open channels meanwhile.
        return not (self._calls or any(not c.abandoned for c in tuple(self._channels.values())))

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for a conversation right now."""
        return any(state.waiter is not None for state in self._all())

    @property
    def exhausted(self) -> bool:
        """Whether the server has gone silent about bad requests on this socket."""
        return self.warnings >= WARNING_LIMIT

    # -- what comes in ---------------------------------------------------------------------------

    def receive(self, data: bytes | str) -> Conversation | None:
        """File one frame and return the conversation it changed; unknown frames change none.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        frame = decode_frame(data)
        if frame is None:
            return self._unreadable(data.encode() if isinstance(data, str) else bytes(data))
        kind = frame.get("type")
        if kind == "channelSend":  # every token comes this way
            number: Any = frame.get("channelId")
            channel = self._channels.get(number) if number.__class__ is int else None
            if channel is not None and channel.raw and not channel.abandoned:
                channel.started = True
                channel.inbox.append(frame.get("message"))
                return channel
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            return handler(frame)
        if isinstance(kind, str):  # a newer server's
            logger.debug("ignored a frame of unknown type %r", kind)
        else:
            logger.warning("The server sent a frame without a type; it was ignored.")
        return None

    def _unreadable(self, data: bytes) -> Conversation | None:
        """A frame that is no JSON object: whoever waits for it would wait for ever."""
        data.decode()  # text that is no UTF-8 ends a connection
        named = _NAMED_ID.search(data)
        state = _take(self._by_id[named[1]], int(named[2])) if named else None
        if state is None:
            logger.warning(
                "The server sent a message that is not a JSON object (%d bytes); it was ignored.",
                len(data),
            )
            return None
        return self._fail(state, f"a message of {len(data)} bytes that is no JSON this can read")

    def _fail(self, state: Conversation, what: str) -> Conversation:
        """End a conversation of which the server sent something that cannot be understood."""
        for table in self._by_id.values():
            table.pop(state.id, None)
        state.failure = LMStudioServerError(
            f"The server's answer to {state.endpoint} could not be read: it sent {what}. "
            "Is this server newer or older than this package?",
            endpoint=str(state.endpoint),
        )
        state.closed = True
        return state

    def fail_all(self, failure: LMStudioError) -> Sequence[Conversation]:
        """The socket is gone: every conversation ends with ``failure``."""
        failed = self._all()
        for state in failed:
            state.failure = failure
            state.closed = True
        self._calls.clear()
        self._channels.clear()
        return failed

    def _all(self) -> list[Conversation]:
        # A copy: a stream that is collected by the way gives its conversation up.
        return [*self._calls.values(), *self._channels.values()]

    def _on_channel_send(self, frame: dict[str, Any]) -> Conversation | None:
        state = _find(self._channels, frame.get("channelId"))
        if state is None or state.abandoned:
            return None
        state.started = True
        message = frame.get("message")
        if state.endpoint.serialization != "raw":
            message = decode_value(message, state.endpoint.serialization)
        state.inbox.append(message)
        return state

    def _on_channel_ack(self, frame: dict[str, Any]) -> Conversation | None:
        state = _find(self._channels, frame.get("channelId"))
        if state is not None:
            state.started = True
        return None

    def _on_channel_close(self, frame: dict[str, Any]) -> Conversation | None:
        return self._end(_take(self._channels, frame.get("channelId")))

    def _on_channel_error(self, frame: dict[str, Any]) -> Conversation | None:
        return self._end(_take(self._channels, frame.get("channelId")), frame.get("error"))

    def _on_rpc_result(self, frame: dict[str, Any]) -> Conversation | None:
        state = _take(self._calls, frame.get("callId"))
        if state is None:
            return None
        value = frame.get("result", VOID)
        if state.endpoint.serialization != "raw":
            value = decode_value(value, state.endpoint.serialization)
        state.value = value
        state.closed = True
        return state

    def _on_rpc_error(self, frame: dict[str, Any]) -> Conversation | None:
        return self._end(_take(self._calls, frame.get("callId")), frame.get("error"))

    @staticmethod
    def _end(state: Conversation | None, error: Any = VOID) -> Conversation | None:
        if state is None:
            return None
        state.raw_error = error
        state.closed = True
        return state

    def _on_warning(self, frame: dict[str, Any]) -> Conversation | None:
        """A warning names no id: it fails the oldest request to its endpoint without an answer."""
        self.warnings += 1
        text = readable(str(frame.get("warning", "")))
        match = _WARNED_ENDPOINT.search(text)
        state = self._oldest_unanswered(match[1].rstrip(".")) if match else None
        kind = frame.get("kind")
        if state is None:
            # The server closed a channel while a message for it was on its way: nobody's fault.
            level = logging.DEBUG if kind == "channelUnknown" else logging.WARNING
            logger.log(level, "the server warned: %s", text)
            return None
        state.failure = LMStudioRequestRejectedError(
            f"The server does not accept this request to {state.endpoint}: {text}\n"
            "Its version may be older or newer than this package expects.",
            endpoint=str(state.endpoint),
            kind=kind if isinstance(kind, str) else None,
        )
        state.closed = True
        for table in self._by_id.values():
            table.pop(state.id, None)
        return state

    def _oldest_unanswered(self, name: str) -> Conversation | None:
        waiting = (s for s in self._all() if s.endpoint.name == name and not s.started)
        return min(waiting, key=lambda s: s.id, default=None)


def _nothing(_: dict[str, Any]) -> Conversation | None:
    return None


def _find(table: dict[int, _C], identifier: Any) -> _C | None:
    """The conversation of that id, if somebody still waits for it."""
    return table.get(identifier if type(identifier) is int else _odd_id(identifier))


def _take(table: dict[int, _C], identifier: Any) -> _C | None:
    return table.pop(identifier if type(identifier) is int else _odd_id(identifier), None)


def _odd_id(identifier: Any) -> int:
    """An id that is no integer: some servers write 1.0. ``True`` is not the id 1."""
    if isinstance(identifier, float) and identifier.is_integer():
        return int(identifier)
    logger.warning("The server sent a frame that names nobody (its id is %.100r).", identifier)
    return 0  # nobody's


def _unsendable(endpoint: Endpoint, error: ValueError) -> LMStudioValueError:
    return LMStudioValueError(f"This cannot be sent to {endpoint} as JSON: {error_text(error)}")
