"""The plugins namespace frame by frame: what is sent fits the protocol, and what oddities do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from plugin_process import MULTIPLY, SCHEMATICS
from wire_client import Client, Packets, Refused, client, fake_server, run, said

from lmstudio_server.bridge import host

MANIFEST = {"type": "plugin", "runner": "node", "owner": "test", "name": "sums"}
DIRECT: Mapping[str, Any] = {
    "pluginIdentifier": "test/sums",
    "pluginConfigSpecifier": {"type": "direct", "config": {"fields": []}},
}
SESSIONS = 60
TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"


async def tell(packets: Packets, one: Client, kind: str, **more: Any) -> None:
    message = {"type": kind, **more}
    await one.send(type="channelSend", channelId=packets.channel_id, message=message)


@asynccontextmanager
async def registered(server: Any, *who: str) -> AsyncIterator[Mapping[str, str]]:
    async with client(server, "plugins", *(who or ("guest:dev", "k"))) as dev:
        registration = await dev.open("registerDevelopmentPlugin", manifest=MANIFEST)
        yield await anext(registration)
        await tell(registration, dev, "end")
        assert [packet async for packet in registration] == []


@asynccontextmanager
async def plugin(server: Any) -> AsyncIterator[Client]:
    async with (
        registered(server) as ready,
        client(server, "plugins", ready["clientIdentifier"], ready["clientPasskey"]) as own,
    ):
        yield own


def test_a_session_with_tools() -> None:
    async def test() -> None:
        async with (
            fake_server() as server,
            plugin(server) as own,
            client(server, "plugins") as user,
        ):
            assert await own.call("setConfigSchematics", schematics=SCHEMATICS) is None
            hook = await own.open("setToolsProvider")
            session = await user.open("startToolUseSession", **DIRECT)
            started = await anext(hook)
            assert started["type"] == "initSession"
            assert started["workingDirectoryPath"] is None
            which = {"sessionId": started["sessionId"]}
            await tell(hook, own, "sessionInitialized", **which, toolDefinitions=[MULTIPLY])
            assert await anext(session) == {"type": "sessionReady", "toolDefinitions": [MULTIPLY]}
            await tell(session, user, "callTool", callId=0, name="nothing", arguments={})
            assert 'no tool "nothing"' in (await anext(session))["error"]["title"]
            await tell(session, user, "callTool", callId=1.5, name="multiply", arguments={"a": 1})
            asked = await anext(hook)
            assert (asked["toolName"], asked["parameters"]) == ("multiply", {"a": 1})
            call = {**which, "callId": asked["callId"]}
            await tell(hook, own, "toolCallStatus", **call, statusText="s")
            await tell(hook, own, "toolCallWarn", **{**call, "callId": "other"}, warnText="lost")
            await tell(hook, own, "toolCallComplete", **{**call, "sessionId": "other"}, result=0)
            await tell(hook, own, "toolCallComplete", **call)  # a void result is no key at all
            await tell(hook, own, "toolCallComplete", **call, result="twice")
            assert await anext(session) == {
                "type": "toolCallStatus",
                "callId": 1.5,
                "statusText": "s",
            }
            done = {"type": "toolCallComplete", "callId": 1.5, "result": None}
            assert await anext(session) == done
            await tell(session, user, "abortToolCall", callId=1.5)  # it is over already
            await tell(session, user, "discardSession")
            assert [packet async for packet in session] == []
            assert await anext(hook) == {"type": "discardSession", **which}

    run(test)


def test_a_generator_and_its_cancel() -> None:
    async def test() -> None:
        async with (
            fake_server() as server,
            plugin(server) as own,
            client(server, "plugins") as user,
        ):
            hook = await own.open("setGenerator")
            parameter = {**DIRECT, "tools": [MULTIPLY], "history": said("hi")}
            text = await user.open("generateWithGenerator", **parameter)
            task = await anext(hook)
            assert (task["type"], task["input"]) == ("generate", said("hi"))
            which = {"taskId": task["taskId"]}
            tokens = [{"text": "a", "id": 1}]
            options = {"reasoningType": "reasoning", "tokens": tokens}
            await tell(hook, own, "fragmentGenerated", **which, content="a", opts=options)
            fragment = (await anext(text))["fragment"]
            assert (fragment["tokensCount"], fragment["tokens"]) == (1, tokens)
            await text.cancel()
            assert await anext(hook) == {"type": "abort", **which}
            await tell(hook, own, "aborted", **which)
            assert [packet async for packet in text] == [{"type": "success"}]
            other = await user.open("generateWithGenerator", **parameter)
            which = {"taskId": (await anext(hook))["taskId"]}
            await tell(hook, own, "aborted", **which)  # nobody asked for that
            with pytest.raises(Refused, match="failed"):
                await anext(other)

    run(test)


def test_messages_that_do_not_fit_are_warned_about() -> None:
    async def test() -> None:
        async with fake_server() as server, plugin(server) as own:
            hook = await own.open("setToolsProvider")
            for message in (
                {"type": "sessionInitialized", "sessionId": "1"},
                {"type": "sessionInitialized", "sessionId": "1", "toolDefinitions": [{}]},
                {"type": "toolCallComplete", "sessionId": "1", "callId": 1},
                {"type": []},
            ):
                await own.send(type="channelSend", channelId=hook.channel_id, message=message)
                warning = await own.receive()
                assert warning["kind"] == "channelMessageTypeError"

    run(test)


def test_the_same_hook_twice() -> None:
    async def test() -> None:
        async with fake_server() as server, plugin(server) as own:
            await own.open("setToolsProvider")
            await own.call("pluginInitCompleted")
            with pytest.raises(Refused, match="already"):
                await anext(await own.open("setToolsProvider"))

    run(test)


def test_a_plugin_that_is_slow_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with (
            fake_server() as server,
            plugin(server) as own,
            client(server, "plugins") as user,
        ):
            session = await user.open("startToolUseSession", **DIRECT)
            hook = await own.open("setToolsProvider")
            which = {"sessionId": (await anext(hook))["sessionId"]}
            await tell(hook, own, "sessionInitialized", **which, toolDefinitions=[])
            assert (await anext(session))["type"] == "sessionReady"
            monkeypatch.setattr(host, "START_SECONDS", 0.01)
            parameter = {**DIRECT, "tools": [], "history": said("hi")}
            text = await user.open("generateWithGenerator", **parameter)
            with pytest.raises(Refused, match="not running"):
                await anext(text)

    run(test)


def test_a_server_with_tokens_lets_its_plugins_in() -> None:
    async def test() -> None:
        async with fake_server(api_tokens=(TOKEN,)) as server:
            async with registered(server, "abcdefgh", "ABCDEFGHIJKLMNOPQRST") as ready:
                who = ready["clientIdentifier"], ready["clientPasskey"]
                async with client(server, "plugins", *who) as own:
                    await own.call("pluginInitCompleted")
            with pytest.raises(AssertionError):
                async with client(server, "plugins", *who):
                    pass

    run(test)


def test_predictions_that_plugins_work_on() -> None:
    async def test() -> None:
        async with (
            fake_server() as server,
            plugin(server) as own,
            client(server, "plugins") as user,
        ):
            preprocessor = await own.open("setPromptPreprocessor")
            await own.call("pluginInitCompleted")
            specifier = {"type": "predictionProcess", "pci": "p", "token": "t"}
            parameter = {**DIRECT, "pluginConfigSpecifier": specifier}
            with pytest.raises(Refused, match="no prediction process"):
                await anext(await user.open("startToolUseSession", **parameter))
            with pytest.raises(Refused, match="no prediction process"):
                await own.call("processingNeedsNaming", pci="p", token="t")
            with pytest.raises(Refused, match="no tools"):
                await anext(await user.open("startToolUseSession", **DIRECT))
            assert preprocessor.channel_id

    run(test)


def test_many_sessions_come_and_go() -> None:
    async def use(server: Any, n: int) -> None:
        async with client(server, "plugins", f"guest:{n}") as user:
            session = await user.open("startToolUseSession", **DIRECT)
            assert (await anext(session))["type"] == "sessionReady"
            if n % 2:  # the others leave without a word
                await tell(session, user, "callTool", callId=n, name="multiply", arguments={"n": n})
                assert (await anext(session))["result"] == {"n": n}

    async def serve(own: Client, hook: Packets) -> None:
        left = SESSIONS
        while left:
            packet = await anext(hook)
            left -= packet["type"] == "discardSession"
            which = {"sessionId": packet["sessionId"]}
            if packet["type"] == "initSession":
                await tell(hook, own, "sessionInitialized", **which, toolDefinitions=[MULTIPLY])
            elif packet["type"] == "callTool":
                which["callId"] = packet["callId"]
                await tell(hook, own, "toolCallComplete", **which, result=packet["parameters"])

    async def test() -> None:
        async with fake_server() as server, plugin(server) as own:
            hook = await own.open("setToolsProvider")
            serving = asyncio.ensure_future(serve(own, hook))
            await asyncio.gather(*(use(server, n) for n in range(SESSIONS)))
            found = server.services.plugins.find("test/sums").hooks["toolsProvider"]
            await serving
            assert found.conversations == {}

    run(test)
