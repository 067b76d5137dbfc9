"""How long work took lately: the median and the 95th percentile."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Durations"]

_KEPT: Final = 256
_EVERY: Final = 16
"""After how many new numbers they are sorted again: that costs more than all else of a row."""


class Durations:
    """The last durations, in seconds.

    Attributes:
        count: How many there were in all.
    """

    __slots__ = ("_last", "_sorted", "_sorted_at", "count")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._sorted: list[float] = []
        self._sorted_at = 0
        self.count: int = 0

    def add(self, seconds: float) -> None:
        """One more."""
        self._last.append(seconds)
        self.count += 1

    def percentile(self, share: float) -> float | None:
        """The duration that ``share`` of them do not exceed; ``None`` if there was none yet."""
        if self.count - self._sorted_at >= _EVERY or self.count < _EVERY:
            self._sorted = sorted(self._last)
            self._sorted_at = self.count
        if not self._sorted:
            return None
        return self._sorted[min(len(self._sorted) - 1, int(share * len(self._sorted)))]

    @property
    def p50(self) -> float | None:
        """The median."""
        return self.percentile(0.5)

    @property
    def p95(self) -> float | None:
        """The 95th percentile."""
        return self.percentile(0.95)
