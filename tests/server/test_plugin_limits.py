"""What a plugin that lies, floods, hangs or is gone does to others: nothing, and they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from plugin_process import MULTIPLY
from test_plugin_wire import DIRECT, MANIFEST, plugin, registered, tell
from websockets.exceptions import ConnectionClosed
from wire_client import Client, Refused, client, fake_server, run, said

from lmstudio_server.api import plugin_use
from lmstudio_server.bridge import hook as hooks
from lmstudio_server.errors import WireError

FIELD: Mapping[str, Any] = {
    "shortKey": "sides",
    "fullKey": "sides",
    "typeKey": "numeric",
    "typeParams": {"displayName": "Sides", "int": True, "min": 2, "max": 100},
    "defaultValue": 6,
}


@asynccontextmanager
async def plugin_and_user() -> AsyncIterator[tuple[Client, Client]]:
    async with (
        fake_server() as server,
        plugin(server) as own,
        client(server, "plugins") as user,
    ):
        yield own, user


def session(**settings: Any) -> dict[str, Any]:
    fields = [{"key": key, "value": value} for key, value in settings.items()]
    return {**DIRECT, "pluginConfigSpecifier": {"type": "direct", "config": {"fields": fields}}}


async def asked(own: Client, kind: str) -> dict[str, Any]:
    """The next packet of a type that the plugin is sent, past warnings and others."""
    while True:
        packet = (await own.receive()).get("message") or {}
        if packet.get("type") == kind:
            return packet


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "sessionInitialized"},
        {"type": "sessionInitialized", "toolDefinitions": "none"},
        {"type": "sessionInitialized", "toolDefinitions": [{"type": "function"}]},
        {"type": "sessionInitializationFailed"},
        {"type": "nonsense"},
        {},
    ],
)
def test_a_session_that_a_plugin_spoils_ends_for_its_consumer(wrong: Mapping[str, Any]) -> None:
    async def test() -> None:
        async with plugin_and_user() as (own, user):
            hook = await own.open("setToolsProvider")
            waiting = await user.open("startToolUseSession", **DIRECT)
            which = {"sessionId": (await anext(hook))["sessionId"]}
            message = {**which, **wrong}
            await own.send(type="channelSend", channelId=hook.channel_id, message=message)
            with pytest.raises(Refused, match="protocol does not know"):
                await anext(waiting)
            # The next one is served as if nothing had been.
            other = await user.open("startToolUseSession", **DIRECT)
            which = {"sessionId": (await asked(own, "initSession"))["sessionId"]}
            await tell(hook, own, "sessionInitialized", **which, toolDefinitions=[MULTIPLY])
            assert (await anext(other))["type"] == "sessionReady"

    run(test)


def test_a_plugin_that_never_lists_its_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_use, "LISTING_SECONDS", 0.01)

    async def test() -> None:
        async with plugin_and_user() as (own, user):
            hook = await own.open("setToolsProvider")
            waiting = await user.open("startToolUseSession", **DIRECT)
            assert (await anext(hook))["type"] == "initSession"
            with pytest.raises(Refused, match="did not list its tools"):
                await anext(waiting)
            assert (await anext(hook))["type"] == "discardSession"

    run(test)


def test_a_call_that_a_plugin_spoils_fails_alone() -> None:
    async def test() -> None:
        async with plugin_and_user() as (own, user):
            hook = await own.open("setToolsProvider")
            opened = await user.open("startToolUseSession", **DIRECT)
            which = {"sessionId": (await anext(hook))["sessionId"]}
            await tell(hook, own, "sessionInitialized", **which, toolDefinitions=[MULTIPLY])
            await anext(opened)
            for number in (1, 2):
                await tell(opened, user, "callTool", callId=number, name="multiply", arguments={})
            first, second = [(await anext(hook))["callId"] for _ in range(2)]
            await tell(hook, own, "toolCallError", **which, callId=first, error="a text")
            answer = await anext(opened)
            assert (answer["type"], answer["callId"]) == ("toolCallError", 1)
            assert "protocol does not know" in answer["error"]["title"]
            await tell(hook, own, "toolCallComplete", **which, callId=second, result=4)
            assert (await anext(opened))["result"] == 4

    run(test)


def test_a_generation_that_a_plugin_spoils_ends_for_its_consumer() -> None:
    async def test() -> None:
        async with plugin_and_user() as (own, user):
            hook = await own.open("setGenerator")
            parameter = {**DIRECT, "tools": [], "history": said("hi")}
            text = await user.open("generateWithGenerator", **parameter)
            which = {"taskId": (await anext(hook))["taskId"]}
            await tell(hook, own, "fragmentGenerated", **which, content=1, opts={})
            with pytest.raises(Refused, match="protocol does not know"):
                await anext(text)

    run(test)


def test_settings_are_those_that_the_plugin_has() -> None:
    async def test() -> None:
        async with plugin_and_user() as (own, user):
            await own.call("setConfigSchematics", schematics={"fields": [FIELD]})
            hook = await own.open("setToolsProvider")
            for given, words in (
                ({"sidez": 3}, 'no setting "sidez"'),
                ({"sides": "six"}, r'"Sides" \(sides\).*must be an integer from 2 to 100'),
                ({"sides": 101}, "from 2 to 100, got 101"),
                ({"sides": True}, "got True"),
            ):
                with pytest.raises(Refused, match=words):
                    await anext(await user.open("startToolUseSession", **session(**given)))
            await user.open("startToolUseSession", **session(sides=7))
            started = await asked(own, "initSession")
            assert hook.channel_id
            assert started["pluginConfig"] == {"fields": [{"key": "sides", "value": 7}]}
            wrong = {**FIELD, "defaultValue": 1}
            with pytest.raises(Refused, match="default"):
                await own.call("setConfigSchematics", schematics={"fields": [wrong]})

    run(test)


def test_a_plugin_whose_registration_ends_does_nothing_any_more() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "plugins") as dev:
            registration = await dev.open("registerDevelopmentPlugin", manifest=MANIFEST)
            ready = await anext(registration)
            who = (ready["clientIdentifier"], ready["clientPasskey"])
            async with client(server, "llm", *who) as own, client(server, "plugins", *who) as two:
                await two.open("setToolsProvider")
                assert await own.call("listLoaded") == []
                await tell(registration, dev, "end")
                assert [packet async for packet in registration] == []
                for one in (own, two):
                    with pytest.raises(ConnectionClosed):
                        await one.receive()

    run(test)


def test_ready_says_where_the_server_is() -> None:
    async def test() -> None:
        async with fake_server() as server, registered(server) as ready:
            assert ready["baseUrl"] == f"ws://127.0.0.1:{server.port}"

    run(test)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *[(owner, "x") for owner in ("", "A", "a--b", "-a", "a-", "a/b", "a" * 101, "a.b", "a\n")],
        *[("x", name) for name in ("", "A", "a b", "../x", "a..b", ".a", "a/", "a" * 101, "a\n")],
    ],
)
def test_names_that_no_plugin_may_have(owner: str, name: str) -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "plugins") as dev:
            manifest = {**MANIFEST, "owner": owner, "name": name}
            await dev.send(
                type="channelCreate",
                endpoint="registerDevelopmentPlugin",
                channelId=1,
                creationParameter={"manifest": manifest},
            )
            frame = await dev.receive()
            assert frame["type"] == "communicationWarning"

    run(test)


def test_a_plugin_has_a_second_name_while_it_is_developed() -> None:
    async def test() -> None:
        async with plugin_and_user() as (own, user):
            hook = await own.open("setToolsProvider")
            await user.open(
                "startToolUseSession", **{**DIRECT, "pluginIdentifier": "dev/test/sums"}
            )
            assert (await anext(hook))["type"] == "initSession"

    run(test)


def test_a_process_that_takes_anothers_place_is_waited_for() -> None:
    async def test() -> None:
        async with fake_server() as server, registered(server) as ready:
            who = (ready["clientIdentifier"], ready["clientPasskey"])
            async with client(server, "plugins", *who) as own:
                await own.open("setToolsProvider")
                await own.call("pluginInitCompleted")
            async with client(server, "plugins") as user:
                with pytest.raises(Refused, match="not running"):
                    await anext(await user.open("startToolUseSession", **DIRECT))
                async with client(server, "plugins", *who) as own:
                    await user.open("startToolUseSession", **DIRECT)
                    hook = await own.open("setToolsProvider")
                    assert (await anext(hook))["type"] == "initSession"

    run(test)


def test_a_flood_to_a_consumer_that_does_not_read_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hooks, "READ_SECONDS", 0.05)

    async def test() -> None:
        hook = hooks.Hook("test/sums", "taskId")
        stalled, other = hook.open(), hook.open()
        piece = {"type": "fragmentGenerated", "content": "x", "opts": {}}
        for _ in range(hooks.MAX_SAID + 10):
            await hook.take({**piece, "taskId": stalled.identifier})
        await hook.take({**piece, "taskId": other.identifier})
        assert (await other.next())["content"] == "x"
        assert hook.outbox.get_nowait() == {"type": "abort", "taskId": stalled.identifier}
        with pytest.raises(WireError, match="not read"):
            await stalled.next()

    run(test)


def test_a_plugin_that_does_not_read_is_told_no_more() -> None:
    async def test() -> None:
        hook = hooks.Hook("test/sums", "sessionId")
        conversation = hook.open()
        for _ in range(hooks.MAX_ASKED):
            conversation.tell("callTool")
        with pytest.raises(WireError, match="not read"):
            conversation.tell("callTool")
        conversation.leave("discardSession")  # that it is not told either is no error
        assert hook.conversations == {}

    run(test)
