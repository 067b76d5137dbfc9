"""A plugin in TypeScript and one in Python say the same to one scripted app, packet for packet.

``LMSTUDIO_OFFICIAL_NODE`` names a folder with ``@lmstudio/sdk`` in its ``node_modules``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from lmstudio.plugin import Directory, Plugin, PluginConfig, Setting, ToolCall
from lmstudio_core.client import AsyncClient
from lmstudio_core.protocol.operations import VOID
from lmstudio_plugin.runner import serve
from lmstudio_testing import NO_ANSWER, FakeServer

NODE = os.environ.get("LMSTUDIO_OFFICIAL_NODE")
HOOKS = ("setPromptPreprocessor", "setGenerator", "setToolsProvider", "setPredictionLoopHandler")
SETTINGS = {
    "pluginConfig": {"fields": []},
    "globalPluginConfig": {"fields": []},
    "workingDirectoryPath": None,
}
CHAT = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
TASK = {"config": {"fields": []}, "enabledPluginInfos": [], "pci": "p", "token": "t", **SETTINGS}


class Inner(PluginConfig):
    depth: Annotated[int, Setting("Depth")] = 3


class Settings(PluginConfig):
    sides: Annotated[
        int,
        Setting("Sides", hint="How many.", slider=(4, 90, 1), short_hand="d"),
        Field(ge=2, le=99),
    ] = 6
    share: Annotated[float, Setting("Share", precision=2, step=0.1, experimental=True)] = 0.5
    mode: Annotated[Literal["fast", "slow"], Setting("Mode", names={"fast": "Quick"})] = "fast"
    loud: Annotated[bool, Setting("Loud", subtitle="All", warning="Ears")] = False
    text: Annotated[
        str, Setting("Text", paragraph=True, placeholder="Say"), Field(max_length=9)
    ] = ""
    key: Annotated[str, Setting("Key", secret=True, token=True, depends_on=("mode", "fast"))] = ""
    words: Annotated[list[str], Setting("Words", max_items=2, allow_empty=True)] = ["a"]  # noqa: RUF012
    place: Annotated[Directory, Setting("Place", access="read")] = Directory("")
    places: Annotated[list[Directory], Setting("Places")] = []  # noqa: RUF012
    inner: Inner = Inner()


def with_tools() -> Plugin:
    plugin = Plugin(config=Settings)

    @plugin.tool
    def double(a: float, call: ToolCall[Settings]) -> dict[str, float]:
        """Double it."""
        call.status("doubling")
        call.warn("hot")
        return {"twice": 2 * a}

    @plugin.prompt_preprocessor
    async def preprocess(ctl: Any, message: Any) -> str:
        status = ctl.status("working", "loading")
        status.add("below").set("done", "below")
        status.set("done", "ready")
        status.remove()
        ctl.debug("one", "two")
        ctl.citation("passage", file_name="f.txt", file_identifier="f", page=(1, 2))
        await ctl.pull_history()
        await ctl.suggest_name("A name" if await ctl.needs_naming() else "Another")
        return "changed"

    @plugin.generator
    async def generate(ctl: Any, chat: Any) -> None:
        await ctl.fragment("Hm. ", reasoning=True, tokens=2)
        await ctl.fragment("Yes.")
        await ctl.tool_call_started("1")
        await ctl.tool_call_name("double")
        await ctl.tool_call_arguments('{"a": 1}')
        call = {"type": "function", "name": "double", "arguments": {"a": 1}, "id": "1"}
        await ctl.tool_call_ended(call)

    return plugin


def with_loop() -> Plugin:
    plugin = Plugin(config=Settings)

    @plugin.prediction_loop
    async def loop(ctl: Any) -> None:
        await ctl.pull_history()
        ctl.set_sender_name("Bard")
        block = ctl.content_block(prefix="<", suffix=">", style={"type": "thinking", "title": "T"})
        block.append("one", tokens=1)
        block.replace("two")
        block.set_style({"type": "default"})
        block.set_prefix("(")
        block.set_suffix(")")
        named = {"request_id": "r", "plugin_identifier": "x/y"}
        block.append_tool_request(1, "double", {"a": 1}, **named)
        block.replace_tool_request(1, "double", {"a": 2}, request_id="r")
        result = ctl.content_block(role="tool", in_context=False)
        result.append_tool_result(1, "4", name="double", request_id="r")
        status = ctl.tool_status(1, {"type": "callingTool"})
        status.set_text("busy")
        status.add_warning("hot")
        status.append_arguments("{}")
        status.set({"type": "toolCallSucceeded", "timeMs": 3})
        await ctl.confirm_tool_call(1, "double", {"a": 1})

    return plugin


@contextmanager
def app() -> Iterator[FakeServer]:
    with FakeServer() as server:
        for hook in HOOKS:
            server.on_channel(f"plugins.{hook}", NO_ANSWER)
        for name in ("setConfigSchematics", "pluginInitCompleted", "processingHandleUpdate"):
            server.on(f"plugins.{name}", VOID)
        server.on("plugins.processingSuggestName", VOID)
        server.on("plugins.processingPullHistory", {"messages": []})
        server.on("plugins.processingNeedsNaming", True)
        allowed = {"type": "confirmToolCall", "result": {"type": "allow"}}
        server.on("plugins.processingHandleRequest", {"response": allowed})
        yield server


def asks_tools(server: FakeServer) -> None:
    """All that the app asks a plugin without a loop."""
    tools = server.wait_for_request("plugins.setToolsProvider")
    tools.send({"type": "initSession", "sessionId": "s", **SETTINGS})
    tools.wait_for_message("sessionInitialized")
    call = {"sessionId": "s", "callId": "c", "toolName": "double", "parameters": {"a": 2}}
    tools.send({"type": "callTool", **call})
    tools.wait_for_message("toolCallComplete")
    tools.send({"type": "discardSession", "sessionId": "s"})
    generator = server.wait_for_request("plugins.setGenerator")
    generator.send(
        {"type": "generate", "taskId": "g", "input": CHAT, "toolDefinitions": [], **SETTINGS}
    )
    generator.wait_for_message("complete")
    preprocessor = server.wait_for_request("plugins.setPromptPreprocessor")
    message = CHAT["messages"][0]
    preprocessor.send({"type": "preprocess", "taskId": "t", "input": message, **TASK})
    preprocessor.wait_for_message("complete")


def asks_loop(server: FakeServer) -> None:
    loop = server.wait_for_request("plugins.setPredictionLoopHandler")
    loop.send({"type": "handlePredictionLoop", "taskId": "t", **TASK})
    loop.wait_for_message("complete")


def said(server: FakeServer) -> dict[str, list[Any]]:
    """What the plugin has sent, endpoint by endpoint in its order, without what is nobody's business."""
    names: dict[str, str] = {}
    found: dict[str, list[Any]] = {}
    channels: dict[int, str] = {}
    for _, frame in server.frames:
        match frame["type"]:
            case "rpcCall":
                found.setdefault(frame["endpoint"], []).append(plain(frame.get("parameter"), names))
            case "channelCreate":
                channels[frame["channelId"]] = frame["endpoint"]
                found.setdefault(frame["endpoint"], []).append(
                    ("open", frame.get("creationParameter"))
                )
            case "channelSend":
                message = plain(frame["message"], names)
                found[channels[frame["channelId"]]].append(message)
            case _:
                pass
    return found


