"""One host as the scheduler sees it: its slots, its health, and the work that it has."""

from __future__ import annotations

import random
from typing import Literal

from .durations import Durations
from .policy import Policy

__all__ = ["Health", "MemberState"]

Health = Literal["new", "up", "down", "aside"]
"""``new`` was not tried yet; ``down`` is tried again; ``aside`` is not."""


class MemberState:
    """A host.

    Attributes:
        index: Its place in the list of hosts.
        name: What it is called in messages.
        slots: How much it does at a time.
        health: See ``Health``.
        why: Why it is not up.
        busy: How many pieces of work it has.
        done, failed, lost: How many rows it answered, answered with an error, and was lost with.
        heard: When it last gave an answer.
        due: When it is to be tried again; ``None`` if it is not.
        checking: Whether it is being tried.
    """

    __slots__ = (
        *(
            "busy",
            "checking",
            "done",
            "due",
            "durations",
            "failed",
            "health",
            "heard",
            "index",
            "lost",
        ),
        *("name", "pause", "slots", "why"),
    )

    def __init__(self, index: int, name: str, slots: int) -> None:
        self.index = index
        self.name = name
        self.slots = slots
        self.health: Health = "new"
        self.why: str = ""
        self.busy = 0
        self.done = 0
        self.failed = 0
        self.lost = 0
        self.heard: float = float("-inf")
        self.due: float | None = float("-inf")
        self.checking: bool = False
        self.pause: float = 0.0
        self.durations: Durations = Durations()

    @property
    def is_up(self) -> bool:
        """Whether it gets work."""
        return self.health == "up"

    def load(self, queued: int) -> tuple[float, float] | None:
        """How it compares with other hosts, the least is the best; ``None`` if it has no room.

        A host with a free slot comes before one that would only queue the work. Of equals it is the
        faster one.
        """
        if self.busy >= self.slots + queued:
            return None
        return self.busy / self.slots, self.durations.p50 or 0.0

    def rise(self) -> None:
        """It was tried and is well."""
        self.checking = False
        self.health = "up"
        self.why = ""
        self.due = None

    def fall(self, why: str, now: float, policy: Policy, jitter: random.Random) -> None:
        """It is down; when it is tried again depends on how often that was in vain."""
        self.checking = False
        self.health = "down"
        self.why = why
        self.pause = min(policy.longest_pause, 2 * self.pause or policy.first_pause)
        # Without a random part, all clients of a host that comes back would ask it at once.
        self.due = now + self.pause * jitter.uniform(0.75, 1.25)

    def forget(self) -> None:
        """It is as new, unless it was set aside."""
        if self.health == "down":
            self.health, self.due, self.pause = "new", float("-inf"), 0.0

    def set_aside(self, why: str) -> None:
        """It gets no work any more."""
        self.checking = False
        self.health = "aside"
        self.why = why
        self.due = None
