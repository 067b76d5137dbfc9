"""Draft models in a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import Draft

from . import stack

if TYPE_CHECKING:
    from pathlib import Path

    from .stack import Config

__all__ = ["DraftWish", "load_draft", "prediction_draft"]

_PREDICTION = "llm.prediction.speculativeDecoding."
_LOAD = "llm.load.llama.speculativeDecoding."
_MOST = 64
"""More tokens at once are never worth drafting."""


@dataclass(frozen=True)
class DraftWish:
    """A draft model by its key, and how it is to draft."""

    key: str
    max_tokens: int
    min_tokens: int
    min_probability: float

    def at(self, path: Path) -> Draft:
        """The wish with the file that was found for its key."""
        return Draft(path, self.key, self.max_tokens, self.min_tokens, self.min_probability)


def prediction_draft(client: Config, key: str | None = None) -> DraftWish | None:
    """What a prediction's configuration asks for; ``key`` replaces the one in it.

    A number of tokens to draft exactly overrides the largest number, and the model's doubts.
    """
    key = key or _text(client, _PREDICTION + "draftModel")
    if not key:
        return None
    exact = stack.integer(client.get(_PREDICTION + "numDraftTokensExact"), 1)
    largest = stack.integer(client.get(_PREDICTION + "maxTokensToDraft"), 1) or 16
    sure = stack.number(client.get(_PREDICTION + "minContinueDraftingProbability"), 0, 1)
    least = stack.integer(client.get(_PREDICTION + "minDraftLengthToConsider"), 0) or 0
    most = min(exact or largest, _MOST)
    default = 0.75 if exact is None else 0.0
    return DraftWish(key, most, min(least, most), default if sure is None else sure)


def load_draft(config: Config) -> DraftWish | None:
    """What a load configuration asks for."""
    key = _text(config, _LOAD + "draftModel")
    if not key or config.get(_LOAD + "draftSimple") is False:
        return None
    most = stack.integer(config.get(_LOAD + "draftMaxTokens"), 0)
    most = min(3 if most is None else most, _MOST)
    least = stack.integer(config.get(_LOAD + "draftMinTokens"), 0) or 0
    sure = stack.number(config.get(_LOAD + "draftMinContinueProbability"), 0, 1) or 0.0
    return DraftWish(key, most, min(least, most), sure) if most else None


def _text(config: Config, key: str) -> str:
    value = config.get(key)
    return value if isinstance(value, str) else ""
