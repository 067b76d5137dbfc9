"""A tool use session without I/O: what is sent, and what comes, call by call."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmstudio_core.data import nearest
from lmstudio_core.errors import (
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioServerError,
    LMStudioValueError,
)
from lmstudio_core.lenient import as_list, as_mapping, report
from lmstudio_core.protocol.operations import Channel, Endpoint
from lmstudio_core.protocol.server_errors import server_error
from lmstudio_core.timeouts import Limits

from .data import PluginTool
from .operations import plugin_text

__all__ = ["Patience", "PendingCall", "TextCallback", "ToolSessionChannel", "definitions"]

TextCallback = Callable[[str], object]


class PendingCall:
    """A tool call that waits for its result."""

    __slots__ = ("done", "error", "id", "name", "on_status", "on_warning", "packets", "result")

    def __init__(
        self,
        identifier: int,
        name: str,
        on_status: TextCallback | None,
        on_warning: TextCallback | None,
    ) -> None:
        self.id: int = identifier
        self.name: str = name
        self.on_status: TextCallback | None = on_status
        self.on_warning: TextCallback | None = on_warning
        self.done: bool = False
        self.packets: int = 0
        self.result: Any = None
        self.error: LMStudioServerError | None = None

    @property
    def endpoint(self) -> str:
        """What it is called in errors."""
        return f"the tool {self.name}"

    def outcome(self) -> Any:
        """The result; raises the error that the tool ended with."""
        if self.error is not None:
            raise self.error
        return self.result


class ToolSessionChannel(Channel[str, None]):
    """A session: files what comes with the call it belongs to; its events are packet types."""

    endpoint: Endpoint = Endpoint("plugins", "startToolUseSession", "channel")
    cancel_message: Mapping[str, Any] | None = {"type": "discardSession"}

    def __init__(self, plugin_identifier: str, specifier: Mapping[str, Any]) -> None:
        self.plugin_identifier: str = plugin_text("plugin_identifier", plugin_identifier)
        self.parameter: Any = {
            "pluginIdentifier": self.plugin_identifier,
            "pluginConfigSpecifier": specifier,
        }
        self.ready: bool = False
        self.tools: Sequence[PluginTool] = ()
        self._calls: dict[int, PendingCall] = {}
        self._ids = itertools.count()

    def feed(self, message: Any) -> Sequence[str]:
        """Take one packet; see ``Channel.feed``."""
        packet = as_mapping(message)
        kind = str(packet.get("type"))
        if kind == "sessionReady":
            self.tools = [
                _tool(as_mapping(item)) for item in as_list(packet.get("toolDefinitions"))
            ]
            self.ready = True
        elif (call := self._calls.get(_number(packet.get("callId")))) is not None:
            self._file(call, kind, packet)
        return (kind,)

    def _file(self, call: PendingCall, kind: str, packet: Mapping[str, Any]) -> None:
        call.packets += 1
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
        """What it came to; see ``Channel.result``."""


def _number(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) else -1


def _tool(definition: Mapping[str, Any]) -> PluginTool:
    function = as_mapping(definition.get("function"))
    schema = as_mapping(function.get("parameters")) or {"type": "object", "properties": {}}
    return PluginTool(str(function.get("name")), str(function.get("description", "")), schema)


def definitions(tools: Sequence[PluginTool], call: Callable[..., Any]) -> list[dict[str, Any]]:
    """The plugin's tools as definitions whose calls go to ``call``."""

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


class Patience:
    """Looks at the clock for one call: its limits, and when the tool last gave a sign of life."""

    def __init__(self, call: PendingCall, limits: Limits) -> None:
        self._call = call
        self._limits = limits
        self._seen = call.packets
        self._heard = time.monotonic()

    def left(self) -> float | None:
        """How long may be waited for more; ``None`` for ever.

        Raises:
            LMStudioTimeoutError: No longer.
        """
        if self._call.packets != self._seen:
            self._seen, self._heard = self._call.packets, time.monotonic()
        left = self._limits.remaining(self._heard)
        if left == 0:
            raise self._limits.error(self._call.endpoint)
        return left
