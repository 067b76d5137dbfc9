"""Is the other end still there? When to ask it, and when to stop waiting for an answer.

A NAT, a VPN or a host may vanish without a word; then nothing ever comes, and no error either. So
whoever waits asks after a while (a WebSocket ping), and takes the peer for dead if it stays silent.
Decisions only: a driver says how long it watched in vain, and is told what to do. Times are seconds
of any clock that goes on while the machine sleeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Final, Literal, TypeAlias

from ..errors import LMStudioValueError

__all__ = ["Liveness", "PingSetting", "Pings", "ping_settings"]

INTERVAL_VARIABLE: Final = "LMSTUDIO_PING_INTERVAL"
TIMEOUT_VARIABLE: Final = "LMSTUDIO_PING_TIMEOUT"

LONGEST_PROBE: Final = 5.0
"""Seconds for an answer before a doubtful socket is used; a new one costs less than the wait."""

EXCUSES: Final = 3
"""How often in a row a pause of this process is a reason to ask once more instead of judging."""

PingSetting: TypeAlias = float | EllipsisType | None
"""Seconds; ``None`` for never; ``...`` for the environment's or the default."""

Verdict: TypeAlias = Literal["wait", "ping", "dead"]


@dataclass(frozen=True)
class Pings:
    """Seconds of silence before a ping, and seconds for its answer; ``None`` for never."""

    interval: float | None = 20.0
    timeout: float | None = 20.0

    @property
    def probe(self) -> float | None:
        """Seconds for an answer before a doubtful socket is used; ``None``: it is not asked."""
        if self.interval is None or self.timeout is None:
            return None
        return min(self.timeout, LONGEST_PROBE)


def ping_settings(
    interval: PingSetting, timeout: PingSetting, environment: Mapping[str, str]
) -> Pings:
    """What a client was told, else what the environment says, else 20 seconds each.

    Raises:
        LMStudioValueError: One is no positive number of seconds.
    """
    default = Pings()
    return Pings(
        _setting("ping_interval", interval, environment, INTERVAL_VARIABLE, default.interval),
        _setting("ping_timeout", timeout, environment, TIMEOUT_VARIABLE, default.timeout),
    )


def _setting(
    name: str,
    value: PingSetting,
    environment: Mapping[str, str],
    variable: str,
    default: float | None,
) -> float | None:
    if not isinstance(value, EllipsisType):
        return _seconds(name, value, repr(value))
    text = environment.get(variable, "").strip()
    if not text:
        return default
    if text.lower() in ("none", "off"):
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    return _seconds(variable, number, repr(text))


def _seconds(name: str, value: object, shown: str) -> float | None:
    if value is None or value == float("inf"):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        off = "'off'" if name.isupper() else "None"
        raise LMStudioValueError(
            f"{name} must be a number of seconds > 0, or {off} for no pings, got {shown}."
        )
    return float(value)


class Liveness:
    """What is known of one connection's peer.

    Silence is the sum of the times that a driver watched in vain, so time in which nobody watched
    (a callback at work, a stopped process) never counts. Anything received breaks it; so does
    progress of what this side sends, or a large upload over a slow line would look like death.

    Args:
        pings: When to ask.
        now: The time.
    """

    __slots__ = (
        "_acked", "_asked", "_backlog", "_doubted", "_excuses", "_heard_at", "_looked_at", "_pings",
        "_quiet", "_reads", "fresh_until", "patience",
    )  # fmt: skip

    def __init__(self, pings: Pings, now: float) -> None:
        self._pings = pings
        self._reads = 0
        self._acked = 0
        self._backlog = False
        self._doubted = -1
        self._looked_at = now
        self.heard(now)
        self._calm()
        self.patience = pings.interval
        """How long to watch before ``silent`` is to be asked; ``None``: for ever."""

    def _calm(self) -> None:
        self._quiet = 0.0
        self._asked = False
        self._excuses = EXCUSES

    @property
    def glance(self) -> float | None:
        """``patience`` in parts, for a driver that looks now and then whether something came."""
        limit = self._pings.timeout if self._asked else self._pings.interval
        patience = self.patience
        return None if limit is None or patience is None else min(patience, limit / 4)

    @property
    def allowed(self) -> float:
        """The seconds of silence after which a peer is taken for dead; for messages."""
        return (self._pings.interval or 0.0) + (self._pings.timeout or 0.0)

    def silent(
        self, seconds: float, now: float, *, reads: int, written: int, unsent: int
    ) -> Verdict:
        """Nothing came while the driver watched for ``seconds``; what to do.

        Args:
            seconds: For how long it meant to watch, and has; not how long it took.
            now: The time.
            reads: How often something was received so far.
            written: Bytes given to the system so far.
            unsent: How many of them the peer's system has not confirmed.
        """
        verdict = self._judge(seconds, now, reads, self._progress(written, unsent))
        limit = self._pings.timeout if self._asked else self._pings.interval
        self.patience = None if limit is None else max(limit - self._quiet, 0.001)
        return verdict

    def _judge(self, seconds: float, now: float, reads: int, progress: bool) -> Verdict:
        took, self._looked_at = now - self._looked_at, now
        if progress:
            self._calm()
            return "wait"
        if reads != self._reads:
            self._reads = reads
            self._calm()
        self._quiet += seconds
        interval, timeout = self._pings.interval, self._pings.timeout
        if not self._asked:
            if interval is None or self._quiet < interval:
                return "wait"
            return self._ask()
        if timeout is None or self._quiet < timeout:
            return "wait"
        # This process stood still (a debugger, a suspended machine): an answer may have been lost
        # on the way, or is still coming. But not for ever: pauses may be how a program works.
        if took > seconds + min(1.0, seconds) and self._excuses:
            self._excuses -= 1
            return self._ask()
        return "dead"

    def _ask(self) -> Verdict:
        self._asked = True
        self._quiet = 0.0
        return "ping"

    def _progress(self, written: int, unsent: int) -> bool:
        """Whether the peer takes what is sent to it.

        Only where something was still unsent when last looked at: that a system confirms a few
        bytes (a ping's, say) says nothing of the program that should read them.
        """
        acked = written - unsent
        moved = self._backlog and acked > self._acked
        self._acked, self._backlog = acked, unsent > 0
        return moved

    # -- before a socket is used -----------------------------------------------------------------

    def heard(self, now: float) -> None:
        """A wait ended with something received."""
        self._heard_at = now
        self.fresh_until: float = now + (self._pings.interval or 0.0)
        """Until then there is no doubt, so that a call need not ask ``doubtful``."""

    def doubt(self, reads: int) -> None:
        """A call timed out; so far there were ``reads``."""
        self._doubted = reads
        self.fresh_until = 0.0

    def doubtful(self, now: float, reads: int) -> bool:
        """Whether to ask for a sign of life before the next use, while nothing has been sent."""
        interval = self._pings.interval
        if interval is None or self._pings.timeout is None:
            return False
        return self._doubted == reads or now - self._heard_at > interval
