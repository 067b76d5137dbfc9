"""A plugin is tested without LM Studio: every hook, in every form, by the scripted app and the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from plugin_running import PROGRAMS

from lmstudio import Chat, UserMessage
from lmstudio.plugin import (
    BaseConfigSchema,
    LMStudioPluginInitError,
    Plugin,
    PluginConfig,
    Setting,
    ToolCall,
    config_field,
    get_tool_call_context,
    get_tool_call_context_async,
)
from lmstudio_core.errors import LMStudioCancelledError, LMStudioError, LMStudioServerError
from lmstudio_plugin.testing import TestedPlugin

Tested = Callable[..., TestedPlugin]


class Settings(PluginConfig):
    sides: Annotated[int, Setting("Sides")] = 6


class Shared(BaseConfigSchema):
    seed: int = config_field(label="Seed", hint="", default=1)


@pytest.fixture(params=["scripted", "embedded"])
def tested(request: pytest.FixtureRequest) -> Iterator[Tested]:
    """The fixture as users get it, and what it is with ``--lmstudio=embedded``."""
    if request.param == "scripted":
        yield request.getfixturevalue("lmstudio_plugin")
        return
    made: list[TestedPlugin] = []
    model = SimpleNamespace(key="pocket")
    host = request.getfixturevalue("host")
    server = SimpleNamespace(scripted=False, api_host=host, llm=lambda: model)

    def test(plugin: Any, **options: Any) -> TestedPlugin:
        made.append(TestedPlugin(plugin, server, **options))
        return made[-1]

    yield test
    for one in made:
        one.close()


@dataclass
class Point:
    x: int
    when: date


def tools() -> Plugin:
    plugin = Plugin(config=Settings, global_config=Shared)

    @plugin.tool
    def roll(count: int, call: ToolCall[Settings]) -> list[int]:
        """Roll dice."""
        call.status(f"rolling {count}")
        call.warn("slippery")
        return [call.config.sides * call.global_config.seed] * count

    @plugin.tool(name="slow", description="Roll slowly.")
    async def roll_slowly(count: int, call: ToolCall[Settings]) -> int:
        await call.status("one")
        call.status("two")
        return count

    @plugin.tools
    async def more(ctl: Any) -> list[Any]:
        def where() -> str:
            """Where it works."""
            get_tool_call_context().notify_status("looking")
            return str(ctl.working_path)

        return [where]

    return plugin


def test_tools(tested: Tested) -> None:
    plugin = tested(
        tools(), config={"sides": 4}, global_config={"seed": 2}, working_directory="/tmp/x"
    )
    roll, slow, _ = plugin.tools()
    assert list(roll.parameters["properties"]) == ["count"]
    assert (slow.name, slow.description) == ("slow", "Roll slowly.")
    done = plugin.call("roll", {"count": 2})
    assert (done.result, done.statuses, done.warnings) == ([8, 8], ["rolling 2"], ["slippery"])
    assert plugin.call("slow", {"count": 3}).statuses == ["one", "two"]
    assert plugin.call("where").result == "/tmp/x"
    with pytest.raises(LMStudioServerError, match="count"):
        plugin.call("roll", {"count": "x"})
    with pytest.raises(LMStudioError, match="no tool 'rol'; did you mean 'roll'"):
        plugin.call("rol")


RESULTS: list[tuple[Any, Any]] = [
    (Point(1, date(2026, 1, 2)), {"x": 1, "when": "2026-01-02"}),
    ({3}, [3]),
    (b"\xff\x00", "/wA="),
    (None, None),
    ({"a": (1, 2)}, {"a": [1, 2]}),
]


def test_what_tools_return(tested: Tested) -> None:
    plugin = Plugin()

    @plugin.tool
    def give(number: int) -> Any:
        """Give a thing."""
        return [*(given for given, _ in RESULTS), float("nan"), object(), "x" * 17_000_000][number]

    one = tested(plugin)
    assert [one.call("give", {"number": n}).result for n in range(len(RESULTS))] == [
        wanted for _, wanted in RESULTS
    ]
    for number, words in (
        (5, "cannot become JSON"),
        (6, "cannot become JSON"),
        (7, "at most 16777216"),
    ):
        with pytest.raises(LMStudioServerError, match=words):
            one.call("give", {"number": number})
    assert one.call("give", {"number": 3}).result is None


def test_contexts_of_the_wrong_kind(tested: Tested) -> None:
    plugin = Plugin()

    @plugin.tool
    def wrong() -> None:
        """Ask for the other."""
        get_tool_call_context_async()

    @plugin.tool
    async def wrong_async() -> None:
        """Ask for the other."""
        get_tool_call_context()

    one = tested(plugin)
    with pytest.raises(LMStudioServerError, match=r"not async.*get_tool_call_context\(\)"):
        one.call("wrong")
    with pytest.raises(LMStudioServerError, match="get_tool_call_context_async"):
        one.call("wrong_async")


def test_calls_run_beside_each_other(tested: Tested) -> None:
    plugin = Plugin()
    together = threading.Barrier(20, timeout=30)

    @plugin.tool
    def meet() -> int:
        """Wait for all the others."""
        return together.wait()

    one = tested(plugin)
    one.tools()
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(one.call("meet").result)) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == list(range(20))


@pytest.mark.parametrize("form", ["str", "message", "dict", "none", "sync"])
def test_preprocessors(tested: Tested, form: str) -> None:
    plugin = Plugin(config=Settings)

    async def prefix(ctl: Any, message: UserMessage) -> Any:
        status = await ctl.notify_start("starting")
        async with status.notify_aborted("stopped"):
            await status.notify_working("working")
            await status.notify_done("done")
        await ctl.notify_done("ready")
        text = f"{ctl.plugin_config.sides}: {message.content[0].text}"  # type: ignore[union-attr]
        whole = {"role": "user", "content": [{"type": "text", "text": text}]}
        forms = {"str": text, "message": UserMessage.from_dict(whole), "dict": whole, "none": None}
        return forms[form]

    def prefix_sync(ctl: Any, message: UserMessage) -> Any:
        ctl.notify_start("starting").notify_done("done")
        return f"{ctl.plugin_config.sides}: {message.content[0].text}"  # type: ignore[union-attr]

    plugin.prompt_preprocessor(prefix_sync if form == "sync" else prefix)
    done = tested(plugin, config={"sides": 8}).preprocess("Hello")
    assert done.prompt == ("Hello" if form == "none" else "8: Hello")
    assert done.statuses[0] == "starting"
    if form != "sync":
        assert done.statuses == ["starting", "working", "done", "ready"]


def test_a_preprocessor_that_fails_or_lies(tested: Tested) -> None:
    plugin = Plugin()

    @plugin.prompt_preprocessor
    async def wrong(ctl: Any, message: UserMessage) -> Any:
        text = message.content[0].text  # type: ignore[union-attr]
        if text == "raise":
            raise KeyError("nothing")
        return 7 if text == "number" else {"role": "assistant", "content": []}

    one = tested(plugin)
    for text, words in (
        ("raise", "KeyError"),
        ("number", "returned int"),
        ("other", "no user's message"),
    ):
        with pytest.raises(LMStudioServerError, match=words):
            one.preprocess(text)


def test_loops(tested: Tested) -> None:
    plugin = Plugin()

    @plugin.prediction_loop
    async def loop(ctl: Any) -> None:
        who = await ctl.request_text("Who?")
        allowed = (await ctl.confirm_tool_call(1, "x", {"a": 1})).allowed
        await ctl.suggest_name("Names")
        ctl.status("thinking", "loading").set("done", "thought")
        said = str((await ctl.pull_history()).to_dict()["messages"][-1])
        ctl.content_block().append(f"{who} {allowed} {'Hi' in said}")

    done = tested(plugin, answers=["Ada", False]).loop("Hi")
    assert (done.text, done.name) == ("Ada False True", "Names")
    assert done.statuses == ["thinking", "thought"]


def test_generators(tested: Tested) -> None:
    plugin = Plugin()

    @plugin.generator
    async def write(ctl: Any, chat: Chat) -> Any:
        await ctl.fragment("Hm. ", reasoning=True)
        for tool in ctl.tool_definitions:
            await ctl.tool_call(tool["function"]["name"], {"a": 1})
        yield "one "
        yield "two"

    one = tested(plugin)
    definition = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    definition["function"]["parameters"]["properties"] = {}  # type: ignore[index]
    done = one.generate("Hi", [definition])
    assert (done.reasoning_content, done.non_reasoning_content) == ("Hm. ", "one two")
    assert done.tool_call_requests[0]["arguments"] == {"a": 1}
    with pytest.raises(LMStudioServerError, match="no tools"):
        one.tools()


@pytest.mark.parametrize("how", ["generator", "return", "official"])
def test_other_forms_of_generators(tested: Tested, how: str) -> None:
    plugin = Plugin()

    def write(ctl: Any, chat: Chat) -> Any:
        yield "a"
        ctl.fragment("b")

    def give(ctl: Any, chat: Chat) -> str:
        return "ab"

    async def official(ctl: Any) -> None:
        await ctl.fragment("ab", tokens=2)

    plugin.generator({"generator": write, "return": give, "official": official}[how])
    assert tested(plugin).generate("Hi").content == "ab"


def test_abort(lmstudio_plugin: Tested) -> None:
    plugin = Plugin()
    begun, ended = threading.Event(), threading.Event()

    @plugin.prompt_preprocessor
    async def hang(ctl: Any, message: UserMessage) -> None:
        import asyncio

        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    one = lmstudio_plugin(plugin)

    def stop() -> None:
        begun.wait(30)
        one.abort()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(LMStudioCancelledError):
        one.preprocess("Hi")
    thread.join()
    assert ended.wait(30)


def test_folders_are_tested_likewise(tested: Tested) -> None:
    one = tested(PROGRAMS / "dice", config={"num_sides": 2})
    assert set(one.call("roll_dice", {"count": 50}).result) == {1, 2}


def test_mistakes_of_plugins() -> None:
    plugin = Plugin()

    def undocumented(a: int) -> int:
        return a

    with pytest.raises(LMStudioPluginInitError, match="docstring"):
        plugin.tool(undocumented)
    with pytest.raises(LMStudioPluginInitError, match="must be a function"):
        plugin.generator(3)  # type: ignore[type-var]

    def loop(ctl: Any) -> None: ...

    def listed(ctl: Any) -> list[Any]:
        return []

    plugin.prediction_loop(loop)
    with pytest.raises(LMStudioPluginInitError, match="set twice"):
        plugin.prediction_loop(loop)
    with pytest.raises(LMStudioPluginInitError, match="either a prediction loop or tools"):
        plugin.tools(listed)
    with pytest.raises(LMStudioPluginInitError, match="config must be a class"):
        Plugin(config=dict)
