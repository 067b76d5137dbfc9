"""Tool names that a model can say, and the way back to the names that the client knows."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ToolNames", "rename"]


class ToolNames:
    """Both directions of the renaming that ``toolNaming`` asks for."""

    def __init__(self, names: Sequence[str], style: str) -> None:
        self._to_model: dict[str, str] = {}
        self._to_client: dict[str, str] = {}
        for name in dict.fromkeys(names):
            wanted = rename(name, style)
            # Two names may become one; then the later keeps its own, or gets a number.
            numbered = (f"{wanted}_{number}" for number in itertools.count(2))
            candidates = itertools.chain((wanted, name), numbered)
            shown = next(one for one in candidates if one not in self._to_client)
            self._to_model[name] = shown
            self._to_client[shown] = name

    def for_model(self, name: str) -> str:
        return self._to_model.get(name, name)

    def for_client(self, name: str) -> str:
        return self._to_client.get(name, name)

    def tools_for_model(self, tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The definitions under the names shown to the model."""
        return [
            {
                **tool,
                "function": {**tool["function"], "name": self.for_model(tool["function"]["name"])},
            }
            for tool in tools
        ]


def rename(name: str, style: str) -> str:
    """One name in a style; unknown styles, and names of which nothing would be left, stay."""
    words: list[str] = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    if style == "removeSpecial":
        return re.sub(r"[^A-Za-z0-9_-]", "", name) or name
    if style == "snakeCase" and words:
        return "_".join(word.lower() for word in words)
    if style == "camelCase" and words:
        return words[0].lower() + "".join(word.capitalize() for word in words[1:])
    return name
