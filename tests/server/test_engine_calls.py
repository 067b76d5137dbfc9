"""Calls of tools by the real llama.cpp with the pocket model, whatever the tools are and however they end."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from pocket_models import (
    MEANING,
    MULTIPLY,
    POCKET,
    POCKET_THINK,
    PRODUCT,
    ask,
    calls_of,
    collect,
    finish_of,
    greedy,
    loaded,
    run,
    text_of,
    with_template,
)

from lmstudio_server.engines.base import (
    ChatRequest,
    PromptProgress,
    Sampling,
    Text,
    ToolCallEnd,
    ToolCallFailed,
    ToolCallStart,
)
from lmstudio_server.engines.llamacpp.diagnosis import SchemaRefusedError

CALLED = [("multiply", {"a": 12345, "b": 54321})]
BOTH = f"{PRODUCT} And what is 12 multiplied by 34?"
ANSWER = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 20}},
    "required": ["text"],
}
TEXT = {"type": "string"}
ODD: list[Any] = [
    {"type": "object", "properties": {"a": TEXT, "b": {"$ref": "#/properties/a"}}},
    {"properties": {"a": {"$ref": "#/definitions/Item"}}, "definitions": {"Item": TEXT}},
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"properties": {"a": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"$ref": "#/$defs/N"}}},
    {
        "properties": {"a": {"$ref": "#/$defs/N"}},
        "$defs": {"N": {"anyOf": [{"$ref": "#/$defs/N"}, TEXT]}},
    },
    {"properties": {"a": {"$ref": "https://example.com/s.json"}, "b": {"$ref": "#/$defs/none"}}},
    {"properties": {"a": True, "b": False, "c": {}, "d": None, "e": {"items": None}}},
    {"properties": {"a": {"type": "file"}, "b": {"type": []}, "c": {"enum": []}}},
    {"type": "object", "properties": None},
    {"type": "object", "properties": []},
    {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": -1e300, "maximum": 10**30}},
    },
    {"properties": {"a": {"type": "array", "items": TEXT, "minItems": 10**6, "uniqueItems": True}}},
    {"properties": {"a": {"type": "string", "minLength": 5, "maxLength": 2}}},
    {"properties": {"a": {"type": "string", "pattern": "^[("}, "b": {"pattern": "(?=x)"}}},
    {"properties": {"a": {"const": "\ud800"}}, "required": ["a", "zz"]},
    {"allOf": [TEXT, {"type": "null"}]},
    {"type": "string"},
    {},
    True,
    "text",
]


def named(parameters: Any, name: str = "odd") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.fixture(scope="module", params=["our calls", "calls that llama.cpp reads"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two templates, by which calls are told apart in two places."""
    if request.param == "our calls":
        return POCKET
    folder = tmp_path_factory.mktemp("model")
    return with_template(folder, lambda text: text.replace('{"name": "', '{"name" : "'))


def test_one_odd_tool_fails_no_chat(path: Path) -> None:
    async def test() -> None:
        async with loaded(path) as model:
            for parameters in ODD:
                request = ask(PRODUCT, tools=[MULTIPLY, named(parameters)])
                assert calls_of(await collect(model.chat(request))) == CALLED, parameters
            together = [MULTIPLY, *(named(p, f"odd_{n}") for n, p in enumerate(ODD))]
            assert calls_of(await collect(model.chat(ask(PRODUCT, tools=together)))) == CALLED

    run(test)


def test_odd_tools_can_be_called(path: Path) -> None:
    async def test() -> None:
        async with loaded(path) as model:
            for parameters in ODD:
                request = ask(
                    MEANING,
                    greedy(max_tokens=80),
                    tools=[named(parameters)],
                    tool_choice="required",
                )
                events = await collect(model.chat(request))
                begun = [event for event in events if isinstance(event, ToolCallStart)]
                ended = [e for e in events if isinstance(e, (ToolCallEnd, ToolCallFailed))]
                assert len(begun) == len(ended), parameters
                assert finish_of(events).stop_reason in ("tool_calls", "length"), parameters

    run(test)


