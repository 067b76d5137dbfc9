"""Finding stop strings in generated text, and which one it was. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmstudio_server.engines.base import EngineEvent


def held_back(text: str, strings: Sequence[str]) -> int:
    """Return how many characters at the end of ``text`` may be the beginning of one of ``strings``."""
    longest = max((len(string) for string in strings), default=0)
    for length in range(min(longest - 1, len(text)), 0, -1):
        if any(string.startswith(text[-length:]) for string in strings):
            return length
    return 0


class StopMatcher:
    """Passes text on up to the first stop string, and holds back what may be the start of one."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held: list[Text] = []
        self.matched: str | None = None
        """The stop string that was found."""

    def feed(self, event: Text) -> list[Text]:
        """Return what is certain not to belong to a stop string; after a match: nothing more."""
        if not self._strings:
            return [event]
        self._held.append(event)
        text = "".join(held.content for held in self._held)
        found = [(text.find(string), string) for string in self._strings if string in text]
        if found:
            # The earliest; of two at one place the longer, as the model meant that one.
            at, self.matched = min(found, key=lambda pair: (pair[0], -len(pair[1])))
            return self._release(at, drop_rest=True)
        return self._release(len(text) - held_back(text, self._strings))

    def pass_on(self, event: EngineEvent) -> Sequence[EngineEvent]:
        """Return what is certain of any event: what is no text of the model's is not searched."""
        if isinstance(event, Text) and not event.structural:
            return self.feed(event)
        return [*self.flush(), event]

    def flush(self) -> list[Text]:
        """Return what was held back: nothing more comes that could complete a stop string."""
        held, self._held = self._held, []
        return held

    def _release(self, length: int, *, drop_rest: bool = False) -> list[Text]:
        """Return the held events within the first ``length`` characters; keep or drop the rest."""
        released: list[Text] = []
        while self._held and len(self._held[0].content) <= length:
            event = self._held.pop(0)
            length -= len(event.content)
            released.append(event)
        if drop_rest:
            if self._held and length:
                released.append(replace(self._held[0], content=self._held[0].content[:length]))
            self._held.clear()
        return released
