"""``Plugin``: what a plugin offers, said by decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar, cast, get_args, get_origin, overload

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import as_mapping, error_text
from lmstudio_llm.tools import Tool, ToolFunctionDef, defined_tool, resolve_tools

from .definition import Definition, Hook, checked_schema
from .errors import init_error
from .hooks.tool_contexts import CURRENT, ToolCall

__all__ = ["Plugin", "with_call"]

F = TypeVar("F", bound=Callable[..., Any])


class Plugin:  # public
    """What a plugin offers; made in ``src/plugin.py``, where it is found under any name.

    Args:
        config: The settings of each chat: a ``PluginConfig`` (or ``BaseConfigSchema``) class.
        global_config: The settings for all chats.

    Raises:
        LMStudioPluginInitError: One of them is no such class, a hook is set twice or is no function,
            a prediction loop and tools are both set, or a tool has no docstring or type hints.

    Example:
        >>> plugin = Plugin()
        >>> @plugin.tool
        ... def double(number: int) -> int:
        ...     "Double a number."
        ...     return 2 * number
    """

    def __init__(self, config: Any = None, global_config: Any = None) -> None:
        self.config: Any = checked_schema("config", config)
        self.global_config: Any = checked_schema("global_config", global_config)
        self._tools: list[ToolFunctionDef | Tool] = []
        self._hooks: dict[Hook, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<Plugin {', '.join([*self._names(), *self._hooks]) or 'without hooks'}>"

    def _names(self) -> list[str]:
        return [tool.name for tool in self._tools]

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(
        self, function: None = None, /, *, name: str | None = None, description: str | None = None
    ) -> Callable[[F], F]: ...
    def tool(
        self, function: Any = None, /, *, name: str | None = None, description: str | None = None
    ) -> Any:
        """Offer a function as a tool; ``async`` or not.

        Its type hints are the parameters, its docstring is what the model is told. A parameter of the
        type ``ToolCall`` is filled in and not shown to the model.

        Args:
            function: The function; also a ``ToolFunctionDef``.
            name: The tool's name; the function's by default.
            description: What it does; the docstring by default.
        """
        if function is None:
            return functools.partial(self._add_tool, name=name, description=description)
        return self._add_tool(function, name=name, description=description)

    def _add_tool(self, function: Any, name: str | None, description: str | None) -> Any:
        try:
            made = (
                ToolFunctionDef.from_callable(function, name=name, description=description)
                if callable(function)
                else function
            )
            tool = with_call(made)
            resolve_tools([*self._tools, tool])
        except LMStudioValueError as error:
            shown = name or getattr(function, "__name__", repr(function))
            raise init_error(f"The tool {shown!r}: {error_text(error)}", key=shown) from error
        self._tools.append(tool)
        self._check_together()
        return function

    def tools(self, function: F) -> F:
        """A function of the controller that returns more tools, asked for each session anew."""
        return self._set("tools_provider", function)

    def prompt_preprocessor(self, function: F) -> F:
        """A function ``(ctl, message)`` that returns the message as a model is to see it.

        It returns a ``str``, a ``UserMessage``, a dict, or ``None`` to leave it as it is.
        """
        return self._set("prompt_preprocessor", function)

    def generator(self, function: F) -> F:
        """A function ``(ctl, chat)`` that writes in the place of a model.

        It yields texts, or calls ``ctl.fragment(…)`` and ``ctl.tool_call(…)``.
        """
        return self._set("generator", function)

    def prediction_loop(self, function: F) -> F:
        """A function ``(ctl)`` that answers the user, with whatever it likes."""
        return self._set("prediction_loop", function)

    def _set(self, hook: Hook, function: F) -> F:
        if not callable(function):
            raise init_error(f"The {hook} must be a function, got {function!r}.", key=hook)
        if hook in self._hooks:
            raise init_error(f"The {hook} is set twice: set it once.", key=hook)
        self._hooks[hook] = function
        self._check_together()
        return function

    def _check_together(self) -> None:
        self.definition()

    def definition(self) -> Definition:
        """All that it offers.

        Raises:
            LMStudioPluginInitError: Two hooks exclude each other.
        """
        hooks = dict(self._hooks)
        if self._tools:
            hooks["tools_provider"] = functools.partial(self._listed, hooks.get("tools_provider"))
        return Definition(hooks, self.config, self.global_config)

    async def _listed(self, more: Callable[..., Any] | None, ctl: Any) -> list[Any]:
        if more is None:
            return list(self._tools)
        from .hooks.serving import called

        given = await called(more, ctl)
        added = [with_call(tool) for tool in cast("Iterable[Any]", given or ())]
        return [*self._tools, *added]


def with_call(tool: Any) -> ToolFunctionDef | Tool:
    """The tool without its parameters of the type ``ToolCall``, which are filled in."""
    definition = defined_tool(tool)
    if isinstance(definition, Tool):
        return definition
    names = [name for name, declared in definition.parameters.items() if _is_call(declared)]
    if not names:
        return definition
    shown = {n: kind for n, kind in definition.parameters.items() if n not in names}
    return replace(
        definition, parameters=shown, implementation=_filled(definition.implementation, names)
    )


def _is_call(declared: Any) -> bool:
    kind: Any = as_mapping(declared).get("type", declared)
    kinds: tuple[Any, ...] = (kind, get_origin(kind), *get_args(kind))
    return any(found is ToolCall or get_origin(found) is ToolCall for found in kinds)


def _filled(function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    def given(kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**kwargs, **dict.fromkeys(names, CURRENT.get())}

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await cast("Awaitable[Any]", function(*args, **given(kwargs)))

        return call_async

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def iterate(*args: Any, **kwargs: Any) -> Any:
            async for item in function(*args, **given(kwargs)):
                yield item

        return iterate

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **given(kwargs))

    return call
