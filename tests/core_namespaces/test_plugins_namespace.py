"""``client.plugins`` against a scripted server, sync and async: all but tool sessions."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from patience import outlast_the_timeout

import lmstudio_core as lms
from lmstudio_core.errors import LMStudioServerError, LMStudioValueError, ValidationError
from lmstudio_core.protocol.operations import VOID
from lmstudio_plugin import (
    ConfigSchematics,
    ConfigSchematicsField,
    HookRequest,
    PluginCredentials,
    PluginManifest,
    PredictionProcess,
)
from lmstudio_testing import NO_ANSWER, ServerFailure

PROCESS = PredictionProcess("p-1", "secret-token")
WIRE = {"pci": "p-1", "token": "secret-token"}
HISTORY = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
DIRECT = {"type": "direct", "config": {"fields": []}}
TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}
SCHEMATICS = ConfigSchematics(
    fields_=[
        ConfigSchematicsField(
            short_key="n",
            full_key="n",
            type_key="numeric",
            type_params={"min": 0},
            default_value=None,
        )
    ]
)


# -- controllers ---------------------------------------------------------------------------------


def test_plugins_are_looked_for_again(api: Any, server: Any) -> None:
    server.on("plugins.reindexPlugins")
    api(api.client.plugins.reindex_plugins())
    assert server.parameters == [VOID]


async def registration(channel: Any) -> None:
    channel.send({"type": "ready", "clientIdentifier": "c", "clientPasskey": "secret-key"})
    assert await channel.next_message() == {"type": "end"}
    channel.close()


def test_a_plugin_in_development_is_registered(api: Any, server: Any) -> None:
    server.on_odd_channel("plugins.registerDevelopmentPlugin", registration)
    manifest = PluginManifest(owner="me", name="mine")
    plugin = api(api.client.plugins.register_development_plugin(manifest))
    assert plugin.credentials == PluginCredentials("c", "secret-key")
    assert "me/mine" in repr(plugin)
    assert "secret" not in repr(plugin.credentials)
    if api.is_async:
        api(plugin.__aexit__(None, None, None))
    else:
        plugin.__exit__(None, None, None)
    assert server.requests[0].messages == [{"type": "end"}]
    assert server.parameters == [
        {"manifest": {"type": "plugin", "runner": "node", "owner": "me", "name": "mine"}}
    ]


def test_a_registration_that_fails_says_why(api: Any, server: Any) -> None:
    server.on_channel("plugins.registerDevelopmentPlugin", ServerFailure("Taken"))
    with pytest.raises(LMStudioServerError, match="Taken"):
        api(api.client.plugins.register_development_plugin({"owner": "me", "name": "mine"}))
    with pytest.raises(ValidationError, match="runner"):
        api(
            api.client.plugins.register_development_plugin(
                {"owner": "me", "name": "mine", "runner": "python"}
            )
        )


# -- a plugin's own process ----------------------------------------------------------------------


def test_schematics(api: Any, server: Any) -> None:
    server.on("plugins.setConfigSchematics")
    server.on("plugins.setGlobalConfigSchematics")
    api(api.client.plugins.set_config_schematics(SCHEMATICS))
    api(api.client.plugins.set_global_config_schematics({"fields": []}))
    field = {
        "shortKey": "n",
        "fullKey": "n",
        "typeKey": "numeric",
        "typeParams": {"min": 0},
        "defaultValue": None,
    }
    assert server.parameters == [
        {"schematics": {"fields": [field]}},
        {"schematics": {"fields": []}},
    ]
    with pytest.raises(LMStudioValueError, match="'fields'"):
        api(api.client.plugins.set_config_schematics({}))


def test_a_plugin_tells_that_it_is_ready_and_what_fails(api: Any, server: Any) -> None:
    server.on("plugins.pluginInitCompleted")
    server.on("plugins.reportError")
    plugins = api.client.plugins
    words = {"plugin_run_id": "r", "server_url": "http://s", "message": "m"}
    api(plugins.plugin_init_completed())
    api(plugins.report_error("unauthorized", **words))
    api(plugins.report_error("networkUnavailable", **words, unavailable_host="h"))
    wire = {"pluginRunId": "r", "serverUrl": "http://s", "message": "m"}
    assert server.parameters == [
        VOID,
        {"type": "unauthorized", **wire},
        {"type": "networkUnavailable", **wire, "unavailableHost": "h"},
    ]
    with pytest.raises(LMStudioValueError, match="'unauthorized' or"):
        api(plugins.report_error("other", **words))


ASKED = {
    "type": "preprocess",
    "taskId": "t",
    "input": {"role": "user", "content": []},
    "config": {"fields": []},
    "pluginConfig": {"fields": []},
    "globalPluginConfig": {"fields": []},
    "workingDirectoryPath": None,
    "enabledPluginInfos": [],
    **WIRE,
}
INIT = {
    "type": "initSession",
    "pluginConfig": {"fields": []},
    "globalPluginConfig": {"fields": []},
    "workingDirectoryPath": None,
    "sessionId": "s",
}
GENERATE = {
    "type": "generate",
    "taskId": "t",
    "input": HISTORY,
    "pluginConfig": {"fields": []},
    "globalPluginConfig": {"fields": []},
    "toolDefinitions": [],
    "workingDirectoryPath": None,
}
LOOP = {k: v for k, v in ASKED.items() if k != "input"} | {"type": "handlePredictionLoop"}


@pytest.mark.parametrize(
    ("hook", "endpoint", "asked", "answer"),
    [
        (
            "promptPreprocessor",
            "setPromptPreprocessor",
            ASKED,
            {
                "type": "complete",
                "taskId": "t",
                "processed": {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            },
        ),
        (
            "predictionLoopHandler",
            "setPredictionLoopHandler",
            LOOP,
            {"type": "complete", "taskId": "t"},
        ),
        (
            "toolsProvider",
            "setToolsProvider",
            INIT,
            {"type": "sessionInitialized", "sessionId": "s", "toolDefinitions": [TOOL]},
        ),
        ("generator", "setGenerator", GENERATE, {"type": "complete", "taskId": "t"}),
    ],
)
def test_hooks_carry_requests_and_answers(
    api: Any, server: Any, hook: str, endpoint: str, asked: Any, answer: Any
) -> None:
    async def serve(channel: Any) -> None:
        channel.send(asked)
        await channel.next_message()
        channel.close()

    server.on_odd_channel(f"plugins.{endpoint}", serve)
    stream = api.client.plugins.open_hook(hook)

    async def run() -> list[HookRequest]:
        async with stream:
            request = await anext(stream)
            await stream.send(answer)
            return [request, *[r async for r in stream]]

    if api.is_async:
        (request,) = api(run())
    else:
        with stream:
            request = next(stream)
            stream.send(answer)
            assert list(stream) == []
    assert (request.type, request.task_id, request.session_id) == (
        asked["type"],
        asked.get("taskId"),
        asked.get("sessionId"),
    )
    assert request.process == (PROCESS if "token" in asked else None)
    assert "secret" not in repr(request)
    assert server.requests[0].messages == [answer]


def test_a_hook_waits_for_days(server: Any) -> None:
    server.on_odd_channel("plugins.setGenerator", lambda channel: None)

    def ask() -> None:
        channel = server.wait_for_request("plugins.setGenerator")
        outlast_the_timeout(server)
        channel.send(GENERATE)

    thread = threading.Thread(target=ask)
    with lms.Client(server.api_host) as client:
        client.plugins.connect()
        lms.set_sync_api_timeout(0.1)
        thread.start()
        with client.plugins.open_hook("generator") as hook:
            assert next(hook).type == "generate"
    thread.join()


def test_an_unknown_hook_is_refused(api: Any, server: Any) -> None:
    server.on_channel("plugins.setGenerator", NO_ANSWER)
    with pytest.raises(LMStudioValueError, match="promptPreprocessor"):
        api.client.plugins.open_hook("everything")


# -- a prediction --------------------------------------------------------------------------------


def test_a_plugin_works_on_a_prediction(api: Any, server: Any) -> None:
    server.on("plugins.processingHandleUpdate")
    server.on("plugins.processingPullHistory", HISTORY)
    source = {"type": "model", "identifier": "m"}
    server.on("plugins.processingGetOrLoadTokenSource", {"tokenSourceIdentifier": source})
    server.on_odd("plugins.processingHasStatus", True)
    server.on_odd("plugins.processingNeedsNaming", False)
    server.on("plugins.processingSuggestName")
    server.on("plugins.processingSetSenderName")
    work = api.client.plugins.processing(PROCESS)
    update = {"type": "status.remove", "id": "1"}
    api(work.handle_update(update))
    assert api(work.pull_history(include_current=True)) == HISTORY
    found = api(work.token_source())
    assert (found.type, found.identifier) == ("model", "m")
    assert api(work.has_status()) is True
    assert api(work.needs_naming()) is False
    api(work.suggest_name("A chat"))
    api(work.set_sender_name("Me"))
    assert server.parameters == [
        {**WIRE, "update": update},
        {**WIRE, "includeCurrent": True},
        WIRE,
        WIRE,
        WIRE,
        {**WIRE, "name": "A chat"},
        {**WIRE, "name": "Me"},
    ]


def test_a_plugin_asks_the_user(api: Any, server: Any) -> None:
    replies = iter(
        [
            {"type": "confirmToolCall", "result": {"type": "allow", "toolArgsOverride": {"a": 2}}},
            {"type": "confirmToolCall", "result": {"type": "deny", "denyReason": "no"}},
            {"type": "textInput", "result": "Bob"},
        ]
    )
    server.on("plugins.processingHandleRequest", lambda _: {"response": next(replies)})
    work = api.client.plugins.processing(PROCESS)
    yes = api(work.confirm_tool_call(1, "add", {"a": 1}, plugin_identifier="o/p"))
    assert (yes.allowed, yes.tool_args_override) == (True, {"a": 2})
    no = api(work.confirm_tool_call(2, "add", {}))
    assert (no.allowed, no.deny_reason) == (False, "no")
    assert api(work.request_text("Who?")) == "Bob"
    request = {"type": "confirmToolCall", "callId": 1, "name": "add", "parameters": {"a": 1}}
    assert server.parameters[0] == {**WIRE, "request": {**request, "pluginIdentifier": "o/p"}}
    assert server.parameters[2]["request"] == {"type": "textInput", "prompt": "Who?"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda p: p.processing(PROCESS).handle_update({}),
        lambda p: p.processing(PROCESS).suggest_name(""),
        lambda p: p.processing(("a", "b")).has_status(),
        lambda p: p.generate_with_generator("", "Hi"),
        lambda p: p.start_tool_use_session("o/p", process=PROCESS, config={}),
    ],
)
def test_wrong_arguments_are_refused(api: Any, server: Any, wrong: Any) -> None:
    with pytest.raises(LMStudioValueError):
        api(wrong(api.client.plugins))
    assert server.requests == ()
    assert "secret" not in repr(PROCESS)
