"""The act loop as a pure generator: rounds, tools, failures, callbacks, interruptions."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pydantic
import pytest
from agent_scripts import (
    Scripted,
    call,
    drive,
    events_of,
    make,
    perform,
    prediction,
    unreadable,
)

from lmstudio_agent import ToolCallContext
from lmstudio_agent.events import Round
from lmstudio_agent.options import ActOptions
from lmstudio_core.errors import (
    LMStudioCancelledError,
    LMStudioPredictionError,
    LMStudioRuntimeError,
    LMStudioValueError,
)
from lmstudio_llm.chat import Chat
from lmstudio_llm.messages import AssistantResponse, ToolResultMessage


def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


async def multiply_later(a: float, b: float) -> float:
    """Multiply two numbers, later."""
    return a * b


def explode(reason: str) -> None:
    """Always fail."""
    raise KeyError(reason)


MULTIPLY = call("multiply", {"a": 6, "b": 7}, "call-1")


def tool_contents(chat: dict[str, Any]) -> list[Any]:
    """What the tools gave, as the model gets it."""
    return [
        json.loads(part["content"])
        for message in chat["messages"]
        if message["role"] == "tool"
        for part in message["content"]
    ]


# --- rounds ------------------------------------------------------------------------------------


def test_an_answer_without_tools_is_one_round() -> None:
    script = Scripted(prediction("Hello!"))
    result = drive(make(script, [multiply]))
    assert (result.rounds, result.total_time_seconds) == (1, 1.0)
    assert script.tools == [["multiply"]]
    assert result.final == "Hello!"
    assert result.stop_reason == "eosFound"
    assert result.tool_calls == ()


def test_a_tool_is_run_and_its_result_goes_back_to_the_model() -> None:
    script = Scripted(prediction("", MULTIPLY), prediction("It is 42."))
    result = drive(make(script, [multiply]))
    assert result.rounds == 2
    assert script.chats[1]["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": ""},
                {
                    "type": "toolCallRequest",
                    "toolCallRequest": {
                        "type": "function",
                        "id": "call-1",
                        "name": "multiply",
                        "arguments": {"a": 6, "b": 7},
                    },
                },
            ],
        },
        {
            "role": "tool",
            "content": [
                {
                    "type": "toolCallResult",
                    "content": "42.0",
                    "toolCallId": "call-1",
                    "name": "multiply",
                }
            ],
        },
    ]
    (record,) = result.tool_calls
    assert (record.name, record.result, record.error, record.round_index) == (
        "multiply",
        42.0,
        None,
        0,
    )
    assert record.duration_seconds >= 0
    assert result.usage.total_tokens == 26


def test_the_last_permitted_round_has_no_tools() -> None:
    script = Scripted(prediction("", MULTIPLY), prediction("", MULTIPLY), prediction("Enough."))
    result = drive(make(script, [multiply], max_prediction_rounds=3))
    assert script.tools == [["multiply"], ["multiply"], []]
    assert result.rounds == 3


def test_a_request_in_the_last_round_is_not_run_and_leaves_a_valid_chat() -> None:
    script = Scripted(prediction("I want", MULTIPLY))
    parallel: list[Any] = []
    result = drive(make(script, [multiply], max_prediction_rounds=1), parallel)
    assert (result.rounds, parallel, script.tools) == (1, [], [[]])
    assert result.transcript.to_dict()["messages"][-1]["content"] == [
        {"type": "text", "text": "I want"}
    ]


def test_the_chat_passed_in_is_not_changed() -> None:
    chat = Chat("Be brief.")
    chat.add_user_message("What is 6 times 7?")
    before = chat.to_dict()
    result = drive(make(Scripted(prediction("", MULTIPLY), prediction("42")), [multiply], chat))
    assert chat.to_dict() == before
    assert len(result.transcript) == len(chat) + 3


def test_the_transcript_can_be_acted_on_again() -> None:
    first = drive(make(Scripted(prediction("", MULTIPLY), prediction("42")), [multiply]))
    first.transcript.add_user_message("And twice that?")
    script = Scripted(prediction("84"))
    assert drive(make(script, [multiply], first.transcript)).final == "84"
    assert [m["role"] for m in script.chats[0]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


# --- tools -------------------------------------------------------------------------------------


def test_all_requests_of_a_round_run_in_one_step_and_answer_in_order() -> None:
    script = Scripted(
        prediction("", *(call("multiply", {"a": n, "b": 2}, f"id-{n}") for n in (1, 2, 3))),
        prediction("done"),
    )
    parallel: list[Any] = []
    drive(make(script, [multiply], max_parallel_tool_calls=None), parallel)
    assert parallel == [(3, None)]
    results = script.chats[1]["messages"][-1]["content"]
    assert [(r["toolCallId"], r["content"]) for r in results] == [
        ("id-1", "2.0"),
        ("id-2", "4.0"),
        ("id-3", "6.0"),
    ]


def test_one_tool_at_a_time_is_the_default() -> None:
    parallel: list[Any] = []
    drive(make(Scripted(prediction("", MULTIPLY), prediction("42")), [multiply]), parallel)
    assert parallel == [(1, 1)]


def test_async_tools_and_arguments_in_need_of_coercion_work() -> None:
    asked = call("multiply_later", {"a": "6", "b": "7"})
    script = Scripted(prediction("", asked), prediction("42"))
    drive(make(script, [multiply_later]))
    assert tool_contents(script.chats[1]) == [42.0]


def test_an_async_callable_that_does_not_look_like_one_is_awaited_too() -> None:
    def later(a: float) -> Any:
        """Give a coroutine."""
        return multiply_later(a, 2)

    script = Scripted(prediction("", call("later", {"a": 4})), prediction("8"))
    drive(make(script, [later]))
    assert tool_contents(script.chats[1]) == [8.0]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (call("divide", {"a": 1}), "no tool 'divide'"),
        (call("multiply", {"a": 1}), "b"),
        (call("multiply", {"a": 1, "b": "many"}), "b"),
        (call("multiply", {"a": 1, "b": 2, "c": 3}), "c"),
        (call("multiply", None), "a"),
        (call("explode", {"reason": "spring"}), "KeyError: 'spring'"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(request_: Any, said: str) -> None:
    script = Scripted(prediction("", request_), prediction("Sorry."))
    result = drive(make(script, [multiply, explode]))
    (told,) = tool_contents(script.chats[1])
    assert told.startswith("Error: ")
    assert said in told
    assert isinstance(result.tool_calls[0].error, LMStudioPredictionError)
    assert result.rounds == 2


class Colour(Enum):
    RED = "red"


class Report(pydantic.BaseModel):
    title: str
    when: date


@dataclass
class Point:
    x: int
    tags: set[str]


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, None),
        ("Grüße", "Grüße"),
        ([1, 2.5, True], [1, 2.5, True]),
        ((1, {"a": None}), [1, {"a": None}]),
        (Colour.RED, "red"),
        (Report(title="T", when=date(2026, 1, 2)), {"title": "T", "when": "2026-01-02"}),
        (Point(1, {"a"}), {"x": 1, "tags": ["a"]}),
        (Decimal("1.50"), "1.50"),
        ("caf\udce9", "caf\udce9"),
    ],
)
def test_results_reach_the_model_as_json(value: Any, seen: Any) -> None:
    def give() -> Any:
        """Give something."""
        return value

    script = Scripted(prediction("", call("give")), prediction("Thanks."))
    result = drive(make(script, [give]))
    assert tool_contents(script.chats[1]) == [seen]
    assert result.tool_calls[0].content.encode()  # it can be sent
    assert result.tool_calls[0].result is value


def test_a_result_that_json_cannot_hold_is_told_as_text() -> None:
    def strange() -> Any:
        """Give something strange."""
        return object()

    script = Scripted(prediction("", call("strange")), prediction("Hm."))
    drive(make(script, [strange]))
    (said,) = tool_contents(script.chats[1])
    assert said.startswith("<object object")


def test_one_bad_request_does_not_keep_the_others_from_running() -> None:
    script = Scripted(prediction("", call("nope"), MULTIPLY), prediction("42"))
    result = drive(make(script, [multiply]))
    assert [record.error is None for record in result.tool_calls] == [False, True]
    assert tool_contents(script.chats[1])[1] == 42.0


def test_a_tool_may_ask_for_its_context() -> None:
    seen: list[ToolCallContext] = []

    def look(where: str, context: ToolCallContext) -> str:
        """Look somewhere."""
        seen.append(context)
        assert ToolCallContext.current() is context
        context.status(f"looking at {where}")
        return "nothing"

    async def look_later(where: str, context: ToolCallContext | None = None) -> str:
        """Look somewhere, later."""
        assert context is not None
        return look(where, context)

    as_dict = {
        "name": "look_later",
        "description": "Look somewhere, later.",
        "parameters": {"where": str, "context": ToolCallContext},
        "implementation": look_later,
    }
    script = Scripted(
        prediction(
            "", call("look", {"where": "sky"}, "1"), call("look_later", {"where": "sea"}, "2")
        ),
        prediction("Nothing there."),
    )
    result = drive(make(script, [look, as_dict], run_id="run-7"))
    assert [(c.call_id, c.round_index, c.run_id) for c in seen] == [
        ("1", 0, "run-7"),
        ("2", 0, "run-7"),
    ]
    assert result.tool_calls[0].reports == (("status", "looking at sky"),)
    assert result.tool_calls[1].reports == (("status", "looking at sea"),)
    with pytest.raises(LMStudioRuntimeError):
        ToolCallContext.current()


def test_a_tool_without_an_implementation_hands_its_call_back() -> None:
    external = {
        "type": "function",
        "function": {"name": "ask_human", "parameters": {"type": "object", "properties": {}}},
    }
    asked = call("ask_human", {}, "h-1")
    script = Scripted(prediction("", MULTIPLY, asked))
    first = drive(make(script, [multiply, external]))
    assert first.pending == (asked,)
    assert first.rounds == 1
    first.transcript.add_tool_result(
        {"type": "toolCallResult", "content": '"yes"', "toolCallId": "h-1"}
    )
    again = Scripted(prediction("So be it."))
    drive(make(again, [multiply, external], first.transcript))
    assert tool_contents(again.chats[0]) == [42.0, "yes"]


# --- invalid requests and their handler --------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        (call("nope", {}), type(None)),
        (call("multiply", {"a": 1}), LMStudioValueError),
        (call("explode", {"reason": "x"}), KeyError),
    ],
)
def test_the_handler_gets_error_and_request(request_: Any, cause: type) -> None:
    seen: list[Any] = []
    script = Scripted(prediction("", request_), prediction("Sorry."))
    drive(make(script, [multiply, explode], handle_invalid_tool_request=lambda *a: seen.append(a)))
    ((error, request),) = seen
    assert isinstance(error, LMStudioPredictionError)
    assert isinstance(error.__cause__, cause)
    assert request == request_
    assert tool_contents(script.chats[1])[0].startswith("Error: ")  # None: the error's own text


def test_the_handlers_text_replaces_the_errors() -> None:
    script = Scripted(prediction("", call("nope")), prediction("Ok."))

    async def handle(error: Any, request: Any) -> str:
        return "Use multiply."

    drive(make(script, [multiply], handle_invalid_tool_request=handle))
    assert tool_contents(script.chats[1]) == ["Use multiply."]


def test_the_handler_may_end_the_run_and_the_chat_stays_valid() -> None:
    class Stop(Exception):
        pass

    def handle(error: Exception, request: Any) -> None:
        raise Stop from error

    chat = Chat()
    chat.add_user_message("Go")
    op = make(
        Scripted(prediction("", MULTIPLY, call("nope"))),
        [multiply],
        chat,
        handle_invalid_tool_request=handle,
        on_message=chat.append,
    )
    with pytest.raises(Stop):
        drive(op)
    assert len(tool_contents(chat.to_dict())) == 2  # every request has its answer


def test_a_call_that_cannot_be_read_ends_the_run_after_notifying() -> None:
    seen: list[Any] = []
    broken = prediction("", failed_tool_calls=[unreadable("bad braces")])
    op = make(
        Scripted(broken), [multiply], handle_invalid_tool_request=lambda *a: seen.append(a) or "x"
    )
    with pytest.raises(LMStudioPredictionError, match="bad braces") as caught:
        drive(op)
    assert seen == [(caught.value, None)]


# --- callbacks ---------------------------------------------------------------------------------


def test_callbacks_come_in_order_with_their_arguments() -> None:
    log: list[Any] = []
    script = Scripted(prediction("", MULTIPLY), prediction("42"))
    drive(
        make(
            script,
            [multiply],
            on_round_start=lambda index: log.append(("start", index)),
            on_round_end=lambda index: log.append(("end", index)),
            on_prediction_completed=lambda result: log.append(("predicted", result.round_index)),
            on_message=lambda message: log.append(type(message)),
        )
    )
    assert log == [
        ("start", 0),
        ("predicted", 0),
        AssistantResponse,
        ToolResultMessage,
        ("end", 0),
        ("start", 1),
        ("predicted", 1),
        AssistantResponse,
        ("end", 1),
    ]


def test_coroutines_of_callbacks_are_awaited() -> None:
    seen: list[int] = []

    async def started(index: int) -> None:
        seen.append(index)

    drive(make(Scripted(prediction("Hi")), on_round_start=started))
    assert seen == [0]


def test_callbacks_that_raise_are_logged_and_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def bad(*args: Any) -> None:
        raise RuntimeError("oops")

    names = ("on_message", "on_round_start", "on_round_end", "on_prediction_completed")
    with caplog.at_level(logging.ERROR, "lmstudio"):
        result = drive(make(Scripted(prediction("Hi")), **dict.fromkeys(names, bad)))
    assert result.final == "Hi"
    assert sorted(record.args[0] for record in caplog.records) == sorted(names)


# --- interruptions -----------------------------------------------------------------------------


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, GeneratorExit])
def test_an_interruption_among_the_tools_leaves_a_chat_to_go_on_from(
    interruption: type[BaseException],
) -> None:
    chat = Chat()
    chat.add_user_message("Go")
    op = make(
        Scripted(prediction("", MULTIPLY, call("multiply", {"a": 1, "b": 1}))),
        [multiply],
        chat,
        on_message=chat.append,
    )
    step = next(op)
    while not isinstance(step, Round):
        step = op.send(perform(step, []))
    first, _ = (step.requests.see(event) for event in events_of(step.channel))
    first.work()  # the first tool finishes, the second never starts
    if interruption is GeneratorExit:
        op.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            op.throw(interruption())
    assert [m.role for m in chat] == ["user", "assistant", "tool"]
    done, cut = tool_contents(chat.to_dict())
    assert done == 42.0
    assert "cancelled" in cut
    assert drive(make(Scripted(prediction("42")), [multiply], chat)).final == "42"


def test_an_interrupted_tool_learns_that_nobody_waits() -> None:
    contexts: list[ToolCallContext] = []

    async def slow(context: ToolCallContext) -> None:
        """Take long."""
        contexts.append(context)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(make(Scripted(prediction("", call("slow"))), [slow]))
    assert contexts[0].cancelled


def test_a_failing_prediction_goes_through_and_the_chat_stays() -> None:
    chat = Chat()
    chat.add_user_message("Go")
    error = LMStudioCancelledError("gone")
    with pytest.raises(LMStudioCancelledError):
        drive(make(Scripted(error), [multiply], chat, on_message=chat.append))  # type: ignore[arg-type]
    assert len(chat) == 1


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_prediction_rounds", "max_parallel_tool_calls"])
@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_limits_are_whole_numbers_from_one(name: str, wrong: Any) -> None:
    with pytest.raises(LMStudioValueError, match=name):
        ActOptions(**{name: wrong})


def test_callbacks_have_to_be_callable() -> None:
    with pytest.raises(LMStudioValueError, match="on_message"):
        ActOptions(on_message="print")  # type: ignore[arg-type]


def test_callbacks_for_what_is_being_read_cannot_be_awaited() -> None:
    async def later(*_: Any) -> None: ...

    for name in ("on_first_token", "on_prediction_fragment", "on_prompt_processing_progress"):
        with pytest.raises(LMStudioValueError, match=f"{name} is called in the middle"):
            ActOptions(**{name: later})
    ActOptions(on_message=later, on_round_start=later, guard_tool_call=later)
