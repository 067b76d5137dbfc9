"""What is different from the official SDK on purpose: a test for each row of docs/migration.md."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lmstudio as lms
from lmstudio_server.testing import running_server
from lmstudio_testing import FakeServer

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
ROW = re.compile(r"^\| (?P<what>.+) \| (?P<why>.+) \| `(?P<test>test_\w+)` \|$", re.MULTILINE)
HERE = "127.0.0.1:9"  # where nothing answers
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with running_server() as server:
        yield server.host


@pytest.fixture
def model(host: str) -> Iterator[Any]:
    with lms.Client(host) as client:
        yield client.llm.model("pocket")


def test_the_table_and_these_tests_are_of_the_same_things() -> None:
    rows = [match["test"] for match in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    tests = [name for name in globals() if name.startswith("test_") and "the_table" not in name]
    assert rows == tests


# --- chats ---------------------------------------------------------------------------------------


def test_chats_and_data_print_in_another_way() -> None:
    chat = lms.Chat.from_history("Hi")
    assert str(chat) == "user: Hi"
    assert eval(repr(chat), {"Chat": lms.Chat}).to_dict() == chat.to_dict()
    assert str(lms.TextData(text="a")) == "TextData(text='a')"
    assert str(lms.LlmPredictionConfig(max_tokens=3)) == "LlmPredictionConfig(max_tokens=3)"


def test_tool_results_join() -> None:
    chat = lms.Chat()
    for number in "12":
        chat.add_tool_result({"type": "toolCallResult", "toolCallId": number, "content": "x"})
    assert len(chat) == 1
    with pytest.raises(lms.LMStudioValueError):
        chat.add_tool_results([])


def test_more_forms_are_taken() -> None:
    chat = lms.Chat()
    assert len(chat.add_system_prompt(["a", "b"]).content) == 2  # type: ignore[arg-type]
    assert len(chat.add_assistant_response(["a", "b"]).content) == 2  # type: ignore[arg-type]
    chat.add_user_message("x")
    chat.add_assistant_response("", [{"type": "function", "name": "f"}])
    chat.add_tool_result({"type": "toolCallResult", "content": "no id"})
    assert lms.ToolCallRequest(name="f").type == "function"


def test_an_empty_chat_is_not_sent(model: Any) -> None:
    with pytest.raises(lms.LMStudioValueError, match="The chat is empty"):
        model.respond(lms.Chat())


def test_an_answer_that_was_begun_is_joined(model: Any) -> None:
    chat = lms.Chat.from_history("What is the capital of France?")
    chat.add_assistant_response("The capital")
    result = model.respond(chat, config={"temperature": 0}, on_message=chat.append)
    assert [message.text() for message in chat][1:] == ["The capital" + result.content]


# --- settings and results ------------------------------------------------------------------------


def test_wrong_settings_are_told(model: Any) -> None:
    with pytest.warns(lms.LMStudioUnknownSettingWarning, match="did you mean 'maxTokens'"):
        model.respond("Hi", config={"maxTokenz": 1, "maxTokens": 1})
    with pytest.raises(lms.LMStudioValueError, match="max_tokens"):
        lms.LlmPredictionConfig(max_tokens="many")  # type: ignore[arg-type]
    with pytest.raises(lms.LMStudioValueError, match="did you mean 'identifier'"):
        lms.ModelQuery.from_dict({"identifer": "x"})
    with pytest.raises(lms.LMStudioValueError, match="no option 'x'"):
        model.apply_prompt_template("Hi", {"x": 1})
    with pytest.raises(lms.LMStudioValueError):
        lms.set_sync_api_timeout(-1)


def test_output_that_is_not_in_its_format_says_so(model: Any) -> None:
    config = {"maxTokens": 2, "temperature": 0}
    cut = model.respond("Hi", response_format=SCHEMA, config=config)
    assert cut.structured
    assert str(cut) == cut.content
    with pytest.raises(lms.StructuredOutputError, match="it was cut off"):
        _ = cut.parsed
    with pytest.raises(lms.StructuredOutputError, match="it was cut off"):
        model.respond("Hi", response_format=SCHEMA, config=config, strict=True)


def test_structured_output_may_be_more_than_an_object(model: Any) -> None:
    numbers = {"type": "array", "items": {"type": "integer", "maximum": 9}, "maxItems": 1}
    result = model.respond("Hi", response_format=numbers)
    assert isinstance(result.parsed, list)
    assert result.structured


def test_a_result_outlives_its_callback(model: Any) -> None:
    def fail(_: object) -> None:
        raise KeyError("mine")

    stream = model.respond_stream("Hi", on_message=fail)
    with pytest.raises(KeyError, match="mine"):
        list(stream)
    assert stream.result().content


def test_a_result_tells_itself(model: Any) -> None:
    result = model.respond("Hi", config={"maxTokens": 1})
    assert not dataclasses.is_dataclass(result)
    wanted = {"content", "parsed", "structured", "stats", "modelInfo"}
    assert wanted <= set(json.loads(result.to_json()))


# --- models and clients --------------------------------------------------------------------------


def test_handles_may_be_keys(model: Any, host: str) -> None:
    with lms.Client(host) as client:
        assert len({client.llm.model("pocket"), client.llm.model("pocket")}) == 1
        assert len({*client.list_downloaded_models(), *client.llm.list_downloaded()}) == 3


def test_a_client_asks_when_it_is_used() -> None:
    with lms.Client(HERE) as client, pytest.raises(lms.LMStudioClientError, match="No server"):
        client.llm.list_loaded()

    async def main() -> None:
        client = lms.AsyncClient(HERE)
        assert client.llm is client.llm  # before it is entered
        async with client:
            with pytest.raises(lms.LMStudioClientError):
                await client.llm.list_loaded()

    asyncio.run(main())


def test_a_default_client_that_reached_nothing_is_forgotten(host: str) -> None:
    with pytest.raises(lms.LMStudioConnectionError, match="LM Studio is not reachable at"):
        lms.get_default_client(HERE)
    assert lms.get_default_client(host).api_host == host


def test_a_closed_client_has_an_error_of_its_own(host: str) -> None:
    with lms.Client(host) as client:
        model = client.llm.model("pocket")
    for call in (model.get_info, lambda: model.respond("Hi"), client.list_loaded_models):
        with pytest.raises(lms.LMStudioClosedError, match="client is closed") as caught:
            call()
        assert isinstance(caught.value, (lms.LMStudioClientError))
        assert isinstance(caught.value, RuntimeError)


# --- errors and logs -----------------------------------------------------------------------------


def test_server_errors_say_what_to_do(host: str) -> None:
    with lms.Client(host) as client:
        with pytest.raises(lms.LMStudioModelNotFoundError) as caught:
            client.llm.model("pocke")
        assert "RPC error" not in str(caught.value)
        assert "pocket" in caught.value.close_matches
        assert caught.value.display_data["code"] == "generic.pathNotFound"


def test_errors_are_of_their_package() -> None:
    assert lms.LMStudioServerError.__module__ == "lmstudio_core.errors"
    assert lms.Chat.__module__ == "lmstudio_llm.chat"


def test_logs_are_plain_lines(server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    info = {"identifier": "other", "modelKey": "some/other"}

    def load(channel: Any) -> None:
        channel.send(
            {"type": "unloadingOtherJITModel", "info": info},
            {"type": "loadSuccess", "info": {"identifier": "m"}},
        )
        channel.close()

    server.on_channel("llm.getOrLoad", load)
    with lms.Client(server.api_host) as client, caplog.at_level(logging.INFO, "lmstudio"):
        client.llm.model("m")
    assert "Unloading other JIT model other (some/other)" in caplog.text


# --- agents and the rest -------------------------------------------------------------------------


def test_tools_have_type_hints() -> None:
    def tool(x) -> str:  # type: ignore[no-untyped-def]
        """Do it."""
        return str(x)

    with pytest.raises(lms.LMStudioValueError, match="'x' of the tool 'tool' has no type hint"):
        lms.ToolFunctionDef.from_callable(tool)


def test_act_takes_no_tools_as_well(model: Any) -> None:
    assert model.act("Hi", [], config={"temperature": 0}).rounds == 1


def test_act_ends_in_the_last_permitted_round(model: Any) -> None:
    def multiply(a: int, b: int) -> int:
        """Multiply two numbers."""
        return a * b

    product = "What is 12345 multiplied by 54321?"
    assert model.act(product, [multiply], max_prediction_rounds=1).rounds == 1


def test_async_streams_need_no_await(host: str) -> None:
    async def main() -> str:
        async with lms.AsyncClient(host) as client:
            model = await client.llm.model("pocket")
            return "".join([piece.content async for piece in model.respond_stream("Hi")])

    assert asyncio.run(main())


def test_what_is_private_there_is_not_here() -> None:
    for name in ("_get_history", "_get_history_for_prediction", "_add_entries", "_history"):
        assert not hasattr(lms.Chat(), name)
    with pytest.raises(ImportError, match="the nearest is"):
        from lmstudio.json_api import ChatResponseEndpoint as _  # noqa: F401
