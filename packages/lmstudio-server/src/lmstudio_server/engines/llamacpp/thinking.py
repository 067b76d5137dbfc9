"""Thinking before an answer that is held to a schema or grammar. No I/O.

A schema holds from the first token on. Where the prompt ends inside thinking, the model first
thinks freely; then the answer is begun with what it thought, and held to the schema.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .markup import open_thinking

if TYPE_CHECKING:
    from lmstudio_server.engines.base import Finished, Sampling

    from .completion_fold import CompletionFold


class Thinking:
    """How far the thinking before one answer has come.

    Args:
        prompt: The prompt as the template made it.
    """

    def __init__(self, prompt: str) -> None:
        self.prompt_before = prompt
        self.tags = open_thinking(prompt)
        """The pair of tags if the prompt ends inside thinking, otherwise ``None``."""
        self.fold: CompletionFold | None = None
        """What the model thought, once it did."""

    @property
    def unfinished(self) -> bool:
        """Whether the model thought, but did not come to the end of it."""
        return self.fold is not None and self.fold.stop_string is None

    @property
    def prompt(self) -> str:
        """The prompt for the answer."""
        if self.fold is None:
            return self.prompt_before
        return f"{self.prompt_before}{self.fold.text}{self.fold.stop_string}\n\n"

    def free(self, sampling: Sampling) -> Sampling:
        """Return the sampling to think with: held to nothing, up to the end tag."""
        end = "" if self.tags is None else self.tags[1]
        return replace(sampling, json_schema=None, grammar=None, stop=(end,))

    def remaining(self, sampling: Sampling) -> Sampling:
        """Return ``sampling`` with the limit that is left after thinking (at least one token)."""
        if self.fold is None or sampling.max_tokens is None:
            return sampling
        return replace(
            sampling, max_tokens=max(1, sampling.max_tokens - self.fold.predicted_tokens)
        )

    def together(self, finished: Finished) -> Finished:
        """Return the answer's ``finished`` with the tokens of the thinking counted as predicted."""
        if self.fold is None:
            return finished
        return replace(
            finished,
            prompt_tokens=self.fold.prompt_tokens,
            predicted_tokens=self.fold.predicted_tokens + finished.predicted_tokens,
        )
