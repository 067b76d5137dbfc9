"""Acts of a real model: the embedded server's pocket model calls tools, sync and async."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from lmstudio_agent import (
    ActResult,
    ActRoundEnd,
    ActRoundStart,
    ActToolCall,
    ActToolResult,
    ToolCallContext,
)
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioError, LMStudioValueError
from lmstudio_llm.chat import Chat
from lmstudio_llm.fragments import LlmPredictionFragment
from lmstudio_llm.messages import AssistantResponse, ToolResultMessage
from lmstudio_llm.tools import resolve_tool
from lmstudio_server.testing import running_server

EXACT = {"temperature": 0.0}
PRODUCT = "What is 12345 multiplied by 54321?"
PRIME = "Is the result of 12345 + 45668 a prime? Think step by step."


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with running_server() as server:
        yield server.host


def multiply(a: float, b: float) -> float:
    """Given two numbers a and b, return the product of them."""
    return a * b


async def multiply_async(a: int, b: int) -> int:
    """Multiply two numbers."""
    await asyncio.sleep(0)
    return a * b


def add(a: int, b: int) -> int:
    """Given two numbers a and b, return the sum of them."""
    return a + b


def is_prime(n: int) -> bool:
    """Given a number n, return True if n is a prime number."""
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def act_sync(host: str, *args: Any, **options: Any) -> ActResult:
    with Client(host) as client:
        return client.llm.model("pocket").act(*args, config=EXACT, **options)


def act_async(host: str, *args: Any, **options: Any) -> ActResult:
    async def main() -> ActResult:
        async with AsyncClient(host) as client:
            model = await client.llm.model("pocket")
            return await model.act(*args, config=EXACT, **options)

    return asyncio.run(main())


Act = Callable[..., ActResult]
BOTH = pytest.mark.parametrize("act", [act_sync, act_async])


@BOTH
@pytest.mark.parametrize("tool", [multiply, multiply_async])
def test_the_model_calls_a_tool_and_uses_its_result(host: str, act: Act, tool: Any) -> None:
    chat = Chat.from_history(PRODUCT)
    result = act(host, chat, [tool], on_message=chat.append)
    assert result.rounds == 2
    assert result.total_time_seconds > 0
    assert result.stop_reason == "eosFound"
    (record,) = result.tool_calls
    assert record.result == 12345 * 54321
    assert "670592745" in result.final
    assert [m.role for m in chat] == ["user", "assistant", "tool", "assistant"]
    assert chat.to_dict() == result.transcript.to_dict()
    assert result.usage.total_tokens > 20


@BOTH
def test_an_answer_that_was_begun_goes_on(host: str, act: Act) -> None:
    chat = Chat.from_history("What is the capital of France?")
    chat.add_assistant_response("The capital")
    result = act(host, chat, [multiply], on_message=chat.append)
    assert [m.role for m in result.transcript] == ["user", "assistant"]
    assert result.transcript[-1].text() == "The capital" + result.final
    assert chat.to_dict() == result.transcript.to_dict()


@BOTH
def test_a_run_as_plain_data(host: str, act: Act) -> None:
    result = act(host, PRODUCT, [multiply])
    data = result.to_dict()
    assert json.loads(result.to_json()) == data
    assert (data["rounds"], data["final"]) == (2, result.final)
    [call] = data["toolCalls"]
    assert (call["name"], call["content"], call["outcome"]) == ("multiply", "670592745.0", "ok")
    assert [prediction["roundIndex"] for prediction in data["predictions"]] == [0, 1]
    assert data["transcript"] == result.transcript.to_dict()


@BOTH
def test_a_chain_of_tools_takes_a_round_each(host: str, act: Act) -> None:
    log: list[Any] = []
    result = act(
        host,
        PRIME,
        [add, is_prime],
        on_round_start=lambda index: log.append(("start", index)),
        on_round_end=lambda index: log.append(("end", index)),
        on_first_token=lambda index: log.append(("first", index)),
        on_prediction_fragment=lambda fragment, index: log.append((type(fragment.content), index)),
        on_prompt_processing_progress=lambda ratio, index: log.append(("prompt", index)),
        on_prediction_completed=lambda given: log.append(("predicted", given.round_index)),
        on_message=lambda message: log.append(("message", type(message))),
    )
    assert [record.name for record in result.tool_calls] == ["add", "is_prime"]
    assert result.tool_calls[1].result is is_prime(12345 + 45668)
    assert result.rounds == 3
    rounds = [entry for entry in log if entry[0] in ("start", "end")]
    assert rounds == [(kind, index) for index in range(3) for kind in ("start", "end")]
    assert {("first", 2), (str, 2), ("predicted", 2)} <= set(log)
    assert ("prompt", 2) in log
    assert log.count(("message", AssistantResponse)) == 3
    assert log.count(("message", ToolResultMessage)) == 2


@BOTH
def test_a_tools_exception_is_told_to_the_model(host: str, act: Act) -> None:
    def divide(a: float, b: float) -> float:
        """Divide a by b."""
        return a / b

    seen: list[Any] = []
    result = act(
        host,
        "What is 5 divided by 0?",
        [divide],
        handle_invalid_tool_request=lambda error, request: seen.append((error, request)),
    )
    assert result.rounds == 2
    ((error, request),) = seen
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert request.name == "divide"


@BOTH
def test_the_handler_can_end_the_run(host: str, act: Act) -> None:
    class Stop(Exception):
        pass

    def divide(a: float, b: float) -> float:
        """Divide a by b."""
        raise ArithmeticError

    def handle(error: Exception, request: Any) -> None:
        raise Stop

    chat = Chat.from_history("What is 5 divided by 2?")
    with pytest.raises(Stop):
        act(host, chat, [divide], handle_invalid_tool_request=handle, on_message=chat.append)
    assert [m.role for m in chat] == ["user", "assistant", "tool"]


@BOTH
def test_the_only_permitted_round_has_no_tools(host: str, act: Act) -> None:
    called: list[Any] = []

    def multiply(a: float, b: float) -> float:
        """Multiply two numbers."""
        called.append((a, b))
        return a * b

    result = act(host, PRODUCT, [multiply], max_prediction_rounds=1)
    assert (result.rounds, called) == (1, [])


@BOTH
def test_an_act_goes_on_from_the_transcript_of_another(host: str, act: Act) -> None:
    first = act(host, PRODUCT, [multiply])
    first.transcript.add_user_message("What is 7 multiplied by 8?")
    second = act(host, first.transcript, [multiply])
    assert "56" in second.final


@BOTH
def test_mistakes_are_found_before_anything_happens(host: str, act: Act) -> None:
    with pytest.raises(LMStudioValueError, match="max_prediction_rounds"):
        act(host, PRODUCT, [multiply], max_prediction_rounds=0)
    with pytest.raises(LMStudioValueError, match="no name"):
        act(host, PRODUCT, [lambda a: a])


class Product(BaseModel):
    a: int
    b: int
    product: int


@BOTH
def test_a_typed_answer_comes_after_the_tools(host: str, act: Act) -> None:
    result = act(host, PRODUCT, [multiply], response_format=Product)
    assert isinstance(result.value, Product)
    assert [record.result for record in result.tool_calls] == [670592745]
    assert result.rounds == 3
    assert result.predictions[-1].structured
    assert [m.role for m in result.transcript] == ["user", "assistant", "tool", "assistant"]


def dict_tool(name: str, parameters: Any) -> dict[str, Any]:
    function = {"name": name, "description": "An odd one.", "parameters": parameters}
    return {"type": "function", "function": function}


@BOTH
def test_odd_tools_beside_a_good_one(host: str, act: Act) -> None:
    odd = [
        {"type": "object", "properties": {"a": True, "b": {"enum": ["x"], "uniqueItems": True}}},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "string"}},
        },
        {
            "type": "object",
            "properties": {"n": {"$ref": "#/definitions/N"}},
            "definitions": {"N": {}},
        },
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}},
        {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}},
    ]
    tools = [multiply, *(dict_tool(f"odd_{number}", one) for number, one in enumerate(odd))]
    result = act(host, PRODUCT, tools)
    assert [record.result for record in result.tool_calls] == [670592745]
    assert "670592745" in result.final


def test_an_answer_with_tools_is_a_call_or_keeps_to_the_class(host: str) -> None:
    class Words(BaseModel):
        text: str

    with Client(host) as client:
        model = client.llm.model("pocket")
        fields: Any = {"response_format": Words, "tools": [multiply], "config": EXACT}
        called = model.respond(PRODUCT, **fields)
        assert [call.arguments for call in called.tool_calls] == [{"a": 12345, "b": 54321}]
        answered = model.respond("What is the meaning of life?", **fields)
        assert not answered.tool_calls
        assert isinstance(answered.value, Words)


def test_a_call_that_a_limit_cuts_off_is_content(host: str) -> None:
    with Client(host) as client:
        model = client.llm.model("pocket")
        for limit in (1, 4, 12, 30, 60):
            config: Any = {**EXACT, "maxTokens": limit}
            answer = model.respond(PRODUCT, tools=[multiply], config=config)
            assert bool(answer.tool_calls) is not bool(answer.content)
            # What came goes back as history.
            chat = Chat.from_history(PRODUCT)
            chat.add_assistant_response(answer)
            chat.add_user_message("Go on.")
            assert model.respond(chat, config=EXACT).content


@BOTH
def test_a_denied_call_is_told_to_the_model(host: str, act: Act) -> None:
    result = act(
        host,
        PRODUCT,
        [multiply],
        guard_tool_call=lambda request: "Not today.",
        max_prediction_rounds=2,
    )
    (record,) = result.tool_calls
    assert (record.content, record.outcome) == ('{"error": "Not today."}', "denied")


@BOTH
def test_a_call_that_the_program_answers_can_be_resumed(host: str, act: Act) -> None:
    definition = resolve_tool(multiply).definition()
    first = act(host, PRODUCT, [definition])
    (request,) = first.pending
    assert request.arguments == {"a": 12345, "b": 54321}
    answered = first.answered({request.id or "multiply": 670592745})
    second = act(host, answered, [definition])
    assert "670592745" in second.final


def test_a_stream_of_a_real_model_sync_and_async(host: str) -> None:
    with Client(host) as client:
        stream = client.llm.model("pocket").act_stream(PRODUCT, [multiply], config=EXACT)
        seen = list(stream)
        assert "670592745" in stream.result().final

    async def main() -> list[Any]:
        async with AsyncClient(host) as client:
            model = await client.llm.model("pocket")
            stream = model.act_stream(PRODUCT, [multiply], config=EXACT)
            seen = [event async for event in stream]
            assert "670592745" in stream.result().final
            return seen

    for events in (seen, asyncio.run(main())):
        kinds = [type(event) for event in events]
        for kind in (ActRoundStart, ActToolCall, ActToolResult, ActRoundEnd):
            assert kind in kinds
        assert kinds.index(ActToolCall) < kinds.index(ActToolResult) < kinds.index(ActRoundEnd)
        said = [event.content for event in events if isinstance(event, LlmPredictionFragment)]
        assert "670592745" in "".join(said)


def test_leaving_a_stream_stops_the_server_and_the_chat_goes_on(host: str) -> None:
    with Client(host) as client:
        model = client.llm.model("pocket")
        with model.act_stream(PRODUCT, [multiply], config=EXACT) as stream:
            for event in stream:
                if isinstance(event, ActToolResult):
                    break
        assert [m.role for m in stream.transcript] == ["user", "assistant", "tool"]
        assert "670592745" in model.act(stream.transcript, [multiply], config=EXACT).final


def test_a_timeout_in_a_tool_ends_the_act_and_leaves_a_valid_chat(host: str) -> None:
    contexts: list[ToolCallContext] = []

    async def multiply(a: int, b: int, context: ToolCallContext) -> int:
        """Multiply two numbers."""
        contexts.append(context)
        begun.set()
        await asyncio.Event().wait()
        return a * b

    begun = asyncio.Event()
    chat = Chat.from_history(PRODUCT)

    async def main() -> str:
        async with AsyncClient(host) as client:
            model = await client.llm.model("pocket")
            running = asyncio.ensure_future(
                model.act(chat, [multiply], on_message=chat.append, config=EXACT)
            )
            await begun.wait()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(running, 0.01)
            return (await model.act(chat, [], config=EXACT)).final  # client and chat still serve

    assert asyncio.run(main())
    assert [m.role for m in chat] == ["user", "assistant", "tool"]
    assert [context.cancelled for context in contexts] == [True]


def test_several_acts_share_one_client(host: str) -> None:
    results: list[Any] = []
    with Client(host) as client:
        model = client.llm.model("pocket")

        def work() -> None:
            try:
                results.append(model.act(PRODUCT, [multiply], config=EXACT).final)
            except LMStudioError as error:
                results.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ["670592745" in str(result) for result in results] == [True] * 4
