"""Packets of predictions, and one way to write a test for both facades."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from lmstudio_core.client import AsyncClient, Client
from lmstudio_llm import LLM, AsyncLLM

INFO = {
    "type": "llm",
    "modelKey": "scripted",
    "format": "gguf",
    "displayName": "Scripted",
    "path": "x/y.gguf",
    "sizeBytes": 1,
    "identifier": "scripted",
    "instanceReference": "r",
    "contextLength": 2048,
    "maxContextLength": 4096,
    "vision": False,
    "trainedForToolUse": True,
    "aFieldOfTomorrow": 1,
}


def fragment(content: str, reasoning: str = "none", structural: bool = False) -> dict[str, Any]:
    return {
        "type": "fragment",
        "fragment": {
            "content": content,
            "tokensCount": 1,
            "containsDrafted": False,
            "reasoningType": reasoning,
            "isStructural": structural,
        },
    }


def success(stop_reason: str = "eosFound", **more: Any) -> dict[str, Any]:
    return {
        "type": "success",
        "stats": {"stopReason": stop_reason, "predictedTokensCount": 2, "totalTimeSec": 0.5},
        "modelInfo": INFO,
        "loadModelConfig": {"fields": [{"key": "llm.load.contextLength", "value": 2048}]},
        "predictionConfig": {"fields": [{"key": "llm.prediction.temperature", "value": 0.5}]},
        **more,
    }


def progress(value: float) -> dict[str, Any]:
    return {
        "type": "promptProcessingProgress",
        "progress": value,
        "details": {
            "cachedTokenCount": 1,
            "totalPromptTokenCount": 4,
            "processedPromptTokenCount": 2,
            "unprocessedPromptTokenCount": 1,
        },
    }


def tool_call(name: str = "add", call_id: str | None = "1", **arguments: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"type": "function", "name": name, "arguments": arguments}
    if call_id is not None:
        request["id"] = call_id
    return {"type": "toolCallGenerationEnd", "toolCallRequest": request, "rawContent": "<raw>"}


HELLO = [progress(0.0), progress(1.0), fragment("Hel"), fragment("lo"), success()]


class Caller:
    """Calls the sync or the async facade from a test that need not know which."""

    def __init__(self, api_host: str, *, is_async: bool) -> None:
        self.is_async = is_async
        self.loop = asyncio.new_event_loop() if is_async else None
        self.client: Any = (AsyncClient if is_async else Client)(api_host)
        self.model: Any = (AsyncLLM if is_async else LLM)("scripted", self.client)

    def run(self, value: Any) -> Any:
        """What a method gave, awaited if need be."""
        if self.loop is not None and inspect.isawaitable(value):
            return self.loop.run_until_complete(_as_coroutine(value))
        return value

    def take(self, iterable: Any, count: int | None = None) -> list[Any]:
        """The items of a sync or async iterable, all or so many; the loop is left early then."""
        if self.loop is None:
            items = []
            for item in iterable:
                items.append(item)
                if len(items) == count:
                    break
            return items
        return self.loop.run_until_complete(_take(iterable, count))

    def close(self) -> None:
        if self.loop is None:
            self.client.close()
        else:
            self.run(self.client.aclose())
            self.loop.close()


async def _as_coroutine(value: Any) -> Any:
    return await value


async def _take(iterable: Any, count: int | None) -> list[Any]:
    items = []
    async for item in iterable:
        items.append(item)
        if len(items) == count:
            break
    return items
