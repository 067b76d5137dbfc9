"""Toolsets: tools that belong together, by name, with a lifetime if they need one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar, cast

from typing_extensions import Self

from lmstudio_core.errors import (
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioValueError,
    PluginLoadError,
)
from lmstudio_core.lenient import error_text, is_interrupt
from lmstudio_core.plugins.registry import plugins
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.operations import Invoke
from lmstudio_llm.tools import Tool, ToolDefinition, ToolFunctionDef

__all__ = ["ToolInput", "Toolset", "contained", "named_toolset", "toolset_names", "toolsets_of"]

_T = TypeVar("_T")


class Toolset(Short):  # public
    """Tools that belong together.

    It may stand among the tools of ``act``. Toolsets that hold something open (a process, a
    connection) are opened for each run, unless they are open already: ``with toolset:`` keeps one
    open for several. Subclasses override ``open``, ``close``, ``is_open`` and ``tools``.

    Args:
        name: What it is called.
        tools: Its tools.

    Example:
        >>> arithmetic = Toolset("arithmetic", [add, multiply])
        >>> model.act("What is 6 times 7?", [arithmetic])
    """

    def __init__(self, name: str, tools: Iterable[ToolDefinition] = ()) -> None:
        self.name = name
        self._tools: list[ToolDefinition] = list(tools)

    @property
    def tools(self) -> list[ToolDefinition]:
        """The tools; known only while it is open, if it has to be opened."""
        return list(self._tools)

    @property
    def is_open(self) -> bool:
        """Whether the tools can be used now."""
        return True

    def open(self) -> None:
        """Get ready to be used."""

    def close(self) -> None:
        """Let go of what ``open`` got."""

    def for_run(self, client: Any) -> Toolset:
        """The toolset to open for one run through ``client``; runs at the same time share nothing.

        Args:
            client: The client of the run's model.

        Returns:
            The toolset of that run.
        """
        del client
        return self

    def opening(self) -> Invoke[Any]:
        """The step that opens it."""
        return Invoke(lambda: contained(self.name, self.open), blocking=True)

    def closing(self) -> Invoke[Any]:
        """The step that closes it."""
        return Invoke(lambda: contained(self.name, self.close), blocking=True)

    def renewing(self) -> Invoke[Any] | None:
        """The step that learns tools that changed; ``None`` if none did. Asked before each round."""
        return None

    def __iter__(self) -> Iterator[ToolDefinition]:
        return iter(self.tools)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.open)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def contained(name: str, work: Callable[[], _T]) -> _T:
    """What a toolset's own code gives; what it raises beside ``Exception`` becomes one.

    So nothing but the user's own Ctrl-C ends the program, or passes for the end of a test.
    """
    try:
        return work()
    except Exception:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        said = error_text(error, named=True)
        raise LMStudioRuntimeError(f"The toolset {name!r} failed: {said}") from error


ToolInput = ToolDefinition | Toolset
"""What ``act`` takes as a tool: a function, a definition, or a toolset."""


def toolsets_of(
    tools: Iterable[ToolInput | Tool], toolsets: Iterable[Toolset | str]
) -> tuple[list[ToolDefinition | Tool], list[Toolset]]:
    """The single tools, and the toolsets, those among the tools included.

    Raises:
        LMStudioValueError: One of the two is no list, or no installed plugin has a toolset.
    """
    given: Any = tools
    if isinstance(given, (str, bytes, Mapping, ToolFunctionDef)) or not isinstance(given, Iterable):
        kind = type(cast("object", given)).__name__
        raise LMStudioValueError(f"tools is a list of tools, not {kind}.")
    if isinstance(given, Toolset):
        given = [given]
    listed = list(cast("Iterable[ToolInput | Tool]", given))
    single: list[ToolDefinition | Tool] = [t for t in listed if not isinstance(t, Toolset)]
    sets = [tool for tool in listed if isinstance(tool, Toolset)]
    return single, sets + _picked(toolsets)


def _picked(toolsets: Any) -> list[Toolset]:
    if isinstance(toolsets, (str, Toolset)) or not isinstance(toolsets, Iterable):
        raise LMStudioValueError(f"toolsets is a list of names or toolsets, not {toolsets!r}.")
    picked: list[Toolset] = []
    for given in cast("Iterable[Any]", toolsets):
        if isinstance(given, Toolset):
            picked.append(given)
        elif isinstance(given, str):
            picked.append(named_toolset(given))
        else:
            raise LMStudioValueError(f"A toolset is a Toolset or a name, not {given!r}.")
    return picked


def toolset_names() -> list[str]:  # public
    """The names of the toolsets that installed plugins offer.

    Example:
        >>> toolset_names()
        []
    """
    return sorted(plugins.toolsets()[0])


def named_toolset(name: str) -> Toolset:
    """The toolset that a plugin offers under that name.

    Raises:
        LMStudioValueError: None does, or two do.
        PluginLoadError: The plugin could not make it.
    """
    offered, contested = plugins.toolsets()
    if name in contested:
        raise LMStudioValueError(contested[name])
    if name not in offered:
        known = ", ".join(map(repr, sorted(offered))) or "none"
        raise LMStudioValueError(
            f"No installed plugin offers the toolset {name!r}; there are: {known}."
        )
    try:
        made = offered[name]()
        return made if isinstance(made, Toolset) else Toolset(name, made)
    except LMStudioError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        said = error_text(error, named=True)
        raise PluginLoadError(f"The toolset {name!r} could not be made: {said}") from error
