"""What can go wrong with work, what becomes of it then, and the numbers that decide."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Fault", "Policy", "Verdict"]


class Fault(Enum):
    """Why a piece of work came back without a result."""

    VALUE = "value"
    """What was asked cannot be right, wherever it is asked."""
    SERVER = "server"
    """The server answered with an error."""
    SLOW = "slow"
    """It took longer than a row may take."""
    UNREACHED = "unreached"
    """The host could not be reached, so nothing was sent."""
    LOST = "lost"
    """The connection was lost while the host worked on it."""
    SILENT = "silent"
    """Nothing was heard for longer than the idle timeout."""
    MISSING = "missing"
    """The host has no such model any more."""
    REFUSED = "refused"
    """The host refuses this client."""


class Verdict(Enum):
    """What becomes of a piece of work that came back without a result."""

    FAILED = "failed"
    """The error is its result."""
    AGAIN = "again"
    """It is asked again."""
    ELSEWHERE = "elsewhere"
    """A copy of it is on its way, or it has ended already."""


@dataclass(frozen=True)
class Policy:
    """The numbers by which work is given out.

    Attributes:
        retries: How often a row is asked again after a server's error.
        queued: How many pieces of work a host has beyond its slots, so that it is never idle
            while an answer travels.
        hedge: Whether a row that takes long is asked on a second host.
        hedge_factor: How many times the 95th percentile is long.
        hedge_least: Seconds that are never long.
        hedge_share: The share of all rows that may be asked twice.
        idle_timeout: Seconds of silence after which a host is taken for dead.
        first_pause, longest_pause: Seconds until a host that is down is tried again: the first time,
            and at most. They double each time.
        patience: Seconds that work waits when every host is down.
    """

    retries: int = 1
    queued: int = 1
    hedge: bool = True
    hedge_factor: float = 3.0
    hedge_least: float = 1.0
    hedge_share: float = 0.02
    idle_timeout: float | None = 60.0
    first_pause: float = 0.25
    longest_pause: float = 30.0
    patience: float = 300.0
