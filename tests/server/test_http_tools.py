"""Tools and structured output for OpenAI's client: what the bundled server says, and takes back as history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from http_client import post
from pocket_models import MEANING, MULTIPLY, PRODUCT
from wire_client import client as wire_client
from wire_client import fake_server, load, prediction, run

from lmstudio_server.config import ServerConfig
from lmstudio_server.testing import running_server, serve

openai = pytest.importorskip("openai")

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 20}},
    "required": ["text"],
}
BOTH = f"{PRODUCT} And what is 12 multiplied by 34?"
CALLED = [("multiply", {"a": 12345, "b": 54321})]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        running_server() as server,
        openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


class Message:
    """An answer, however it came."""

    def __init__(self, message: dict[str, Any], finish_reason: str) -> None:
        self.message = message
        self.finish_reason = finish_reason
        self.text: str = message["content"] or ""
        calls = message.get("tool_calls") or []
        self.calls = [
            (c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls
        ]


def whole(client: Any, text: str, **fields: Any) -> Message:
    answer = client.chat.completions.create(
        **{
            "model": "pocket",
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            **fields,
        }
    )
    return Message(
        answer.choices[0].message.model_dump(exclude_none=False), answer.choices[0].finish_reason
    )


def streamed(client: Any, text: str, **fields: Any) -> Message:
    stream = client.chat.completions.create(
        **{
            "model": "pocket",
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            **fields,
        },
        stream=True,
    )
    content, reason = "", ""
    calls: dict[int, dict[str, Any]] = {}
    for chunk in stream:
        [choice] = chunk.choices
        content += choice.delta.content or ""
        reason = choice.finish_reason or reason
        for part in choice.delta.tool_calls or ():
            if part.id is not None:
                assert part.index not in calls
                calls[part.index] = {
                    "id": part.id,
                    "type": "function",
                    "function": {"name": part.function.name, "arguments": ""},
                }
            calls[part.index]["function"]["arguments"] += part.function.arguments or ""
    assert list(calls) == list(range(len(calls)))
    message = {"role": "assistant", "content": content, "tool_calls": list(calls.values()) or None}
    return Message(message, reason)


@pytest.fixture(params=[whole, streamed], ids=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, client: Any) -> Any:
    """Ask and be answered, in either way."""
    return lambda text, **fields: request.param(client, text, **fields)


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_a_call_or_an_answer_by_the_schema(ask: Any) -> None:
    fields = {"tools": [MULTIPLY], "response_format": form(ANSWER), "max_tokens": 200}
    called = ask(PRODUCT, **fields)
    assert (called.calls, called.text, called.finish_reason) == (CALLED, "", "tool_calls")
    answered = ask(MEANING, **fields)
    assert answered.calls == []
    assert set(json.loads(answered.text)) == {"text"}
    assert answered.finish_reason == "stop"
    short = ask(MEANING, **{**fields, "max_tokens": 14})
    assert set(json.loads(short.text)) == {"text"}
    required = ask(MEANING, **fields, tool_choice="required")
    assert required.calls
    assert required.text == ""


@pytest.mark.parametrize("schema", [None, ANSWER])
def test_a_call_that_is_cut_off_is_text_and_taken_back(ask: Any, schema: Any) -> None:
    fields: dict[str, Any] = {"tools": [MULTIPLY]}
    if schema is not None:
        fields["response_format"] = form(schema)
    for limit in (1, 2, 3, 5, 8, 13, 21, 30, 34, 60):
        answer = ask(PRODUCT, max_tokens=limit, **fields)
        # Whole or text, never both.
        assert bool(answer.calls) is not bool(answer.text), limit
        if answer.calls:
            assert answer.calls == CALLED
        else:
            assert answer.finish_reason == "length"
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": "670592745"}
            for call in answer.message.get("tool_calls") or ()
        ]
        after = results or [{"role": "user", "content": "Go on."}]
        messages = [{"role": "user", "content": PRODUCT}, answer.message, *after]
        again = ask("", messages=messages, max_tokens=40, tools=[MULTIPLY])
        assert again.text or again.calls


def test_one_call_where_no_more_are_wanted(ask: Any) -> None:
    assert len(ask(BOTH, tools=[MULTIPLY]).calls) == 2
    for choice in ("auto", "required"):
        one = ask(BOTH, tools=[MULTIPLY], parallel_tool_calls=False, tool_choice=choice)
        assert one.calls == CALLED
        assert one.finish_reason == "tool_calls"


def test_odd_tools(ask: Any) -> None:
    parameters: list[Any] = [
        {"type": "object", "properties": {"a": True, "b": {"type": "file"}, "c": {"enum": []}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/s.json"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/properties/a"}}},
        {"type": "object", "properties": None},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 9, "maxLength": 1}}},
        True,
        {},
    ]
    odd = [
        {"type": "function", "function": {"name": f"odd_{n}", "parameters": one}}
        for n, one in enumerate(parameters)
    ]
    assert ask(PRODUCT, tools=[*odd, MULTIPLY]).calls == CALLED
    for one in odd:
        name = one["function"]["name"]
        by_name = {"type": "function", "function": {"name": name}}
        answer = ask(MEANING, tools=[*odd, MULTIPLY], tool_choice=by_name, max_tokens=100)
        assert [found for found, _ in answer.calls] == [name] or answer.finish_reason == "length"


def test_half_a_character_is_no_error() -> None:
    """Neither in what a model calls with, nor in the history that holds it, nor in a tool's schema."""
    half: dict[str, Any] = {
        "type": "object",
        "properties": {"a": {"const": "\ud83d"}},
        "required": ["a"],
    }
    tools = [{"type": "function", "function": {"name": "half", "parameters": half}}]
    arguments = '{"a": "\\ud83d"}'

    async def scripted() -> None:
        async with fake_server() as server:
            for stream in (False, True):
                answer = await post(
                    server,
                    "/v1/chat/completions",
                    model="pocket",
                    messages=[{"role": "user", "content": f"call half {arguments}"}],
                    tools=tools,
                    stream=stream,
                )
                choices = [one["choices"][0] for one in answer.events[:-1]] if stream else []
                messages = [c["delta"] for c in choices] or [answer.json["choices"][0]["message"]]
                [call] = [call for one in messages for call in one.get("tool_calls", ())]
                assert call["function"]["arguments"] == arguments
            async with wire_client(server, "llm") as one:
                await load(one)
                given = {"type": "toolArray", "tools": tools}
                fields = {"llm__prediction__tools": given}
                packets = await one.collect(
                    "predict", **prediction(f"call half {arguments}", **fields)
                )
                [end] = [p for p in packets if p["type"] == "toolCallGenerationEnd"]
                assert end["toolCallRequest"]["arguments"] == {"a": "\ud83d"}

    run(scripted)

    async def real() -> None:
        async with serve(ServerConfig(port=0)) as server:
            call = {
                "id": "c",
                "type": "function",
                "function": {"name": "half", "arguments": arguments},
            }
            messages = [
                *(
                    {"role": "user", "content": MEANING},
                    {"role": "assistant", "tool_calls": [call]},
                ),
                {"role": "tool", "tool_call_id": "c", "content": "\ud83d"},
            ]
            for choice in ("auto", "required"):
                answer = await post(
                    server,
                    "/v1/chat/completions",
                    model="pocket",
                    messages=messages,
                    tools=tools,
                    tool_choice=choice,
                    max_tokens=40,
                )
                assert answer.status == 200, answer.body

    run(real)


