"""Tools of other packages, by their real classes, in both ways to run."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from agent_scripts import Scripted, call, make_run, prediction, run_async, run_sync

from lmstudio_core.errors import LMStudioValueError
from lmstudio_llm.tools import resolve_tool

RUNS = [run_sync, run_async]


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


async def add_later(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def only(run: Any, tool: Any, arguments: dict[str, Any]) -> Any:
    name = resolve_tool(tool).name
    script = Scripted(prediction("", call(name, arguments)), prediction("Done."))
    (record,) = run(make_run(script, [tool])).tool_calls
    return record


def langchain(f: Any) -> Any:
    tools = pytest.importorskip("langchain_core.tools")
    if f is add:
        return tools.StructuredTool.from_function(f)
    return tools.StructuredTool.from_function(coroutine=f)


def pydantic_ai(f: Any) -> Any:
    return pytest.importorskip("pydantic_ai").Tool(f)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("made", [langchain, pydantic_ai])
@pytest.mark.parametrize("f", [add, add_later])
def test_they_are_described_and_called(run: Any, made: Any, f: Any) -> None:
    tool = made(f)
    ready = resolve_tool(tool)
    assert ready.description is not None
    assert "Add two numbers." in ready.description
    assert ready.parameters["required"] == ["a"]
    assert only(run, tool, {"a": 40}).result == 42
    assert only(run, tool, {"a": "1", "b": 1}).result == 2
    wrong = only(run, tool, {"a": "x"})
    assert (wrong.outcome, "a" in wrong.content) == ("invalid", True)


def test_what_needs_its_own_agent_is_refused() -> None:
    package = pytest.importorskip("pydantic_ai")

    def bound(ctx: Any, a: int) -> int:
        """Use the context."""
        return a

    bound.__annotations__["ctx"] = package.RunContext[None]
    with pytest.raises(LMStudioValueError, match="RunContext"):
        resolve_tool(package.Tool(bound, takes_ctx=True))


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def mcp_tool() -> Any:
    types = pytest.importorskip("mcp.types")
    return types.Tool(name="far", description="Far away.", inputSchema=SCHEMA)


@pytest.mark.parametrize(
    "given",
    [
        mcp_tool,
        lambda: SimpleNamespace(name="far", description="Far away.", inputSchema=SCHEMA),
        lambda: {"name": "far", "description": "Far away.", "inputSchema": SCHEMA},
        lambda: {"name": "far", "description": "Far away.", "input_schema": SCHEMA},
        lambda: {
            "type": "function",
            "function": {
                "name": "far", "description": "Far away.", "parameters": SCHEMA, "strict": True,
            },
        },
        lambda: {
            "type": "function", "name": "far", "description": "Far away.", "parameters": SCHEMA,
        },
    ],
)  # fmt: skip
def test_definitions_run_elsewhere(given: Any) -> None:
    script = Scripted(prediction("", call("far", {"a": 1}, "c1")))
    result = run_sync(make_run(script, [given()]))
    assert [request.name for request in result.pending] == ["far"]
    shown = resolve_tool(given()).definition()["function"]
    assert shown == {"name": "far", "description": "Far away.", "parameters": SCHEMA}
    json.dumps(shown)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"type": "function", "function": "x"}, "'function' is a dict"),
        ({"type": "function", "function": {}}, "needs a 'name'"),
        ({"name": "far", "inputSchema": {"type": "array"}}, "'far' are a JSON schema of the type"),
    ],
)
def test_what_is_none_is_refused(given: Any, says: str) -> None:
    with pytest.raises(LMStudioValueError, match=says):
        resolve_tool(given)
