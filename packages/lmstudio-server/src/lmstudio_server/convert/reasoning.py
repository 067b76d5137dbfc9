"""Finding reasoning between strings of the client's choice.

Engines know the tags that a model's template uses. A client may name others; then the text itself
is searched, piece by piece, and a tag may be spread over several pieces.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from lmstudio_server.engines.base import EngineEvent, Text

if TYPE_CHECKING:
    from lmstudio_server.engines.base import Token

__all__ = ["ReasoningSplitter"]

Kind = Literal["none", "reasoning", "reasoningStartTag", "reasoningEndTag"]


class ReasoningSplitter:
    """Turns plain text into answer, reasoning and tags. Other events pass as they are."""

    def __init__(self, start: str, end: str) -> None:
        self._start = start
        self._end = end
        self._inside = False
        self._held = ""
        self._count = 0
        self._tokens: list[Token] = []

    def feed(self, event: EngineEvent) -> list[EngineEvent]:
        """What an event becomes; text that may be the beginning of a tag is held back."""
        if not isinstance(event, Text) or event.structural or event.reasoning != "none":
            return [*self._release(), event]
        self._count += event.tokens_count
        self._tokens += event.tokens
        return list(self._split(self._held + event.content))

    def _split(self, text: str) -> list[Text]:
        pieces: list[Text] = []
        while True:
            tag = self._end if self._inside else self._start
            before, found, text_after = text.partition(tag)
            if not found:
                break
            if before:
                pieces.append(self._piece(before))
            kind: Kind = "reasoningEndTag" if self._inside else "reasoningStartTag"
            pieces.append(replace(self._piece(tag), reasoning=kind, structural=True))
            self._inside = not self._inside
            text = text_after
        held = _tag_beginning(text, tag)
        self._held = text[len(text) - held :]
        shown = text[: len(text) - held]
        return [*pieces, self._piece(shown)] if shown else pieces

    def _release(self) -> list[Text]:
        held, self._held = self._held, ""
        return [self._piece(held)] if held else []

    def _piece(self, content: str) -> Text:
        """A piece of text; the first after new tokens carries their number."""
        count, self._count = self._count, 0
        tokens, self._tokens = tuple(self._tokens), []
        reasoning: Kind = "reasoning" if self._inside else "none"
        return Text(content, tokens_count=count, reasoning=reasoning, tokens=tokens)


def _tag_beginning(text: str, tag: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``tag``."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
