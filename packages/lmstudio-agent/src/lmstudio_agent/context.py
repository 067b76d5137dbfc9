"""What a tool may know of the call that it serves."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, cast, get_args

from lmstudio_core.errors import LMStudioRuntimeError
from lmstudio_llm.callables import is_call_context
from lmstudio_llm.tools import Tool, ToolDefinition, ToolFunctionDef, defined_tool

__all__ = ["ToolCallContext", "taking_context"]

logger: Final = logging.getLogger("lmstudio")


class ToolCallContext:  # public
    """The call that a tool serves, for tools that have a parameter of this type.

    The model does not see that parameter. ``ToolCallContext.current()`` gives the same object
    anywhere below the tool.

    Attributes:
        tool_name: The tool's name, as the model wrote it.
        call_id: What the server calls the request, if it gave it an id.
        round_index: The round that asked for the call, counted from 0.
        run_id: The same text for all calls of one ``act``, and for no others.
        cancelled: Whether nobody waits for the result any more; long work should look at it now
            and then, and end.
        reports: What was reported: pairs of ``"status"`` or ``"warning"`` and the text.

    Example:
        >>> def crawl(url: str, context: ToolCallContext) -> str:
        ...     '''Fetch a page and all that it links to.'''
        ...     context.status("fetching " + url)
        ...     ...
    """

    _current: ContextVar[ToolCallContext | None] = ContextVar("lmstudio_tool_call", default=None)

    def __init__(self, tool_name: str, call_id: str | None, round_index: int, run_id: str) -> None:
        self.tool_name = tool_name
        self.call_id = call_id
        self.round_index = round_index
        self.run_id = run_id
        self.cancelled = False
        self.reports: list[tuple[str, str]] = []

    @classmethod
    def current(cls) -> ToolCallContext:
        """The call that is being served here.

        Raises:
            LMStudioRuntimeError: None is.
        """
        if (context := cls._current.get()) is None:
            raise LMStudioRuntimeError("This is not running inside a tool call of act().")
        return context

    def status(self, text: str) -> None:
        """Report what the tool is doing; it is logged and kept in the call's record.

        Args:
            text: What to say.
        """
        self.reports.append(("status", text))
        logger.info("%s: %s", self.tool_name, text)

    def warn(self, text: str) -> None:
        """Report that something is not as it should be, though the tool goes on.

        Args:
            text: What to say.
        """
        self.reports.append(("warning", text))
        logger.warning("%s: %s", self.tool_name, text)

    @contextmanager
    def entered(self) -> Generator[None]:
        """Make this the current call for as long as the block runs."""
        token = self._current.set(self)
        try:
            yield
        finally:
            self._current.reset(token)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(tool_name={self.tool_name!r}, call_id={self.call_id!r}, "
            f"round_index={self.round_index}, run_id={self.run_id!r})"
        )


def taking_context(tool: ToolDefinition | Tool) -> ToolFunctionDef | Tool:
    """The tool without the parameters that are to get its context; these are filled in here."""
    definition = defined_tool(tool)
    given: Any = definition.parameters  # what the caller wrote: it may be anything yet
    if isinstance(definition, Tool) or not isinstance(given, Mapping):
        return definition
    names = [name for name, kind in definition.parameters.items() if _is_context(kind)]
    if not names:
        return definition
    shown = {name: kind for name, kind in definition.parameters.items() if name not in names}
    filled = _filled(definition.implementation, names)
    return replace(definition, parameters=shown, implementation=filled)


def _is_context(declared: Any) -> bool:
    kind = (
        cast("Mapping[str, Any]", declared).get("type")
        if isinstance(declared, Mapping)
        else declared
    )
    # A class that is imported for type checkers only is an unresolved name.
    return kind is ToolCallContext or ToolCallContext in get_args(kind) or is_call_context(kind)


def _filled(function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs, **dict.fromkeys(names, ToolCallContext.current()))

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        return await call(*args, **kwargs)

    @functools.wraps(function)
    async def give_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
        async for value in call(*args, **kwargs):
            yield value

    if inspect.isasyncgenfunction(function):
        return give_async
    return call_async if inspect.iscoroutinefunction(function) else call