def test_each_tool_s_definitions_are_its_own(path: Path) -> None:
    def with_item(name: str, key: str) -> dict[str, Any]:
        item = {"type": "object", "properties": {key: {"const": name}}, "required": [key]}
        one = {"i": {"$ref": "#/$defs/Item"}}
        return named(
            {"type": "object", "properties": one, "required": ["i"], "$defs": {"Item": item}}, name
        )

    async def test() -> None:
        async with loaded(path) as model:
            tools = [with_item("first", "x"), with_item("second", "y")]
            request = ask(PRODUCT, greedy(max_tokens=200), tools=tools, tool_choice="required")
            calls = calls_of(await collect(model.chat(request)))
            assert calls
            for name, arguments in calls:
                assert arguments["i"] in ({"x": "first"}, {"y": "second"})
                assert name in arguments["i"].values()

    run(test)


def test_a_model_invents_no_arguments(path: Path) -> None:
    async def test() -> None:
        async with loaded(path) as model:
            seeds = [Sampling(temperature=1.2, seed=seed, max_tokens=60) for seed in range(8)]
            for sampling in seeds:
                request = ask(MEANING, sampling, tools=[named(MULTIPLY["function"]["parameters"])])
                for _, arguments in calls_of(await collect(model.chat(request))):
                    assert set(arguments) == {"a", "b"}

    run(test)


@pytest.mark.parametrize("thinks", [False, True])
def test_a_call_or_an_answer_by_the_schema(path: Path, thinks: bool) -> None:
    async def test() -> None:
        async with loaded(POCKET_THINK if thinks else path) as model:
            fields: dict[str, Any] = {"enable_thinking": True} if thinks else {}
            held = greedy(json_schema=ANSWER, max_tokens=200)
            called = await collect(model.chat(ask(PRODUCT, held, tools=[MULTIPLY], **fields)))
            assert calls_of(called) == CALLED
            assert text_of(called) == ""
            assert finish_of(called).stop_reason == "tool_calls"
            answered = await collect(model.chat(ask(MEANING, held, tools=[MULTIPLY], **fields)))
            assert calls_of(answered) == []
            assert set(json.loads(text_of(answered))) == {"text"}
            assert bool(text_of(answered, "reasoning")) is thinks
            required = ask(MEANING, held, tools=[MULTIPLY], tool_choice="required", **fields)
            assert calls_of(await collect(model.chat(required)))

    run(test)


def test_the_answer_after_a_result_is_by_the_schema(path: Path) -> None:
    call = {"name": "multiply", "arguments": '{"a": 12345, "b": 54321}'}
    messages = [
        {"role": "user", "content": PRODUCT},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "1", "type": "function", "function": call}],
        },
        {"role": "tool", "content": "670592745", "tool_call_id": "1"},
    ]

    async def test() -> None:
        async with loaded(path) as model:
            held = greedy(json_schema=ANSWER, max_tokens=100)
            events = await collect(model.chat(ChatRequest(messages, held, tools=[MULTIPLY])))
            assert calls_of(events) == []
            assert set(json.loads(text_of(events))) == {"text"}

    run(test)


@pytest.mark.parametrize("schema", [None, ANSWER])
def test_a_call_that_a_limit_cuts_off_is_text(path: Path, schema: Any) -> None:
    async def test() -> None:
        async with loaded(path) as model:
            for limit in (*range(1, 12), 20, 30):
                sampling = greedy(max_tokens=limit, json_schema=schema)
                events = await collect(model.chat(ask(PRODUCT, sampling, tools=[MULTIPLY])))
                kinds = [
                    e for e in events if isinstance(e, (ToolCallStart, ToolCallEnd, ToolCallFailed))
                ]
                said = "".join(
                    e.raw or "" for e in kinds if isinstance(e, ToolCallFailed)
                ) + text_of(events)
                assert said, limit
                assert calls_of(events) == []
                assert len(kinds) in (0, 2)
                assert finish_of(events).stop_reason == "length"
                assert finish_of(events).predicted_tokens <= limit + 1

    run(test)


