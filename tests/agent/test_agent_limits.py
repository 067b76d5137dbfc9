"""``timeout`` and ``idle_timeout`` of a whole run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioTimeoutError, LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_llm import LLM, AsyncLLM, Chat, LMStudioVisionError
from lmstudio_testing import FakeServer

PREDICT = "llm.predict"
SHORT = 0.2


PICTURE = FileHandle(name="cat.png", identifier="f1", size_bytes=3, file_type="image")


def act(
    server: FakeServer, *, is_async: bool, tools: Any = (), chat: Any = "hi", **limits: Any
) -> Any:
    if not is_async:
        with Client(server.api_host) as client:
            client.connect("llm")
            return LLM("scripted", client).act(chat, tools, **limits)

    async def main() -> Any:
        async with AsyncClient(server.api_host) as client:
            await client.connect("llm")
            return await AsyncLLM("scripted", client).act(chat, tools, **limits)

    return asyncio.run(main())


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
def test_a_model_that_never_answers(server: FakeServer, limit: str, is_async: bool) -> None:
    server.on_channel(PREDICT, lambda channel: None)
    with pytest.raises(LMStudioTimeoutError):
        act(server, is_async=is_async, **{limit: SHORT})
    server.wait_for_request(PREDICT).wait_for_message("cancel")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_rounds_share_the_time(server: FakeServer, is_async: bool) -> None:
    """Each round is quick, and there is always one more."""
    call = {"type": "function", "id": "1", "name": "wait", "arguments": {}}
    server.on_channel(
        PREDICT, [{"type": "toolCallGenerationEnd", "toolCallRequest": call}, {"type": "success"}]
    )
    never = threading.Event()

    def wait() -> None:
        """Take a moment."""
        never.wait(SHORT / 4)

    with pytest.raises(LMStudioTimeoutError, match="timeout= allows"):
        act(server, is_async=is_async, tools=[wait], timeout=SHORT)
    assert 1 <= len(server.requests_to(PREDICT)) <= 6


def test_what_is_no_limit_is_refused(server: FakeServer) -> None:
    for name in ("timeout", "idle_timeout"):
        with pytest.raises(LMStudioValueError, match=f"{name} is a positive number"):
            act(server, is_async=False, **{name: 0})
    assert server.requests == ()


CALL = {"type": "function", "id": "1", "name": "hang", "arguments": {}}
ASKS = [{"type": "toolCallGenerationEnd", "toolCallRequest": CALL}, {"type": "success"}]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("kind", ["blocking", "coroutine"])
def test_a_tool_that_never_ends(
    server: FakeServer, kind: str, parallel: int, is_async: bool
) -> None:
    server.on_channel(PREDICT, ASKS)
    never = threading.Event()
    told: list[Any] = []

    def hang() -> None:
        """Wait."""
        never.wait()

    async def hang_async() -> None:
        """Wait."""
        await asyncio.Event().wait()

    tool: Any = hang if kind == "blocking" else hang_async
    tool.__name__ = "hang"
    try:
        with pytest.raises(LMStudioTimeoutError, match="timeout= allows"):
            act(
                server,
                is_async=is_async,
                tools=[tool],
                timeout=SHORT,
                max_parallel_tool_calls=parallel,
                on_message=told.append,
            )
    finally:
        never.set()
    assert [message.role for message in told] == ["assistant", "tool"]
    assert "Error" in told[-1].content[0].content


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_images_for_a_model_that_cannot_see(server: FakeServer, is_async: bool) -> None:
    server.on(
        "llm.getModelInfo", {"identifier": "scripted", "instanceReference": "r", "vision": False}
    )
    chat = Chat()
    chat.add_user_message("What is it?", images=[PICTURE])
    with pytest.raises(LMStudioVisionError, match="cannot see images"):
        act(server, is_async=is_async, chat=chat)
    assert server.requests_to(PREDICT) == []
