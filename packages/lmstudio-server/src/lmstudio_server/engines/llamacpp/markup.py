"""Telling reasoning, answer and tool calls apart in raw generated text. No I/O.

llama.cpp does this for a model's own chat template. This is for the text it does not parse: where
the caller brought a template, and where token probabilities and tools are wanted together.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from lmstudio_server.engines.base import EngineEvent, Text, Token

from .calls import CallParser
from .stops import held_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

THINKING_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
)
CALL_START, CALL_END = "<tool_call>", "</tool_call>"
CALL_PROBE: Final[tuple[Mapping[str, Any], ...]] = (
    {"role": "user", "content": "?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "0", "type": "function", "function": {"name": "probe", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "content": "!", "tool_call_id": "0"},
)
"""A conversation with a call, to see how a template writes it."""

_TAGGED_CALL = re.compile(re.escape(CALL_START) + r'\s*\{\s*"name":\s*"probe"')
_STARTS = dict(THINKING_TAGS)
_STATES = Literal["text", "reasoning", "call"]


def open_thinking(prompt: str) -> tuple[str, str] | None:
    """Return the pair of tags if ``prompt`` ends inside thinking just begun."""
    tail = prompt.rstrip()
    for start, end in THINKING_TAGS:
        if tail.endswith(start):
            return start, end
    return None


def has_tagged_call(prompt: str) -> bool:
    """Whether ``prompt``, made of ``CALL_PROBE``, has the call as ``<tool_call>{"name": …``."""
    return _TAGGED_CALL.search(prompt) is not None


class MarkupSplitter:
    """Takes raw text in pieces and returns events with the tags recognised.

    Args:
        opened: The pair of thinking tags if the prompt has already opened them.
        tools: Whether ``<tool_call>`` means a tool call.
        new_call_id: Makes an id for each call.
    """

    def __init__(
        self,
        *,
        opened: tuple[str, str] | None,
        tools: bool,
        new_call_id: Callable[[], str],
    ) -> None:
        self._state: _STATES = "text"
        self._end_tag = ""
        self._tools = tools
        self._new_call_id = new_call_id
        self._call: CallParser | None = None
        self._held = ""
        self._count = 0
        self._tokens: list[Token] = []
        self._skip_space = False
        self.calls: int = 0
        """How many tool calls have been found."""
        self._opened = opened

    @property
    def is_reasoning(self) -> bool:
        """Whether the text has come to reasoning that has not ended."""
        return self._state == "reasoning"

    def after_call(self) -> None:
        """What comes next stands behind a call: white space there is no text."""
        self._skip_space = True

    def feed(self, piece: Text) -> list[EngineEvent]:
        """Return the events that ``piece`` makes certain."""
        self._held += piece.content
        self._count += piece.tokens_count
        self._tokens += piece.tokens
        events = self._start()
        while (found := self._find_tag()) is not None:
            at, tag = found
            events += self._emit(self._held[:at])
            self._held = self._held[at + len(tag) :]
            events += self._cross(tag)
        keep = held_back(self._held, self._tags())
        ready = self._held[: len(self._held) - keep]
        self._held = self._held[len(ready) :]
        events += self._emit(ready)
        return events

    def finish(self, *, cut_off: bool) -> list[EngineEvent]:
        """Return the events left when nothing more comes; ``cut_off``: not by the model's choice."""
        events = self._emit(self._held)
        self._held = ""
        if self._call is not None:
            # Some models end the text where the closing tag would be.
            events += self._call.finish(cut_off=cut_off)
            self._call = None
        return events

    def _start(self) -> list[EngineEvent]:
        """Return the start tag before the first token if it is in the prompt."""
        opened, self._opened = self._opened, None
        if opened is None:
            return []
        self._state, self._end_tag = "reasoning", opened[1]
        return [start_tag(opened[0], tokens_count=0)]

    def _tags(self) -> Sequence[str]:
        if self._state == "reasoning":
            return (self._end_tag,)
        if self._state == "call":
            return (CALL_END,)
        return (*_STARTS, CALL_START) if self._tools else tuple(_STARTS)

    def _find_tag(self) -> tuple[int, str] | None:
        found = [(self._held.find(tag), tag) for tag in self._tags() if tag in self._held]
        return min(found) if found else None

    def _cross(self, tag: str) -> list[EngineEvent]:
        """Go through ``tag`` into the next state."""
        self._skip_space = True
        if tag == CALL_START:
            self._state, self._call = "call", CallParser(self._new_call_id())
            self.calls += 1
            return self._call.feed("")
        if tag == CALL_END:
            call, self._call, self._state = self._call, None, "text"
            return call.finish() if call is not None else []
        if self._state == "reasoning":
            self._state = "text"
            return [self._with_tokens(end_tag(tag))]
        self._state, self._end_tag = "reasoning", _STARTS[tag]
        return [self._with_tokens(start_tag(tag))]

    def _emit(self, text: str) -> list[EngineEvent]:
        if self._call is not None:
            # The tokens of a call belong to no text.
            self._forget_tokens()
            return self._call.feed(text) if text else []
        if self._skip_space:
            text = text.lstrip()
            self._skip_space = not text
        if not text:
            return []
        reasoning: Literal["reasoning", "none"] = (
            "reasoning" if self._state == "reasoning" else "none"
        )
        return [self._with_tokens(Text(text, reasoning=reasoning))]

    def _with_tokens(self, event: Text) -> Text:
        """Return ``event`` with the tokens since the last one."""
        event = replace(event, tokens_count=self._count, tokens=tuple(self._tokens))
        self._forget_tokens()
        return event

    def _forget_tokens(self) -> None:
        self._count = 0
        self._tokens.clear()


def start_tag(tag: str, tokens_count: int = 1) -> Text:
    """Return the event of a tag that begins reasoning."""
    return Text(tag, tokens_count, reasoning="reasoningStartTag", structural=True)


def end_tag(tag: str, tokens_count: int = 1) -> Text:
    """Return the event of a tag that ends reasoning."""
    return Text(tag, tokens_count, reasoning="reasoningEndTag", structural=True)
