"""Halves of characters that a server cut between two fragments of a prediction. No I/O here.

A server that counts text as JavaScript does may send half an emoji at the end of one fragment, and
the other half at the beginning of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmstudio_core.lenient import HalfJoiner, mend, readable

from .fragments import LlmPredictionFragment, ToolCallArgumentsFragment

__all__ = ["ArgumentsJoiner", "FragmentJoiner", "shown"]


def shown(value: Any) -> str | None:
    """``value`` as people may see it, if it is text."""
    return readable(value) if isinstance(value, str) else None


class FragmentJoiner:
    """Joins halves between fragments of one kind; one that stays alone becomes U+FFFD.

    Attributes:
        holds: Whether a half is held back. Fragments of ASCII text need not come here else.
    """

    __slots__ = ("_last", "_text", "holds")

    def __init__(self) -> None:
        self._text = HalfJoiner()
        self._last: LlmPredictionFragment | None = None
        self.holds: bool = False

    def feed(self, fragment: LlmPredictionFragment) -> Sequence[LlmPredictionFragment]:
        """Take a fragment; what is whole by now. Each keeps its tokens, though its text may move."""
        last = self._last
        before = self.flush() if last is not None and not _same_text(last, fragment) else []
        fragment.content = self._text.feed(fragment.content)
        if fragment.tokens is not None:
            fragment.tokens = mend(fragment.tokens)
        self.holds = bool(self._text.held)
        self._last = fragment if self.holds else None
        return [*before, fragment]

    def flush(self) -> list[LlmPredictionFragment]:
        """What is held back, at the end of the text: the other half did not come."""
        last, self._last, self.holds = self._last, None, False
        rest = self._text.flush()
        if last is None or not rest:
            return []
        kind = last.reasoning_type
        return [LlmPredictionFragment(rest, 0, last.contains_drafted, kind, last.is_structural)]


def _same_text(one: LlmPredictionFragment, other: LlmPredictionFragment) -> bool:
    return (one.reasoning_type, one.is_structural) == (other.reasoning_type, other.is_structural)


class ArgumentsJoiner:
    """The same for the arguments of a tool call while the model writes them."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = HalfJoiner()

    def feed(self, content: str) -> Sequence[ToolCallArgumentsFragment]:
        """Take a piece; the fragment for it, if there is anything to tell."""
        return _fragment(self._text.feed(content))

    def flush(self) -> Sequence[ToolCallArgumentsFragment]:
        """What is held back, at the end of the call."""
        return _fragment(self._text.flush())


def _fragment(content: str) -> Sequence[ToolCallArgumentsFragment]:
    return (ToolCallArgumentsFragment(content),) if content else ()
