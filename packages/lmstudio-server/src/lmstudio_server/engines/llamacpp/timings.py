"""What llama.cpp's ``timings`` tell of a generation. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import DraftUse

if TYPE_CHECKING:
    from collections.abc import Mapping


class Timings:
    """Takes the chunks of one stream in order.

    Args:
        draft: What the draft model is called; ``None``: there is none.
    """

    def __init__(self, draft: str | None = None) -> None:
        self._draft = draft
        self._proposed = 0
        self._accepted = 0
        self._coming = 0
        self.predicted_tokens: int = 0
        self.generation_time: float | None = None
        """Seconds from the first token to the last, by the engine's clock."""

    def feed(self, chunk: Mapping[str, Any]) -> None:
        """Take the ``timings`` of a chunk, if it has any."""
        timings: Mapping[str, Any] | None = chunk.get("timings")
        if timings is None:
            return
        self.predicted_tokens = max(self.predicted_tokens, timings["predicted_n"])
        if timings["predicted_n"] > 0 and "predicted_ms" in timings:
            self.generation_time = timings["predicted_ms"] / 1000
        accepted = timings.get("draft_n_accepted", 0)
        # They are counted when the large model has checked them, and come one by one after that.
        self._coming += max(accepted - self._accepted, 0)
        self._accepted = max(accepted, self._accepted)
        self._proposed = max(timings.get("draft_n", 0), self._proposed)

    def drafted(self, tokens: int) -> bool:
        """Whether a draft model proposed one of the next ``tokens`` tokens."""
        proposed = min(tokens, self._coming)
        self._coming -= proposed
        return proposed > 0

    @property
    def draft_use(self) -> DraftUse | None:
        """What came of the draft model's proposals."""
        if self._draft is None:
            return None
        return DraftUse(self._draft, self._proposed, self._accepted)


def together(first: DraftUse | None, second: DraftUse | None) -> DraftUse | None:
    """Return the sum of two generations' use of the same draft."""
    if first is None or second is None:
        return first or second
    return DraftUse(second.name, first.proposed + second.proposed, first.accepted + second.accepted)
