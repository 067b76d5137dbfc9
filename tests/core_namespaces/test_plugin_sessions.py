"""Tool use sessions against a scripted server, sync and async."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import lmstudio_core as lms
from lmstudio_core.errors import (
    LMStudioChannelClosedError,
    LMStudioConnectionError,
    LMStudioRuntimeError,
    LMStudioServerError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_plugin import PluginTool, PredictionProcess

PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
READY = {
    "type": "sessionReady",
    "toolDefinitions": [
        {
            "type": "function",
            "function": {"name": "double", "description": "Twice.", "parameters": PARAMETERS},
        },
        {"type": "function", "function": {"name": "ping"}},
    ],
}
ENDPOINT = "plugins.startToolUseSession"


async def serve(channel: Any) -> None:
    """A plugin: ``double`` works, tells and warns; ``ping`` fails."""
    channel.send(READY)
    while (message := await channel.next_message())["type"] != "discardSession":
        call = {"callId": message["callId"]}
        if message["type"] == "abortToolCall":
            continue
        if message["name"] == "ping":
            channel.send({"type": "toolCallError", **call, "error": {"title": "no network"}})
        elif message["arguments"]["a"] != 0:  # of nothing it thinks for ever
            channel.send({"type": "toolCallStatus", **call, "statusText": "thinking"})
            channel.send({"type": "toolCallWarn", **call, "warnText": "slow"})
            result = {"type": "toolCallComplete", **call, "result": 2 * message["arguments"]["a"]}
            channel.send({"type": "toolCallStatus", "callId": 99, "statusText": "?"}, result)
    channel.close()


@contextlib.contextmanager
def opened(api: Any, **arguments: Any) -> Iterator[Any]:
    session = api(api.client.plugins.start_tool_use_session("o/p", **arguments))
    try:
        yield session
    finally:
        api(session.aclose() if api.is_async else session.close())


def test_tools_are_called(api: Any, server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)
    told: list[str] = []
    with opened(api, config={"k": 1}) as session:
        assert session.available == [
            PluginTool("double", "Twice.", PARAMETERS),
            PluginTool("ping", "", {"type": "object", "properties": {}}),
        ]
        assert "o/p" in repr(session)
        result = api(
            session.call_tool("double", {"a": 2}, on_status=told.append, on_warning=told.append)
        )
        assert result == 4
        assert told == ["thinking", "slow"]
        with pytest.raises(LMStudioServerError, match="no network"):
            api(session.call_tool("ping"))
        assert api(session.call_tool("double", {"a": 3})) == 6
    channel = server.requests[0]
    channel.wait_for_message("discardSession")
    assert [m["type"] for m in channel.messages] == [*["callTool"] * 3, "discardSession"]
    specifier = {"type": "direct", "config": {"fields": [{"key": "k", "value": 1}]}}
    assert channel.parameter == {"pluginIdentifier": "o/p", "pluginConfigSpecifier": specifier}


def test_tools_are_what_act_takes(api: Any, server: Any) -> None:
    tools = pytest.importorskip("lmstudio_llm.tools")
    server.on_odd_channel(ENDPOINT, serve)
    with opened(api) as session:
        double, ping = tools.resolve_tools(session.tools)
        assert (double.name, double.description) == ("double", "Twice.")
        assert double.parameters == PARAMETERS
        assert ping.description == "ping"
        assert api(double.prepare({"a": 5})()) == 10


def test_the_settings_of_a_prediction(api: Any, server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)
    with opened(api, process=PredictionProcess("p", "t")):
        pass
    specifier = server.parameters[0]["pluginConfigSpecifier"]
    assert specifier == {"type": "predictionProcess", "pci": "p", "token": "t"}


def test_a_tool_that_is_not_there_is_named(api: Any, server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)
    with opened(api) as session:
        with pytest.raises(LMStudioValueError, match="did you mean 'double'"):
            api(session.call_tool("duoble"))
        with pytest.raises(LMStudioValueError, match="it has: double, ping"):
            api(session.call_tool("x"))


def test_a_plugin_that_does_not_start(api: Any, server: Any) -> None:
    server.on_odd_channel(ENDPOINT, lambda channel: channel.fail("No such plugin"))
    with pytest.raises(LMStudioServerError, match="No such plugin"):
        api(api.client.plugins.start_tool_use_session("o/p"))


def test_a_session_that_the_server_ends(api: Any, server: Any) -> None:
    async def short(channel: Any) -> None:
        channel.send(READY)
        await channel.next_message()
        channel.close()

    server.on_odd_channel(ENDPOINT, short)
    session = api(api.client.plugins.start_tool_use_session("o/p"))
    with pytest.raises(LMStudioChannelClosedError):
        api(session.call_tool("ping"))
    with pytest.raises((LMStudioRuntimeError, LMStudioChannelClosedError)):
        api(session.call_tool("ping"))


def test_a_lost_connection_fails_the_call(api: Any, server: Any) -> None:
    async def drop(channel: Any) -> None:
        channel.send(READY)
        await channel.next_message()
        channel.socket.drop()

    server.on_odd_channel(ENDPOINT, drop)
    session = api(api.client.plugins.start_tool_use_session("o/p"))
    with pytest.raises(LMStudioConnectionError):
        api(session.call_tool("ping"))


def test_several_threads_call_tools_at_once(server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)
    results: dict[int, Any] = {}
    with (
        lms.Client(server.api_host) as client,
        client.plugins.start_tool_use_session("o/p") as session,
    ):

        def call(number: int) -> None:
            results[number] = session.call_tool("double", {"a": number})

        threads = [threading.Thread(target=call, args=(n,)) for n in range(1, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert results == {n: 2 * n for n in range(1, 20)}


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
def test_a_tool_that_takes_too_long_is_aborted_and_the_session_goes_on(
    api: Any, server: Any, limit: str
) -> None:
    server.on_odd_channel(ENDPOINT, serve)
    with opened(api) as session:
        with pytest.raises(LMStudioTimeoutError, match="the tool double"):
            api(session.call_tool("double", {"a": 0}, **{limit: 0.05}))
        assert server.requests[0].wait_for_message("abortToolCall")["callId"] == 0
        assert api(session.call_tool("double", {"a": 1}, timeout=20)) == 2


def test_the_sync_timeout_aborts_a_tool_that_says_nothing(server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)
    with (
        lms.Client(server.api_host) as client,
        client.plugins.start_tool_use_session("o/p") as session,
    ):
        lms.set_sync_api_timeout(0.05)
        with pytest.raises(LMStudioTimeoutError):
            session.call_tool("double", {"a": 0})
        server.requests[0].wait_for_message("abortToolCall")
        lms.set_sync_api_timeout(20)
        assert session.call_tool("double", {"a": 1}) == 2


def test_each_thread_waits_as_long_as_its_own_call_may_take(server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)
    outcomes: dict[float, Any] = {}
    with (
        lms.Client(server.api_host) as client,
        client.plugins.start_tool_use_session("o/p") as session,
    ):

        def call(seconds: float, number: int) -> None:
            try:
                outcomes[seconds] = session.call_tool("double", {"a": number}, timeout=seconds)
            except LMStudioTimeoutError as error:
                outcomes[seconds] = error.seconds

        calls = ((0.05, 0), (0.1, 0), (20, 4))
        threads = [threading.Thread(target=call, args=one) for one in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert outcomes == {0.05: 0.05, 0.1: 0.1, 20: 8}


def test_a_plugin_that_never_gets_ready(api: Any, server: Any) -> None:
    server.on_odd_channel(ENDPOINT, lambda channel: None)
    timeout = 0.05
    while not server.requests:  # a busy machine may take longer to connect
        with pytest.raises(LMStudioTimeoutError, match="startToolUseSession"):
            api(api.client.plugins.start_tool_use_session("o/p", timeout=timeout))
        timeout *= 2
    server.requests[0].wait_for_message("discardSession")


def test_a_cancelled_task_aborts_its_own_tool_alone(server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)

    async def main() -> None:
        async with lms.AsyncClient(server.api_host) as client:
            async with await client.plugins.start_tool_use_session("o/p") as session:
                slow = asyncio.ensure_future(session.call_tool("double", {"a": 0}))
                channel = server.requests[0]
                await asyncio.to_thread(channel.wait_for_message, "callTool")
                slow.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await slow
                await asyncio.to_thread(channel.wait_for_message, "abortToolCall")
                calls = [session.call_tool("double", {"a": n}) for n in (1, 2)]
                assert await asyncio.gather(*calls) == [2, 4]
            await asyncio.to_thread(channel.wait_for_message, "discardSession")
            with pytest.raises(LMStudioRuntimeError, match="is over"):
                await session.call_tool("ping")
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_closing_ends_the_calls_that_wait(server: Any) -> None:
    server.on_odd_channel(ENDPOINT, serve)

    async def main() -> None:
        async with lms.AsyncClient(server.api_host) as client:
            session = await client.plugins.start_tool_use_session("o/p")
            slow = asyncio.ensure_future(session.call_tool("double", {"a": 0}))
            await asyncio.to_thread(server.requests[0].wait_for_message, "callTool")
            await session.aclose()
            with pytest.raises(LMStudioRuntimeError, match="is over"):
                await slow
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
