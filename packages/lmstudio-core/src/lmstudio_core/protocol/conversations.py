"""Conversations: what a call, a channel or a signal has come to, as far as its frames tell."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import LMStudioError
from .operations import VOID, Endpoint
from .signals import PatchError, apply_patches

__all__ = ["CallState", "ChannelState", "Conversation", "SignalState"]


class Conversation:
    """What calls, channels and signals have in common.

    ``raw_error`` is the server's error packet, ``failure`` an error of this side's making.
    ``waiter`` belongs to the driver.
    """

    __slots__ = ("closed", "endpoint", "failure", "id", "raw_error", "started", "waiter")

    def __init__(self, identifier: int, endpoint: Endpoint) -> None:
        self.id = identifier
        self.endpoint = endpoint
        self.started = False
        self.closed = False
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
    """A channel: packets gather in ``inbox`` until the server closes it."""

    __slots__ = ("abandoned", "acked", "inbox")

    def __init__(self, identifier: int, endpoint: Endpoint) -> None:
        super().__init__(identifier, endpoint)
        self.inbox: deque[Any] = deque()
        self.acked: set[int] = set()
        self.abandoned = False

    @property
    def ready(self) -> bool:
        """Whether there is something to take, or nobody waits any more."""
        return bool(self.inbox) or self.closed or self.abandoned


class SignalState(Conversation):
    """A subscribed signal: ``value`` is the newest, ``VOID`` until the first update.

    For a writable signal ``optimistic`` is the value with this side's unconfirmed changes on top.
    """

    __slots__ = ("_version_seen", "parameter", "unconfirmed", "value", "version", "writable")

    def __init__(
        self, identifier: int, endpoint: Endpoint, parameter: Any, *, writable: bool
    ) -> None:
        super().__init__(identifier, endpoint)
        self.parameter = parameter
        self.writable = writable
        self.value: Any = VOID
        self.version = 0
        self._version_seen = 0
        self.unconfirmed: list[tuple[str, Sequence[Mapping[str, Any]]]] = []

    @property
    def ready(self) -> bool:
        """Whether an update came since ``take``."""
        return self.version != self._version_seen or self.closed

    @property
    def optimistic(self) -> Any:
        """The value as it will be when the server has confirmed this side's changes."""
        value = self.value
        for _, patches in self.unconfirmed:
            with contextlib.suppress(PatchError):  # the server's changes left no place for it
                value = apply_patches(value, patches)
        return value

    def take(self) -> Any:
        """The newest value; ``ready`` is false until the next update."""
        self._version_seen = self.version
        return self.value
