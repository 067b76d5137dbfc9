"""Structured output: from classes and schemas to the server's setting, and back to values."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

import jsonschema
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import TypedDict

from lmstudio_core.data import BaseModel
from lmstudio_core.errors import LMStudioValueError
from lmstudio_llm import GbnfGrammar, ModelSchema
from lmstudio_llm.jsonschema_check import schema_problems
from lmstudio_llm.schemas import resolve_format


class Book(pydantic.BaseModel):
    title: str
    year: int = pydantic.Field(gt=0)


class OurBook(BaseModel):
    title: str
    year: int


@dataclass
class DataBook:
    title: str
    year: int


class DictBook(TypedDict):
    title: str
    year: int


class Foreign:
    """Knows its schema, and nothing of pydantic."""

    def __init__(self, title: str, year: int) -> None:
        self.title, self.year = title, year

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Foreign) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return Book.model_json_schema()


DATA = {"title": "Dune", "year": 1965}
TEXT = '{"title": "Dune", "year": 1965}'


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (Book, Book(**DATA)),
        (OurBook, OurBook(**DATA)),
        (DataBook, DataBook(**DATA)),
        (DictBook, DATA),
        (Foreign, Foreign(**DATA)),
        (Book.model_json_schema(), DATA),
    ],
)
def test_every_kind_of_class(given, value) -> None:
    made = resolve_format(given)
    assert made.structured
    assert made.setting["type"] == "json"
    assert set(made.setting["jsonSchema"]["properties"]) == {"title", "year"}
    read = made.read(TEXT)
    assert (read.parsed, read.value) == (DATA, value)
    for bad in ('{"title": "Dune"', '{"title": "Dune"}', '{"title": 3, "year": "x"}', ""):
        assert made.read(bad).problems, bad


def test_other_types() -> None:
    assert resolve_format(list[int]).read("[1, 2]").value == [1, 2]
    assert resolve_format(Literal["a", "b"]).read('"a"').value == "a"
    assert resolve_format(Literal["a", "b"]).read('"c"').problems
    color = enum.Enum("color", {"RED": "red"})
    assert resolve_format(color).read('"red"').value is color.RED


def test_validators_of_the_class_count() -> None:
    [problem] = resolve_format(Book).read('{"title": "Dune", "year": -1}').problems
    assert problem == "year: Input should be greater than 0"


def test_a_class_that_cannot_be_made_says_why() -> None:
    class Picky(Foreign):
        def __init__(self, title: str, year: int) -> None:
            raise RuntimeError("not today")

    assert resolve_format(Picky).read(TEXT).problems == ("RuntimeError: not today",)


@pytest.mark.parametrize("base", [object, ModelSchema])
def test_a_class_may_tell_a_schema_and_be_no_place_for_the_data(base: Any) -> None:
    class Described(base):
        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:
            return Book.model_json_schema()

    read = resolve_format(Described).read(TEXT)
    assert (read.parsed, read.problems) == (DATA, ())
    assert "Described() does not take" in read.value.reason


def test_the_constructor_gets_what_the_schema_names() -> None:
    assert resolve_format(Foreign).read(TEXT[:-1] + ', "more": 1}').value == Foreign(**DATA)


def test_grammars() -> None:
    made = resolve_format(GbnfGrammar('root ::= "yes"'))
    assert made.setting == {"type": "gbnf", "gbnfGrammar": 'root ::= "yes"'}
    assert not made.structured
    assert made.read("yes").value == "yes"
    assert resolve_format(made.setting).setting == made.setting


def test_settings_of_the_server_are_taken() -> None:
    setting = {"type": "json", "jsonSchema": {"type": "object"}}
    assert resolve_format(setting).setting == setting
    assert resolve_format({"type": "json"}).read("[1]").value == [1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("root ::= x", "GbnfGrammar"),
        (3, "no JSON schema"),
        (object(), "no JSON schema"),
        ({"a": 1}, "none of"),
        ({"type": "objekt"}, "'objekt'"),
        ({"type": ["string", 3]}, "'type' is one of"),
        ({"type": "object", "properties": []}, "'properties'"),
        ({"type": "string", "enum": [object()]}, "plain JSON data"),
        (GbnfGrammar(" "), "empty"),
        (DataBook("Dune", 1965), "no JSON schema"),
        (pydantic.BaseModel, "no JSON schema"),
        (test_other_types, "a function"),
        (type("Odd", (), {"model_json_schema": lambda: "x"}), "not 'x'"),
    ],
)
def test_what_is_no_format_is_refused(given, says) -> None:
    with pytest.raises(LMStudioValueError, match=says):
        resolve_format(given)


def test_the_protocol_of_classes() -> None:
    assert isinstance(Book, ModelSchema)
    assert isinstance(Foreign, ModelSchema)
    assert not isinstance(DataBook, ModelSchema)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 1.0], [1.5, True, "1", None]),
        ({"type": "number"}, [1, 1.5], [True, "1"]),
        ({"type": ["string", "null"]}, ["", None], [0]),
        ({"enum": [1, "a"]}, [1, "a"], [2, "b"]),
        ({"const": {"a": 1}}, [{"a": 1}], [{"a": 2}]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], [1]]),
        ({"prefixItems": [{"type": "string"}], "items": False}, [["a"]], [[1], ["a", 2]]),
        ({"type": "string", "maxLength": 2, "pattern": "^a"}, ["ab"], ["abc", "b"]),
        ({"pattern": r"(?<name>x)"}, ["an ECMAScript pattern"], []),
        ({"minimum": 1, "maximum": 3}, [1, 3, "x"], [0, 4]),
        ({"anyOf": [{"type": "null"}, {"minimum": 5}]}, [None, 6], [1]),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
        ({"properties": {"a": {"type": "null"}}, "additionalProperties": False},
         [{}, {"a": None}], [{"b": 1}, {"a": 1}]),
        ({"additionalProperties": {"type": "null"}}, [{"x": None}], [{"x": 1}]),
        ({"patternProperties": {}, "additionalProperties": False}, [{}], [{"x": 1}]),
        ({"$defs": {"n": {"type": "null"}}, "items": {"$ref": "#/$defs/n"}}, [[None]], [[1]]),
        (True, [1], []),
        (False, [], [1]),
    ],
)  # fmt: skip
def test_the_check_of_plain_data(schema, good, bad) -> None:
    for data in good:
        assert schema_problems(data, schema) == (), data
    for data in bad:
        assert schema_problems(data, schema), data


def test_recursive_schemas() -> None:
    tree = {"properties": {"next": {"$ref": "#"}}, "required": ["value"]}
    assert schema_problems({"value": 1, "next": {"value": 2}}, tree) == ()
    assert schema_problems({"value": 1, "next": {}}, tree) == (
        "next: 'value' is a required property",
    )


VIOLATIONS: list[tuple[dict[str, Any], Any, Any]] = [
    ({"multipleOf": 5}, 10, 7),
    ({"uniqueItems": True}, [1, 2], [1, 1]),
    ({"exclusiveMinimum": 3}, 4, 3),
    ({"exclusiveMaximum": 3}, 2, 3),
    ({"not": {"type": "null"}, "type": ["string", "null"]}, "a", None),
    ({"patternProperties": {"^n": {"type": "integer"}}}, {"n": 1}, {"n": "x"}),
    ({"propertyNames": {"maxLength": 2}}, {"ab": 1}, {"abc": 1}),
    ({"type": "string", "format": "date"}, "2026-01-02", "2026-13-02"),
    ({"type": "string", "format": "ipv4"}, "127.0.0.1", "127.0.0"),
    ({"type": "string", "format": "email"}, "a@b", "nobody"),
    ({"type": "array", "contains": {"const": 1}}, [0, 1], [0]),
    ({"type": "object", "minProperties": 1}, {"a": 1}, {}),
    ({"type": "object", "maxProperties": 1}, {"a": 1}, {"a": 1, "b": 2}),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
    ({"if": {"const": 1}, "then": False}, 2, 1),
    ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 1, 3),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "array",
      "items": [{"type": "string"}]}, ["a"], [1]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "good", "bad"), VIOLATIONS)
def test_what_grammars_cannot_do_is_checked(schema, good, bad) -> None:
    made = resolve_format(
        {"type": ["null", "boolean", "object", "array", "number", "string"]} | schema
    )
    assert made.read(json.dumps(good)).parsed == good
    assert made.read(json.dumps(bad)).problems


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "https://example.invalid/schema.json"}, "Unresolvable"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$ref": "#"}, "without end"),
        ({"type": "integer", "minimum": "one"}, "the schema is wrong: minimum"),
    ],
)
def test_a_schema_that_cannot_be_used_is_no_data(schema, says) -> None:
    """Nothing is fetched, and nothing passes that was not checked."""
    read = resolve_format(schema).read("1")
    assert read.parsed is None
    assert says in read.problems[0]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "2026-01-02"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)
KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "integer", "null"]),
        "enum": st.lists(PLAIN, min_size=1, max_size=3),
        "minimum": st.integers(-3, 3),
        "multipleOf": st.integers(1, 3),
        "minLength": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "required": st.lists(st.sampled_from("ab"), unique=True),
        "minProperties": st.integers(0, 2),
        "format": st.just("date"),
    },
)
SCHEMAS = st.recursive(
    KEYWORDS,
    lambda inner: st.builds(
        lambda plain, more: {**plain, **more},
        KEYWORDS,
        st.fixed_dictionaries(
            {},
            optional={
                "items": inner,
                "properties": st.dictionaries(st.sampled_from("ab"), inner),
                "oneOf": st.lists(inner, min_size=1, max_size=2),
                "not": inner,
                "additionalProperties": st.booleans(),
            },
        ),
    ),
    max_leaves=4,
)


@given(SCHEMAS, PLAIN)
@settings(max_examples=150, deadline=None)
def test_jsonschema_is_the_judge(schema, data) -> None:
    judge = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    assert (schema_problems(data, schema) == ()) == judge.is_valid(data)


def test_the_package_is_imported_once_the_server_answers() -> None:
    """Neither the import of the SDK nor making a format costs the 90 ms."""
    program = """if True:
        import sys, threading, lmstudio_core, lmstudio_llm
        from lmstudio_llm.operations import respond
        made = respond("m", "hi", response_format={"type": "object"})
        assert "jsonschema" not in sys.modules, "imported too early"
        made.channel.feed({"type": "fragment", "fragment": {"content": "{"}})
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(30)
        assert "jsonschema" in sys.modules, "not imported while the server answers"
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


