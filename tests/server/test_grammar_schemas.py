"""What of a JSON schema a grammar is made of: a table for each rule, any schema, and llama.cpp as the judge."""

from __future__ import annotations

import asyncio
import copy
import json
import os
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from json_schemas import ANY_SCHEMA, TEXT
from pocket_models import MULTIPLY, loaded, run

from lmstudio_server.engines.llamacpp.bodies import answer_holds, call_holds
from lmstudio_server.engines.llamacpp.diagnosis import schema_error
from lmstudio_server.engines.llamacpp.schemas import (
    for_compiler,
    for_parser,
    for_template,
    forced_call_schema,
)

DEEP = os.environ.get("LMSTUDIO_TEST_DEEP") == "1"
NUMBER = {"type": "integer"}
PET = {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}


def tool(parameters: Any, name: str = "odd") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def arguments_of(schema: Any) -> Any:
    """What the arguments of a call are held to, with references followed once."""
    held = forced_call_schema([tool(schema)])
    return held["anyOf"][0]["properties"]["arguments"]


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "copied"),
    [
        ({"properties": {"a": TEXT}}, closed(a=TEXT)),
        ({"type": "object", "properties": {"a": TEXT}}, closed(a=TEXT)),
        ({"type": "object", "properties": {}}, closed()),
        ({"type": "object", "properties": None}, closed()),
        ({"type": "object", "properties": []}, closed()),
        ({"type": "object", "additionalProperties": False}, closed()),
        ({"type": "object"}, {"type": "object"}),
        (
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": True},
            {"type": "object", "properties": {"a": TEXT}},
        ),
        (
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": NUMBER},
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": NUMBER},
        ),
        (
            {"type": "object", "properties": {"a": {"items": {"properties": {"b": TEXT}}}}},
            closed(a={"items": closed(b=TEXT)}),
        ),
    ],
)
def test_objects_that_list_their_properties_are_closed(schema: Any, copied: Any) -> None:
    before = copy.deepcopy(schema)
    assert for_compiler(schema) == copied
    assert schema == before


@pytest.mark.parametrize(
    ("schema", "yes", "no"),
    [
        pytest.param(
            {"allOf": [{"$ref": "#/$defs/P"}, {"properties": {"b": NUMBER}}], "$defs": {"P": PET}},
            [{"name": "x"}, {"name": "x", "b": 1}],
            [{"b": 1}, {"name": "x", "c": 1}],
            id="inheritance",
        ),
        pytest.param(
            {
                "properties": {"kind": TEXT},
                "anyOf": [
                    {"properties": {"a": TEXT}, "required": ["a"]},
                    {"properties": {"b": NUMBER}, "required": ["b"]},
                ],
            },
            [{"kind": "k", "a": "x"}, {"b": 1}],
            [{"kind": "k"}, {"b": 1, "c": 2}, {"a": "x", "b": 1, "c": 2}],
            id="a choice besides properties",
        ),
        pytest.param(
            {"oneOf": [{"$ref": "#/$defs/P"}, {"type": "null"}, NUMBER], "$defs": {"P": PET}},
            [{"name": "x"}, None, 3],
            [{}, {"name": "x", "more": 1}, "x"],
            id="a union",
        ),
        pytest.param(
            {"$ref": "#/$defs/P", "properties": {"age": NUMBER}, "$defs": {"P": PET}},
            [{"name": "x", "age": 3}],
            [{"age": 3}, {"name": "x", "age": 3, "c": 1}],
            id="more than a reference",
        ),
        pytest.param(
            {"properties": {"kids": {"items": {"$ref": "#"}}}},
            [{}, {"kids": [{"kids": []}]}],
            [{"kids": [{"x": 1}]}],
            id="recursion",
        ),
    ],
)
def test_combinations_are_closed_as_one(schema: Any, yes: list[Any], no: list[Any]) -> None:
    validator = jsonschema.Draft202012Validator(for_compiler(schema))
    assert [value for value in yes if not validator.is_valid(value)] == []
    assert [value for value in no if validator.is_valid(value)] == []
    call = jsonschema.Draft202012Validator(forced_call_schema([tool(schema), MULTIPLY]))
    for value in yes:
        assert call.is_valid({"name": "odd", "arguments": value}) is isinstance(value, dict)


