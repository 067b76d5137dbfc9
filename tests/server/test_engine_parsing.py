"""What becomes of text that llama.cpp cannot read as its template says, with a scripted llama.cpp."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pocket_models import MULTIPLY, collect, finish_of, run, text_of

from lmstudio_server.engines.base import (
    ChatRequest,
    EngineEvent,
    Finished,
    Sampling,
    Text,
    ToolCallArguments,
    ToolCallEnd,
    ToolCallFailed,
    ToolCallStart,
)
from lmstudio_server.engines.llamacpp.calling import call_or_answer, first_call_only
from lmstudio_server.engines.llamacpp.diagnosis import SchemaRefusedError, Verdicts
from lmstudio_server.engines.llamacpp.parsing import parsed_answer
from lmstudio_server.engines.llamacpp.thinking import Thinking, Thought
from lmstudio_server.engines.llamacpp.transport import StatusError
from lmstudio_server.engines.remote.chunks import RemoteFold

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

UNREADABLE = StatusError(
    500,
    {
        "error": {
            "message": "The model produced output that does not match the expected peg-native format"
        }
    },
)
REFUSED = StatusError(
    400,
    {"error": {"message": "Unable to generate parser for this template. JSON schema error at #"}},
)
USER = [{"role": "user", "content": "Hi"}]


def delta(predicted: int = 1, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "choices": [{"finish_reason": finish_reason, "index": 0, "delta": fields}],
        "timings": {"predicted_n": predicted},
    }


def part(index: int = 0, arguments: str = "", **call: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": call.pop("name")} if "name" in call else {})}
    return {"index": index, "function": function, **call}


CALL = delta(3, tool_calls=[part(0, '{"a', id="c", name="multiply")])


class Scripted:
    """A generator whose llama.cpp says what it is told, once for each request."""

    def __init__(self, *answers: list[Any]) -> None:
        self._answers = list(answers)
        self.bodies: list[Any] = []
        self.client = self
        self.worker = SimpleNamespace()
        self.request = SimpleNamespace(seed=None)
        self.context_length = 2048
        self.draft_name = None

    def is_full(self, *_: Any) -> bool:
        return False

    async def stream(self, _path: str, body: Any) -> AsyncGenerator[Any, None]:
        self.bodies.append(body)
        for one in self._answers.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one

    async def as_text(self, _request: Any) -> AsyncGenerator[EngineEvent, None]:
        yield Text("<tool_call>\n{")
        yield Finished("length", None, 1, 3)

    async def answer(self, **fields: Any) -> list[EngineEvent]:
        request = ChatRequest(USER, **{"tools": [MULTIPLY], **fields})
        generator: Any = self
        return await collect(parsed_answer(generator, request, self.as_text))


@pytest.mark.parametrize(
    ("chunks", "text", "raw", "reason"),
    [
        pytest.param([UNREADABLE], "<tool_call>\n{", None, "length", id="nothing was told"),
        pytest.param([delta(content="I "), UNREADABLE], "I ", None, "eos", id="a text was begun"),
        pytest.param([CALL, UNREADABLE], "", '{"a', "eos", id="a call was begun"),
        pytest.param([delta(content="I "), CALL, UNREADABLE], "I ", '{"a', "eos", id="both"),
        pytest.param([delta(5, "length")], "<tool_call>\n{", None, "length", id="a limit, unread"),
        pytest.param([CALL, delta(5, "length")], "", '{"a', "context", id="a limit in a call"),
    ],
)
def test_what_cannot_be_read_is_text(
    chunks: list[Any], text: str, raw: str | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        with caplog.at_level(logging.WARNING):
            events = await Scripted([delta(1), *chunks]).answer()
        assert text_of(events) == text
        failed = [event for event in events if isinstance(event, ToolCallFailed)]
        assert [raw in str(one.raw) for one in failed] == ([True] if raw else [])
        assert finish_of(events).stop_reason == reason
        assert ("cannot read" in caplog.text) is (UNREADABLE in chunks)

    run(test)


def test_what_is_held_back_for_a_stop_string_is_told() -> None:
    async def test() -> None:
        events = await Scripted([delta(content="a s"), UNREADABLE]).answer(
            sampling=Sampling(stop=["stop"])
        )
        assert text_of(events) == "a s"

    run(test)


def test_other_failures_stay_failures() -> None:
    async def test() -> None:
        for answer in (
            [delta(), StatusError(500, {"error": {"message": "no memory"}})],
            [REFUSED, REFUSED],
        ):
            with pytest.raises(StatusError):
                await Scripted(answer, [REFUSED]).answer()
        with pytest.raises(StatusError):
            await Scripted([REFUSED]).answer(tools=())

    run(test)


def test_tools_that_are_refused_are_told_by_name() -> None:
    async def test() -> None:
        scripted = Scripted([REFUSED], [delta(content="Hi", finish_reason="stop")])
        assert text_of(await scripted.answer()) == "Hi"
        [tool] = scripted.bodies[1]["tools"]
        assert tool["function"]["name"] == "multiply"
        assert tool["function"]["parameters"] == {"type": "object", "properties": {}}

    run(test)


async def said(*events: EngineEvent) -> AsyncGenerator[EngineEvent, None]:
    for event in events:
        yield event


def test_one_call_where_others_follow() -> None:
    start, end = ToolCallStart("1"), ToolCallEnd("1", "a", {})
    pieces = (start, ToolCallArguments("{}", 7), end)

    async def test() -> None:
        for after in (start, Text("\n")):
            events = await collect(first_call_only(said(*pieces, after, end, Finished("eos"))))
            assert events == [*pieces, Finished("tool_calls", None, 0, 7)]
        last = Finished("tool_calls", None, 3, 9)
        assert await collect(first_call_only(said(*pieces, last))) == [*pieces, last]
        assert await collect(first_call_only(said(Text("a"), last))) == [Text("a"), last]

    run(test)


def test_a_call_or_else_the_answer() -> None:
    call = (ToolCallStart("1"), ToolCallEnd("1", "a", {}), Finished("tool_calls"))
    thought = Text("hm", reasoning="reasoning")
    words = (Text("I look "), Text("it up."))
    thoughts: list[Thought] = []

    def held(thought: Thought) -> AsyncGenerator[EngineEvent, None]:
        thoughts.append(thought)
        return said(Text("{}"), Finished("eos"))

    async def test() -> None:
        for before in ((), words, (thought,), (thought, *words)):
            assert await collect(call_or_answer(said(*before, *call), held)) == [*before, *call]
        assert not thoughts
        answer = [thought, Text("{}"), Finished("eos")]
        assert (
            await collect(call_or_answer(said(thought, *words, Finished("eos", None, 1, 9)), held))
            == answer
        )
        # What was said and is said again does not count: it would leave nothing of a limit.
        assert thoughts == [Thought("hm", 1)]
        for begun in (Text(" {"), Text("```json"), Text("word " * 300)):
            assert await collect(call_or_answer(said(thought, begun, *call), held)) == answer
        cut = Finished("length", None, 1, 9)
        assert await collect(call_or_answer(said(thought, cut), held)) == [thought, cut]

    run(test)


def test_the_answer_goes_on_from_what_was_thought() -> None:
    opened, closed = Thinking("P<think>\n"), Thinking("P")
    assert Thought("hm", 9).after(opened) == "P<think>\nhm</think>\n\n"
    assert Thought("hm", 9).after(closed) == "P<think>\nhm</think>\n\n"
    assert Thought().after(closed) == "P"
    assert Thought().after(opened) == "P<think>\n\n</think>\n\n"
    assert Thought("hm", 9).remaining(Sampling(max_tokens=12)).max_tokens == 3
    assert Thought("hm", 9).remaining(Sampling(max_tokens=5)).max_tokens == 1
    assert Thought("hm", 9).remaining(Sampling()).max_tokens is None
    assert Thought("hm", 9).together(Finished("eos", None, 1, 2)).predicted_tokens == 11


def test_a_schema_is_refused_once() -> None:
    verdicts = Verdicts()
    good, bad = {"type": "string"}, {"type": "none"}
    assert not verdicts.is_known(good)
    verdicts.remember(good, None)
    verdicts.remember(bad, SchemaRefusedError("It cannot be used", cause="why"))
    assert verdicts.is_known(good)
    assert verdicts.refusal(good) is None
    first, second = verdicts.refusal(bad), verdicts.refusal(bad)
    assert str(first) == str(second) == "It cannot be used: why"
    assert first is not second
    for number in range(1000):
        verdicts.remember({"const": number}, None)
    assert not verdicts.is_known(good)


def test_servers_that_give_all_calls_one_index() -> None:
    fold = RemoteFold(max_tokens=None, log_probs=None, new_call_id=lambda: "new")
    events: list[EngineEvent] = []
    for call in (
        part(0, '{"a": ', id="1", name="f"),
        part(0, "1}", id="1"),
        part(0, "{}", id="2", name="g"),
        part(0, "", id="2"),
    ):
        events += fold.feed(delta(tool_calls=[call]))
    events += fold.feed(delta(finish_reason="tool_calls"))
    events += fold.finish()
    ended = [(e.id, e.name, e.arguments) for e in events if isinstance(e, ToolCallEnd)]
    assert ended == [("1", "f", {"a": 1}), ("2", "g", {})]
