"""The scripted models of ``FakeServer``, as an app's tests use them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

import lmstudio as lms
from lmstudio_testing import (
    Answer,
    BrokenToolCall,
    Drop,
    FakeServer,
    Gate,
    Packet,
    Pause,
    PredictionRequest,
    Reasoning,
    ServerFailure,
    ToolCall,
    UnscriptedRequestError,
)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Book(pydantic.BaseModel):
    title: str


@pytest.fixture
def client(server: FakeServer) -> Iterator[lms.Client]:
    with lms.Client(server.api_host) as client:
        yield client


@pytest.fixture
def model(server: FakeServer, client: lms.Client) -> lms.LLM:
    server.llm()
    return client.llm.model("qwen")


def test_answers_come_in_order_and_word_by_word(server: FakeServer, model: lms.LLM) -> None:
    server.llm().respond("How do  you do? ").respond(["So", " l", "a"])
    assert [f.content for f in model.respond_stream("Hi")] == ["How", " do", "  you", " do?", " "]
    assert [f.content for f in model.respond_stream("Hi")] == ["So", " l", "a"]


def test_what_an_answer_tells(server: FakeServer, model: lms.LLM) -> None:
    server.llm().respond(Reasoning("Hm, hm."), "No.", stats={"tokensPerSecond": 7.0})
    result = model.respond("May I?", config={"maxTokens": 5})
    assert (result.content, result.reasoning, result.stats.stop_reason) == (
        "No.",
        "Hm, hm.",
        "eosFound",
    )
    assert result.stats.tokens_per_second == 7.0
    assert result.stats.predicted_tokens_count == 5
    assert result.prediction_config.max_tokens == 5
    assert result.model_info.model_key == "qwen"
    server.llm().respond("Cut", stop_reason="maxPredictedTokensReached")
    assert model.respond("x").stats.stop_reason == "maxPredictedTokensReached"


def test_structured_answers(server: FakeServer, model: lms.LLM) -> None:
    server.llm().respond({"title": "Emma"}).respond(Book(title="Ulysses")).respond("no JSON")
    assert model.respond("A book", response_format=Book).value == Book(title="Emma")
    assert server.last_prediction.json_schema["properties"]["title"]["type"] == "string"
    assert model.respond("A book", response_format=Book).parsed == {"title": "Ulysses"}
    assert model.respond("A book", response_format=Book).problems


def test_an_agent_calls_tools(server: FakeServer, model: lms.LLM) -> None:
    server.llm().call_tool("add", {"a": 1, "b": 2}, text="Let me see.").respond("It is 3.")
    result = model.act("1 + 2?", [add])
    assert (result.final, result.rounds) == ("It is 3.", 2)
    first, second = server.predictions
    assert first.tools == ["add"]
    assert (first.prompt, first.tool_results) == ("1 + 2?", [])
    assert second.tool_results == ["3"]
    assert second.messages[1] == ("assistant", "Let me see.add({'a': 1, 'b': 2})")


def test_several_calls_and_their_ids(server: FakeServer, model: lms.LLM) -> None:
    server.llm().respond(ToolCall("add", {"a": 1}), ToolCall("add", {"b": 2}, id="mine"))
    calls = model.respond("x", tools=[add]).tool_calls
    assert [(call.id, call.arguments) for call in calls] == [
        ("call-1", {"a": 1}),
        ("mine", {"b": 2}),
    ]
    server.llm().break_tool_call("no JSON")
    assert model.respond("x", tools=[add]).failed_tool_calls[0].error.title == "no JSON"
    assert BrokenToolCall().title.startswith("The model's")


def test_a_list_may_hold_what_an_answer_consists_of(server: FakeServer, model: lms.LLM) -> None:
    calls = [ToolCall("add", {"a": 1}), ToolCall("add", {"a": 2})]
    server.llm().respond(["Well.", *calls]).answer(lambda _asked: calls)
    first, second = model.respond("1"), model.respond("2")
    assert (first.content, first.stats.stop_reason) == ("Well.", "toolCalls")
    assert [len(result.tool_calls) for result in (first, second)] == [2, 2]


def test_errors_and_lost_connections(server: FakeServer, model: lms.LLM) -> None:
    server.llm().fail("Out of memory", after=["Well", ","], suggestion="Buy some.")
    heard = []
    with pytest.raises(lms.LMStudioPredictionError, match=r"Out of memory\nBuy some\."):
        model.respond("x", on_prediction_fragment=lambda f: heard.append(f.content))
    assert heard == ["Well", ","]
    server.llm().drop(after="Well").respond("again")
    with pytest.raises(lms.LMStudioConnectionError):
        model.respond("x")
    assert model.respond("x").content == "again"
    server.llm().respond("a", Drop(), "never")
    with pytest.raises(lms.LMStudioConnectionError):
        model.respond("x")


def test_answers_for_some_prompts(server: FakeServer, model: lms.LLM) -> None:
    llm = server.llm("qwen")
    llm.respond("whatever", times=None)
    llm.when("weather").respond("Sunny.", times=2)
    llm.when(re.compile(r"^\d+$")).respond("A number.")
    llm.when(lambda asked: asked.system_prompt == "Be rude.").respond("Go away.")
    llm.when(how="complete").respond("upon a time")
    assert model.respond("The weather?").content == "Sunny."
    assert model.respond("12").content == "A number."
    assert model.respond("12").content == "whatever"
    chat = lms.Chat("Be rude.")
    chat.add_user_message("Hi")
    assert model.respond(chat).content == "Go away."
    assert model.complete("Once ").content == "upon a time"
    assert server.last_prediction.prompt == "Once "
    with pytest.raises(AssertionError, match=r"'Sunny.' \(when 'weather', 1 left\)"):
        server.assert_all_used()
    model.respond("weather")
    server.assert_all_used()


def test_functions_make_answers(server: FakeServer, model: lms.LLM) -> None:
    async def slowly(asked: PredictionRequest) -> str:
        await asyncio.sleep(0)
        return "slow " + asked.prompt

    def moody(asked: PredictionRequest) -> Any:
        if asked.config["temperature"] > 1:
            raise ServerFailure("Too hot")
        return (Reasoning("Hm."), {"a": 1})

    server.llm().answer(slowly, times=1).answer(moody)
    assert model.respond("x").content == "slow x"
    result = model.respond("x", config={"temperature": 0.1})
    assert (result.reasoning, json.loads(result.content)) == ("Hm.", {"a": 1})
    with pytest.raises(lms.LMStudioPredictionError, match="Too hot"):
        model.respond("x", config={"temperature": 2})


def test_a_function_may_leave_it_to_the_next(server: FakeServer, model: lms.LLM) -> None:
    asked = []
    server.llm().answer(lambda p: asked.append(p.prompt)).respond("B").respond("C")
    assert [model.respond("x").content, model.respond("y").content] == ["B", "C"]
    assert asked == ["x", "y"]


def test_a_model_of_ones_own_goes_before_any_model(server: FakeServer, client: lms.Client) -> None:
    server.llm().respond("any")
    server.llm("mine").respond("mine")
    mine = client.llm.model("mine")
    assert [mine.respond("x").content, mine.respond("x").content] == ["mine", "any"]
    assert server.last_prediction.model == "mine"


def test_a_prediction_without_an_answer_says_what_to_do(server: FakeServer, model: lms.LLM) -> None:
    server.llm().when("weather").respond("Sunny.")
    with pytest.raises(lms.LMStudioPredictionError) as raised:
        model.respond("What time is it?")
    for words in ("'What time is it?'", "model 'qwen'", "when 'weather'", "times=None", "user"):
        assert words in str(raised.value)
    assert isinstance(server.failures[0], UnscriptedRequestError)
    with pytest.raises(UnscriptedRequestError, match="What time"):
        server.check()
    server.failures.clear()


def test_other_requests_without_a_script_say_what_to_do(server: FakeServer) -> None:
    with lms.Client(server.api_host) as client:
        with pytest.raises(lms.LMStudioRequestRejectedError, match=r"server\.on\('runtime\."):
            client.runtime.list_engines()
        with pytest.raises(lms.LMStudioRequestRejectedError, match=r"server\.llm\(\)"):
            client.llm.model("qwen")


def test_gates_and_cancelling(server: FakeServer, model: lms.LLM) -> None:
    gate = Gate()
    server.llm().respond("a b", gate, " c", times=2)
    stream = model.respond_stream("x")
    fragments = iter(stream)
    assert next(fragments).content == "a"
    gate.wait_until_reached()
    stream.cancel()
    assert [f.content for f in fragments] == []  # what was on its way is dropped
    assert stream.result().stats.stop_reason == "userStopped"
    assert server.last_prediction.cancelled
    gate.open()
    assert gate.is_open
    assert model.respond("x").content == "a b c"


def test_pauses_and_packets(server: FakeServer, model: lms.LLM) -> None:
    server.llm().respond("a", Pause(0.001), Packet({"type": "ofTomorrow"}), "b")
    assert model.respond("x").content == "ab"


def test_loading(server: FakeServer, client: lms.Client) -> None:
    server.llm("big", loaded=False, vision=True, contextLength=512).respond("Hi")
    assert client.llm.list_loaded() == []
    progress: list[float] = []
    model = client.llm.model("big", config={"contextLength": 99}, on_load_progress=progress.append)
    assert progress == [0.0, 0.5, 1.0]
    assert model.get_info().vision
    assert model.get_load_config().context_length == 99
    assert client.llm.load_new_instance("big", "second").identifier == "second"
    with pytest.raises(lms.LMStudioIdentifierInUseError):
        client.llm.load_new_instance("big", "second")
    assert client.llm.load_new_instance("big").identifier == "big:3"
    model.unload()
    assert [loaded.identifier for loaded in client.llm.list_loaded()] == ["second", "big:3"]
    with pytest.raises(lms.LMStudioModelNotFoundError):
        model.respond("x")
    assert [model.model_key for model in client.list_downloaded_models()] == ["big"]


def test_models_that_are_not_there_or_do_not_load(server: FakeServer, client: lms.Client) -> None:
    server.llm("big", loaded=False).fail_to_load("Not enough memory", suggestion="Buy some.")
    with pytest.raises(lms.LMStudioServerError, match=r"Not enough memory\nBuy some\."):
        client.llm.model("big")
    with pytest.raises(lms.LMStudioModelNotFoundError, match=r"server\.llm\('bigger'\)"):
        client.llm.model("bigger")
    with pytest.raises(lms.LMStudioModelNotFoundError, match="No model is loaded"):
        client.llm.model()


def test_embeddings(server: FakeServer, client: lms.Client) -> None:
    server.embedding(dimensions=64).vector("Two", [0.0, 2.0]).fail("Bad", "Too bad")
    model = client.embedding.model("nomic")
    cat, cats, stock = model.embed(["a black cat", "The black cat!", "stock market"])
    assert len(cat) == 64
    assert sum(x * x for x in cat) == pytest.approx(1.0)
    assert _dot(cat, cats) > 0.5 > abs(_dot(cat, stock))
    assert model.embed("a black cat") == cat
    assert model.embed("Two") == [0.0, 2.0]
    with pytest.raises(lms.LMStudioServerError, match="Too bad"):
        model.embed("Bad")
    assert server.embedded_texts[0] == "a black cat"
    assert model.count_tokens("a black cat!") == 4
    assert len(model.embed("")) == 64


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_tokens_templates_and_files(server: FakeServer, model: lms.LLM, client: lms.Client) -> None:
    assert model.count_tokens("How do you do?") == 5
    assert model.tokenize("a b a")[0] == model.tokenize("a")[0]
    assert model.apply_prompt_template("Hi") == "<user>Hi</user>\n"
    assert model.get_context_length() == 4096
    assert client.llm.estimate_resources("qwen").passes_guardrails
    image = client.prepare_image(b"\x89PNG\r\n\x1a\n" + b"0" * 9, "cat.png")
    assert (image.identifier, image.size_bytes, image.file_type) == ("file-1", 17, "image")
    server.llm("seeing", vision=True).respond("A cat.")
    chat = lms.Chat()
    chat.add_user_message("What is it?", images=[image])
    assert client.llm.model("seeing").respond(chat).content == "A cat."
    assert server.last_prediction.prompt == "What is it?[image: cat.png]"


def test_the_convenience_functions_and_asyncio(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMSTUDIO_API_HOST", server.api_host)
    server.llm().respond("sync").respond("async").call_tool("add", {"a": 2, "b": 2}).respond("4")
    assert lms.llm().respond("x").content == "sync"

    async def main() -> None:
        async with lms.AsyncClient() as client:
            model = await client.llm.model("any key")
            assert (await model.respond("x")).content == "async"
            assert (await model.act("2 + 2?", [add])).final == "4"

    asyncio.run(main())
    server.assert_all_used()


def test_mistakes_in_scripts(server: FakeServer, model: lms.LLM) -> None:
    with pytest.raises(ValueError, match="times"):
        server.llm().respond("x", times=0)
    server.llm().respond(5)
    with pytest.raises(lms.LMStudioError, match="a model says text, not 5"):
        model.respond("x")
    with pytest.raises(TypeError, match="a model says text, not 5"):
        server.check()
    server.failures.clear()
    with pytest.raises(AssertionError, match="no prediction was asked for"):
        _ = FakeServer().last_prediction
    assert str(Answer(["a", Drop()])) == "'a', Drop()"


def test_scripts_of_endpoints_go_before_models(server: FakeServer, model: lms.LLM) -> None:
    server.on("llm.countTokens", {"tokenCount": 99})
    assert model.count_tokens("x") == 99
    server.on_channel("llm.predict", ServerFailure("by hand"))
    with pytest.raises(lms.LMStudioPredictionError, match="by hand"):
        model.respond("x")


@pytest.mark.parametrize("endpoint", ["version", "system.", ".version", ""])
def test_an_endpoint_without_its_namespace_is_refused_at_once(endpoint: str) -> None:
    server = FakeServer()
    for script in (server.on, server.on_channel):
        with pytest.raises(ValueError, match=r"'namespace\.name'"):
            script(endpoint)
