"""What a tool knows of the call that it serves, and how it tells what it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from ..errors import LMStudioPluginRuntimeError
from .serving import SendMessage

C = TypeVar("C")
MAX_STATUS: Final = 4096
"""The longest status and warning, in characters."""


class _BaseToolCallContext:
    """The call that a tool serves.

    Attributes:
        session_id: The session that it belongs to.
        call_id: The call.
    """

    def __init__(self, session_id: str, call_id: str, send_json: SendMessage) -> None:
        self.session_id = session_id
        self.call_id = call_id
        self._send_json = send_json

    def _make_status(self, message: str) -> dict[str, Any]:
        return self._made("toolCallStatus", "statusText", message)

    def _make_warning(self, message: str) -> dict[str, Any]:
        return self._made("toolCallWarn", "warnText", message)

    def _made(self, kind: str, key: str, message: str) -> dict[str, Any]:
        text = str(message)
        if len(text) > MAX_STATUS:
            text = text[: MAX_STATUS - 1] + "…"
        return {"type": kind, "sessionId": self.session_id, "callId": self.call_id, key: text}


class AsyncToolCallContext(_BaseToolCallContext):  # public
    """The call that an async tool serves."""

    async def notify_status(self, message: str) -> None:
        """Show what the tool is doing."""
        await self._send_json(self._make_status(message))

    async def notify_warning(self, message: str) -> None:
        """Warn of something, though the tool goes on."""
        await self._send_json(self._make_warning(message))


class ToolCallContext(_BaseToolCallContext):  # public
    """The call that a tool serves in a thread."""

    def __init__(self, session_id: str, call_id: str, send_json: SendMessage) -> None:
        super().__init__(session_id, call_id, send_json)
        self._loop = asyncio.get_running_loop()

    def _send_json_sync(self, data: Mapping[str, Any]) -> None:
        async def send() -> None:
            await self._send_json(data)

        asyncio.run_coroutine_threadsafe(send(), self._loop).result()

    def notify_status(self, message: str) -> None:
        """Show what the tool is doing."""
        self._send_json_sync(self._make_status(message))

    def notify_warning(self, message: str) -> None:
        """Warn of something, though the tool goes on."""
        self._send_json_sync(self._make_warning(message))


_LMS_TOOL_CALL_SYNC: ContextVar[ToolCallContext | None] = ContextVar(
    "_LMS_TOOL_CALL_SYNC", default=None
)
_LMS_TOOL_CALL_ASYNC: ContextVar[AsyncToolCallContext | None] = ContextVar(
    "_LMS_TOOL_CALL_ASYNC", default=None
)
CURRENT: ContextVar[ToolCall[Any] | None] = ContextVar("lmstudio_plugin_tool_call", default=None)


def get_tool_call_context() -> ToolCallContext:  # public
    """The call that this tool serves; in tools that are not async.

    Raises:
        LMStudioPluginRuntimeError: The tool is async, or this runs in no tool.
    """
    if _LMS_TOOL_CALL_ASYNC.get() is not None:
        raise LMStudioPluginRuntimeError(
            "This tool is async: use get_tool_call_context_async(), and await what it has."
        )
    return _in_a_tool(_LMS_TOOL_CALL_SYNC.get(), "get_tool_call_context")


def get_tool_call_context_async() -> AsyncToolCallContext:  # public
    """The call that this tool serves; in async tools.

    Raises:
        LMStudioPluginRuntimeError: The tool is not async, or this runs in no tool.
    """
    if _LMS_TOOL_CALL_SYNC.get() is not None:
        raise LMStudioPluginRuntimeError("This tool is not async: use get_tool_call_context().")
    return _in_a_tool(_LMS_TOOL_CALL_ASYNC.get(), "get_tool_call_context_async")


def _in_a_tool(context: C | None, name: str) -> C:
    if context is None:
        raise LMStudioPluginRuntimeError(f"{name}() works while a plugin's tool is called only.")
    return context


class ToolCall(Generic[C]):  # public
    """The call that a tool serves: a parameter of this type is filled in and hidden from the model.

    Attributes:
        config: The settings of this chat.
        global_config: The settings for all chats.
        session_id: The session that the call belongs to.
        call_id: The call.
        working_path: The folder that belongs to the chat, if there is one.
    """

    def __init__(
        self,
        context: ToolCallContext | AsyncToolCallContext,
        config: C,
        global_config: Any,
        working_path: Path | None,
        is_over: Callable[[], bool],
    ) -> None:
        self._context = context
        self.config = config
        self.global_config = global_config
        self.session_id: str = context.session_id
        self.call_id: str = context.call_id
        self.working_path = working_path
        self._is_over = is_over
        self._told: set[asyncio.Future[Any]] = set()

    @property
    def aborted(self) -> bool:
        """Whether nobody waits for the result any more; async tools are cancelled then."""
        return self._is_over()

    def status(self, text: str) -> Told:
        """Show what the tool is doing. It may be awaited, and need not be."""
        return self._tell(self._context.notify_status(text))

    def warn(self, text: str) -> Told:
        """Warn of something, though the tool goes on. It may be awaited, and need not be."""
        return self._tell(self._context.notify_warning(text))

    def _tell(self, sending: Any) -> Told:
        if sending is None:  # in a thread it has been sent by now
            return Told(None)
        task = asyncio.ensure_future(sending)
        self._told.add(task)
        task.add_done_callback(self._told.discard)
        return Told(task)

    async def all_told(self) -> None:
        """Wait until all that was told is sent: the result comes after it."""
        if self._told:
            await asyncio.wait(set(self._told))


class Told:
    """Something that was told; awaiting it waits until it is sent."""

    def __init__(self, task: asyncio.Future[Any] | None) -> None:
        self._task = task

    def __await__(self) -> Generator[Any, None, None]:
        if self._task is not None:
            yield from self._task.__await__()
