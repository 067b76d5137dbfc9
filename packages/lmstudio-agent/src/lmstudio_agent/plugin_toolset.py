"""Toolsets of LM Studio's own plugins, which run beside the server."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.program.tracebacks import short
from lmstudio_core.protocol.operations import Invoke
from lmstudio_llm.tools import ToolDefinition, ToolFunctionDef

from .context import ToolCallContext
from .toolsets import Toolset


@short
def plugin_tools(
    plugin_identifier: str,
    *,
    config: Mapping[str, Any] | None = None,
    working_directory: str | None = None,
) -> PluginToolset:  # public
    """The tools of a plugin that is installed in LM Studio.

    Args:
        plugin_identifier: Which plugin, as ``"owner/name"``.
        config: The plugin's settings: key to value.
        working_directory: A folder on the server's machine that the plugin may work in.

    Returns:
        A toolset, with a session of its own in each run. To keep a session for several runs, pass
        the ``tools`` of ``client.plugins.start_tool_use_session(...)`` instead.

    Raises:
        LMStudioValueError: The identifier is not of that form.

    Example:
        >>> dice = plugin_tools("lmstudio/dice")
        >>> model.act("Roll two dice.", [dice])  # doctest: +SKIP
    """
    owner, _, name = str(plugin_identifier).partition("/")
    if not owner or not name:
        raise LMStudioValueError(f'A plugin is named "owner/name", not {plugin_identifier!r}.')
    return PluginToolset(plugin_identifier, config, working_directory)


class PluginToolset(Toolset):  # public
    """The tools of a plugin of LM Studio; made by ``plugin_tools``.

    Args:
        name: The plugin.
        config: Its settings.
        working_directory: Where it may work.
        client: The client of the run; without one it cannot be opened.

    Example:
        >>> with plugin_tools("lmstudio/dice") as dice:  # doctest: +SKIP
        ...     print(dice.name)
    """

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        client: Any = None,
    ) -> None:
        super().__init__(name)
        self._config = config
        self._working_directory = working_directory
        self._client = client
        self._session: Any = None

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    def for_run(self, client: Any) -> Toolset:
        """Another one with a session of its own.

        Args:
            client: The client of the run's model.

        Returns:
            The toolset of that run.
        """
        return PluginToolset(self.name, self._config, self._working_directory, client)

    def opening(self) -> Invoke[Any]:
        """The step that starts the session."""
        return Invoke(self._start)

    def closing(self) -> Invoke[Any]:
        """The step that ends the session."""
        return Invoke(self._end)

    def open(self) -> None:
        """Not possible without a client; runs do it by themselves."""
        raise LMStudioRuntimeError(
            "A plugin's toolset is opened by each run. To keep a session for several, use "
            "client.plugins.start_tool_use_session(...) and pass its tools."
        )

    def close(self) -> None:
        """End the session without waiting for it."""
        left = self._end()
        if inspect.iscoroutine(left):
            try:
                asyncio.get_running_loop().create_task(left)
            except RuntimeError:  # the loop is gone, and the connection with it
                left.close()

    def _start(self) -> Any:
        session = self._client.capability("plugins").start_tool_use_session(
            self.name, config=self._config, working_directory=self._working_directory
        )
        return self._await(session) if inspect.isawaitable(session) else self._take(session)

    async def _await(self, starting: Awaitable[Any]) -> None:
        self._take(await starting)

    def _take(self, session: Any) -> None:
        self._session = session
        self._tools = [_tool(session.call_tool, known) for known in session.available]

    def _end(self) -> Any:
        session, self._session = self._session, None
        if session is None:
            return None
        return session.aclose() if hasattr(session, "aclose") else session.close()


def _tool(call_tool: Callable[..., Any], known: Any) -> ToolDefinition:
    """A plugin's tool; what it reports becomes a report of the call."""

    def prepared(arguments: dict[str, Any]) -> Any:
        context = ToolCallContext.current()
        return call_tool(known.name, arguments, on_status=context.status, on_warning=context.warn)

    def call(**arguments: Any) -> Any:
        return prepared(arguments)

    async def call_async(**arguments: Any) -> Any:
        return await prepared(arguments)

    return ToolFunctionDef(
        name=known.name,
        description=known.description or known.name,
        parameters=cast("Mapping[str, Any]", {"type": "object", **known.parameters}),
        implementation=call_async if inspect.iscoroutinefunction(call_tool) else call,
    )
