"""Tool use sessions: the tools of an installed plugin, called from a program."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from ...data import nearest
from ...errors import LMStudioError, LMStudioRuntimeError, LMStudioServerError, LMStudioValueError
from ...protocol.operations import Channel, Endpoint
from ...protocol.outcome import own_copy
from ...server_errors import server_error
from ..packets import items, mapping, report
from .data import PluginTool
from .operations import plugin_text

if TYPE_CHECKING:
    from ...client import AsyncClient, Client

__all__ = ["AsyncToolUseSession", "PendingCall", "ToolSessionChannel", "ToolUseSession"]

TextCallback = Callable[[str], object]


class PendingCall:
    """A tool call that waits for its result."""

    __slots__ = ("done", "error", "id", "name", "on_status", "on_warning", "result")

    def __init__(
        self,
        identifier: int,
        name: str,
        on_status: TextCallback | None,
        on_warning: TextCallback | None,
    ) -> None:
        self.id = identifier
        self.name = name
        self.on_status = on_status
        self.on_warning = on_warning
        self.done = False
        self.result: Any = None
        self.error: LMStudioServerError | None = None

    def outcome(self) -> Any:
        """The result; raises the error that the tool ended with."""
        if self.error is not None:
            raise self.error
        return self.result


class ToolSessionChannel(Channel[str, None]):
    """A session: files what comes with the call it belongs to; its events are packet types."""

    endpoint = Endpoint("plugins", "startToolUseSession", "channel")
    cancel_message = {"type": "discardSession"}  # noqa: RUF012 - never mutated

    def __init__(self, plugin_identifier: str, specifier: Mapping[str, Any]) -> None:
        self.plugin_identifier = plugin_text("plugin_identifier", plugin_identifier)
        self.parameter = {
            "pluginIdentifier": self.plugin_identifier,
            "pluginConfigSpecifier": specifier,
        }
        self.ready = False
        self.tools: Sequence[PluginTool] = ()
        self._calls: dict[int, PendingCall] = {}
        self._ids = itertools.count()

    def feed(self, message: Any) -> Sequence[str]:
        packet = mapping(message)
        kind = str(packet.get("type"))
        if kind == "sessionReady":
            self.tools = [_tool(mapping(item)) for item in items(packet.get("toolDefinitions"))]
            self.ready = True
        elif (call := self._calls.get(_number(packet.get("callId")))) is not None:
            self._file(call, kind, packet)
        return (kind,)

    def _file(self, call: PendingCall, kind: str, packet: Mapping[str, Any]) -> None:
        match kind:
            case "toolCallStatus":
                report(call.on_status, "on_status", str(packet.get("statusText", "")))
            case "toolCallWarn":
                report(call.on_warning, "on_warning", str(packet.get("warnText", "")))
            case "toolCallComplete":
                call.result = packet.get("result")
                call.done = True
            case "toolCallError":
                raw = packet.get("error")
                call.error = server_error(raw, str(self.endpoint), default=LMStudioServerError)
                call.done = True
            case _:
                pass

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        on_status: TextCallback | None,
        on_warning: TextCallback | None,
    ) -> tuple[PendingCall, dict[str, Any]]:
        """A new call, and the packet that asks the server for it.

        Raises:
            LMStudioValueError: The plugin has no such tool.
        """
        known = [tool.name for tool in self.tools]
        if name not in known:
            like = nearest(str(name), known)
            hint = f"did you mean {like!r}?" if like else f"it has: {', '.join(known) or 'none'}."
            raise LMStudioValueError(f"{self.plugin_identifier} has no tool {name!r}; {hint}")
        call = PendingCall(next(self._ids), name, on_status, on_warning)
        self._calls[call.id] = call
        packet = {
            "type": "callTool",
            "callId": call.id,
            "name": name,
            "arguments": dict(arguments or {}),
        }
        return call, packet

    def forget(self, call: PendingCall) -> dict[str, Any] | None:
        """Nobody waits for the call any more; returns the packet that aborts it, if it runs."""
        self._calls.pop(call.id, None)
        return None if call.done else {"type": "abortToolCall", "callId": call.id}

    def ended(self) -> LMStudioError:
        """What a call gets when the session is over."""
        return LMStudioRuntimeError(
            f"This session with {self.plugin_identifier} is over; start a new one."
        )

    def result(self) -> None:
        return None


def _number(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) else -1


def _tool(definition: Mapping[str, Any]) -> PluginTool:
    function = mapping(definition.get("function"))
    schema = mapping(function.get("parameters")) or {"type": "object", "properties": {}}
    return PluginTool(str(function.get("name")), str(function.get("description", "")), schema)


def _definitions(tools: Sequence[PluginTool], call: Callable[..., Any]) -> list[dict[str, Any]]:
    def implementation(name: str) -> Callable[..., Any]:
        def tool(**arguments: Any) -> Any:
            return call(name, arguments)

        return tool

    return [
        {
            "name": tool.name,
            "description": tool.description or tool.name,
            "parameters": tool.parameters,
            "implementation": implementation(tool.name),
        }
        for tool in tools
    ]


class ToolUseSession:
    """The tools of a plugin, until ``close``; several threads may call them at once.

    Waiting for a tool that says nothing ends with the sync timeout; that, or an interrupt
    (Ctrl-C), ends the session.
    """

    def __init__(self, channel: ToolSessionChannel, client: Client) -> None:
        self._channel = channel
        self._stream = client.open(channel)
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
        return _definitions(self._channel.tools, self.call_tool)

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        on_status: TextCallback | None = None,
        on_warning: TextCallback | None = None,
    ) -> Any:
        """Call a tool and wait for its result, which is plain data.

        Args:
            name: Which tool.
            arguments: Its arguments by name.
            on_status: Called with what the tool says it is doing.
            on_warning: Called with what the tool warns of.

        Raises:
            LMStudioValueError: The plugin has no such tool.
            LMStudioServerError: The tool ended with an error.
        """
        with self._changed:
            call, packet = self._channel.call(name, arguments, on_status, on_warning)
        try:
            self._stream.send(packet)
            self._wait(call)
        finally:
            with self._changed:
                abort = self._channel.forget(call)
            if abort is not None and not self._over:  # another thread goes on with the session
                self._stream.send(abort)
        return call.outcome()

    def _wait(self, call: PendingCall) -> None:
        """One of the waiting threads reads for all of them."""
        with self._changed:
            while not call.done:
                if self._reading:
                    self._changed.wait()
                    continue
                self._reading = True
                self._changed.release()
                self._over = True  # unless something comes, in time and uninterrupted
                try:
                    self._over = next(self._stream, None) is None
                finally:
                    self._changed.acquire()
                    self._reading = False
                    self._changed.notify_all()
                if self._over:
                    raise self._channel.ended()

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


class AsyncToolUseSession:
    """The tools of a plugin, for asyncio, until ``aclose``; several tasks may call them at once.

    Cancelling a task aborts the tool it waits for, and nothing else.
    """

    def __init__(self, channel: ToolSessionChannel, client: AsyncClient) -> None:
        self._channel = channel
        self._stream = client.open(channel)
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
        return _definitions(self._channel.tools, self.call_tool)

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        on_status: TextCallback | None = None,
        on_warning: TextCallback | None = None,
    ) -> Any:
        """Call a tool and wait for its result, which is plain data.

        Args:
            name: Which tool.
            arguments: Its arguments by name.
            on_status: Called with what the tool says it is doing.
            on_warning: Called with what the tool warns of.

        Raises:
            LMStudioValueError: The plugin has no such tool.
            LMStudioServerError: The tool ended with an error.
        """
        call, packet = self._channel.call(name, arguments, on_status, on_warning)
        try:
            await self._stream.send(packet)
            await self._wait(call)
        finally:
            abort = self._channel.forget(call)
            if abort is not None and self._failure is None:
                await self._stream.send(abort)  # written before anything is waited for
        return call.outcome()

    async def _wait(self, call: PendingCall) -> None:
        """Wait while one task reads for all; it outlives a caller that is cancelled."""
        while not call.done:
            if self._failure is not None:
                raise own_copy(self._failure)
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._read())
            await asyncio.wait({self._reading})

    async def _read(self) -> None:
        try:
            if await anext(self._stream, None) is None:
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
