"""Tells a model's reasoning apart from its answer where the server did not. No I/O here.

Servers mark each fragment with its ``reasoningType``. Some do not for some models: the tags then
stand in the text, or LM Studio's own separators do. Only a block that begins the output counts as
reasoning, so that an answer may speak of ``<think>``; LM Studio's separators count anywhere, since
no model writes them. Where the prompt's template has opened the block, the output holds the closing
tag alone: the first one, if no other tag came before it, ends the reasoning; one in quotation marks
is spoken of, and in JSON there is none.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from lmstudio_core.lenient import as_mapping, as_text

from .fragments import LlmPredictionFragment

__all__ = ["DEFAULT_TAGS", "ReasoningSplitter", "as_reasoning", "reasoning_tags"]

DEFAULT_TAGS: Final = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel>thought", "<channel|>"),
)
"""What common models put around their reasoning."""

_OPENING: Final = "__LM_STUDIO_INTERNAL_"
_SEPARATOR: Final = re.compile(r"__LM_STUDIO_INTERNAL_[A-Z]+(?:_[A-Z]+)*(?:_[0-9a-f]+)?__")
_UNFINISHED: Final = re.compile(r"__LM_STUDIO_INTERNAL_[A-Za-z0-9_]{0,120}\Z")

_QUOTES: Final = ("`", '"', "'")
"""What stands before a tag that is only spoken of."""

_Cut = tuple[int, str]
"""How many characters to let go, and what they are."""


class _Place(Enum):
    """Where in the output the splitter is."""

    START = 1
    REASONING = 2
    AFTER = 3  # the white space between the reasoning and the answer
    ANSWER = 4


_ANSWER: Final = _Place.ANSWER  # the class is asked for its members by a function


@functools.lru_cache
def _marks(tags: Sequence[tuple[str, str]]) -> re.Pattern[str]:
    """Any of the tags, be it an opening or a closing one."""
    return re.compile("|".join(re.escape(tag) for pair in tags for tag in pair))


def _beginnings(tags: Sequence[tuple[str, str]]) -> Sequence[str]:
    """What any of the tags begins with; to look for one after the other beats a pattern."""
    return sorted({tag[0] for pair in tags for tag in pair})


def reasoning_tags(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The tags to look for, as the setting ``llm.prediction.reasoning.parsing`` says."""
    setting = as_mapping(values.get("llm.prediction.reasoning.parsing"))
    if not setting:
        return DEFAULT_TAGS
    start, end = as_text(setting.get("startString")), as_text(setting.get("endString"))
    return ((start, end),) if setting.get("enabled") and start and end else ()


