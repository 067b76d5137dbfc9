"""What a scripted model says: text, reasoning, tool calls, errors, waits; and its packets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import pydantic_core

from lmstudio_core.lenient import is_list, is_mapping

from .fake_socket import PATIENCE, ServerFailure

__all__ = [
    "Answer",
    "BrokenToolCall",
    "Drop",
    "Gate",
    "Packet",
    "Part",
    "Pause",
    "Reasoning",
    "ToolCall",
    "pieces",
]

_WORD: Final = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True)
class Reasoning:  # public
    """What the model thinks before it answers; the SDK keeps it apart from the content."""

    text: str | Sequence[str]


@dataclass(frozen=True)
class ToolCall:  # public
    """The model asks for a tool.

    Args:
        name: The tool.
        arguments: By name, as JSON holds them.
        id: What ties the result to the call; by default the server counts ``"call-1"`` and on.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    id: str | None = None


@dataclass(frozen=True)
class BrokenToolCall:  # public
    """The model asks for a tool in a way that the server cannot read."""

    title: str = "The model's tool call could not be read."
    raw: str = ""


@dataclass(frozen=True)
class Pause:  # public
    """Nothing comes for so many seconds. Tests that wait for events use a ``Gate`` instead."""

    seconds: float


@dataclass(frozen=True)
class Drop:  # public
    """The connection is cut without a word."""


@dataclass(frozen=True)
class Packet:  # public
    """One packet of the prediction's channel as it is."""

    message: Any


class Gate:  # public
    """The model stops here until the test opens the gate. A gate that was opened stays open.

    Example:
        >>> gate = Gate()
        >>> with FakeServer() as server, Client(server.api_host) as client:
        ...     server.llm().respond("Once", gate, " more")
        ...     stream = client.llm.model("any").respond_stream("Go")
        ...     first = next(iter(stream.events()))
        ...     gate.open()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._reached = threading.Event()

    def open(self) -> None:
        """Let the model go on."""
        with self._lock:
            self._is_open = True
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # the server was stopped
                loop.call_soon_threadsafe(event.set)

    @property
    def is_open(self) -> bool:
        """Whether it was opened."""
        return self._is_open

    def wait_until_reached(self, timeout: float = PATIENCE) -> None:
        """Wait until the model stands before the gate, everything before it having been sent."""
        if not self._reached.wait(timeout):
            raise AssertionError(f"no prediction came to the gate within {timeout:g} s")

    async def passed(self) -> None:
        """Wait for the opening; the server calls this."""
        event = asyncio.Event()
        with self._lock:
            if self._is_open:
                event.set()
            self._waiting.append((asyncio.get_running_loop(), event))
        self._reached.set()
        await event.wait()


Part = (
    str
    | Sequence[str]
    | Mapping[str, Any]
    | Reasoning
    | ToolCall
    | BrokenToolCall
    | Gate
    | Pause
    | Drop
    | Packet
    | ServerFailure
)
"""A string is cut into words; a list of strings is sent piece by piece as it stands; a mapping (or
a pydantic object, or a dataclass) is sent as JSON. A list of the others stands for these."""

_SPECIAL = (Reasoning, ToolCall, BrokenToolCall, Gate, Pause, Drop, Packet, ServerFailure)


@dataclass(frozen=True)
class Answer:  # public
    """All that the model does for one prediction.

    Args:
        parts: What it says, in order; see ``Part``.
        stop_reason: Why it stops; by default ``"toolCalls"`` after a tool call, else ``"eosFound"``.
        stats: More keys of the prediction's statistics, by the server's names.
    """

    parts: Sequence[Any]
    stop_reason: str | None = None
    stats: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(_each(self.parts)))

    @property
    def has_tool_calls(self) -> bool:
        """Whether the model asks for a tool."""
        return any(isinstance(part, ToolCall) for part in self.parts)

    def __str__(self) -> str:
        return ", ".join(repr(part) for part in self.parts) or "nothing"

    def steps(self, call_ids: Iterator[int] | None = None) -> Iterator[Any]:
        """The packets, with gates, pauses, drops and failures in between, in order."""
        ids = itertools.count(1) if call_ids is None else call_ids
        for part in self.parts:
            yield from _steps(part, ids)


def _each(parts: Sequence[Any]) -> Iterator[Any]:
    """The parts one by one: a list that holds more than text and data is no part itself."""
    for part in parts:
        if is_list(part) and any(isinstance(one, _SPECIAL) for one in part):
            yield from part
        else:
            yield part


def pieces(text: str | Sequence[str]) -> list[str]:
    """Text as a model would send it: word by word; a list stays as it is."""
    return _WORD.findall(text) if isinstance(text, str) else list(text)


def _steps(part: Any, ids: Iterator[int]) -> Iterator[Any]:
    match part:
        case Gate() | Pause() | Drop() | ServerFailure():
            yield part
        case Packet():
            yield part.message
        case Reasoning():
            yield _fragment("<think>", "reasoningStartTag")
            yield from (_fragment(piece, "reasoning") for piece in pieces(part.text))
            yield _fragment("</think>", "reasoningEndTag")
        case ToolCall():
            yield from _tool_call(part, part.id or f"call-{next(ids)}")
        case BrokenToolCall():
            yield {"type": "toolCallGenerationStart"}
            error = {"title": part.title}
            yield {"type": "toolCallGenerationFailed", "error": error, "rawContent": part.raw}
        case _:
            yield from (_fragment(piece, "none") for piece in pieces(_text(part)))


def _text(part: Any) -> str | Sequence[str]:
    if isinstance(part, str):
        return part
    if is_list(part) and all(isinstance(piece, str) for piece in part):
        return cast("Sequence[str]", part)
    if is_mapping(part) or is_list(part) or not isinstance(part, (int, float, bytes)):
        return pydantic_core.to_json(part).decode()
    raise TypeError(f"a model says text, not {part!r}")


def _fragment(content: str, reasoning: str) -> dict[str, Any]:
    fragment = {
        "content": content,
        "tokensCount": 1,
        "containsDrafted": False,
        "reasoningType": reasoning,
        "isStructural": False,
    }
    return {"type": "fragment", "fragment": fragment}


def _tool_call(call: ToolCall, call_id: str) -> Iterator[dict[str, Any]]:
    arguments = json.dumps(dict(call.arguments))
    request = {
        "id": call_id,
        "type": "function",
        "name": call.name,
        "arguments": dict(call.arguments),
    }
    yield {"type": "toolCallGenerationStart", "toolCallId": call_id}
    yield {"type": "toolCallGenerationNameReceived", "name": call.name}
    yield {"type": "toolCallGenerationArgumentFragmentGenerated", "content": arguments}
    yield {"type": "toolCallGenerationEnd", "toolCallRequest": request, "rawContent": arguments}