def plain(value: Any, names: dict[str, str]) -> Any:
    """With block ids by their order, and without the schemas' and messages' own ways to say the same."""
    if isinstance(value, list):
        return [plain(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    made = {
        key: plain(item, names) for key, item in value.items() if key not in ("$schema", "title")
    }
    made.pop("additionalProperties", None)
    if made.get("extensionPrefixes") == []:  # TypeScript says that there are none
        del made["extensionPrefixes"]
    if made.get("forceRenderAsPlainText") is False:  # and fills in this default
        del made["forceRenderAsPlainText"]
    if isinstance(made.get("id"), str) and ("." in made.get("type", "") or "afterId" in str(made)):
        made["id"] = names.setdefault(made["id"], f"block {len(names)}")
    return made


async def told(plugin: Plugin, server: FakeServer, asks: Callable[[FakeServer], None]) -> None:
    ready = asyncio.Event()
    async with AsyncClient(
        server.api_host, client_identifier="plugin", client_passkey="k"
    ) as client:
        serving = asyncio.ensure_future(
            serve(client.plugins, "x/y", plugin.definition(), ready.set)
        )
        await ready.wait()
        await asyncio.to_thread(asks, server)
        serving.cancel()
        await asyncio.wait({serving})


@pytest.mark.skipif(not NODE, reason="LMSTUDIO_OFFICIAL_NODE is not set")
@pytest.mark.parametrize(
    ("kind", "make", "asks"), [("tools", with_tools, asks_tools), ("loop", with_loop, asks_loop)]
)
def test_typescript_and_python_say_the_same(
    kind: str, make: Callable[[], Plugin], asks: Callable[[FakeServer], None]
) -> None:
    with app() as server:
        asyncio.run(told(make(), server, asks))
        ours = said(server)
    script = str(Path(__file__).with_name("node_hooks.cjs"))
    with app() as server:
        command = ["node", script, str(NODE), f"ws://{server.api_host}", kind]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        asks(server)
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
        theirs = said(server)
    assert set(ours) == set(theirs)
    for endpoint, packets in theirs.items():
        for number, (mine, other) in enumerate(zip(ours[endpoint], packets, strict=False)):
            assert mine == other, (endpoint, number)
        assert len(ours[endpoint]) == len(packets), endpoint
