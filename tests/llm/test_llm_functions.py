"""Functions as people write them, and arguments as small models send them."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

import jsonschema
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmstudio_core.errors import LMStudioValueError
from lmstudio_llm import ToolFunctionDef
from lmstudio_llm.tool_schemas import described_by_pydantic, plain_schema
from lmstudio_llm.tools import _arguments_type, resolve_tool  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    from pathlib import Path as Unknown


def returning(text: str) -> Unknown:
    """Save."""
    return text  # type: ignore[return-value]


def starred(text: str, *args: Unknown, **kwargs: Unknown) -> str:
    """Save."""
    return text


def settled(text: str, where: Unknown) -> str:
    """Save."""
    return f"{text} {where}"


def wrapping(function: Any) -> Any:
    @functools.wraps(function)
    def call(*args: Unknown, **kwargs: Unknown) -> Unknown:
        return function(*args, **kwargs)  # type: ignore[no-any-return]

    return call


class Saver:
    def method(self: Unknown, text: str) -> Unknown:  # type: ignore[misc]
        """Save."""
        return text  # type: ignore[return-value]

    def __call__(self, text: str) -> Unknown:
        """Save."""
        return text  # type: ignore[return-value]


class Saved:
    """Save."""

    other: Unknown

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return self.text == other

    __hash__ = None  # type: ignore[assignment]


def local() -> Any:
    class Here(pydantic.BaseModel):
        a: int

    def use(text: str, here: Here | None = None) -> str:
        """Use what only this function knows."""
        assert here is None or isinstance(here, Here)
        return text

    return use


def named(f: Any) -> Any:
    return ToolFunctionDef.from_callable(f, name="t", description="T.")


@pytest.mark.parametrize(
    "tool",
    [
        returning, starred, wrapping(returning), Saver().method, named(Saver()), named(Saved),
        named(functools.partial(settled, where="here")), local(), functools.lru_cache(returning),
    ],
)  # fmt: skip
def test_only_what_the_model_sees_is_resolved(tool: Any) -> None:
    made = resolve_tool(tool)
    assert made.parameters["properties"]["text"] == {"type": "string"}
    assert made.parameters["required"] == ["text"]
    assert made.prepare({"text": "x"})() in ("x", "x here")


def visible(text: str, where: Unknown) -> str:
    """Save."""
    return text


def strange(text: str, where: Saver) -> str:
    """Save."""
    return text


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        (visible, ["'where'", "'visible'", "TYPE_CHECKING"]),
        (local, None),
        (ToolFunctionDef(name="odd", description="O.", parameters={"a": {"type": slice}},
                         implementation=print), ["'a'", "'odd'", "functools.partial"]),
    ],
)  # fmt: skip
def test_what_cannot_be_described_is_named(tool: Any, says: list[str] | None) -> None:
    if says is None:
        return
    with pytest.raises(LMStudioValueError) as caught:
        resolve_tool(tool).definition()
    for word in says:
        assert word in str(caught.value)


def google(
    a: int, b: Annotated[str, pydantic.Field(description="its own")] = "x", c: int = 3
) -> None:
    """Do it.

    More of it.

    Args:
        a: The first, which
            is long.
        b: Overruled.
        c (int, optional): The third.

    Returns:
        Nothing.

    Raises:
        ValueError: Never.
    """


def numpy_style(a: int, b: str = "x", c: int = 3) -> None:
    """
    Do it.

    More of it.

    Parameters
    ----------
    a : int
        The first, which
        is long.
    b : str, optional
        its own
    c : int
        The third.

    Returns
    -------
    None
    """


def rest(a: int, b: str = "x", c: int = 3) -> None:
    """Do it.

    More of it.

    :param a: The first, which
        is long.
    :param str b: its own
    :param c: The third.
    :type c: int
    :returns: Nothing.
    """


@pytest.mark.parametrize("tool", [google, numpy_style, rest])
def test_docstrings_describe_parameters(tool: Any) -> None:
    made = resolve_tool(tool)
    assert made.description == "Do it.\n\nMore of it."
    told = {name: shown["description"] for name, shown in made.parameters["properties"].items()}
    assert told == {"a": "The first, which is long.", "b": "its own", "c": "The third."}


def test_a_docstring_without_parameters_stays_as_it_is() -> None:
    def plain(a: int) -> None:
        """Do it: now.

        Note: args are not described here.

            indented
        """

    assert resolve_tool(plain).description == (
        "Do it: now.\n\nNote: args are not described here.\n\n    indented"
    )


@dataclass
class Point:
    x: int


def send(
    names: list[str] = ["z"],  # noqa: B006
    count: int = 0,
    pick: Literal[1, 2] = 1,
    text: str = "t",
    maybe: int = None,  # type: ignore[assignment]  # noqa: RUF013
    either: list[int] | str = "e",
    many: list[Literal[1, 2]] = [],  # noqa: B006
    point: Point | None = None,
    said: float = pydantic.Field(None, description="D"),
    table: dict[str, int] = {},  # noqa: B006
) -> Any:
    """Send."""
    return names, count, pick, text, maybe, either, many, point, said, table


DEFAULTS: dict[str, Any] = {
    "names": ["z"], "count": 0, "pick": 1, "text": "t", "maybe": None, "either": "e", "many": [],
    "point": None, "said": None, "table": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sent", "got"),
    [
        ("names", '["a"]', ["a"]),
        ("count", "3", 3),
        ("pick", "2", 2),
        ("text", '["a"]', '["a"]'),
        ("text", 5, "5"),
        ("maybe", None, None),
        ("maybe", "7", 7),
        ("said", None, None),
        ("either", "[1]", "[1]"),
        ("many", ["2", 1], [2, 1]),
        ("point", '{"x": 1}', Point(1)),
        ("point", {"x": "1"}, Point(1)),
        ("point", None, None),
        ("table", '{"a": 1}', {"a": 1}),
    ],
)
def test_what_models_send(name: str, sent: Any, got: Any) -> None:
    values = dict(zip(DEFAULTS, resolve_tool(send).prepare({name: sent})(), strict=True))
    assert values == {**DEFAULTS, name: got}


@pytest.mark.parametrize(
    ("name", "sent", "says"),
    [
        ("names", '["a"', "names: Input should be a valid list"),
        ("names", '{"a": 1}', "names: Input should be a valid list"),
        ("names", '"[1]"', "names: Input should be a valid list"),
        ("pick", "3", "pick"),
        ("count", None, "count: Input should be a valid integer"),
        ("count", "three", "count"),
    ],
)
def test_what_is_wrong_stays_wrong_and_is_told_as_it_was_sent(name, sent, says) -> None:
    with pytest.raises(LMStudioValueError, match=says.replace("[", r"\[")):
        resolve_tool(send).prepare({name: sent})


WHOLE = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "ids": {"type": "array", "items": {"$ref": "#/$defs/id"}},
        "any": {"type": ["integer", "string"]},
    },
    "$defs": {"id": {"type": "integer"}},
    "required": ["n"],
}


def whole(schema: Any = None) -> Any:
    parameters = WHOLE if schema is None else schema
    return resolve_tool(
        ToolFunctionDef(name="w", description="W.", parameters=parameters, implementation=dict)
    )


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ({"n": 1}, {"n": 1}),
        ({"n": "2"}, {"n": 2}),
        ({"n": 1, "ids": "[1, 2]"}, {"n": 1, "ids": [1, 2]}),
        ({"n": 1, "ids": ["1"]}, {"n": 1, "ids": [1]}),
        ({"n": 1, "any": "3"}, {"n": 1, "any": "3"}),
        ({}, "'n' is a required property"),
        ({"n": 0}, "n: 0 is less than the minimum of 1"),
        ({"n": "x"}, "n: 'x' is not of type 'integer'"),
    ],
)
def test_whole_schemas_are_checked_before_the_function_runs(sent: Any, got: Any) -> None:
    if isinstance(got, str):
        with pytest.raises(LMStudioValueError, match=got):
            whole().prepare(sent)
    else:
        assert whole().prepare(sent)() == got


def test_a_schema_that_cannot_be_used_is_said_and_refuses_nothing(caplog: Any) -> None:
    odd = {"type": "object", "properties": {"a": {"$ref": "https://example.invalid/x"}}}
    assert whole(odd).prepare({"a": 1})() == {"a": 1}
    assert "are not checked" in caplog.text


KINDS = st.recursive(
    st.sampled_from([str, int, float, bool, list, dict, Any, Literal["a"], Literal[1, 2], bytes]),
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),
        inner.map(lambda kind: Optional[kind]),  # noqa: UP045
        st.tuples(inner, inner).map(lambda two: Union[two]),  # noqa: UP007
        inner.map(lambda kind: Annotated[kind, pydantic.Field(description="told")]),
        inner.map(lambda kind: Annotated[kind, pydantic.Field(description="told", title="T")]),
    ),
    max_leaves=3,
)
DECLARED = KINDS | st.fixed_dictionaries(
    {"type": KINDS},
    optional={"default": st.none() | st.integers() | st.text(), "description": st.text(min_size=1)},
)


@given(st.dictionaries(st.sampled_from(["a", "b", "json"]), DECLARED))
@settings(max_examples=200, deadline=None)
def test_the_short_way_to_a_schema_gives_what_pydantic_does(parameters: dict[str, Any]) -> None:
    quick = plain_schema(parameters)
    made = described_by_pydantic("t", parameters, _arguments_type)
    assert quick is None or in_order(quick) == in_order(made)


def in_order(schema: Any) -> Any:
    """The schema with the forms of unions in one order: ``typing`` keeps those of an equal one."""
    if isinstance(schema, list):
        return [in_order(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: in_order(value) for key, value in sorted(schema.items())}
    return {**made, "anyOf": sorted(made["anyOf"], key=repr)} if "anyOf" in made else made


@given(
    st.dictionaries(
        st.sampled_from(["n", "ids", "any"]),
        st.one_of(st.integers(0, 3), st.text(max_size=2), st.lists(st.integers()), st.none())
        .flatmap(lambda value: st.sampled_from([value, json.dumps(value)])),
    )
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_nothing_reaches_the_function_that_the_schema_forbids(sent: dict[str, Any]) -> None:
    judge = jsonschema.Draft202012Validator(WHOLE)
    try:
        got = whole().prepare(sent)()
    except LMStudioValueError:
        assert not judge.is_valid(sent)
    else:
        assert judge.is_valid(got)
        assert got == sent or not judge.is_valid(sent)


def test_fifty_tools_are_soon_described() -> None:
    """20 ms of CPU is the aim for 50 tools of 20 parameters each; this fails at five times that."""
    head = ", ".join(f"p{at}: int" if at % 2 else f"p{at}: str = 'x'" for at in range(0, 20, 2))
    more = ", ".join(f"q{at}: list[str] | None = None" for at in range(10))
    tools: list[Any] = []
    for at in range(51):
        names: dict[str, Any] = {}
        exec(f"def tool{at}({head}, {more}) -> str:\n    'Do it.'", names)
        tools.append(names[f"tool{at}"])
    resolve_tool(tools.pop())
    began = time.process_time()
    for tool in tools:
        resolve_tool(tool)
    assert time.process_time() - began < 0.1
