"""How a finished conversation becomes a result or an exception; shared by both drivers."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any, Generic, TypeVar

from ..errors import LMStudioError, LMStudioServerError
from ..lenient import error_text
from .conversations import CallState, ChannelState
from .operations import VOID, Call, Channel

__all__ = ["ChannelReader", "call_result", "own_copy"]

R = TypeVar("R")
E = TypeVar("E")


def own_copy(failure: LMStudioError) -> LMStudioError:
    """The same error for one more waiter: each raises its own, so that tracebacks do not mix."""
    copied = copy.copy(failure)
    copied.__cause__ = failure.__cause__
    return copied


def call_result(call: Call[R], state: CallState) -> R:
    """The result of a call that is closed; raises what it failed with."""
    if state.failure is not None:
        raise own_copy(state.failure)
    if state.raw_error is not VOID:
        raise call.error(state.raw_error)
    try:
        return call.decode(state.value)
    except LMStudioError:
        raise
    except Exception as error:
        raise LMStudioServerError(
            f"The server's answer to {call.endpoint} could not be understood "
            f"({error_text(error, named=True)}). Is this server newer or older than this package?",
            endpoint=str(call.endpoint),
        ) from error


class ChannelReader(Generic[E, R]):
    """Turns a channel's packets into its events, one at a time.

    ``finished`` is true once the server has closed the channel and every event was taken. ``more``
    are the events of the last packet that were not.
    """

    __slots__ = ("channel", "finished", "more", "state")

    def __init__(self, channel: Channel[E, R], state: ChannelState) -> None:
        self.channel: Channel[E, R] = channel
        self.state: ChannelState = state
        self.finished: bool = False
        self.more: deque[E] = deque()

    def take(self) -> tuple[E] | None:
        """The next event (in a tuple, since an event may be anything), or ``None`` to wait.

        Raises whatever the channel failed with. At the end ``finished`` is set.
        """
        if self.more:
            return (self.more.popleft(),)
        state = self.state
        # Looked at first: another thread, or a signal handler's call, may file the last packets and
        # the end between two steps here.
        closed = state.closed
        inbox = state.inbox
        while inbox:
            events = self.channel.feed(inbox.popleft())
            if events:
                if len(events) > 1:
                    self.more.extend(events[1:])
                return (events[0],)
        if closed and not self.finished:
            self._close()
        return None

    def _close(self) -> None:
        self.finished = True
        state = self.state
        if state.failure is not None:
            raise own_copy(state.failure)
        if state.raw_error is not VOID:
            raise self.channel.error(state.raw_error)
        self.channel.on_close()

    @property
    def wants_cancel(self) -> bool:
        """Whether telling the server to stop would still reach something."""
        return not (self.state.closed or self.channel.done)

    @property
    def cancel_message(self) -> Any:
        """What to send to stop it, or ``None``."""
        return self.channel.cancel_message if self.wants_cancel else None
