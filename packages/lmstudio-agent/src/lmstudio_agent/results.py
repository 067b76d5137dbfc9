"""What a run of an agent gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmstudio_llm.chat import Chat
from lmstudio_llm.messages import ToolCallRequest
from lmstudio_llm.results import PredictionRoundResult

__all__ = ["ActResult", "ToolCallRecord", "Usage"]


@dataclass(frozen=True, kw_only=True)
class ToolCallRecord:
    """One call of a tool that a model asked for, and what became of it.

    Attributes:
        name: The tool's name, as the model wrote it.
        arguments: The arguments as the model wrote them.
        call_id: What the server calls the request, if it gave it an id.
        round_index: The round that asked for it, counted from 0.
        content: The text that the model got as the result.
        result: What the tool returned; ``None`` if it did not get that far.
        error: Why there is no result: the tool is unknown, the arguments do not fit, or the tool
            raised (then ``error.__cause__`` is what it raised).
        duration_seconds: How long the tool ran; 0.0 if it did not.
        reports: What the tool reported meanwhile: pairs of ``"status"`` or ``"warning"`` and text.
    """

    name: str
    arguments: Mapping[str, Any]
    call_id: str | None
    round_index: int
    content: str
    result: Any = None
    error: Exception | None = None
    duration_seconds: float = 0.0
    reports: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of all rounds together. The prompt of every round counts anew."""

    prompt_tokens: int = 0
    predicted_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and predicted tokens."""
        return self.prompt_tokens + self.predicted_tokens


@dataclass(frozen=True, kw_only=True)
class ActResult:
    """What ``act`` gives.

    Attributes:
        rounds: How many predictions were made.
        total_time_seconds: How long the run took, tools included.
        predictions: The prediction of every round.
        tool_calls: Every call of a tool, in the order in which the model asked for them.
        transcript: The chat that was passed in and all that the run added to it; a new ``act``
            can go on from it.
        pending: Calls of tools without an implementation, which the program has to answer: add
            the results to ``transcript`` (``transcript.add_tool_result``) and call ``act`` again.
    """

    rounds: int
    total_time_seconds: float
    predictions: Sequence[PredictionRoundResult[Any]] = field(default=(), repr=False)
    tool_calls: Sequence[ToolCallRecord] = field(default=(), repr=False)
    transcript: Chat = field(default_factory=Chat, repr=False)
    pending: Sequence[ToolCallRequest] = field(default=(), repr=False)

    @property
    def final(self) -> str:
        """The text of the last prediction."""
        return self.predictions[-1].content if self.predictions else ""

    @property
    def stop_reason(self) -> str | None:
        """Why the last prediction ended, such as ``"eosFound"``."""
        return self.predictions[-1].stats.stop_reason if self.predictions else None

    @property
    def usage(self) -> Usage:
        """The tokens of all rounds, as far as the server told them."""
        stats = [prediction.stats for prediction in self.predictions]
        return Usage(
            prompt_tokens=sum(int(s.prompt_tokens_count or 0) for s in stats),
            predicted_tokens=sum(int(s.predicted_tokens_count or 0) for s in stats),
        )