class ReasoningSplitter:
    """Sorts fragments of text into reasoning and answer, as they come.

    It holds back only what may yet turn out to be a tag, and cuts fragments in which one ends.

    Args:
        tags: Pairs of what begins and what ends a block of reasoning; none to leave tags alone.

    Attributes:
        answer_begins: Set when a separator or a closing tag showed that everything before it was
            reasoning; whoever reads this sets it back.
    """

    def __init__(self, tags: Sequence[tuple[str, str]] = DEFAULT_TAGS) -> None:
        self._tags = tuple(tags)
        self._beginnings = _beginnings(self._tags)
        self._closing = bool(tags)  # whether a closing tag may come that nothing opened
        self._before = ""
        self._place = _Place.START if tags else _Place.ANSWER
        self._end = ""
        self._held: list[LlmPredictionFragment] = []
        self.answer_begins: bool = False

    def passes(self, content: str) -> bool:
        """Whether a fragment of that text goes through as it is; then it is not to be fed.

        True of nearly every token: of text of the answer, with nothing held back before it, in
        which no tag begins.
        """
        if self._place is not _ANSWER or self._held or not self._holds_no_mark(content):
            return False
        self._before = content
        return True

    def feed(self, fragment: LlmPredictionFragment) -> Sequence[LlmPredictionFragment]:
        """Take a fragment; what is certain by now, in order."""
        if self.passes(fragment.content):
            return (fragment,)
        if fragment.reasoning_type != "none":  # a server that tells them apart itself
            self._place, self._closing = _Place.ANSWER, False
            return [*self.flush(), fragment]
        if fragment.is_structural:
            return [*self.flush(), fragment]
        self._held.append(fragment)
        return self._settle()

    def flush(self) -> list[LlmPredictionFragment]:
        """What is still held back; nothing more is going to make a tag of it."""
        kind = "reasoning" if self._place is _Place.REASONING else "none"
        return self._let_go(sum(len(fragment.content) for fragment in self._held), kind)

    # --- deciding ------------------------------------------------------------------------------

    def _holds_no_mark(self, content: str) -> bool:
        """Whether text of the answer holds nothing that a separator or a tag may begin with."""
        if "_" in content:
            return False
        if self._closing:
            for beginning in self._beginnings:
                if beginning in content:
                    return False
        return True

    def _settle(self) -> list[LlmPredictionFragment]:
        decided: list[LlmPredictionFragment] = []
        while self._held:
            cut = self._cut("".join(fragment.content for fragment in self._held))
            if cut is None:
                break
            decided += self._let_go(*cut)
        return decided

    def _cut(self, held: str) -> _Cut | None:
        if self._place is _Place.START:
            return self._at_start(held)
        if self._place is _Place.REASONING:
            return self._in_reasoning(held)
        if self._place is _Place.AFTER:
            blank = len(held) - len(held.lstrip())
            if blank or not held:
                return blank, "reasoningEndTag"
            self._place = _Place.ANSWER
        return self._in_answer(held)

    def _at_start(self, held: str) -> _Cut | None:
        begun = held.lstrip()
        blank = len(held) - len(begun)
        for start, end in self._tags:
            if begun.startswith(start):
                self._place, self._end, self._closing = _Place.REASONING, end, False
                return blank + len(start), "reasoningStartTag"
        may_be_tag = any(start.startswith(begun) for start, _ in self._tags)
        if may_be_tag or _OPENING.startswith(begun):
            return None
        self._place = _Place.ANSWER
        self._closing = self._closing and not begun.startswith(("{", "["))
        return self._in_answer(held)

    def _in_reasoning(self, held: str) -> _Cut | None:
        found = [(held.find(self._end), len(self._end))] if self._end in held and self._end else []
        found += [(m.start(), len(m[0])) for m in _SEPARATOR.finditer(held) if "END" in m[0]]
        if not found:
            safe = min(_safe(held), len(held) - _overlap(held, self._end))
            return (safe, "reasoning") if safe or not held else None
        at, length = min(found)
        if at:
            return at, "reasoning"
        self._place = _Place.AFTER
        return length, "reasoningEndTag"

    def _in_answer(self, held: str) -> _Cut | None:
        if held and self._holds_no_mark(held):
            return len(held), "none"
        found = _SEPARATOR.search(held)
        tag = _marks(self._tags).search(held) if self._closing else None
        if tag is not None and (found is None or tag.start() < found.start()):
            return self._at_tag(tag)
        if found is None:
            safe = _safe(held)
            if self._closing:
                tags = [tag for pair in self._tags for tag in pair]
                safe = min(safe, len(held) - max(_overlap(held, tag) for tag in tags))
            return (safe, "none") if safe or not held else None
        if found.start():
            return found.start(), "none"
        if "REASONING_START" in found[0]:
            self._place, self._end = _Place.REASONING, ""
            return len(found[0]), "reasoningStartTag"
        if "REASONING_END" in found[0]:
            self._place = _Place.AFTER
            self.answer_begins = True
        return len(found[0]), "reasoningEndTag"

    def _at_tag(self, tag: re.Match[str]) -> _Cut:
        """The first tag in what looked like an answer: the end of reasoning, or a mere word."""
        if tag.start():
            return tag.start(), "none"
        self._closing = False
        opening = any(tag[0] == start for start, _ in self._tags)
        if opening or self._before.endswith(_QUOTES):
            return len(tag[0]), "none"
        self._place = _Place.AFTER
        self.answer_begins = True
        return len(tag[0]), "reasoningEndTag"

    # --- cutting -------------------------------------------------------------------------------

    def _let_go(self, count: int, kind: str) -> list[LlmPredictionFragment]:
        """The first so many characters of what is held, as fragments of that kind."""
        gone: list[LlmPredictionFragment] = []
        while self._held and (count or not self._held[0].content):
            fragment = self._held.pop(0)
            if len(fragment.content) > count:
                fragment, rest = _halves(fragment, count)
                self._held.insert(0, rest)
            count -= len(fragment.content)
            self._before = fragment.content or self._before
            gone.append(fragment if kind == "none" else fragment.retyped(kind))
        return gone


def _safe(held: str) -> int:
    """How much of the text can no longer become one of LM Studio's separators."""
    if (unfinished := _UNFINISHED.search(held)) is not None:
        return unfinished.start()
    return len(held) - _overlap(held, _OPENING)


def _overlap(held: str, tag: str) -> int:
    """How many characters at the end of the text may be the beginning of ``tag``."""
    longest = min(len(held), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if held.endswith(tag[:n])), 0)


def _halves(
    fragment: LlmPredictionFragment, at: int
) -> tuple[LlmPredictionFragment, LlmPredictionFragment]:
    """A fragment cut in two; its tokens are counted with the first half."""
    first = LlmPredictionFragment(
        fragment.content[:at],
        fragment.tokens_count,
        fragment.contains_drafted,
        tokens=fragment.tokens,
    )
    rest = LlmPredictionFragment(fragment.content[at:], 0, fragment.contains_drafted)
    return first, rest


def as_reasoning(fragments: Sequence[LlmPredictionFragment]) -> list[LlmPredictionFragment]:
    """What was taken for the answer, as the reasoning that it turned out to be."""
    return [
        fragment.retyped("reasoning") if fragment.reasoning_type == "none" else fragment
        for fragment in fragments
    ]
