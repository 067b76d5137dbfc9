"""Tools of a real MCP server: a process that speaks over stdio, and one that speaks HTTP."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_scripts import Scripted, call, make_run, prediction, run_async, run_sync

from lmstudio_agent import ActResult, ToolImage, mcp_tools
from lmstudio_agent.operations import ready_tools
from lmstudio_core.errors import (
    CapabilityNotInstalledError,
    LMStudioConnectionError,
    LMStudioTimeoutError,
    LMStudioValueError,
)

pytest.importorskip("mcp")

SERVER = str(Path(__file__).parent / "mcp_server.py")
PAGING = str(Path(__file__).parent / "mcp_paging_server.py")
COMMAND = [sys.executable, SERVER]


def results(run: Callable[[Any], ActResult[Any]], tools: Any, *calls: Any) -> list[Any]:

    result = run(make_run(Scripted(prediction("", *calls), prediction("ok")), list(tools)))
    return [record.result if record.error is None else record for record in result.tool_calls]


@pytest.fixture(scope="module")
def opened() -> Iterator[Any]:
    with mcp_tools(COMMAND, env={"COLOUR": "blue"}) as tools:
        yield tools


@pytest.mark.parametrize("run", [run_sync, run_async])
def test_tools_are_called_with_arguments_and_give_plain_data(opened: Any, run: Any) -> None:
    assert results(
        run,
        opened,
        call("multiply", {"a": 6, "b": 7}),
        call("describe", {"city": "Bergen"}),
        call("words", {"text": "a b"}),
        call("environment", {"name": "COLOUR"}),
    ) == [42, {"city": "Bergen", "days": 1, "weather": "rain"}, ["a", "b"], "blue"]


def test_the_model_gets_descriptions_and_schemas(opened: Any) -> None:
    by_name = {tool.name: tool for tool in ready_tools(opened)}
    described = by_name["describe"]
    assert described.description == "Describe a city's weather."
    assert described.parameters["required"] == ["city"]
    assert described.parameters["properties"]["days"]["default"] == 1


def test_what_goes_wrong_in_the_server_is_told_to_the_model(opened: Any) -> None:
    failed, missing = results(
        run_sync, opened, call("fail", {"reason": "no rain today"}), call("multiply", {"a": 1})
    )
    assert "no rain today" in failed.content
    assert missing.outcome == "invalid"
    assert "'b' is a required property" in missing.content


def test_pictures_come_as_images(opened: Any) -> None:
    ((image,),) = results(run_sync, opened, call("picture", {}))
    assert isinstance(image, ToolImage)
    assert bytes(image.source).startswith(b"\x89PNG")  # type: ignore[arg-type]


def test_some_tools_with_a_prefix() -> None:
    with mcp_tools(COMMAND, prefix="math_", only=["multiply"]) as tools:
        assert [tool.name for tool in ready_tools(tools)] == ["math_multiply"]
        assert results(run_sync, tools, call("math_multiply", {"a": 2, "b": 2})) == [4]


def test_a_server_may_tell_its_tools_in_pages() -> None:
    with mcp_tools([sys.executable, PAGING]) as tools:
        assert [tool.name for tool in ready_tools(tools)] == ["first", "second", "third"]
        assert results(run_sync, tools, call("third", {})) == ["this is third"]


def test_only_names_tools_that_there_are() -> None:
    with pytest.raises(LMStudioValueError, match=r"no tool 'multply'. Did you mean 'multiply'"):
        mcp_tools(COMMAND, only=["multply"]).open()
    with pytest.raises(LMStudioValueError, match="Its tools: 'first', 'second', 'third'"):
        mcp_tools([sys.executable, PAGING], only=["zebra"]).open()


def test_it_lives_as_long_as_the_block() -> None:
    tools = mcp_tools(COMMAND, only=["multiply"])
    assert not tools.is_open
    with tools:
        kept = tools.tools
        assert tools.is_open
        tools.open()  # open already: nothing happens
    assert not tools.is_open
    (record,) = results(run_sync, kept, call("multiply", {"a": 1, "b": 1}))
    assert "not connected" in record.content
    with tools:  # and it can be opened again
        assert results(run_sync, tools, call("multiply", {"a": 2, "b": 3})) == [6]


def test_async_with_does_not_block_the_loop_and_cancelling_spares_the_server() -> None:
    async def main() -> None:
        async with mcp_tools(COMMAND, only=["multiply"]) as tools:
            (tool,) = ready_tools(tools)
            hanging = asyncio.ensure_future(tool.prepare({"a": 1, "b": 2})())
            await asyncio.sleep(0)
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert await tool.prepare({"a": 3, "b": 4})() == 12
        assert not tools.is_open

    asyncio.run(main())


@pytest.mark.parametrize("run", [run_sync, run_async])
def test_a_server_that_dies_is_an_error_of_the_tool(run: Any) -> None:
    with mcp_tools(COMMAND, only=["leave", "multiply"]) as tools:
        script = Scripted(prediction("", call("leave", {})), prediction("Oh."))

        result = run(make_run(script, list(tools), tool_timeout=20))
        assert result.tool_calls[0].outcome == "failed"
        assert "mcp_server.py' is not connected" in result.tool_calls[0].content
        assert result.final == "Oh."
        assert not tools.is_open  # so that the next run has a server again
        tools.open()
        assert results(run, tools, call("multiply", {"a": 2, "b": 3})) == [6]


def test_a_command_that_is_no_server_is_explained() -> None:
    with pytest.raises(LMStudioConnectionError, match="licence has expired"):
        mcp_tools([*COMMAND, "--refuse"]).open()
    with pytest.raises(LMStudioConnectionError, match="no-such-command"):
        mcp_tools("no-such-command --at-all").open()


def test_a_server_that_says_nothing_is_given_up() -> None:
    silent = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with pytest.raises(LMStudioTimeoutError, match=r"0\.3 seconds"):
        mcp_tools(silent, start_timeout=0.3).open()


def test_by_http() -> None:
    server = subprocess.Popen([*COMMAND, "--http"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}/mcp"
        for headers in (None, {"X-Team": "red"}):
            with mcp_tools(address, headers=headers, only=["multiply"]) as tools:
                assert results(run_sync, tools, call("multiply", {"a": 6, "b": 7})) == [42]
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


@pytest.mark.parametrize(
    ("server", "options"),
    [
        ("", {}),
        ("it's", {}),
        ("http://127.0.0.1:1/mcp", {"env": {}}),
        ("python x.py", {"headers": {"A": "b"}}),
    ],
)
def test_options_that_do_not_fit(server: str, options: dict[str, Any]) -> None:
    with pytest.raises(LMStudioValueError):
        mcp_tools(server, **options)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(CapabilityNotInstalledError, match=r"pip install .mcp>="):
        mcp_tools("anything").open()
