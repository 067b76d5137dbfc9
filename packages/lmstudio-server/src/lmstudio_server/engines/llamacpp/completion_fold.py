"""Folding the chunks of ``/completion`` into engine events. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import EngineEvent, Finished, StopReason, Text, Token

from .chat_fold import length_reason, prompt_progress, tokens_of
from .timings import Timings

if TYPE_CHECKING:
    from collections.abc import Mapping


class CompletionFold:
    """Takes the chunks of one completion stream in order.

    Args:
        max_tokens: The limit asked for: tells the two reasons of a "limit" stop apart.
        log_probs: How many candidates to report per token.
        draft: What the draft model is called, if there is one.
    """

    def __init__(
        self,
        *,
        max_tokens: int | None = None,
        log_probs: int | None = None,
        draft: str | None = None,
    ) -> None:
        self.timings: Timings = Timings(draft)
        self._max_tokens = max_tokens
        self._log_probs = log_probs
        self._counted = 0
        self._tokens: tuple[Token, ...] = ()
        self._stop_type = "none"
        self._stop_string = ""
        self.text: str = ""
        """All the text so far."""
        self.told: bool = False
        """Whether anybody has been told some of it."""
        self.prompt_tokens: int = 0
        self.predicted_tokens: int = 0

    def feed(self, chunk: Mapping[str, Any]) -> list[EngineEvent]:
        """Return the events in one chunk."""
        self.timings.feed(chunk)
        progress = prompt_progress(chunk)
        if progress is not None:
            self.prompt_tokens = progress.total
            return [progress]
        self.predicted_tokens = chunk.get("tokens_predicted", self.predicted_tokens)
        self.prompt_tokens = chunk.get("tokens_evaluated", self.prompt_tokens)
        if chunk.get("stop"):
            self._stop_type = chunk.get("stop_type", "none")
            self._stop_string = chunk.get("stopping_word", "")
        # A token may hold only part of a character: its text comes with a later one.
        self._tokens += tokens_of(chunk.get("completion_probabilities") or (), self._log_probs)
        content = chunk.get("content")
        if not content:
            return []
        self.text += content
        new = self.predicted_tokens - self._counted
        text = Text(content, new, tokens=self._tokens, drafted=self.timings.drafted(new))
        self._counted = self.predicted_tokens
        self._tokens = ()
        return [text]

    def begin_again(self) -> None:
        """Forget a text that was given up before anything of it was told."""
        self._counted = self.predicted_tokens = 0
        self._tokens = ()
        self._stop_type, self._stop_string, self.text = "none", "", ""

    @property
    def over(self) -> bool:
        """Whether llama.cpp has ended the stream itself."""
        return self._stop_type != "none"

    def fill(self) -> None:
        """The context is full, and the text was left there."""
        self._stop_type = "limit"
        self._max_tokens = None

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the text, if one did."""
        return self._stop_string if self._stop_type == "word" else None

    @property
    def ended(self) -> bool:
        """Whether the model ended the text itself."""
        return self._stop_type == "eos"

    @property
    def cut_off(self) -> bool:
        """Whether something other than the model's own choice ended the text."""
        return self._stop_type != "eos"

    def finished(self, *, called_tools: bool = False) -> Finished:
        """Return the last event; ``called_tools``: the text was a call of tools."""
        reason: StopReason
        if self._stop_type == "word":
            reason = "stop_string"
        elif self._stop_type == "limit":
            reason = length_reason(self.predicted_tokens, self._max_tokens)
        else:
            reason = "tool_calls" if called_tools else "eos"
        return Finished(
            reason,
            self.stop_string,
            self.prompt_tokens,
            self.predicted_tokens,
            draft=self.timings.draft_use,
            generation_time=self.timings.generation_time,
        )
