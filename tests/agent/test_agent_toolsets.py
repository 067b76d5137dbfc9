"""Toolsets: groups of tools, those that have to be opened, and those of plugins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agent_scripts import NOWHERE, ScriptedClient, call, prediction

from lmstudio_agent import ActStream, AsyncActStream, Toolset, plugin_tools, toolset_names
from lmstudio_agent import operations as ops
from lmstudio_agent.toolsets import named_toolset
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.plugins.hookspecs import hookimpl
from lmstudio_core.plugins.registry import plugins
from lmstudio_testing import FakeServer


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


def triple(n: int) -> int:
    """Triple a number."""
    return 3 * n


class Recorder(Toolset):
    """A toolset that has to be opened."""

    def __init__(self, fail: Exception | None = None) -> None:
        super().__init__("recorder", [double])
        self.log: list[str] = []
        self.fail = fail

    @property
    def is_open(self) -> bool:
        return self.log.count("open") > self.log.count("close")

    def open(self) -> None:
        if self.fail is not None:
            raise self.fail
        self.log.append("open")

    def close(self) -> None:
        self.log.append("close")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Predictions to come, for any run of this test."""
    coming: list[Any] = []

    def predict(self: Any, chat: Any, index: int, tools: Any, *, structured: bool = False) -> Any:
        if not coming or not tools:
            return prediction("checked")
        return coming[0] if index == 0 else prediction("ok")

    monkeypatch.setattr(ops.ModelPredictor, "__call__", predict)
    return coming


def run_sync(*args: Any, **more: Any) -> Any:
    with Client(NOWHERE) as client:
        made = ops.start("x", "Go", *args, **more)
        return ActStream(ScriptedClient(client), *made).wait_for_result()


def run_async(*args: Any, **more: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(NOWHERE) as client:
            made = ops.start("x", "Go", *args, **more)
            return await AsyncActStream(ScriptedClient(client), *made).wait_for_result()

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("run", [run_sync, run_async])


@BOTH
def test_toolsets_stand_among_the_tools_or_beside_them(scripted: list[Any], run: Any) -> None:
    scripted.append(prediction("", call("double", {"n": 1}), call("triple", {"n": 1})))
    doubling, tripling = Toolset("doubling", [double]), Toolset("tripling", [triple])
    for arguments in (
        ([doubling, triple], {}, []),
        ([double], {}, [tripling]),
        (Toolset("both", [double, triple]), {}, []),
    ):
        tools, keywords, sets = arguments
        result = run(tools, keywords, toolsets=sets)
        assert [record.result for record in result.tool_calls] == [2, 3]


@BOTH
def test_a_run_opens_what_is_not_open_and_closes_that_alone(scripted: list[Any], run: Any) -> None:
    scripted.append(prediction("", call("double", {"n": 1})))
    toolset = Recorder()
    assert run([toolset], {}).tool_calls[0].result == 2
    assert toolset.log == ["open", "close"]
    with toolset:
        run([toolset], {})
        assert toolset.is_open
    assert toolset.log == ["open", "close"] * 2


@BOTH
def test_a_run_that_fails_closes_what_it_opened(scripted: list[Any], run: Any) -> None:
    def stop(request: Any) -> None:
        raise KeyboardInterrupt

    scripted.append(prediction("", call("double", {"n": 1})))
    toolset, broken = Recorder(), Recorder(OSError("no"))
    with pytest.raises(KeyboardInterrupt):
        run([toolset], {"guard_tool_call": stop})
    with pytest.raises(OSError, match="no"):
        run([toolset, broken], {})
    assert toolset.log == ["open", "close"] * 2
    assert broken.log == ["close"]


@BOTH
def test_names_must_be_unique_across_toolsets(scripted: list[Any], run: Any) -> None:
    with pytest.raises(LMStudioValueError, match=r"Two tools .*double.* in the toolset .again"):
        run([double], {}, toolsets=[Toolset("again", [double])])


@BOTH
@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_calls_per_tool": {"doubel": 1}}, r"'doubel'. Did you mean 'double'\?"),
        ({"tool_timeout": {"multiply": 1.0}}, r"'multiply'. The tools: double"),
    ],
)
@pytest.mark.parametrize("sets", [0, 1])
def test_a_limit_names_a_tool_there_is(
    scripted: list[Any], run: Any, limits: Any, says: str, sets: int
) -> None:
    single, recorder = [[double], []][sets], Recorder()
    with pytest.raises(LMStudioValueError, match=says):
        run(single, limits, toolsets=[recorder] * sets)
    assert recorder.log == ["open", "close"] * sets


