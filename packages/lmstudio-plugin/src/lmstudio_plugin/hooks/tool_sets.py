"""One session with the tools of several plugins."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from typing_extensions import Self

from ..data import PredictionProcess

__all__ = ["EnabledTools"]


class EnabledTools:
    """The tools of all plugins that are enabled in a chat.

    Example:
        >>> async with ctl.tools() as tools:  # doctest: +SKIP
        ...     await model.act(chat, tools)
    """

    def __init__(self, session: Any, plugins: Sequence[str], process: PredictionProcess) -> None:
        self._session, self._plugins, self._process = session, plugins, process
        self._stack = AsyncExitStack()
        self._tools: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        try:
            for name in self._plugins:
                started = await self._session.start_tool_use_session(name, process=self._process)
                session = await self._stack.enter_async_context(started)
                self._tools += session.tools
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def __iter__(self) -> Any:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)
