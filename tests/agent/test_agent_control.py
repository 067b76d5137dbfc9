"""Control over a run: a guard before each call, limits, time limits, interruptions."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from agent_scripts import Broken, Scripted, call, make_run, prediction, run_async, run_sync

from lmstudio_agent import ActResult, ToolCallContext
from lmstudio_agent.options import ActOptions
from lmstudio_core.errors import LMStudioPredictionError, LMStudioTimeoutError, LMStudioValueError
from lmstudio_llm.chat import Chat
from waiting import PATIENCE

BOTH = pytest.mark.parametrize("run", [run_sync, run_async])
Runner = Callable[[Any], ActResult]


def double(n: int) -> int:
    """Double a number."""
    return 2 * n


def asked(*numbers: int, tool: str = "double") -> Any:
    return prediction("", *(call(tool, {"n": n}, str(n)) for n in numbers))


def told(result: ActResult) -> list[Any]:
    return [json.loads(record.content) for record in result.tool_calls]


# --- the guard ---------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("verdict", [None, True])
def test_the_guard_allows(run: Runner, verdict: Any) -> None:
    seen: list[Any] = []

    def guard(request: Any) -> Any:
        seen.append((request.name, ToolCallContext.current().round_index))
        return verdict

    script = Scripted(asked(1), prediction("ok"))
    assert told(run(make_run(script, [double], guard_tool_call=guard))) == [2]
    assert seen == [("double", 0)]


@BOTH
def test_the_guard_denies_with_a_reason(run: Runner) -> None:
    async def guard(request: Any) -> Any:
        await asyncio.sleep(0)
        return "Not that number." if request.arguments["n"] == 2 else None

    handled: list[Any] = []
    script = Scripted(asked(1, 2, 3), prediction("ok"))
    result = run(
        make_run(
            script,
            [double],
            guard_tool_call=guard,
            handle_invalid_tool_request=lambda *given: handled.append(given),
        )
    )
    assert told(result) == [2, {"error": "Not that number."}, 6]
    assert [record.outcome for record in result.tool_calls] == ["ok", "denied", "ok"]
    assert handled == []  # there is nothing wrong with the request


@BOTH
def test_the_guard_changes_the_arguments(run: Runner) -> None:
    script = Scripted(asked(1), prediction("ok"))
    result = run(make_run(script, [double], guard_tool_call=lambda request: {"n": "21"}))
    (record,) = result.tool_calls
    assert (record.result, record.arguments, record.changed_arguments) == (
        42,
        {"n": 1},
        {"n": "21"},
    )


@BOTH
@pytest.mark.parametrize("verdict", [7, {"n": "many"}, ArithmeticError()])
def test_a_guard_that_errs_ends_the_run_and_no_tool_runs(run: Runner, verdict: Any) -> None:
    ran: list[int] = []

    def note(n: int) -> None:
        """Note a number."""
        ran.append(n)

    def guard(request: Any) -> Any:
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    chat = Chat.from_history("Go")
    made = make_run(
        Scripted(asked(1, tool="note")),
        [note],
        chat,
        guard_tool_call=guard,
        on_message=chat.append,
    )
    with pytest.raises((LMStudioValueError, ArithmeticError)) as caught:
        run(made)
    assert isinstance(verdict, Exception) or "guard_tool_call" in str(caught.value)
    assert ran == []
    assert [message.role for message in chat] == ["user", "assistant", "tool"]


@BOTH
def test_the_guard_is_not_asked_about_what_cannot_run(run: Runner) -> None:
    script = Scripted(prediction("", call("nope"), call("double", {"n": "x"})), prediction("ok"))
    made = make_run(script, [double], guard_tool_call=lambda request: pytest.fail("asked"))
    assert [record.outcome for record in run(made).tool_calls] == ["invalid", "invalid"]


# --- limits ------------------------------------------------------------------------------------


@BOTH
def test_after_the_last_call_allowed_the_model_has_to_answer(run: Runner) -> None:
    script = Scripted(asked(1), asked(2, 3), prediction("done"))
    result = run(make_run(script, [double], max_tool_calls=2))
    assert [record.outcome for record in result.tool_calls] == ["ok", "ok", "limit"]
    assert "no more calls" in told(result)[2]
    assert script.tools == [["double"], ["double"], []]


@BOTH
@pytest.mark.parametrize("limit", [1, {"double": 1}])
def test_a_tool_that_is_used_up_is_no_longer_offered(run: Runner, limit: Any) -> None:
    def triple(n: int) -> int:
        """Triple a number."""
        return 3 * n

    script = Scripted(asked(1, 2), asked(3, tool="triple"), prediction("done"))
    result = run(make_run(script, [double, triple], max_calls_per_tool=limit))
    assert [record.outcome for record in result.tool_calls] == ["ok", "limit", "ok"]
    assert script.tools[1] == ["triple"]
    assert script.tools[2] == ([] if limit == 1 else ["triple"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tool_calls": 0},
        {"max_calls_per_tool": {"double": -1}},
        {"max_calls_per_tool": "2"},
        {"tool_timeout": 0},
        {"tool_timeout": {"double": "1"}},
        {"guard_tool_call": 7},
    ],
)
def test_limits_are_checked(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(LMStudioValueError, match=name):
        ActOptions(**wrong)


# --- time limits -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("parallel", [1, 2])
def test_a_tool_that_takes_too_long_is_left_behind(run: Runner, parallel: int) -> None:
    release = threading.Event()
    contexts: list[ToolCallContext] = []
    finished: list[int] = []

    def hang(n: int, context: ToolCallContext) -> str:
        """Hang, if the number is 1."""
        if n == 1:
            contexts.append(context)
            release.wait(PATIENCE)
            finished.append(n)
        return "done"

    script = Scripted(asked(1, 2, tool="hang"), prediction("ok"))
    result = run(
        make_run(script, [hang], tool_timeout={"hang": 0.1}, max_parallel_tool_calls=parallel)
    )
    assert finished == []
    assert [record.outcome for record in result.tool_calls] == ["timeout", "ok"]
    assert isinstance(result.tool_calls[0].error, LMStudioTimeoutError)
    assert "was not done after 0.1 seconds" in told(result)[0]
    assert contexts[0].cancelled
    release.set()


@BOTH
def test_an_async_tool_that_takes_too_long_is_cancelled(run: Runner) -> None:
    ended: list[str] = []

    async def hang(n: int) -> None:
        """Hang."""
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    script = Scripted(asked(1, tool="hang"), prediction("ok"))
    result = run(make_run(script, [hang], tool_timeout=0.05))
    assert [record.outcome for record in result.tool_calls] == ["timeout"]
    assert ended == ["cancelled"]


@BOTH
def test_a_tool_in_time_is_not_disturbed(run: Runner) -> None:
    result = run(make_run(Scripted(asked(4), prediction("ok")), [double], tool_timeout=30))
    assert told(result) == [8]


@BOTH
def test_many_calls_with_few_threads_all_end(run: Runner) -> None:
    script = Scripted(asked(*range(50)), prediction("ok"))
    result = run(make_run(script, [double], max_parallel_tool_calls=3, tool_timeout=30))
    assert told(result) == [2 * n for n in range(50)]


# --- interruptions -----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("at", range(6))
def test_an_interruption_anywhere_leaves_a_chat_to_go_on_from(
    run: Runner, parallel: int, at: int
) -> None:
    """Ctrl-C in the ``at``-th of everything that is called: callbacks, the guard, the tool."""
    count = iter(range(100))

    def step(*_: Any) -> None:
        if next(count) == at:
            raise KeyboardInterrupt

    def work(n: int) -> int:
        """Work."""
        step()
        return n

    chat = Chat.from_history("Go")

    def keep(message: Any) -> None:
        chat.append(message)
        step()

    made = make_run(
        Scripted(asked(1, 2, tool="work"), prediction("done")),
        [work],
        max_parallel_tool_calls=parallel,
        on_message=keep,
        on_round_start=step,
        on_round_end=step,
        guard_tool_call=step,
        on_prediction_completed=step,
    )
    with pytest.raises(KeyboardInterrupt):
        run(made)
    assert made[0].chat.to_dict() == chat.to_dict()
    asked_for = [r.id for m in chat if m.role == "assistant" for r in m.tool_call_requests]
    answered = [part.tool_call_id for m in chat if m.role == "tool" for part in m.content]
    assert answered == asked_for
    assert run_sync(make_run(Scripted(prediction("on")), [work], chat)).final == "on"


@BOTH
def test_an_interrupted_round_answers_calls_of_external_tools_too(run: Runner) -> None:
    external = {"type": "function", "function": {"name": "ask_human"}}

    def stop() -> None:
        """Stop everything."""
        raise KeyboardInterrupt

    chat = Chat.from_history("Go")
    script = Scripted(prediction("Let me", call("ask_human", {}, "h"), call("stop", {}, "s")))
    with pytest.raises(KeyboardInterrupt):
        run(make_run(script, [external, stop], chat, on_message=chat.append))
    assert {part.tool_call_id for part in chat.messages[-1].content} == {"h", "s"}
    assert chat.messages[1].text() in ("Let me", "Letme")  # the words as far as they were read


@BOTH
def test_a_prediction_that_fails_after_a_call_keeps_what_the_tool_did(run: Runner) -> None:
    script = Scripted(Broken(asked(1), LMStudioPredictionError("out of memory")))
    chat = Chat.from_history("Go")
    with pytest.raises(LMStudioPredictionError, match="out of memory"):
        run(make_run(script, [double], chat, on_message=chat.append))
    assert [message.role for message in chat] == ["user", "assistant", "tool"]
    told = chat.messages[-1].content[0].content
    assert told == "2" or "cancelled" in told  # asyncio had it running still
