"""Generators of plugins against a scripted server, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import lmstudio_core as lms
from lmstudio_core.errors import LMStudioValueError
from lmstudio_plugin import GeneratorFragment, GeneratorProgress, GeneratorToolCall
from lmstudio_plugin.generation import GeneratorChannel

HISTORY = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
DIRECT = {"type": "direct", "config": {"fields": []}}
TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
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


REQUEST = {"type": "function", "name": "add", "arguments": {"a": 1}}
GENERATION = [
    {"type": "promptProcessingProgress", "progress": 0.5},
    {"type": "promptProcessingProgress", "progress": 0.5},
    fragment("<think>", "reasoningStartTag", structural=True),
    fragment("hm", "reasoning"),
    fragment("</think>", "reasoningEndTag", structural=True),
    fragment("Hel"),
    fragment("lo"),
    {"type": "toolCallGenerationStart", "toolCallId": "1"},
    {"type": "toolCallGenerationNameReceived", "name": "add"},
    {"type": "toolCallGenerationArgumentFragmentGenerated", "content": "{"},
    {"type": "toolCallGenerationEnd", "toolCallRequest": REQUEST},
    {"type": "toolCallGenerationStart"},
    {"type": "toolCallGenerationFailed"},
    {"type": "success"},
]


def test_a_generator_answers(api: Any, server: Any) -> None:
    seen: list[str] = []
    server.on_channel("plugins.generateWithGenerator", GENERATION)
    result = api(
        api.client.plugins.generate_with_generator(
            "o/p", "Hi", tools=[TOOL], on_fragment=lambda f: seen.append(f.content)
        )
    )
    assert result.content == str(result) == "<think>hm</think>Hello"
    assert (result.reasoning_content, result.non_reasoning_content) == ("hm", "Hello")
    assert result.tool_call_requests == (REQUEST,)
    assert "".join(seen) == result.content
    assert server.parameters == [
        {
            "pluginIdentifier": "o/p",
            "pluginConfigSpecifier": DIRECT,
            "tools": [TOOL],
            "history": HISTORY,
        }
    ]


def test_a_generator_streams(api: Any, server: Any) -> None:
    server.on_channel("plugins.generateWithGenerator", GENERATION)
    stream = api.client.plugins.generate_with_generator_stream(
        "o/p", HISTORY, config={"k": 1}, working_directory="/tmp/w"
    )

    async def collected() -> Any:
        return [event async for event in stream], await stream.result()

    events, result = api(collected()) if api.is_async else (list(stream), stream.result())
    assert [type(e) for e in events] == [
        GeneratorProgress,
        *[GeneratorFragment] * 5,
        *[GeneratorToolCall] * 6,
    ]
    steps = [e.step for e in events if isinstance(e, GeneratorToolCall)]
    assert steps == ["start", "name", "arguments", "end", "start", "failed"]
    assert events[-3].request == REQUEST
    assert result.non_reasoning_content == "Hello"
    assert server.parameters[0]["pluginConfigSpecifier"] == {
        "type": "direct",
        "config": {"fields": [{"key": "k", "value": 1}]},
        "workingDirectoryPath": "/tmp/w",
    }


def test_a_generator_that_is_left_is_stopped(server: Any) -> None:
    server.on_odd_channel("plugins.generateWithGenerator", lambda c: c.send(fragment("a")))
    with lms.Client(server.api_host) as client:
        with client.plugins.generate_with_generator_stream("o/p", "Hi") as stream:
            assert isinstance(next(stream), GeneratorFragment)
        server.requests[0].wait_for_message("cancel")


def test_a_generator_that_is_left_is_stopped_async(server: Any) -> None:
    server.on_odd_channel("plugins.generateWithGenerator", lambda c: c.send(fragment("a")))

    async def main() -> None:
        async with lms.AsyncClient(server.api_host) as client:
            async with client.plugins.generate_with_generator_stream("o/p", "Hi") as stream:
                assert isinstance(await anext(stream), GeneratorFragment)
            await asyncio.to_thread(server.requests[0].wait_for_message, "cancel")

    asyncio.run(main())


def test_chats_of_other_packages_are_taken(server: Any) -> None:
    class Chat:
        def to_dict(self) -> Any:
            return HISTORY

    channel = GeneratorChannel("o/p", Chat(), (), DIRECT, None)
    assert channel.parameter["history"] == HISTORY
    assert channel.feed({"type": "news"}) == channel.feed(None) == ()
    for wrong in ("", 3, {}, None):
        with pytest.raises(LMStudioValueError, match="history"):
            GeneratorChannel("o/p", wrong, (), DIRECT, None)
