"""The tools of a run: made ready, and kept as their toolsets have them."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, cast

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import error_text
from lmstudio_core.protocol.operations import Op
from lmstudio_llm.tools import Tool, ToolDefinition, resolve_tool, resolve_tools

from .context import taking_context
from .toolsets import Toolset, contained

__all__ = ["Offer", "ready_tools"]

logger: Final = logging.getLogger("lmstudio")


class Offer:
    """What the model may call: tools of the run's own, and those that its toolsets have now.

    Args:
        own: The tools of the run's own.

    Attributes:
        tools: All of them by name.
    """

    def __init__(self, own: Sequence[Tool]) -> None:
        self.tools: dict[str, Tool] = {tool.name: tool for tool in own}
        self._sets: list[tuple[Toolset, list[ToolDefinition], list[Tool]]] = []

    def add(self, toolset: Toolset) -> None:
        """Take the tools of a toolset that is open.

        Raises:
            LMStudioValueError: There is a tool of one of the names, or one is none.
        """
        given, added = contained(toolset.name, partial(_read, toolset))
        for tool in added:
            if tool.name in self.tools:
                raise LMStudioValueError(_TWICE.format(tool.name, toolset.name))
        self.tools |= {tool.name: tool for tool in added}
        self._sets.append((toolset, given, added))

    def renewing(self) -> Op[None]:
        """Have the toolsets learn what changed, before the next round offers it."""
        for toolset, _, _ in self._sets:
            if (step := toolset.renewing()) is not None:
                yield step
        self.renew()

    def renew(self) -> None:
        """Take the tools as the toolsets have them now; what cannot be taken is said in the log."""
        for place, (toolset, given, known) in enumerate(self._sets):
            try:
                now, ready = contained(toolset.name, partial(_read, toolset, given, known))
                if ready is known:
                    continue
            except Exception as error:  # noqa: BLE001 - the tools that are known go on
                logger.warning("%r keeps the tools it had: %s", toolset, error_text(error))
                continue
            for tool in known:
                del self.tools[tool.name]
            new = [tool for tool in ready if tool.name not in self.tools]
            for tool in ready:
                if tool not in new:
                    logger.warning("%s", _TWICE.format(tool.name, toolset.name))
            self.tools |= {tool.name: tool for tool in new}
            self._sets[place] = (toolset, now, new)


_TWICE = (
    "Two tools have the name {!r}, one of them in the toolset {!r}; rename one of them, or give "
    "mcp_tools() a prefix=."
)


def _read(
    toolset: Toolset, given: list[ToolDefinition] | None = None, known: list[Tool] | None = None
) -> tuple[list[ToolDefinition], list[Tool]]:
    """What the toolset offers, and that made ready: ``known`` if it still offers what was ``given``."""
    now = toolset.tools
    if given is None or known is None or len(now) != len(given):
        return now, ready_tools(now)
    if all(one is other for one, other in zip(now, given, strict=True)):
        return given, known
    return now, ready_tools(now)


def ready_tools(tools: Iterable[ToolDefinition | Tool]) -> list[Tool]:
    """The tools made ready to be offered and called.

    Raises:
        LMStudioValueError: One is no tool, or two have the same name.
    """
    return resolve_tools([_ready(tool) for tool in tools])


_KEPT = "__lmstudio_tool__"


def _ready(tool: ToolDefinition | Tool) -> ToolDefinition | Tool:
    """The tool with its context filled in. Making a schema takes long: functions keep theirs."""
    if not inspect.isfunction(tool):
        return taking_context(tool)
    # functools.wraps copies what a function keeps; the rest may be set anew at any time.
    known = (tool, tool.__name__, tool.__doc__, tool.__defaults__)
    made_of, kept = vars(tool).get(_KEPT, ((), None))
    if kept is None or any(now is not then for now, then in zip(known, made_of, strict=True)):
        kept = resolve_tool(taking_context(tool))
        vars(tool)[_KEPT] = (known, kept)
    return cast("Tool", kept)
