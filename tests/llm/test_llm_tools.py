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


def test_what_a_partial_has_filled_in_is_no_business_of_the_models() -> None:
    def search(query: str, api_key: str) -> str:
        """Search."""
        return f"{query} with {api_key}"

    filled = functools.partial(search, api_key="sk-1")
    tool = resolve_tool(ToolFunctionDef.from_callable(filled, name="search", description="Search."))
    assert "sk-1" not in str(tool.definition())
    assert list(tool.parameters["properties"]) == ["query"]
    assert tool.prepare({"query": "x"})() == "x with sk-1"
    with pytest.raises(LMStudioValueError, match="api_key"):
        tool.prepare({"query": "x", "api_key": "sk-2"})


def test_starred_parameters_stay_empty_as_officially() -> None:
    def starred(a: int, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Takes anything."""
        return a, args, kwargs

    tool = resolve_tool(starred)
    assert list(tool.parameters["properties"]) == ["a"]
    assert tool.prepare({"a": 1})() == (1, (), {})


def test_a_field_as_the_default_says_what_the_parameter_is() -> None:
    def fields(
        a: int = pydantic.Field(description="The a.", ge=3),
        b: int = pydantic.Field(default=5, description="The b."),
        c: list[int] = pydantic.Field(default_factory=list),  # noqa: B008 - pydantic's way
    ) -> tuple[Any, ...]:
        """Fields."""
        return a, b, c

    tool = resolve_tool(fields)
    assert tool.parameters["properties"] == {
        "a": {"description": "The a.", "minimum": 3, "type": "integer"},
        "b": {"default": 5, "description": "The b.", "type": "integer"},
        "c": {"items": {"type": "integer"}, "type": "array"},
    }
    assert tool.parameters["required"] == ["a"]
    assert tool.prepare({"a": 3})() == (3, 5, [])
    with pytest.raises(LMStudioValueError, match="greater than or equal to 3"):
        tool.prepare({"a": 2})


def test_a_parameter_in_a_dict_may_have_a_description() -> None:
    tool = resolve_tool(with_parameters({"a": {"type": int, "description": "The a."}}))
    assert tool.parameters["properties"]["a"] == {"description": "The a.", "type": "integer"}


class Place:
    """A place."""

    def __init__(self, x: int, y: int = 0) -> None:
        self.at = x, y


class Undocumented(pydantic.BaseModel):
    a: int


class Remembering:
    """A decorator that is an object."""

    def __init__(self, f: Any) -> None:
        functools.update_wrapper(self, f)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]


def test_classes_and_decorated_functions() -> None:
    assert resolve_tool(Place).prepare({"x": "1"})().at == (1, 0)
    assert resolve_tool(Place).parameters["required"] == ["x"]
    named = ToolFunctionDef.from_callable(Undocumented, description="Makes one.")
    assert resolve_tool(named).prepare({"a": 1})() == Undocumented(a=1)
    decorated: Any = Remembering(add)
    assert resolve_tool(decorated).definition() == resolve_tool(add).definition()
    assert resolve_tool(decorated).prepare({"a": 1, "b": 2})() == 3


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
    assert tool.prepare({"a": "1", "b": 2})() == {"a": "1", "b": 2}


def test_tools_that_run_elsewhere() -> None:
    wire = {"type": "function", "function": {"name": "far", "description": "Far away."}}
    tool = resolve_tool(wire)
    assert tool.definition()["function"]["parameters"] == {"type": "object", "properties": {}}
    with pytest.raises(LMStudioValueError, match="no implementation"):
        tool.prepare({})


def with_parameters(parameters: Any) -> ToolFunctionDef:
    def implementation(**arguments: Any) -> Any:
        return arguments

    return ToolFunctionDef(
        name="f", description="F.", parameters=parameters, implementation=implementation
    )


def untyped(a):
    """No hint."""


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
        (undocumented, "docstring"),
        (lambda a: a, "no name"),
        (unknown, "cannot be resolved"),
        (opaque, "no JSON schema"),
        (3, "not int"),
        ({"name": "f", "what": 1}, "missing: description.*unknown: what"),
        ({"type": "function", "function": {}}, "needs a 'name'"),
        (with_parameters({"a": {"type": "integer"}}), "'a' .* JSON schema is given whole"),
        (with_parameters({"a": "integer"}), "'a' .* JSON schema is given whole"),
        (with_parameters({"a": {"type": int, "defualt": 3}}), "keys type, default and descr"),
        (with_parameters({"properties": {"a": {"type": "integer"}}}), "given whole"),
        (with_parameters(None), "not None"),
        (with_parameters(["a"]), r"not \['a'\]"),
        (Undocumented, "docstring"),
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