def test_answers_invent_no_keys(ask: Any) -> None:
    two = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "maximum": 99, "minimum": 0},
            "b": {"type": "boolean"},
        },
    }
    for seed in range(5):
        answer = ask(MEANING, response_format=form(two), temperature=1.5, seed=seed, max_tokens=60)
        assert set(json.loads(answer.text)) <= {"a", "b"}
    unique = {
        "type": "array",
        "items": {"enum": [1, 2, 3]},
        "uniqueItems": True,
        "maxItems": 3,
        "minItems": 2,
    }
    answer = ask(MEANING, response_format=form(unique), max_tokens=60)
    assert set(json.loads(answer.text)) <= {1, 2, 3}


def test_whatever_a_model_writes_is_an_answer(ask: Any) -> None:
    for seed in range(6):
        for heat in (1.0, 2.0):
            answer = ask(BOTH, tools=[MULTIPLY], temperature=heat, seed=seed, max_tokens=50)
            assert answer.text or answer.calls


def test_the_same_by_the_websocket() -> None:
    given = {"type": "toolArray", "tools": [MULTIPLY]}
    fields = {
        "llm__prediction__tools": given,
        "llm__prediction__structured": {"type": "json", "jsonSchema": ANSWER},
        "llm__prediction__temperature": 0,
        "llm__prediction__maxPredictedTokens": {"checked": True, "value": 200},
    }

    async def test() -> None:
        async with serve(ServerConfig(port=0)) as server, wire_client(server, "llm") as one:
            await load(one)
            called = await one.collect("predict", **prediction(PRODUCT, **fields))
            [end] = [p for p in called if p["type"] == "toolCallGenerationEnd"]
            assert end["toolCallRequest"]["arguments"] == CALLED[0][1]
            assert called[-1]["stats"]["stopReason"] == "toolCalls"
            assert not any(p["type"] == "fragment" for p in called)
            answered = await one.collect("predict", **prediction(MEANING, **fields))
            text = "".join(p["fragment"]["content"] for p in answered if p["type"] == "fragment")
            assert set(json.loads(text)) == {"text"}
            required = {"llm__prediction__toolChoice": {"type": "generic", "mode": "required"}}
            forced = await one.collect("predict", **prediction(MEANING, **fields, **required))
            assert any(p["type"] == "toolCallGenerationEnd" for p in forced)
            short = {"llm__prediction__maxPredictedTokens": {"checked": True, "value": 12}}
            cut = await one.collect("predict", **prediction(PRODUCT, **{**fields, **short}))
            [failed] = [p for p in cut if p["type"] == "toolCallGenerationFailed"]
            assert failed["rawContent"].startswith('{"name": "multiply"')
            [fragment] = [p["fragment"] for p in cut if p["type"] == "fragment"]
            assert fragment["content"] == failed["rawContent"]
            assert cut[-1]["stats"]["stopReason"] == "maxPredictedTokensReached"

    run(test)
