"""Tools: what the model is told of them, and what happens to its arguments."""

from __future__ import annotations

import datetime as dt
import enum
import functools
from typing import Annotated, Any, Literal

import pydantic
import pytest

from lmstudio_core.errors import LMStudioValueError
from lmstudio_llm import ToolFunctionDef
from lmstudio_llm.tools import resolve_tool, resolve_tools, tools_setting


class Color(enum.Enum):
    RED = "red"


class Point(pydantic.BaseModel):
    x: int


def everything(
    count: int,
    name: Annotated[str, pydantic.Field(description="what to call it")] = "it",
    mode: Literal["fast", "slow"] = "fast",
    color: Color = Color.RED,
    point: Point | None = None,
    day: dt.date | None = None,
    json: list[str] = [],  # noqa: B006
) -> Any:
    """Take everything."""
    return count, name, mode, color, point, day, json


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_the_schema_of_a_function() -> None:
    definition = resolve_tool(everything).definition()
    assert definition["type"] == "function"
    function = definition["function"]
    assert (function["name"], function["description"]) == ("everything", "Take everything.")
    parameters = function["parameters"]
    assert parameters["type"] == "object"
    assert parameters["required"] == ["count"]
    assert parameters["additionalProperties"] is False
    properties = parameters["properties"]
    assert properties["count"] == {"type": "integer"}
    assert properties["name"] == {
        "type": "string",
        "default": "it",
        "description": "what to call it",
    }
    assert properties["mode"]["enum"] == ["fast", "slow"]
    assert properties["color"]["default"] == "red"
    assert set(parameters["$defs"]) == {"Color", "Point"}


def test_arguments_are_coerced() -> None:
    call = resolve_tool(everything).prepare(
        {"count": "3", "name": 5, "color": "red", "point": {"x": "1"}, "day": "2026-01-02"}
    )
    assert call() == (3, "5", "fast", Color.RED, Point(x=1), dt.date(2026, 1, 2), [])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "count: Field required"),
        (None, "count: Field required"),
        ({"count": 1, "what": 2}, "what: Extra inputs"),
        ({"count": "many"}, "valid integer"),
        ({"count": 1, "mode": "odd"}, "mode"),
    ],
)
def test_arguments_that_do_not_fit(arguments, says) -> None:
    with pytest.raises(LMStudioValueError, match=says) as caught:
        resolve_tool(everything).prepare(arguments)
    assert "'everything'" in str(caught.value)


async def later(a: int) -> int:
    """Later."""
    return a


class Counter:
    def add(self, a: int) -> int:
        """Add to it."""
        return a + 1

    async def __call__(self, a: int) -> int:
        return a


def only(a: int, /, b: int = 2) -> int:
    """By position."""
    return a * 10 + b


def test_all_sorts_of_callables() -> None:
    assert resolve_tool(later).is_async
    assert not resolve_tool(add).is_async
    assert resolve_tool(Counter().add).prepare({"a": 1})() == 2
    assert resolve_tool(only).prepare({"a": 1})() == 12
    called = ToolFunctionDef.from_callable(Counter(), name="count", description="Counts.")
    assert resolve_tool(called).is_async
    partial = functools.partial(add, b=5)
    named = ToolFunctionDef.from_callable(partial, name="add5", description="Add 5.")
    assert resolve_tool(named).prepare({"a": 1})() == 6
    renamed = ToolFunctionDef.from_callable(add, name="plus", description="Plus.")
    assert resolve_tool(resolve_tool(add)) == resolve_tool(add)
    late = ToolFunctionDef.from_callable(functools.partial(later), name="l", description="L.")
    assert resolve_tool(late).is_async
    assert (renamed.name, renamed.description) == ("plus", "Plus.")


def test_an_object_may_have_its_docstring_at_its_call() -> None:
    class Adder:
        __name__ = "add"

        def __call__(self, a: int) -> int:
            """Add one."""
            return a + 1

    tool = resolve_tool(Adder())
    assert (tool.name, tool.description) == ("add", "Add one.")


def test_definitions_and_their_dict_form() -> None:
    fields: dict[str, Any] = {
        "name": "add",
        "description": "Add.",
        "parameters": {"a": int, "b": {"type": int, "default": 3}},
        "implementation": lambda a, b: a + b,
    }
    for given in (fields, ToolFunctionDef(**fields)):
        tool = resolve_tool(given)
        assert tool.parameters["required"] == ["a"]
        assert tool.parameters["properties"]["b"] == {"type": "integer", "default": 3}
        assert tool.prepare({"a": 1})() == 4


def test_a_json_schema_as_parameters() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tool = resolve_tool(
        ToolFunctionDef(name="f", description="F.", parameters=schema, implementation=dict)
    )
    assert tool.parameters == schema
    assert tool.prepare({"a": 1, "b": 2})() == {"a": 1, "b": 2}


def test_tools_that_run_elsewhere() -> None:
    wire = {"type": "function", "function": {"name": "far", "description": "Far away."}}
    tool = resolve_tool(wire)
    assert tool.definition()["function"]["parameters"] == {"type": "object", "properties": {}}
    with pytest.raises(LMStudioValueError, match="no implementation"):
        tool.prepare({})


def untyped(a):
    """No hint."""


def starred(*args: int) -> None:
    """Takes anything."""


def undocumented(a: int) -> None:
    pass


def unknown(a: NoSuchName) -> None:  # type: ignore[name-defined]  # noqa: F821
    """A hint that leads nowhere."""


def opaque(a: object, b: type(print)) -> None:  # type: ignore[valid-type]
    """A hint without a schema."""


def marker(a: int | None, b: Any = object()) -> Any:  # noqa: B008
    """A default that JSON cannot say is not told, and still applies."""
    return b


def test_defaults_that_json_cannot_say() -> None:
    tool = resolve_tool(marker)
    assert "default" not in tool.parameters["properties"]["b"]
    assert type(tool.prepare({"a": None})()) is object


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        (untyped, "'a' .* no type hint"),
        (starred, r"\*args"),
        (undocumented, "docstring"),
        (lambda a: a, "no name"),
        (unknown, "cannot be resolved"),
        (opaque, "no JSON schema"),
        (3, "not int"),
        ({"name": "f", "what": 1}, "missing: description.*unknown: what"),
        ({"type": "function", "function": {}}, "needs a 'name'"),
        (ToolFunctionDef(name="", description="", parameters={}, implementation=add), "string"),
        (ToolFunctionDef(name="f", description="", parameters={}, implementation=3), "callable"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_tool_is_refused(tool, says) -> None:
    with pytest.raises(LMStudioValueError, match=says):
        resolve_tool(tool)


def test_lists_of_tools() -> None:
    assert [tool.name for tool in resolve_tools([add, everything])] == ["add", "everything"]
    with pytest.raises(LMStudioValueError, match="Two tools"):
        resolve_tools([add, add])
    for bad in ("add", add, {"name": "f"}):
        with pytest.raises(LMStudioValueError, match="list of tools"):
            resolve_tools(bad)  # type: ignore[arg-type]
    assert tools_setting([]) == {"type": "none"}
    assert tools_setting(resolve_tools([add]))["type"] == "toolArray"
