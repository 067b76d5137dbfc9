"""Thinking before an answer that is held to a schema or grammar. No I/O.

A schema holds from the first token on. Where the prompt ends inside thinking, the model first
thinks freely; then the answer is begun with what it thought, and held to the schema.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import Text, ToolCallArguments

from .markup import THINKING_TAGS, open_thinking
from .timings import together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmstudio_server.engines.base import EngineEvent, Finished, Sampling

    from .completion_fold import CompletionFold


class Thinking:
    """How far the thinking before one answer has come.

    Args:
        prompt: The prompt as the template made it.
        budget: How many tokens the model may think; ``None``: as many as it likes.
        message: What is written for the model where the budget ends its thinking.
    """

    def __init__(self, prompt: str, budget: int | None = None, message: str = "") -> None:
        # Nothing can be generated with a limit of no tokens.
        self._budget = None if budget is None else max(1, budget)
        self._message = message
        self._limit: int | None = None
        self.prompt_before = prompt
        self.tags: tuple[str, str] | None = open_thinking(prompt)
        """The pair of tags if the prompt ends inside thinking, otherwise ``None``."""
        self.fold: CompletionFold | None = None
        """What the model thought, once it did."""

    @property
    def unfinished(self) -> bool:
        """Whether the model thought, and neither it nor the budget came to the end of that."""
        return self.fold is not None and self.fold.stop_string is None and not self.budget_spent

    @property
    def budget_spent(self) -> bool:
        """Whether the budget ended the thinking."""
        return (
            self.fold is not None
            and self.fold.stop_string is None
            and self._limit is not None
            and self._limit == self._budget
            and self.fold.predicted_tokens >= self._limit
        )

    @property
    def last_words(self) -> str:
        """What the budget adds to the thinking that it ends."""
        return self._message if self.budget_spent else ""

    @property
    def prompt(self) -> str:
        """The prompt for the answer."""
        if self.fold is None:
            return self.prompt_before
        end = "" if self.tags is None else self.tags[1]
        return f"{self.prompt_before}{self.fold.text}{self.last_words}{end}\n\n"

    def free(self, sampling: Sampling) -> Sampling:
        """Return the sampling to think with: held to nothing, up to the end tag."""
        end = "" if self.tags is None else self.tags[1]
        limits = [limit for limit in (self._budget, sampling.max_tokens) if limit is not None]
        self._limit = min(limits, default=None)
        # An answer wants at least one token of its own: then the caller's limit ends it all.
        if self._limit == sampling.max_tokens:
            self._budget = None
        return replace(
            sampling, json_schema=None, grammar=None, stop=(end,), max_tokens=self._limit
        )

    def remaining(self, sampling: Sampling) -> Sampling:
        """Return ``sampling`` with the limit that is left after thinking (at least one token)."""
        if self.fold is None or sampling.max_tokens is None:
            return sampling
        return replace(
            sampling, max_tokens=max(1, sampling.max_tokens - self.fold.predicted_tokens)
        )

    def counted(self, event: EngineEvent, answer: CompletionFold) -> EngineEvent:
        """Return ``event``, with all tokens so far if it is of a call, whose pieces count none."""
        if not isinstance(event, ToolCallArguments):
            return event
        thought = 0 if self.fold is None else self.fold.predicted_tokens
        return replace(event, predicted_tokens=thought + answer.predicted_tokens)

    def together(self, finished: Finished) -> Finished:
        """Return the answer's ``finished`` with the tokens of the thinking counted as predicted."""
        return finished if self.fold is None else _added(self.fold, finished)


@dataclass
class Thought:
    """What a model thought before it is held to a schema. What it said then is not told, and does not count."""

    text: str = ""
    predicted_tokens: int = 0

    def add(self, event: EngineEvent) -> None:
        """Take what was told of the thinking."""
        if isinstance(event, Text):
            self.text += event.content if event.reasoning == "reasoning" else ""
            self.predicted_tokens += event.tokens_count

    def after(self, thinking: Thinking) -> str:
        """Return the prompt for the answer."""
        if not self.text:
            start, end = thinking.tags or ("", "")
            # Nothing was thought in what the template has opened.
            return thinking.prompt_before + (f"\n{end}\n\n" if start else "")
        start, end = thinking.tags or THINKING_TAGS[0]
        opened = "" if thinking.tags else f"{start}\n"
        return f"{thinking.prompt_before}{opened}{self.text}{end}\n\n"

    def remaining(self, sampling: Sampling) -> Sampling:
        """Return ``sampling`` with the limit that is left (at least one token)."""
        if sampling.max_tokens is None:
            return sampling
        return replace(sampling, max_tokens=max(1, sampling.max_tokens - self.predicted_tokens))

    def together(self, finished: Finished) -> Finished:
        """Return ``finished`` with what was generated before."""
        predicted = self.predicted_tokens + finished.predicted_tokens
        return replace(finished, predicted_tokens=predicted)


def summed(folds: Sequence[CompletionFold], finished: Finished) -> Finished:
    """Return the last of several parts' ``finished`` with the tokens and times of all of them."""
    for fold in reversed(folds[:-1]):
        finished = _added(fold, finished)
    return finished


def _added(before: CompletionFold, finished: Finished) -> Finished:
    return replace(
        finished,
        prompt_tokens=before.prompt_tokens,
        predicted_tokens=before.predicted_tokens + finished.predicted_tokens,
        draft=together(before.timings.draft_use, finished.draft),
        generation_time=_sum(before.timings.generation_time, finished.generation_time),
    )


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second
