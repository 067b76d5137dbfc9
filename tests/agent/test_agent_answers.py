"""What a run gives back: typed answers, calls that the program answers, images."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from agent_scripts import (
    Scripted,
    as_json,
    call,
    drive,
    make,
    make_run,
    prediction,
    run_async,
    run_sync,
    unreadable,
)

from lmstudio_agent import ActResult, ToolImage
from lmstudio_core.errors import LMStudioOSError, LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_llm.results import StructuredOutputError

BOTH = pytest.mark.parametrize("run", [run_sync, run_async])
Runner = Callable[[Any], ActResult[Any]]

EXTERNAL = {"type": "function", "function": {"name": "ask_human"}}


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


ASKED = call("double", {"n": 21}, "1")


# --- typed answers -----------------------------------------------------------------------------


@BOTH
def test_tools_come_first_and_then_a_round_in_the_format(run: Runner) -> None:
    script = Scripted(prediction("", ASKED), prediction("It is 42."), as_json({"n": 42}))
    messages: list[Any] = []
    result = run(make_run(script, [double], structured=True, on_message=messages.append))
    assert result.value == {"n": 42}
    assert script.structured == [False, False, True]
    assert script.tools == [["double"], ["double"], []]
    assert script.chats[2] == script.chats[1]  # the answer in prose gives way
    roles = [message.role for message in result.transcript]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert result.final == '{"n": 42}'
    assert result.rounds == 3
    assert [message.role for message in messages] == roles[1:]


@BOTH
@pytest.mark.parametrize("odd", [{"tool_calls": [ASKED]}, {"failed_tool_calls": [unreadable()]}])
def test_a_call_in_the_round_in_the_format_is_nobodys(run: Runner, odd: dict[str, Any]) -> None:
    """No tools are on offer in it, so what a model asks for all the same is not run."""
    answer = prediction("{}", parsed={"n": 42}, value={"n": 42}, structured=True)
    for name, calls in odd.items():
        setattr(answer, name, tuple(calls))
    script = Scripted(prediction("", ASKED), prediction("It is 42."), answer)
    result = run(make_run(script, [double], structured=True))
    assert result.value == {"n": 42}
    assert script.structured == [False, False, True]
    assert len(result.tool_calls) == 1
    assert [message.role for message in result.transcript][-2:] == ["tool", "assistant"]


@BOTH
def test_the_last_permitted_round_is_the_one_in_the_format(run: Runner) -> None:
    script = Scripted(prediction("", ASKED), as_json({"n": 42}))
    result = run(make_run(script, [double], structured=True, max_prediction_rounds=2))
    assert (result.value, script.structured) == ({"n": 42}, [False, True])


def test_without_tools_there_is_one_round() -> None:
    script = Scripted(as_json({"n": 1}))
    assert drive(make(script, structured=True)).value == {"n": 1}
    assert script.structured == [True]


def test_without_a_format_no_round_is_in_one() -> None:
    script = Scripted(prediction("", ASKED), prediction("It is 42."))
    assert drive(make(script, [double], max_prediction_rounds=2)).final == "It is 42."
    assert script.structured == [False, False]


def test_an_answer_that_does_not_fit_says_so_when_it_is_asked_for() -> None:
    result = drive(make(Scripted(as_json({}, "n: missing")), structured=True))
    with pytest.raises(StructuredOutputError, match="n: missing"):
        _ = result.value
    assert result.final == "{}"


def test_without_a_format_the_value_is_the_text() -> None:
    assert drive(make(Scripted(prediction("Hi")))).value == "Hi"


# --- calls that the program answers ------------------------------------------------------------


def pending(*calls: Any) -> ActResult[Any]:
    return drive(make(Scripted(prediction("", *calls)), [double, EXTERNAL]))


def test_a_run_goes_on_with_the_programs_results() -> None:
    first = pending(call("ask_human", {}, "a"), ASKED, call("ask_human", {"more": 1}, "b"))
    with pytest.raises(LMStudioRuntimeError, match="ask_human"):
        _ = first.value
    chat = first.answered({"a": {"yes": True}, "b": "no"})
    results = chat.messages[-1].content
    assert [(part.tool_call_id, json.loads(part.content)) for part in results] == [
        ("a", {"yes": True}),
        ("1", 42),
        ("b", "no"),
    ]
    assert len(first.transcript) == len(chat)  # the result's own was not changed
    assert len(first.transcript.messages[-1].content) == 1
    assert drive(make(Scripted(prediction("So be it.")), [double, EXTERNAL], chat)).final


def test_one_pending_call_may_go_by_its_tools_name() -> None:
    chat = pending(call("ask_human", {}, None)).answered({"ask_human": 7})
    assert [message.role for message in chat] == ["user", "assistant", "tool"]
    assert chat.messages[-1].content[0].content == "7"


@pytest.mark.parametrize("wrong", [{}, {"a": 1}, {"ask_human": 1}, {"a": 1, "b": 2, "c": 3}])
def test_all_pending_calls_and_no_others_need_results(wrong: dict[str, Any]) -> None:
    first = pending(call("ask_human", {}, "a"), call("ask_human", {}, "b"))
    with pytest.raises(LMStudioValueError):
        first.answered(wrong)


# --- images ------------------------------------------------------------------------------------


def plot() -> Any:
    """Draw something."""
    return ["a graph", ToolImage(b"png", "graph.png"), stored()]


def stored() -> FileHandle:
    """Give an image that the server has."""
    return FileHandle(name="old.png", identifier="f-0", size_bytes=1, file_type="image")


@BOTH
def test_a_model_with_vision_gets_the_images_in_a_message_of_their_own(run: Runner) -> None:
    script = Scripted(prediction("", call("plot", {}, "1"), vision=True), prediction("Nice."))
    result = run(make_run(script, [plot]))
    tool, user = script.chats[1]["messages"][2:]
    assert json.loads(tool["content"][0]["content"]) == ["a graph", "[image]", "[image]"]
    assert user["role"] == "user"
    assert [part.get("name") for part in user["content"][1:]] == ["graph.png", "old.png"]
    assert result.tool_calls[0].outcome == "ok"


@BOTH
def test_a_model_without_vision_is_told_that_there_was_one(run: Runner) -> None:
    script = Scripted(prediction("", call("stored", {}, "1")), prediction("A pity."))
    result = run(make_run(script, [stored]))
    assert "cannot see images" in result.tool_calls[0].content
    assert script.uploaded == []
    assert [message.role for message in result.transcript][-2:] == ["tool", "assistant"]


def test_an_image_that_cannot_be_sent_is_an_error_of_the_tool() -> None:
    class Lost(Scripted):
        def upload(self, image: Any) -> Any:
            raise LMStudioOSError("no such file")
            yield

    script = Lost(prediction("", call("plot", {}, "1"), vision=True), prediction("A pity."))
    (record,) = drive(make(script, [plot])).tool_calls
    assert record.outcome == "failed"
    assert "no such file" in record.content