def test_async_with_opens_and_closes() -> None:
    async def main() -> list[str]:
        async with Recorder() as toolset:
            assert toolset.is_open
        return toolset.log

    assert asyncio.run(main()) == ["open", "close"]


@pytest.mark.parametrize("wrong", ["math", 7, [7], ["no-such-toolset"]])
def test_what_is_no_toolset_is_refused(wrong: Any) -> None:
    with pytest.raises(LMStudioValueError):
        ops.start("x", "Go", [], {}, toolsets=wrong)


class Contributed:
    """A plugin with toolsets."""

    @hookimpl
    def lmstudio_register_toolsets(self, register: Any) -> None:
        register("arithmetic", lambda: [double, triple])
        register("recorder", Recorder)


class Failing:
    """A plugin that fails."""

    @hookimpl
    def lmstudio_register_toolsets(self, register: Any) -> None:
        raise RuntimeError("broken")


@pytest.fixture
def contributed() -> Any:
    registered = [Contributed(), Failing()]
    for plugin in registered:
        plugins.manager.register(plugin)
    yield
    for plugin in registered:
        plugins.manager.unregister(plugin)


@BOTH
def test_plugins_contribute_toolsets_by_name(
    contributed: None, scripted: list[Any], run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.append(prediction("", call("double", {"n": 2}), call("triple", {"n": 2})))
    assert toolset_names() == ["arithmetic", "recorder"]
    result = run([], {}, toolsets=["arithmetic"])
    assert [record.result for record in result.tool_calls] == [4, 6]
    assert run([], {}, toolsets=["recorder"]).tool_calls[0].result == 4
    with pytest.raises(LMStudioValueError, match="'arithmetic', 'recorder'"):
        run([], {}, toolsets=["arithmetics"])


def test_two_plugins_with_one_name_are_told_apart_by_nobody(contributed: None) -> None:
    other = Contributed()
    plugins.manager.register(other)
    try:
        assert toolset_names() == []
        with pytest.raises(LMStudioValueError, match="'arithmetic' is claimed by both"):
            named_toolset("arithmetic")
    finally:
        plugins.manager.unregister(other)


async def dice(channel: Any) -> None:
    """A plugin of LM Studio's: rolls the highest number."""
    schema = {"type": "object", "properties": {"sides": {"type": "integer"}}}
    function = {"name": "roll", "description": "Roll a die.", "parameters": schema}
    tools = [{"type": "function", "function": function}]
    channel.send({"type": "sessionReady", "toolDefinitions": tools})
    while (message := await channel.next_message())["type"] == "callTool":
        call_id = {"callId": message["callId"]}
        channel.send(
            {"type": "toolCallStatus", **call_id, "statusText": "rolling"},
            {"type": "toolCallComplete", **call_id, "result": message["arguments"]["sides"]},
        )
    channel.close()


def play_sync(host: str, stop: Any) -> Any:
    with Client(host) as client:
        made = ops.start(
            "x", "Go", [plugin_tools("o/dice")], {"guard_tool_call": stop}, client=client
        )
        return ActStream(ScriptedClient(client), *made).wait_for_result()


def play_async(host: str, stop: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(host) as client:
            tools = [plugin_tools("o/dice")]
            made = ops.start("x", "Go", tools, {"guard_tool_call": stop}, client=client)
            return await AsyncActStream(ScriptedClient(client), *made).wait_for_result()

    return asyncio.run(main())


@pytest.mark.parametrize("play", [play_sync, play_async])
def test_tools_of_lm_studios_plugins(server: FakeServer, scripted: list[Any], play: Any) -> None:
    server.on_channel("plugins.startToolUseSession", dice)
    scripted.append(prediction("", call("roll", {"sides": 20}, "1")))
    (record,) = play(server.api_host, None).tool_calls
    assert (record.result, record.reports) == (20, (("status", "rolling"),))

    def stop(request: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(server.api_host, stop)


def test_a_plugins_toolset_belongs_to_runs() -> None:
    with pytest.raises(LMStudioRuntimeError, match="start_tool_use_session"):
        plugin_tools("o/dice").open()
    with pytest.raises(LMStudioValueError, match="owner/name"):
        plugin_tools("dice")
