"""Folding the chunks of ``/v1/chat/completions`` into engine events. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import (
    EngineEvent,
    Finished,
    PromptProgress,
    StopReason,
    Text,
    Token,
    TokenCandidate,
    ToolCallArguments,
    ToolCallFailed,
    ToolCallName,
    ToolCallStart,
)

from .calls import finished_call
from .markup import end_tag, start_tag
from .timings import Timings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_TAG, END_TAG = "<think>", "</think>"
"""llama.cpp drops a model's own tags; these, LM Studio's defaults, stand for them."""


def prompt_progress(chunk: Mapping[str, Any]) -> PromptProgress | None:
    """Return the prompt progress in ``chunk``, if it has any."""
    progress = chunk.get("prompt_progress")
    if progress is None:
        return None
    return PromptProgress(progress["total"], progress["processed"], progress["cache"])


def tokens_of(entries: Sequence[Mapping[str, Any]], candidates: int | None) -> tuple[Token, ...]:
    """Return the tokens in llama.cpp's probability entries, with ``candidates`` of the best each."""
    return tuple(
        Token(
            entry["token"],
            entry["id"],
            entry["logprob"],
            tuple(
                TokenCandidate(best["token"], best["id"], best["logprob"])
                for best in entry["top_logprobs"][: candidates or 0]
            ),
        )
        for entry in entries
    )


class _Call:
    """A tool call that is being received."""

    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, index: int, call_id: str, name: str) -> None:
        self.index = index
        self.id = call_id
        self.name = name
        self.arguments = ""

    @property
    def raw(self) -> str:
        return f'{{"name": "{self.name}", "arguments": {self.arguments or "{}"}}}'