ODD: dict[str, tuple[Any, Any]] = {
    "true": (True, {}),
    "nothing": ({}, {}),
    "null": (None, {}),
    "unknown type": ({"type": "file"}, {}),
    "a type of Python": ({"type": "str"}, TEXT),
    "an unknown type among others": ({"type": ["string", "file"]}, {}),
    "no type": ({"type": []}, {}),
    "a type that is null": ({"type": None, "minLength": 1}, {"minLength": 1}),
    "no values": ({"type": "string", "enum": []}, TEXT),
    "values of another type": ({"type": "string", "enum": ["a", 1]}, {"enum": ["a"]}),
    "a type that no value has": ({"type": "string", "enum": [1]}, {"enum": [1]}),
    "a remote reference": ({"$ref": "https://example.com/s.json"}, {}),
    "a missing reference": ({"$ref": "#/$defs/none"}, {}),
    "a reference that is null": ({"$ref": None}, {}),
    "a union with itself": ({"$ref": "#/properties/a"}, {}),
    "required as in drafts long ago": ({"type": "string", "required": True}, TEXT),
    "items that are null": ({"type": "array", "items": None}, {"type": "array"}),
    "items in a list": ({"items": [TEXT]}, {"prefixItems": [TEXT]}),
    "unique items": ({"items": TEXT, "uniqueItems": True}, {"items": TEXT}),
    "what is contained": ({"type": "array", "contains": TEXT}, {"type": "array"}),
    "a negation": ({"type": "string", "not": {"const": "a"}}, TEXT),
    "a condition": ({"if": TEXT, "then": NUMBER, "else": TEXT}, {}),
    "bounds without a number": ({"type": "integer", "minimum": 3, "maximum": 1}, NUMBER),
    "bounds between numbers": ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, NUMBER),
    "bounds beyond numbers": ({"type": "integer", "minimum": -1e300, "maximum": 10**30}, NUMBER),
    "strict bounds as in drafts long ago": (
        {"type": "number", "minimum": 1, "exclusiveMinimum": True},
        {"type": "number", "exclusiveMinimum": 1},
    ),
    "one whole number": (
        {"type": "integer", "minimum": 1, "maximum": 1},
        {"type": "integer", "minimum": 1, "maximum": 1},
    ),
    "a length without a text": ({"type": "string", "minLength": 5, "maxLength": 2}, TEXT),
    "a length beyond counting": ({"type": "string", "maxLength": 10**9}, TEXT),
    "items beyond counting": ({"type": "array", "minItems": 10**9}, {"type": "array"}),
    "a pattern": ({"type": "string", "pattern": "^a+$"}, {"type": "string", "pattern": "^a+$"}),
    "a pattern that looks ahead": ({"type": "string", "pattern": "^(?=x)y$"}, TEXT),
    "a pattern that is none": ({"type": "string", "pattern": "^[("}, TEXT),
    "a pattern too large": ({"type": "string", "pattern": "^(a{1,200}){1,200}$"}, TEXT),
    "a known format": ({"format": "date"}, {"format": "date"}),
    "an unknown format": ({"type": "string", "format": "uri"}, TEXT),
}


@pytest.mark.parametrize(("schema", "copied"), ODD.values(), ids=list(ODD))
def test_what_a_grammar_cannot_do_is_left_out(schema: Any, copied: Any) -> None:
    whole = {"properties": {"a": schema}, "required": ["a"]}
    found = for_compiler(whole)["properties"]["a"]
    if found == {"$ref": "#/$defs/d1"}:
        found = for_compiler(whole)["$defs"]["d1"]
    assert found == copied


def test_a_property_that_is_forbidden_does_not_come() -> None:
    schema = {"properties": {"a": False, "b": TEXT}, "required": ["a", "b", "c"]}
    assert for_compiler(schema) == {**closed(b=TEXT, c={}), "required": ["b", "c"]}


def test_only_structure_is_left_of_what_is_refused() -> None:
    schema = {
        "properties": {"a": {"type": "string", "pattern": "a", "enum": ["b"]}, "n": {"minimum": 1}}
    }
    assert for_compiler(schema, plain=True) == closed(a={"enum": ["b"]}, n={})


