"""Conversations: what a call or a channel has come to, as far as its frames tell."""

from __future__ import annotations

from collections import deque
from typing import Any

from ..errors import LMStudioError
from .operations import VOID, Endpoint

__all__ = ["CallState", "ChannelState", "Conversation"]


class Conversation:
    """What calls and channels have in common.

    ``raw_error`` is the server's error packet, ``failure`` an error of this side's making.
    ``waiter`` belongs to the driver.
    """

    __slots__ = ("closed", "endpoint", "failure", "id", "raw_error", "started", "waiter")

    def __init__(self, identifier: int, endpoint: Endpoint) -> None:
        self.id: int = identifier
        self.endpoint: Endpoint = endpoint
        self.started: bool = False
        self.closed: bool = False
        self.raw_error: Any = VOID
        self.failure: LMStudioError | None = None
        self.waiter: Any = None

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        return self.closed


class CallState(Conversation):
    """A remote call: ``value`` is the answer once ``closed``."""

    __slots__ = ("value",)

    def __init__(self, identifier: int, endpoint: Endpoint) -> None:
        super().__init__(identifier, endpoint)
        self.value: Any = VOID


class ChannelState(Conversation):
    """A channel: packets gather in ``inbox`` until the server closes it.

    ``raw`` says that they come as they are: see ``Endpoint.serialization``.
    """

    __slots__ = ("abandoned", "inbox", "raw")

    def __init__(self, identifier: int, endpoint: Endpoint) -> None:
        super().__init__(identifier, endpoint)
        self.inbox: deque[Any] = deque()
        self.abandoned: bool = False
        self.raw: bool = endpoint.serialization == "raw"

    @property
    def ready(self) -> bool:
        """Whether there is something to take, or nobody waits any more."""
        return bool(self.inbox) or self.closed or self.abandoned