class ChatFold:
    """Takes the chunks of one chat stream in order.

    Args:
        max_tokens: The limit asked for: tells the two reasons of a "length" stop apart.
        log_probs: How many candidates to report per token.
        draft: What the draft model is called, if there is one.
        thinks_on: Whether the thinking has a budget. A model that it interrupts may think on in its
            answer and end that in its own way: the second end tag is then no part of the answer.
        reads_calls: Whether llama.cpp looks for calls, and holds back what may be the beginning of one.
    """

    def __init__(
        self,
        *,
        max_tokens: int | None = None,
        log_probs: int | None = None,
        draft: str | None = None,
        thinks_on: bool = False,
        reads_calls: bool = False,
    ) -> None:
        self._reads_calls = reads_calls
        self._timings = Timings(draft)
        self._thinks_on = thinks_on
        self._max_tokens = max_tokens
        self._log_probs = log_probs
        self._reasoning = False
        self._call: _Call | None = None
        self._finish_reason: str | None = None
        self._counted = 0
        self._told = False
        self.prompt_tokens: int = 0
        self.predicted_tokens: int = 0

    def feed(self, chunk: Mapping[str, Any]) -> list[EngineEvent]:
        """Return the events in one chunk."""
        self._count(chunk)
        progress = prompt_progress(chunk)
        if progress is not None:
            self.prompt_tokens = progress.total
            return [progress]
        choices = chunk.get("choices")
        if not choices:
            return []
        choice = choices[0]
        if choice.get("finish_reason"):
            self._finish_reason = choice["finish_reason"]
        delta: Mapping[str, Any] = choice.get("delta") or {}
        probabilities: Mapping[str, Any] = choice.get("logprobs") or {}
        tokens = tokens_of(probabilities.get("content") or (), self._log_probs)
        said = ("reasoning_content", "content", "tool_calls")
        self._told = self._told or any(delta.get(name) for name in said)
        events: list[EngineEvent] = []
        if delta.get("reasoning_content"):
            events += self._reason(delta["reasoning_content"], tokens)
        if delta.get("content"):
            events += self._answer(delta["content"], tokens)
        for part in delta.get("tool_calls") or ():
            events += self._call_part(part)
        return events

    def finish(self) -> list[EngineEvent]:
        """Return the last events: an open call's end, and ``Finished``."""
        cut_off = self._finish_reason not in ("stop", "tool_calls")
        return [*self._end_call(cut_off=cut_off), self._finished(self._stop_reason())]

    @property
    def over(self) -> bool:
        """Whether llama.cpp has ended the stream itself."""
        return self._finish_reason is not None

    def filled(self) -> list[EngineEvent]:
        """Return the last events of a stream that was left because the context is full."""
        return [*self._end_call(cut_off=True), self._finished("context")]

    def stopped(self, stop_string: str) -> Finished:
        """Return the last event of a stream that was left at a stop string."""
        return self._finished("stop_string", stop_string)

    @property
    def lost(self) -> bool:
        """Whether the model wrote something, and nothing of it was told: the beginning of a call."""
        ended = self._finish_reason in ("stop", "tool_calls")
        return self._reads_calls and not self._told and not ended and self.predicted_tokens > 0

    def unread(self) -> list[EngineEvent]:
        """Return the last events of a stream that llama.cpp gave up, as it could not read the text."""
        call, self._call = self._call, None
        self._finish_reason = self._finish_reason or "stop"
        failed = [] if call is None else [ToolCallFailed("The call cannot be read.", call.raw)]
        return [*failed, self._finished("eos")]

    def _finished(self, reason: StopReason, stop_string: str | None = None) -> Finished:
        return Finished(
            reason,
            stop_string,
            self.prompt_tokens,
            self.predicted_tokens,
            draft=self._timings.draft_use,
            generation_time=self._timings.generation_time,
        )

    def _count(self, chunk: Mapping[str, Any]) -> None:
        self._timings.feed(chunk)
        self.predicted_tokens = max(self.predicted_tokens, self._timings.predicted_tokens)
        usage = chunk.get("usage")
        if usage is not None:
            self.prompt_tokens = usage["prompt_tokens"]
            self.predicted_tokens = usage["completion_tokens"]

    def _new_tokens(self) -> int:
        """Return how many tokens were generated since the last text."""
        new = self.predicted_tokens - self._counted
        self._counted = self.predicted_tokens
        return max(new, 0)

    def _reason(self, content: str, tokens: tuple[Token, ...]) -> list[EngineEvent]:
        text = replace(self._text(content, tokens), reasoning="reasoning")
        if self._reasoning:
            return [text]
        self._reasoning = True
        return [start_tag(START_TAG, tokens_count=0), text]

    def _leave_reasoning(self, *, for_call: bool = False) -> list[EngineEvent]:
        """Close the reasoning before an answer or a call.

        The tokens between are the tag's; those before a call are mostly the beginning of the call.
        """
        if not self._reasoning:
            return []
        self._reasoning = False
        between = max(self.predicted_tokens - self._counted - 1, 0)
        if for_call:
            between = min(between, 1)
        self._counted += between
        return [end_tag(END_TAG, between)]

    def _answer(self, content: str, tokens: tuple[Token, ...]) -> list[EngineEvent]:
        events = self._leave_reasoning() + self._end_call(cut_off=False)
        if self._thinks_on and content.strip() == END_TAG:
            self._thinks_on = False
            return [*events, end_tag(content, self._new_tokens())]
        return [*events, self._text(content, tokens)]

    def _text(self, content: str, tokens: tuple[Token, ...]) -> Text:
        new = self._new_tokens()
        return Text(content, new, tokens=tokens, drafted=self._timings.drafted(new))

    def _call_part(self, part: Mapping[str, Any]) -> list[EngineEvent]:
        function: Mapping[str, Any] = part.get("function") or {}
        events: list[EngineEvent] = []
        if self._call is None or self._call.index != part["index"]:
            events += self._leave_reasoning(for_call=True) + self._end_call(cut_off=False)
            name = function.get("name") or ""
            self._call = _Call(part["index"], part.get("id") or "", name)
            events += [ToolCallStart(self._call.id), ToolCallName(name)]
        arguments = function.get("arguments")
        if arguments:
            self._call.arguments += arguments
            events.append(ToolCallArguments(arguments, self.predicted_tokens))
        self._counted = self.predicted_tokens
        return events

    def _end_call(self, *, cut_off: bool) -> list[EngineEvent]:
        call, self._call = self._call, None
        if call is None:
            return []
        if cut_off:
            message = f"The generation ended inside the call of {call.name!r}."
            return [ToolCallFailed(message, call.raw)]
        return [finished_call(call.id, call.name, call.arguments, call.raw)]

    def _stop_reason(self) -> StopReason:
        if self._finish_reason == "tool_calls":
            return "tool_calls"
        if self._finish_reason != "length":
            return "eos"
        return length_reason(self.predicted_tokens, self._max_tokens)


def length_reason(predicted: int, limit: int | None) -> StopReason:
    """Return which limit ended a generation: the one asked for, or the context's."""
    return "length" if limit is not None and predicted >= limit else "context"
