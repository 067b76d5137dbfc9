"""From what an engine reports to the packets of a prediction channel: a pure fold.

The caller hands every event to ``feed`` with the time at which it came, and asks for ``stats``
when the generation is over, in whatever way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from lmstudio_server.engines import base as e

from .tools import ToolNames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Ending", "PredictionFold"]

Ending = Literal["userStopped", "modelUnloaded"]
Packet = dict[str, Any]

_STOP_REASONS: Final[Mapping[e.StopReason, str]] = {
    "eos": "eosFound",
    "stop_string": "stopStringFound",
    "length": "maxPredictedTokensReached",
    "context": "contextLengthReached",
    "tool_calls": "toolCalls",
}


class PredictionFold:
    """Turns one generation into packets and its statistics."""

    def __init__(
        self,
        started: float,
        *,
        names: ToolNames | None = None,
        tool_stop_strings: frozenset[str] = frozenset(),
        parse_reasoning: bool = True,
    ) -> None:
        self._started = started
        self._names = names or ToolNames((), "passThrough")
        self._tool_stop_strings = tool_stop_strings
        self._parse_reasoning = parse_reasoning
        self._first_token: float | None = None
        self._prompt_tokens: int | None = None
        self._predicted = 0
        self._finished: e.Finished | None = None
        self.text: list[str] = []
        """The generated pieces so far, for the log."""

    def feed(self, event: e.EngineEvent, now: float) -> Packet | None:
        """The packet for an event; ``None`` for one that clients are not told about."""
        match event:
            case e.Text():
                return self._fragment(event, now)
            case e.PromptProgress():
                self._prompt_tokens = event.total
                return _progress(event)
            case e.Finished():
                self._finished = event
                return None
            case e.ToolCallStart():
                self._touch(now)
                return {"type": "toolCallGenerationStart", "toolCallId": event.id}
            case e.ToolCallName():
                name = self._names.for_client(event.name)
                return {"type": "toolCallGenerationNameReceived", "name": name}
            case e.ToolCallArguments():
                self._touch(now)
                self._predicted = max(self._predicted, event.predicted_tokens)
                return {
                    "type": "toolCallGenerationArgumentFragmentGenerated",
                    "content": event.content,
                }
            case e.ToolCallEnd():
                return self._call_end(event)
            case e.ToolCallFailed():
                return _call_failed(event)

    def stats(self, now: float, ending: Ending | None = None) -> Packet:
        """The statistics; ``ending`` names what stopped a generation that did not finish."""
        finished = self._finished
        stats: Packet = {"stopReason": ending or "failed"}
        prompt, predicted = self._prompt_tokens, self._predicted
        total_time = now - self._started
        to_first = None if self._first_token is None else self._first_token - self._started
        if finished is not None:
            stats["stopReason"] = self._stop_reason(finished)
            if finished.stop_string is not None and stats["stopReason"] == "stopStringFound":
                stats["stopString"] = finished.stop_string
            prompt = finished.prompt_tokens or prompt
            predicted = finished.predicted_tokens or predicted
            total_time = finished.total_time or total_time
            to_first = finished.time_to_first_token or to_first
            stats |= _draft_stats(finished.draft)
        stats["totalTimeSec"] = total_time
        if to_first is not None:
            stats["timeToFirstTokenSec"] = to_first
            generating = total_time - to_first
            if finished is not None and finished.generation_time:
                generating = finished.generation_time
            if predicted > 1 and generating > 0:
                stats["tokensPerSecond"] = (predicted - 1) / generating
        if prompt is not None:
            stats["promptTokensCount"] = prompt
        stats["predictedTokensCount"] = predicted
        stats["totalTokensCount"] = predicted + (prompt or 0)
        return stats

    def _stop_reason(self, finished: e.Finished) -> str:
        if (
            finished.stop_reason == "stop_string"
            and finished.stop_string in self._tool_stop_strings
        ):
            return "toolCalls"
        return _STOP_REASONS[finished.stop_reason]

    def _touch(self, now: float) -> None:
        if self._first_token is None:
            self._first_token = now

    def _fragment(self, event: e.Text, now: float) -> Packet:
        self._touch(now)
        self._predicted += event.tokens_count
        self.text.append(event.content)
        parse = self._parse_reasoning
        fragment: Packet = {
            "content": event.content,
            "tokensCount": event.tokens_count,
            "containsDrafted": event.drafted,
            "reasoningType": event.reasoning if parse else "none",
            "isStructural": event.structural and parse,
        }
        if event.tokens:
            fragment["tokens"] = [_token(token) for token in event.tokens]
        return {"type": "fragment", "fragment": fragment}

    def _call_end(self, event: e.ToolCallEnd) -> Packet:
        packet: Packet = {
            "type": "toolCallGenerationEnd",
            "toolCallRequest": {
                "type": "function",
                "id": event.id,
                "name": self._names.for_client(event.name),
                "arguments": dict(event.arguments),
            },
        }
        if event.raw is not None:
            packet["rawContent"] = event.raw
        return packet


def _draft_stats(draft: e.DraftUse | None) -> Packet:
    if draft is None:
        return {}
    return {
        "usedDraftModelKey": draft.name,
        "totalDraftTokensCount": draft.proposed,
        "acceptedDraftTokensCount": draft.accepted,
        "rejectedDraftTokensCount": draft.proposed - draft.accepted,
        # llama.cpp does not count proposals that were too short to be considered.
        "ignoredDraftTokensCount": 0,
    }


def _progress(event: e.PromptProgress) -> Packet:
    done = min(max(event.processed, event.cached), event.total)
    return {
        "type": "promptProcessingProgress",
        "progress": done / event.total if event.total else 1.0,
        "details": {
            "cachedTokenCount": event.cached,
            "totalPromptTokenCount": event.total,
            "processedPromptTokenCount": max(0, done - event.cached),
            "unprocessedPromptTokenCount": event.total - done,
        },
    }


def _call_failed(event: e.ToolCallFailed) -> Packet:
    packet: Packet = {
        "type": "toolCallGenerationFailed",
        "error": {
            "title": "The model's tool call could not be read.",
            "rootTitle": "The model's tool call could not be read.",
            "cause": event.message,
        },
    }
    if event.raw is not None:
        packet["rawContent"] = event.raw
    return packet


def _token(token: e.Token) -> Packet:
    packet: Packet = {"text": token.text, "id": token.id}
    if token.log_prob is not None:
        packet["logProb"] = token.log_prob
        packet["candidates"] = _candidates(token.candidates)
    return packet


def _candidates(candidates: Sequence[e.TokenCandidate]) -> list[Packet]:
    return [{"text": c.text, "id": c.id, "logProb": c.log_prob} for c in candidates]