BOOK_SCHEMA = Book.model_json_schema()


@pytest.mark.parametrize(
    ("given", "text", "value"),
    [
        ({"type": "json_schema", "json_schema": {"name": "b", "schema": BOOK_SCHEMA}}, TEXT, DATA),
        ({"type": "json_schema", "name": "b", "schema": BOOK_SCHEMA}, TEXT, DATA),
        ({"type": "json_object"}, TEXT, DATA),
        (pydantic.TypeAdapter(list[Book]), f"[{TEXT}]", [Book(**DATA)]),
        (list[Book], f"[{TEXT}]", [Book(**DATA)]),
        (int, "3", 3),
        (Literal["a", "b"], '"a"', "a"),
        (Book | None, "null", None),
        (Book | int, TEXT, Book(**DATA)),
        (dict[str, DataBook], f'{{"x": {TEXT}}}', {"x": DataBook(**DATA)}),
    ],
)
def test_formats_as_people_have_them(given, text, value) -> None:
    made = resolve_format(given)
    assert made.setting["type"] == "json"
    assert made.read(text).value == value
    assert made.read('"neither"').problems


def test_an_openai_format_without_a_schema_is_refused() -> None:
    with pytest.raises(LMStudioValueError, match="json_schema"):
        resolve_format({"type": "json_schema", "json_schema": {"name": "x"}})


def test_classes_of_attrs() -> None:
    attrs = pytest.importorskip("attrs")

    @attrs.define
    class Page:
        number: int

    @attrs.define
    class Volume:
        title: str
        _hidden: int = 7
        pages: list[Page] = attrs.field(factory=list)

    Volume.__annotations__["pages"] = list[Page]
    text = '{"title": "Dune", "pages": [{"number": 1}]}'
    assert resolve_format(Volume).read(text).value == Volume("Dune", pages=[Page(1)])
    assert resolve_format(list[Volume]).read(f"[{text}]").value[0].pages == [Page(1)]
    assert resolve_format(Volume).read('{"title": 3}').problems


def test_classes_of_msgspec() -> None:
    msgspec = pytest.importorskip("msgspec")
    struct = msgspec.defstruct("Volume", [("title", str), ("year", int)])
    made = resolve_format(struct)
    assert made.read(TEXT).value == struct(**DATA)
    assert made.read('{"title": 3}').problems