def test_a_call_that_the_context_cuts_off(path: Path) -> None:
    async def test() -> None:
        async with loaded(path, context_length=256) as model:
            for words in range(60, 100, 6):
                request = ask("word " * words + PRODUCT, tools=[MULTIPLY])
                prompt = len(await model.tokenize(await model.apply_template(request)))
                if prompt >= 250:
                    break
                events = await collect(model.chat(request))
                assert finish_of(events).stop_reason in ("context", "tool_calls", "eos")
                begun = sum(isinstance(event, ToolCallStart) for event in events)
                ended = sum(isinstance(event, (ToolCallEnd, ToolCallFailed)) for event in events)
                assert begun == ended

    run(test)


def test_calls_in_one_answer_are_as_many_as_asked(path: Path) -> None:
    async def test() -> None:
        async with loaded(path) as model:
            many = await collect(model.chat(ask(BOTH, tools=[MULTIPLY])))
            assert len(calls_of(many)) == 2
            ids = [event.id for event in many if isinstance(event, ToolCallEnd)]
            assert len(set(ids)) == 2
            one = await collect(model.chat(ask(BOTH, tools=[MULTIPLY], parallel_tool_calls=False)))
            assert calls_of(one) == CALLED
            assert finish_of(one).stop_reason == "tool_calls"
            assert finish_of(one).predicted_tokens > 20
            progress = [event for event in many if isinstance(event, PromptProgress)]
            assert {event.total for event in progress} == {finish_of(many).prompt_tokens}

    run(test)


def test_whatever_a_model_writes_is_no_error(path: Path) -> None:
    """At such temperatures it writes half tags, and calls of tools that are not there."""

    async def test() -> None:
        async with loaded(path) as model:
            for seed, heat in itertools.product(range(4), (1.5, 3.0)):
                sampling = Sampling(
                    temperature=heat, seed=seed, max_tokens=20, top_k=0, top_p=1.0, min_p=0.0
                )
                for schema in (None, ANSWER):
                    held = Sampling(**{**vars(sampling), "json_schema": schema})
                    events = await collect(model.chat(ask(PRODUCT, held, tools=[MULTIPLY])))
                    told = [e for e in events if isinstance(e, (ToolCallEnd, ToolCallFailed))]
                    assert told or any(isinstance(event, Text) for event in events)

    run(test)


def test_a_tag_among_thoughts_is_no_call() -> None:
    """The prompt has the model think on about the tag itself."""
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% for c in m.tool_calls or [] %}<tool_call>\n"
        '{"name": "{{ c.function.name }}", "arguments": {}}\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}'
        "<|im_start|>assistant\n<think>\n"
    )

    async def test() -> None:
        async with loaded(POCKET_THINK) as model:
            sampling = Sampling(temperature=2.0, seed=3, max_tokens=80)
            events = await collect(
                model.chat(ask(PRODUCT, sampling, tools=[MULTIPLY], chat_template=template))
            )
            thought = text_of(events, "reasoning")
            assert thought
            begun = sum(isinstance(event, ToolCallStart) for event in events)
            assert begun == sum(isinstance(e, (ToolCallEnd, ToolCallFailed)) for e in events)

    run(test)


def test_a_refusal_that_is_told_late_fails_no_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of llama.cpp comes from a thread of its own."""
    checks = itertools.count()

    async def late(generator: Any, tag: str, fold: Any) -> None:
        if fold.told and next(checks) == 3:
            raise SchemaRefusedError("The JSON schema cannot be used")

    monkeypatch.setattr("lmstudio_server.engines.llamacpp.generation.Generator._check_schema", late)

    async def test() -> None:
        async with loaded() as model:
            events = await collect(model.chat(ask(PRODUCT, tools=[MULTIPLY])))
            [failed] = [event for event in events if isinstance(event, ToolCallFailed)]
            assert str(failed.raw).startswith('{"name"')
            assert finish_of(events).stop_reason == "eos"
            again = await collect(model.chat(ask(PRODUCT, tools=[MULTIPLY])))
            assert calls_of(again) == CALLED

    run(test)
