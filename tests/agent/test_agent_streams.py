"""``act_stream``: what it tells, in which order, and what leaving it does."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from agent_scripts import (
    NOWHERE,
    Scripted,
    ScriptedClient,
    call,
    events_async,
    events_sync,
    make_run,
    prediction,
)

from lmstudio_agent import (
    ActRoundEnd,
    ActRoundStart,
    ActStream,
    ActToolCall,
    ActToolResult,
    AsyncActStream,
)
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioCancelledError, LMStudioRuntimeError
from lmstudio_llm.fragments import LlmPredictionFragment, ToolCallGenerationEnd

BOTH = pytest.mark.parametrize("events", [events_sync, events_async])
Events = Callable[[Any], list[Any]]


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


def script() -> Scripted:
    asked = prediction("Let me see", call("double", {"n": 1}, "1"), call("nope", {}, "2"))
    return Scripted(asked, prediction("It is 2"))


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


@BOTH
def test_it_tells_everything_in_order(events: Events) -> None:
    seen = events(make_run(script(), [double]))
    told = [event for event in seen if not isinstance(event, LlmPredictionFragment)]
    order = [event for event in told if not isinstance(event, (ActToolCall, ActToolResult))]
    assert kinds(order) == [
        "ActRoundStart",
        "ToolCallGenerationEnd",
        "ToolCallGenerationEnd",
        "ActRoundEnd",
        "ActRoundStart",
        "ActRoundEnd",
    ]
    calls = [event for event in told if isinstance(event, (ActToolCall, ActToolResult))]
    assert calls[0] == ActToolCall("double", {"n": 1}, "1", 0)
    assert [(event.record.name, event.record.outcome) for event in calls[1:]] == [
        ("double", "ok"),
        ("nope", "invalid"),
    ]
    text = [event.content for event in seen if isinstance(event, LlmPredictionFragment)]
    assert text == ["Let", "me", "see", "It", "is", "2"]
    assert seen[0] == ActRoundStart(0)
    assert isinstance(seen[-1], ActRoundEnd)
    assert seen[-1].prediction.content == "It is 2"


def test_a_tool_starts_when_its_call_is_complete_and_not_at_the_end_of_the_round() -> None:
    asked = prediction("", call("double", {"n": 1}, "1"), call("double", {"n": 2}, "2"))
    seen = kinds(events_sync(make_run(Scripted(asked, prediction("ok")), [double])))
    both = ["ToolCallGenerationEnd", "ActToolCall", "ActToolResult"]
    assert seen[1:7] == both * 2


def test_the_start_of_a_tool_is_told_before_it_runs() -> None:
    ran: list[int] = []

    def note(n: int) -> None:
        """Note a number."""
        ran.append(n)

    made = make_run(Scripted(prediction("", call("note", {"n": 1})), prediction("ok")), [note])
    with Client(NOWHERE) as client:
        for event in ActStream(ScriptedClient(client), *made):
            if isinstance(event, ToolCallGenerationEnd | ActToolCall):
                assert ran == []
            if isinstance(event, ActToolResult):
                assert ran == [1]


@BOTH
def test_results_of_tools_at_the_same_time_are_told_as_they_come(events: Events) -> None:
    first_may_end = threading.Event()

    def wait(n: int) -> int:
        """The first waits for the second."""
        if n == 1:
            assert first_may_end.wait(10)
        else:
            first_may_end.set()
        return n

    asked = prediction("", call("wait", {"n": 1}, "1"), call("wait", {"n": 2}, "2"))
    made = make_run(Scripted(asked, prediction("ok")), [wait], max_parallel_tool_calls=2)
    seen = events(made)
    results = [event.record.result for event in seen if isinstance(event, ActToolResult)]
    assert sorted(results) == [1, 2]
    starts = [event.arguments["n"] for event in seen if isinstance(event, ActToolCall)]
    assert sorted(starts) == [1, 2]
    told = [part.content for part in made[0].chat.messages[2].content]
    assert told == ["1", "2"]  # in the chat they stand in the order of the requests


def test_the_result_is_there_after_the_stream_and_without_iterating() -> None:
    with Client(NOWHERE) as client:
        stream = ActStream(ScriptedClient(client), *make_run(script(), [double]))
        assert "running" in repr(stream)
        assert stream.result().final == "It is 2"
        assert stream.result() is stream.wait_for_result()
        assert list(stream) == []
        assert "finished" in repr(stream)


def test_a_run_that_failed_says_so_again() -> None:
    def refuse(_: Any) -> None:
        raise KeyError("not this one")

    def made() -> Any:
        return make_run(script(), [double], guard_tool_call=refuse)

    async def main() -> None:
        async with AsyncClient(NOWHERE) as client:
            stream = AsyncActStream(ScriptedClient(client), *made())
            with pytest.raises(KeyError, match="not this one"):
                await stream.wait_for_result()
            with pytest.raises(KeyError, match="not this one"):
                stream.result()

    with Client(NOWHERE) as client:
        stream = ActStream(ScriptedClient(client), *made())
        for _ in range(2):
            with pytest.raises(KeyError, match="not this one"):
                stream.result()
    asyncio.run(main())


def test_part_of_a_stream_and_then_the_result() -> None:
    with Client(NOWHERE) as client:
        stream = ActStream(ScriptedClient(client), *make_run(script(), [double]))
        assert next(stream) == ActRoundStart(0)
        assert stream.result().rounds == 2


@pytest.mark.parametrize("after", range(9))
def test_leaving_a_stream_early_ends_the_run_with_a_valid_chat(after: int) -> None:
    with Client(NOWHERE) as client:
        scripted = ScriptedClient(client)
        stream = ActStream(scripted, *make_run(script(), [double]))
        for number, _ in enumerate(stream):
            if number == after:
                break
        gc.collect()
        with pytest.raises(LMStudioCancelledError, match="left before"):
            stream.result()
        roles = [message.role for message in stream.transcript]
        assert roles in (["user"], ["user", "assistant", "tool"])
        asked = sum(len(m.tool_call_requests) for m in stream.transcript if m.role == "assistant")
        answered = sum(len(m.content) for m in stream.transcript if m.role == "tool")
        assert asked == answered


@pytest.mark.parametrize("after", range(9))
def test_leaving_an_async_stream_early_does_the_same(after: int) -> None:
    async def main() -> None:
        async with AsyncClient(NOWHERE) as client:
            scripted = ScriptedClient(client)
            made = make_run(script(), [double])
            async with AsyncActStream(scripted, *made) as stream:
                for _ in range(after):
                    await anext(stream)
            with pytest.raises(LMStudioCancelledError, match="left before"):
                stream.result()
            roles = [message.role for message in stream.transcript]
            assert roles in (["user"], ["user", "assistant", "tool"])

    asyncio.run(main())


def test_closing_cancels_async_tools() -> None:
    ended: list[str] = []

    async def hang() -> None:
        """Hang."""
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main() -> None:
        async with AsyncClient(NOWHERE) as client:
            made = make_run(Scripted(prediction("", call("hang", {}))), [hang])
            stream = AsyncActStream(ScriptedClient(client), *made)
            async for event in await stream:
                if isinstance(event, ActToolCall):
                    await asyncio.sleep(0)
                    break
            await asyncio.sleep(0)
            await stream.aclose()
            assert [m.role for m in stream.transcript] == ["user", "assistant", "tool"]

    asyncio.run(main())
    assert ended == ["cancelled"]


def test_an_async_result_before_the_end_says_what_to_do() -> None:
    async def main() -> None:
        async with AsyncClient(NOWHERE) as client:
            stream = AsyncActStream(ScriptedClient(client), *make_run(script(), [double]))
            with pytest.raises(LMStudioRuntimeError, match="wait_for_result"):
                stream.result()
            assert (await stream.wait_for_result()).final == "It is 2"
            assert stream.result().rounds == 2

    asyncio.run(main())