@pytest.mark.parametrize("place", ["$defs", "definitions"])
def test_each_tool_keeps_its_own_definitions(place: str) -> None:
    def with_item(item: Any) -> dict[str, Any]:
        return {
            "properties": {"i": {"$ref": f"#/{place}/Item"}},
            "required": ["i"],
            place: {"Item": item},
        }

    tools = [tool(with_item(NUMBER), "a"), tool(with_item(TEXT), "b")]
    call = jsonschema.Draft202012Validator(forced_call_schema(tools))
    for name, value, is_valid in (
        ("a", 1, True),
        ("a", "x", False),
        ("b", "x", True),
        ("b", 1, False),
    ):
        assert call.is_valid({"name": name, "arguments": {"i": value}}) is is_valid
    names = [list(one["function"]["parameters"]["$defs"]) for one in for_parser(tools)]
    # llama.cpp makes one grammar of them all, in which names count.
    assert len({*names[0], *names[1]}) == 2


def test_a_call_without_parameters_takes_any_object() -> None:
    for one in ({"function": {"name": "f"}}, tool("text"), tool({"type": "string"}), tool(None)):
        call = forced_call_schema([one])["anyOf"][0]
        assert call["properties"]["arguments"] == {"type": "object"}


def test_the_model_reads_tools_as_they_are() -> None:
    assert for_template([MULTIPLY]) == [MULTIPLY]
    told = {"type": "object", "properties": {"a": {"type": "file", "description": "A file."}}}
    assert for_template([tool(told)]) == [tool(told)]
    odd = {
        "properties": {"a": True, "b": None, "c": {"items": {"properties": []}}},
        "required": None,
    }
    assert for_template([tool(odd)])[0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"a": {}, "b": {}, "c": {"items": {"properties": {}}}},
    }


@settings(max_examples=20_000 if DEEP else 60, deadline=None)
@given(ANY_SCHEMA)
def test_any_schema_becomes_one(schema: Any) -> None:
    before = json.dumps(schema)
    tools = [tool(schema), MULTIPLY]
    for held in (
        *call_holds(tools, 2048),
        *answer_holds(schema if isinstance(schema, dict) else {}, 2048),
    ):
        jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(held)))
    for one in (*for_parser(tools), *for_template(tools)):
        assert one["function"]["parameters"]["type"] == "object"
        assert isinstance(one["function"]["parameters"]["properties"], dict)
        json.dumps(one)
    assert json.dumps(schema) == before


def test_llama_cpp_takes_what_becomes_of_any_schema() -> None:
    schemas: list[Any] = []

    @settings(
        max_examples=5000 if DEEP else 50,
        deadline=None,
        derandomize=not DEEP,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(ANY_SCHEMA)
    def collect(schema: Any) -> None:
        schemas.append(schema)

    collect()

    async def test() -> None:
        async with loaded() as model:
            for number, schema in enumerate(schemas):
                await check(model, schema, f"tag-{number}-")

    async def check(model: Any, schema: Any, tag: str) -> None:
        tools = [tool(schema), MULTIPLY]
        answers = answer_holds(schema if isinstance(schema, dict) else {}, 2048)
        for held in (*call_holds(tools, 2048), *answers):
            body = {"prompt": "Hi", "n_predict": 2, "json_schema": {"$comment": tag, **held}}
            await model._generator.client.post("/completion", body)
        await model._generator.client.post(
            "/v1/chat/completions",
            {
                "messages": [{"role": "user", "content": "Hi"}],
                "max_tokens": 1,
                "tools": for_parser(tools),
            },
        )
        # Contradictions in the schema itself stay one, and are then held to no more than structure.
        error = schema_error(model._generator.worker.stderr_lines, tag)
        assert (
            error is None or "nsatisfiable" in str(error) or "length constraints" in str(error)
        ), schema

    asyncio.run(asyncio.wait_for(test(), 3000))


def test_a_call_is_always_held_to_something() -> None:
    """Even where the tool's schema contradicts itself."""
    impossible = {"type": "object", "allOf": [{"type": "string"}, {"type": "null"}]}

    async def test() -> None:
        async with loaded() as model:
            for number, held in enumerate(call_holds([tool(impossible)], 2048)):
                body = {"prompt": "Hi", "n_predict": 20, "temperature": 0}
                schema = {"$comment": f"tag-{number}-", **held}
                answer = await model._generator.client.post(
                    "/completion", {**body, "json_schema": schema}
                )
        assert answer["content"].startswith('{"name": ')

    run(test)
