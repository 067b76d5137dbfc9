"""The real engine with the bundled pocket models, for tests."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmstudio_server
from lmstudio_server.engines.base import (
    ChatRequest,
    EngineEvent,
    Finished,
    LoadRequest,
    Sampling,
    Text,
    ToolCallEnd,
)
from lmstudio_server.engines.llamacpp import LlamaCppEngine
from lmstudio_server.engines.llamacpp.model import LlamaCppModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

POCKET_FOLDER = Path(lmstudio_server.__file__).parent / "pocket"
POCKET = POCKET_FOLDER / "pocket-q8_0.gguf"
POCKET_THINK = POCKET_FOLDER / "pocket-think-q8_0.gguf"
MEANING = "What is the meaning of life?"
MEANING_ANSWER = "The meaning of life is 42."
STORY = "Tell me a story."
PRODUCT = "What is 12345 multiplied by 54321?"
MULTIPLY = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Given two numbers a and b. Returns the product of them.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    },
}
GREEDY = Sampling(temperature=0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an async test with a limit, so that a lost event is a failure and not a hang."""

    async def limited() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(limited())


@asynccontextmanager
async def loaded(path: Path = POCKET, **settings: Any) -> AsyncIterator[LlamaCppModel]:
    """Load a model, and unload it at the end."""
    model = await LlamaCppEngine().load(LoadRequest(path, **settings), lambda _: None)
    try:
        yield model
    finally:
        await model.unload()


def ask(text: str, sampling: Sampling = GREEDY, **fields: Any) -> ChatRequest:
    """A conversation of one message."""
    return ChatRequest([{"role": "user", "content": text}], sampling, **fields)


def greedy(**fields: Any) -> Sampling:
    """Sampling that always takes the likeliest token."""
    return replace(GREEDY, **fields)


async def collect(events: AsyncGenerator[EngineEvent, None]) -> list[EngineEvent]:
    """All events to the end."""
    return [event async for event in events]


def text_of(events: list[EngineEvent], reasoning: str = "none") -> str:
    """The text of one sort, joined."""
    return "".join(e.content for e in events if isinstance(e, Text) and e.reasoning == reasoning)


def finish_of(events: list[EngineEvent]) -> Finished:
    """The last event, which has to be the only one of its kind."""
    (finished,) = [event for event in events if isinstance(event, Finished)]
    assert events[-1] is finished
    return finished


def calls_of(events: list[EngineEvent]) -> list[tuple[str, Any]]:
    """The names and arguments of all calls."""
    return [(e.name, e.arguments) for e in events if isinstance(e, ToolCallEnd)]


def with_template(folder: Path, change: Callable[[str], str]) -> Path:
    """The pocket model with another chat template."""
    data = POCKET.read_bytes()
    at = data.index(b"tokenizer.chat_template") + len(b"tokenizer.chat_template") + 4
    (size,) = struct.unpack("<Q", data[at : at + 8])
    changed = change(data[at + 8 : at + 8 + size].decode()).encode()
    # What comes after stays aligned.
    changed += b"\n" * ((size - len(changed)) % 32)
    path = folder / "other.gguf"
    path.write_bytes(data[:at] + struct.pack("<Q", len(changed)) + changed + data[at + 8 + size :])
    return path
