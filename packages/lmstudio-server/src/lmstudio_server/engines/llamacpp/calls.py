"""A tool call in the form ``{"name": …, "arguments": {…}}``, read while it is written. No I/O."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any, cast

from lmstudio_core.lenient import error_text
from lmstudio_server.engines.base import (
    EngineEvent,
    ToolCallArguments,
    ToolCallEnd,
    ToolCallFailed,
    ToolCallName,
    ToolCallStart,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r'"name"\s*:\s*("(?:[^"\\]|\\.)*")')
_ARGUMENTS = re.compile(r'"arguments"\s*:\s*(?=\S)')


def new_call_id() -> str:
    """Return an id for a call."""
    return uuid.uuid4().hex


def finished_call(call_id: str, name: str, arguments: str, raw: str) -> EngineEvent:
    """Return the last event of a call whose arguments are the JSON text ``arguments``.

    Args:
        call_id: The call's id.
        name: The tool's name.
        arguments: The arguments as JSON text.
        raw: The model's own text for the call.
    """
    try:
        value: Any = json.loads(arguments or "{}")
    except ValueError as error:
        return ToolCallFailed(
            f"The arguments for {name!r} are not valid JSON: {error_text(error)}", raw
        )
    return _ended(call_id, name, value, raw)


def _ended(call_id: str, name: str, value: Any, raw: str) -> EngineEvent:
    if not isinstance(value, dict):
        return ToolCallFailed(f"The arguments for {name!r} are not a JSON object", raw)
    return ToolCallEnd(call_id, name, cast("dict[str, Any]", value), raw)


class CallParser:
    """Takes the text of one call in pieces and returns its events as early as they are certain."""

    def __init__(self, call_id: str) -> None:
        self._id = call_id
        self._raw = ""
        self._started = False
        self._name: str | None = None
        self._arguments_at: int | None = None
        self._sent = 0

    def feed(self, text: str) -> list[EngineEvent]:
        """Return the events that ``text`` makes certain: the start, the name, argument pieces."""
        events: list[EngineEvent] = []
        if not self._started:
            self._started = True
            events.append(ToolCallStart(self._id))
        self._raw += text
        if self._name is None and (match := _NAME.search(self._raw)):
            self._name = str(json.loads(match.group(1), strict=False))
            events.append(ToolCallName(self._name))
        if self._arguments_at is None and self._name is not None:
            match = _ARGUMENTS.search(self._raw)
            if match is not None:
                self._arguments_at = self._sent = match.end()
        # The last brace closes the call, not its arguments: closing braces wait for what follows.
        events += self._send(len(self._raw.rstrip("} \t\r\n")))
        return events

    def finish(self, *, cut_off: bool = False) -> list[EngineEvent]:
        """Return the last events: the call, or why it is none.

        ``cut_off``: the generation ended inside the call.
        """
        raw = self._raw.strip()
        if cut_off:
            return [ToolCallFailed("The generation ended inside the tool call.", raw)]
        try:
            call: Any = json.loads(raw)
        except ValueError as error:
            return [ToolCallFailed(f"The tool call is not valid JSON: {error_text(error)}", raw)]
        name: Any = cast("dict[str, Any]", call).get("name") if isinstance(call, dict) else None
        if not isinstance(name, str):
            return [ToolCallFailed("The tool call has no name.", raw)]
        events: list[EngineEvent] = []
        if self._name is None:
            events.append(ToolCallName(name))
        events += self._send(len(self._raw.rstrip().removesuffix("}").rstrip()))
        events.append(_ended(self._id, name, _arguments(cast("dict[str, Any]", call)), raw))
        return events

    def _send(self, end: int) -> list[EngineEvent]:
        if self._arguments_at is None or end <= self._sent:
            return []
        piece = self._raw[self._sent : end]
        self._sent = end
        return [ToolCallArguments(piece)]


def _arguments(call: Mapping[str, Any]) -> Any:
    """Return the call's arguments; some models write them as a string of JSON."""
    value = call.get("arguments", {})
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
