"""Both facades against the embedded server and its pocket model: real inference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from llm_scripts import Caller

pytest.importorskip("lmstudio_server.testing", reason="the embedded server is not installed")

from lmstudio_core.errors import LMStudioModelNotFoundError, LMStudioValueError
from lmstudio_llm import Chat, LlmLoadModelConfig, StructuredOutputError
from lmstudio_server.testing import ServerProcess, running_server

CAPITAL = "What is the capital of France?"


class City(pydantic.BaseModel):
    city: str
    country: str


def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


@pytest.fixture(scope="module")
def pocket() -> Iterator[ServerProcess]:
    with running_server() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, pocket: ServerProcess) -> Iterator[Caller]:
    made = Caller(pocket.host, is_async=request.param == "async")
    made.model = made.run(made.client.llm.model("pocket"))
    yield made
    made.close()


def test_a_chat_loop(caller: Caller) -> None:
    chat = Chat("Be brief.")
    chat.add_user_message(CAPITAL)
    result = caller.run(caller.model.respond(chat, on_message=chat.append))
    assert "Paris" in result.content
    assert chat[-1].content[0].text == result.content
    assert result.stats.stop_reason == "eosFound"
    assert result.stats.predicted_tokens_count > 0
    assert result.model_info.identifier == caller.model.identifier
    assert result.load_config.context_length


def test_streams_say_the_same(caller: Caller) -> None:
    stream = caller.model.respond_stream(CAPITAL, config={"temperature": 0})
    text = "".join(piece.content for piece in caller.take(stream))
    assert text == stream.result().content
    assert text == caller.run(caller.model.respond(CAPITAL, config={"temperature": 0})).content


def test_limits_and_completion(caller: Caller) -> None:
    result = caller.run(caller.model.complete("Once upon", config={"maxTokens": 3}))
    assert result.stats.stop_reason == "maxPredictedTokensReached"
    assert result.stats.predicted_tokens_count == 3


def test_structured(caller: Caller) -> None:
    result = caller.run(caller.model.respond("Tell me of a city.", response_format=City))
    assert isinstance(result.value, City)
    assert {"city", "country"} <= set(result.parsed)
    config = {"maxTokens": 2}
    cut = caller.run(caller.model.respond("A city?", response_format=City, config=config))
    with pytest.raises(StructuredOutputError, match="maxPredictedTokensReached"):
        cut.value  # noqa: B018


def test_tool_calls_are_returned_and_streamed(caller: Caller) -> None:
    question: Any = "What is 6 times 7?"
    result = caller.run(caller.model.respond(question, tools=[multiply]))
    assert result.stats.stop_reason == "toolCalls"
    call = result.tool_calls[0]
    assert (call.name, call.arguments) == ("multiply", {"a": 6, "b": 7})
    events = caller.take(caller.model.respond_stream(question, tools=[multiply]).events())
    assert "ToolCallGenerationEnd" in {type(event).__name__ for event in events}


def test_after_leaving_a_stream_all_goes_on(caller: Caller) -> None:
    for _ in range(3):
        assert len(caller.take(caller.model.respond_stream("Tell me a story."), 1)) == 1
    assert "Paris" in caller.run(caller.model.respond(CAPITAL)).content


@pytest.mark.parametrize("text", [5, None, b"hi", {"a": 1}, ["hi", 5]])
def test_what_is_no_text_is_said_before_anything_is_sent(caller: Caller, text: Any) -> None:
    with pytest.raises(LMStudioValueError, match="string"):
        caller.run(caller.model.tokenize(text))


def test_tokens_and_templates(caller: Caller) -> None:
    model = caller.model
    tokens = caller.run(model.tokenize("Hello, world!"))
    assert len(tokens) == caller.run(model.count_tokens("Hello, world!"))
    assert "Hello" in caller.run(model.apply_prompt_template("Hello"))
    assert caller.run(model.get_context_length()) > 0
    assert isinstance(caller.run(model.get_load_config()), LlmLoadModelConfig)


def test_loading_with_a_config(caller: Caller) -> None:
    loaded = caller.run(
        caller.client.llm.load_new_instance("pocket", "small", config={"contextLength": 512})
    )
    try:
        assert caller.run(loaded.get_context_length()) == 512
        assert caller.run(loaded.get_load_config()).context_length == 512
    finally:
        caller.run(loaded.unload())
    with pytest.raises(LMStudioModelNotFoundError):
        caller.run(loaded.respond("hi"))


def test_a_model_that_thinks(caller: Caller) -> None:
    model = caller.run(caller.client.llm.model("pocket-think"))
    result = caller.run(model.respond(CAPITAL))
    assert result.reasoning
    assert "think>" not in result.content
    assert result.reasoning in result.raw_content
