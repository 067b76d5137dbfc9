"""Tool use sessions: the tools of an installed plugin, called from a program."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from typing_extensions import Self, Unpack

from lmstudio_core.errors import LMStudioError, LMStudioTimeoutError
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.outcome import own_copy
from lmstudio_core.protocol.runner import AsyncRunner, SyncRunner
from lmstudio_core.timeouts import CallLimits, Limits, get_sync_api_timeout, limits_of, sync_limits

from .data import PluginTool
from .tool_calls import Patience, PendingCall, TextCallback, ToolSessionChannel, definitions


class ToolUseSession(Short):  # public
    """The tools of a plugin, until ``close``; several threads may call them at once.

    A tool that says nothing for as long as the sync timeout, or a call's own limits, allow is
    aborted, as it is by an interrupt (Ctrl-C). The session goes on.
    """

    def __init__(
        self, channel: ToolSessionChannel, client: SyncRunner, **limits: Unpack[CallLimits]
    ) -> None:
        self._channel = channel
        self._stream = client.open(channel, **limits)
        self._changed = threading.Condition()
        self._reading = self._over = False
        while not channel.ready:
            if next(self._stream, None) is None:
                raise channel.ended()

    def __repr__(self) -> str:
        return f"<ToolUseSession {self._channel.plugin_identifier}>"

    @property
    def available(self) -> Sequence[PluginTool]:
        """What the plugin offers: names, descriptions, schemas."""
        return self._channel.tools

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as ``model.act(chat, tools=session.tools)`` takes them."""
        return definitions(self._channel.tools, self.call_tool)

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        on_status: TextCallback | None = None,
        on_warning: TextCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> Any:
        """Call a tool and wait for its result, which is plain data.

        Args:
            name: Which tool.
            arguments: Its arguments by name.
            on_status: Called with what the tool says it is doing.
            on_warning: Called with what the tool warns of.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; they abort this call alone.

        Raises:
            LMStudioValueError: The plugin has no such tool.
            LMStudioServerError: The tool ended with an error.
            LMStudioTimeoutError: It took longer than the limits allow.
        """
        within = limits_of(limits, get_sync_api_timeout) or sync_limits()
        with self._changed:
            call, packet = self._channel.call(name, arguments, on_status, on_warning)
        try:
            self._stream.send(packet)
            self._wait(call, Patience(call, within))
        finally:
            with self._changed:
                abort = self._channel.forget(call)
            if abort is not None and not self._over:  # another thread goes on with the session
                self._stream.send(abort)
        return call.outcome()

    def _wait(self, call: PendingCall, patience: Patience) -> None:
        """One of the waiting threads reads for all of them."""
        with self._changed:
            while not call.done:
                if self._over:
                    raise self._channel.ended()
                left = patience.left()
                if self._reading:
                    self._changed.wait(left)
                    continue
                self._reading = True
                self._changed.release()
                try:
                    self._read(left)
                finally:
                    self._changed.acquire()
                    self._reading = False
                    self._changed.notify_all()

    def _read(self, seconds: float | None) -> None:
        """Take what comes next, for whichever call, if it comes in time."""
        try:
            with contextlib.suppress(LMStudioTimeoutError):
                within = Limits(timeout=math.inf if seconds is None else seconds)
                self._over = self._stream.receive(within) is None
        except LMStudioError:
            self._over = True
            raise

    def close(self) -> None:
        """End the session; the server is told."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncToolUseSession(Short):  # public
    """The tools of a plugin, for asyncio, until ``aclose``; several tasks may call them at once.

    Cancelling a task aborts the tool it waits for, and nothing else; so does a call's time limit.
    """

    def __init__(
        self, channel: ToolSessionChannel, client: AsyncRunner, **limits: Unpack[CallLimits]
    ) -> None:
        self._channel = channel
        self._stream = client.open(channel, **limits)
        self._reading: asyncio.Task[None] | None = None
        self._failure: LMStudioError | None = None

    async def start(self) -> Self:
        """Wait until the plugin is ready."""
        while not self._channel.ready:
            if await anext(self._stream, None) is None:
                raise self._channel.ended()
        return self

    def __repr__(self) -> str:
        return f"<AsyncToolUseSession {self._channel.plugin_identifier}>"

    @property
    def available(self) -> Sequence[PluginTool]:
        """What the plugin offers: names, descriptions, schemas."""
        return self._channel.tools

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as ``model.act(chat, tools=session.tools)`` takes them."""
        return definitions(self._channel.tools, self.call_tool)

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        on_status: TextCallback | None = None,
        on_warning: TextCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> Any:
        """Call a tool and wait for its result, which is plain data.

        Args:
            name: Which tool.
            arguments: Its arguments by name.
            on_status: Called with what the tool says it is doing.
            on_warning: Called with what the tool warns of.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; they abort this call alone.

        Raises:
            LMStudioValueError: The plugin has no such tool.
            LMStudioServerError: The tool ended with an error.
            LMStudioTimeoutError: It took longer than the limits allow.
        """
        within = limits_of(limits) or Limits()
        call, packet = self._channel.call(name, arguments, on_status, on_warning)
        try:
            await self._stream.send(packet)
            await self._wait(call, Patience(call, within))
        finally:
            abort = self._channel.forget(call)
            if abort is not None and self._failure is None:
                await self._stream.send(abort)  # written before anything is waited for
        return call.outcome()

    async def _wait(self, call: PendingCall, patience: Patience) -> None:
        """Wait while one task reads for all; it outlives a caller that is cancelled."""
        while not call.done:
            if self._failure is not None:
                raise own_copy(self._failure)
            left = patience.left()
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._read())
            await asyncio.wait({self._reading}, timeout=left)

    async def _read(self) -> None:
        try:
            if await self._stream.receive() is None:
                self._failure = self._channel.ended()
        except LMStudioError as error:
            self._failure = error

    async def aclose(self) -> None:
        """End the session; the server is told."""
        self._failure = self._failure or self._channel.ended()
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait({self._reading})
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()
