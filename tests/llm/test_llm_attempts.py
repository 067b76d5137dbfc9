"""Retries of structured output, images for models that cannot see, and how full the context is."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pydantic
import pytest
from llm_scripts import INFO, Caller, fragment, success, tool_call

from lmstudio_core.errors import LMStudioPredictionError, LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_llm import (
    Chat,
    ContextUsage,
    GbnfGrammar,
    LlmStructuredPredictionSetting,
    LMStudioVisionError,
    PredictionRoundResult,
    StructuredOutputError,
)
from lmstudio_testing import FakeServer, ServerFailure

PREDICT, RAW = "llm.predict", "llm.completeRawText"
INFO_OF = "llm.getModelInfo"
IMAGE = FileHandle(name="cat.png", identifier="1", size_bytes=3, file_type="image")


class Even(pydantic.BaseModel):
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


def answers(server: FakeServer, endpoint: str, *given: Any) -> None:
    """Each request gets the next of these answers: text, or text with a stop reason."""
    left = list(given)

    def script(channel: Any) -> None:
        text, reason = left[0] if isinstance(left[0], tuple) else (left[0], "eosFound")
        del left[0]
        channel.send(fragment(text), success(reason))
        channel.close()

    server.on_channel(endpoint, script)


class TestRetries:
    def test_until_it_fits(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, '{"n": 1}', '{"n": 3}', '{"n": 4}', '{"n": 6}')
        heard: list[Any] = []
        result = caller.run(
            caller.model.respond("hi", response_format=Even, retries=5, on_message=heard.append)
        )
        assert result.value == Even(n=4)
        assert [message.text() for message in heard] == ['{"n": 4}']
        first, second, third = server.requests_to(PREDICT)
        assert len(first.parameter["history"]["messages"]) == 1
        said = second.parameter["history"]["messages"]
        assert [message["role"] for message in said] == ["user", "assistant", "user"]
        assert said[1]["content"][0]["text"] == '{"n": 1}'
        assert "must be even" in said[2]["content"][0]["text"]
        assert third.parameter["history"]["messages"][1]["content"][0]["text"] == '{"n": 3}'

    def test_only_so_often(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, "no", "no", "no", "no")
        heard: list[Any] = []
        result = caller.run(
            caller.model.respond("hi", response_format=Even, retries=2, on_message=heard.append)
        )
        assert len(server.requests_to(PREDICT)) == 3
        assert len(heard) == 1
        with pytest.raises(StructuredOutputError):
            result.value  # noqa: B018

    def test_of_an_answer_that_was_begun(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, " 1}", '{"n": 2}')
        chat = Chat.from_history("hi")
        chat.add_assistant_response('{"n":')
        result = caller.run(caller.model.respond(chat, response_format=Even, retries=1))
        assert result.value.n == 2
        said = server.requests_to(PREDICT)[1].parameter["history"]["messages"]
        assert [message["role"] for message in said] == ["user", "assistant", "user"]
        assert [part["text"] for part in said[1]["content"]] == ['{"n":', " 1}"]
        assert len(chat[1].content) == 1

    def test_what_was_cut_off_is_asked_for_again_as_before(
        self, server: FakeServer, caller: Caller
    ) -> None:
        answers(server, PREDICT, ('{"n"', "maxPredictedTokensReached"), '{"n": 2}')
        result = caller.run(caller.model.respond("hi", response_format=Even, retries=1))
        assert result.value.n == 2
        first, second = server.requests_to(PREDICT)
        assert first.parameter == second.parameter

    def test_what_somebody_stopped_stays_stopped(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, ('{"n"', "userStopped"))
        heard: list[Any] = []
        caller.run(
            caller.model.respond("hi", response_format=Even, retries=3, on_message=heard.append)
        )
        assert len(server.requests_to(PREDICT)) == 1
        assert len(heard) == 1

    def test_a_call_of_tools_is_no_failed_answer(self, server: FakeServer, caller: Caller) -> None:
        server.on_channel(PREDICT, [tool_call(a=1), success("toolCalls")])
        tools = [{"type": "function", "function": {"name": "add"}}]
        heard: list[Any] = []
        result = caller.run(
            caller.model.respond(
                "hi", response_format=Even, tools=tools, retries=3, on_message=heard.append
            )
        )
        assert len(server.requests_to(PREDICT)) == len(heard) == 1
        assert result.tool_calls[0].name == "add"
        with pytest.raises(StructuredOutputError, match="asks for tools"):
            result.value  # noqa: B018

    def test_completions(self, server: FakeServer, caller: Caller) -> None:
        answers(server, RAW, "no", '{"n": 2}')
        result = caller.run(caller.model.complete("x", response_format=Even, retries=1))
        assert result.value.n == 2

    def test_completions_on_older_servers(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, "no", '{"n": 2}')
        result = caller.run(caller.model.complete("x", response_format=Even, retries=1))
        assert result.value.n == 2
        assert [request.endpoint for request in server.requests] == [RAW, PREDICT, PREDICT]

    @pytest.mark.parametrize("retries", [-1, True, 1.5, "1", None])
    def test_what_is_no_number_is_refused(self, caller: Caller, retries: Any) -> None:
        for name in ("respond", "complete"):
            with pytest.raises(LMStudioValueError, match="retries is a whole number"):
                caller.run(getattr(caller.model, name)("x", response_format=Even, retries=retries))

    def test_they_need_a_format(self, caller: Caller) -> None:
        with pytest.raises(LMStudioValueError, match="response_format"):
            caller.run(caller.model.respond("x", retries=1))

    def test_a_grammar_has_nothing_to_be_checked(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, "maybe")
        grammar = GbnfGrammar('root ::= "yes"')
        caller.run(caller.model.respond("x", response_format=grammar, retries=1))
        assert len(server.requests_to(PREDICT)) == 1


def with_image() -> Chat:
    chat = Chat()
    chat.add_user_message("Look:", images=[IMAGE])
    return chat


def ask_each_way(caller: Caller, chat: Chat) -> list[Any]:
    """What becomes of ``respond`` and of a stream, by iteration and by ``start``."""
    outcomes: list[Any] = []
    for ask in (
        lambda: caller.run(caller.model.respond(chat)),
        lambda: caller.take(caller.model.respond_stream(chat)),
        lambda: caller.run(caller.model.respond_stream(chat).start()),
        lambda: caller.run(caller.model.respond_stream(chat).wait_for_result()),
    ):
        try:
            outcomes.append(ask())
        except LMStudioPredictionError as error:
            outcomes.append(error)
    return outcomes


class TestVision:
    def test_a_model_that_cannot_see(self, server: FakeServer, caller: Caller) -> None:
        server.on(INFO_OF, INFO)
        for error in ask_each_way(caller, with_image()):
            assert isinstance(error, LMStudioVisionError)
            assert "'scripted' cannot see images" in str(error)
        assert server.requests_to(PREDICT) == []

    def test_one_that_can(self, server: FakeServer, caller: Caller) -> None:
        server.on(INFO_OF, {**INFO, "vision": True})
        server.on_channel(PREDICT, [fragment("A cat."), success()])
        assert caller.run(caller.model.respond(with_image())).content == "A cat."
        stream = caller.model.respond_stream(with_image())
        assert [piece.content for piece in caller.take(stream)] == ["A cat."]

    def test_a_server_that_does_not_say(self, server: FakeServer, caller: Caller) -> None:
        server.on(INFO_OF, {key: value for key, value in INFO.items() if key != "vision"})
        server.on_channel(PREDICT, ServerFailure("Model does not support images"))
        whole, iterated, *_ = ask_each_way(caller, with_image())
        for error in (whole, iterated):
            assert isinstance(error, LMStudioVisionError)
            assert error.server_error is not None
            assert error.server_error.title == "Model does not support images"

    def test_other_errors_stay_what_they_are(self, server: FakeServer, caller: Caller) -> None:
        server.on(INFO_OF, {**INFO, "vision": True})
        server.on_channel(PREDICT, ServerFailure("Out of memory"))
        whole, iterated, *_ = ask_each_way(caller, with_image())
        assert type(whole) is type(iterated) is LMStudioPredictionError

    def test_chats_without_images_ask_nothing(self, server: FakeServer, caller: Caller) -> None:
        server.on_channel(PREDICT, ServerFailure("No images today"))
        for error in ask_each_way(caller, Chat.from_history("hi"))[:2]:
            assert type(error) is LMStudioPredictionError
        assert server.requests_to(INFO_OF) == []


class TestContextUsage:
    def test_it_counts_the_formatted_chat(self, server: FakeServer, caller: Caller) -> None:
        server.on("llm.applyPromptTemplate", {"formatted": "<hi>"})
        server.on("llm.countTokens", lambda p: {"tokenCount": len(p["inputString"])})
        server.on(INFO_OF, INFO)
        tool = {"type": "function", "function": {"name": "f"}}
        usage = caller.run(caller.model.get_context_usage("hi", tools=[tool]))
        assert usage == ContextUsage(tokens=4, context_length=2048)
        assert (usage.remaining, usage.fits) == (2044, True)
        opts = server.requests_to("llm.applyPromptTemplate")[0].parameter["opts"]
        assert opts["toolDefinitions"][0]["function"]["name"] == "f"

    def test_a_chat_that_is_too_long(self) -> None:
        usage = ContextUsage(tokens=5000, context_length=2048)
        assert (usage.remaining, usage.fits) == (0, False)
        assert not ContextUsage(2048, 2048).fits


class TestStrict:
    CUT: ClassVar[Any] = ('{"n"', "maxPredictedTokensReached")

    def test_what_was_cut_off_keeps_its_text(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, self.CUT)
        answers(server, RAW, self.CUT)
        for attempt in (caller.model.respond, caller.model.complete):
            result = caller.run(attempt("hi", response_format=Even))
            assert result.content == str(result) == '{"n"'
            for read in (lambda r: r.parsed, lambda r: r.value):
                with pytest.raises(StructuredOutputError, match="it was cut off, so raise"):
                    read(result)
            kept = json.loads(result.to_json())
            assert (kept["content"], kept["parsed"]) == ('{"n"', None)
            assert "not JSON" in kept["problems"][0]

    def test_or_is_an_error_at_once(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, self.CUT, '{"n": 1}', '{"n": 2}')
        answers(server, RAW, self.CUT)
        with pytest.raises(StructuredOutputError, match="it was cut off") as caught:
            caller.run(caller.model.respond("hi", response_format=Even, strict=True))
        assert caught.value.text == '{"n"'
        with pytest.raises(StructuredOutputError, match="it was cut off"):
            caller.run(caller.model.complete("hi", response_format=Even, strict=True))
        result = caller.run(
            caller.model.respond("hi", response_format=Even, strict=True, retries=1)
        )
        assert result.parsed == {"n": 2}

    def test_of_a_stream_is_its_results_error(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, self.CUT, self.CUT)
        stream = caller.model.respond_stream("hi", response_format=Even, strict=True)
        assert [piece.content for piece in caller.take(stream)] == ['{"n"']
        for read in (lambda: stream.result(), lambda: caller.run(stream.wait_for_result())):
            with pytest.raises(StructuredOutputError, match="it was cut off"):
                read()
        lenient = caller.model.respond_stream("hi", response_format=Even)
        assert caller.run(lenient.wait_for_result()).content == '{"n"'


class TestCallbackErrors:
    def test_on_message_reaches_the_caller(self, server: FakeServer, caller: Caller) -> None:
        def bad(_: Any) -> None:
            raise KeyError("mine")

        answers(server, PREDICT, "a", "b", "c")
        answers(server, RAW, "a")
        for attempt in (caller.model.respond, caller.model.complete):
            with pytest.raises(KeyError, match="mine"):
                caller.run(attempt("hi", on_message=bad))
        stream = caller.model.respond_stream("hi", on_message=bad)
        with pytest.raises(KeyError, match="mine"):
            caller.take(stream)
        assert caller.run(stream.result()).content == "b"
        assert caller.run(caller.model.respond("hi")).content == "c"  # the connection goes on

    def test_an_answer_that_was_begun_is_taken(self, server: FakeServer, caller: Caller) -> None:
        answers(server, PREDICT, " capital is Paris.", "Yes.")
        chat = Chat()
        chat.add_user_message("What is the capital of France?")
        chat.add_assistant_response("The")
        heard: list[Any] = []

        def take(message: Any) -> None:
            heard.append(message.text())
            chat.append(message)

        caller.run(caller.model.respond(chat, on_message=take))
        assert heard == [" capital is Paris."]
        assert [message.text() for message in chat] == [
            "What is the capital of France?",
            "The capital is Paris.",
        ]
        with pytest.raises(LMStudioRuntimeError, match="consecutive"):
            chat.append({"role": "assistant", "content": "More."})
        chat.add_user_message("Sure?")
        caller.run(caller.model.respond(chat, on_message=chat.append))
        assert [len(message.content) for message in chat] == [1, 1, 1, 1]


def test_empty_text_is_sent(server: FakeServer, caller: Caller) -> None:
    answers(server, PREDICT, "a")
    assert caller.run(caller.model.respond("")).content == "a"
    [request] = server.requests_to(PREDICT)
    [message] = request.parameter["history"]["messages"]
    assert message == {"role": "user", "content": [{"type": "text", "text": ""}]}


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            LlmStructuredPredictionSetting(type="json", json_schema=SCHEMA),
            {"type": "json", "jsonSchema": SCHEMA},
        ),
        ({"type": "json", "json_schema": SCHEMA}, {"type": "json", "jsonSchema": SCHEMA}),
        (
            LlmStructuredPredictionSetting(type="gbnf", gbnf_grammar="root ::= x"),
            {"type": "gbnf", "gbnfGrammar": "root ::= x"},
        ),
        (LlmStructuredPredictionSetting(type="none"), {"type": "none"}),
    ],
)
@pytest.mark.parametrize("by_config", [False, True])
def test_settings_are_formats(
    server: FakeServer, caller: Caller, given: Any, sent: Any, by_config: bool
) -> None:
    answers(server, PREDICT, '{"n": 1}', "[1]")
    how = {"config": {"structured": given}} if by_config else {"response_format": given}
    result = caller.run(caller.model.respond("hi", **how))
    [layer] = server.requests_to(PREDICT)[0].parameter["predictionConfigStack"]["layers"]
    [field] = layer["config"]["fields"]
    assert field == {"key": "llm.prediction.structured", "value": sent}
    plain = sent["type"] == "none"
    assert result.structured is not plain
    assert result.parsed == ('{"n": 1}' if plain else {"n": 1})
    assert result.value == (result.parsed if sent["type"] == "json" else '{"n": 1}')
    if sent["type"] == "gbnf":  # only an object is data
        again = caller.run(caller.model.respond("hi", **how))
        assert (again.parsed, again.structured) == ("[1]", False)


def test_results_as_plain_data(server: FakeServer, caller: Caller) -> None:
    answers(server, PREDICT, '{"n": 1}')
    result = caller.run(caller.model.respond("hi", response_format=SCHEMA))
    data = result.to_dict()
    assert json.loads(result.to_json()) == data
    assert (data["content"], data["parsed"], data["structured"]) == ('{"n": 1}', {"n": 1}, True)
    assert data["stats"]["stopReason"] == "eosFound"
    assert data["modelInfo"]["modelKey"] == "scripted"
    assert data["loadConfig"] == {"contextLength": 2048}
    assert PredictionRoundResult.from_result(result, 3).to_dict() == {**data, "roundIndex": 3}
    assert json.loads(result.stats.to_json()) == data["stats"]
