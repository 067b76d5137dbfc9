"""The engine's decisions, without a process: chunks in, events out; requests in, bodies out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmstudio_server.engines.base import (
    ChatRequest,
    EngineEvent,
    Finished,
    PromptProgress,
    Sampling,
    Text,
    Token,
    TokenCandidate,
    ToolCallArguments,
    ToolCallEnd,
    ToolCallFailed,
    ToolCallName,
    ToolCallStart,
)
from lmstudio_server.engines.llamacpp.bodies import (
    chat_body,
    completion_body,
    images_of,
    prompt_with_images,
    tagged_schema,
    template_body,
)
from lmstudio_server.engines.llamacpp.calls import CallParser
from lmstudio_server.engines.llamacpp.chat_fold import ChatFold
from lmstudio_server.engines.llamacpp.completion_fold import CompletionFold
from lmstudio_server.engines.llamacpp.markup import MarkupSplitter, open_thinking
from lmstudio_server.engines.llamacpp.sse import SseDecoder
from lmstudio_server.engines.llamacpp.stops import StopMatcher
from lmstudio_server.engines.llamacpp.thinking import Thinking

USER = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def delta(predicted: int, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "choices": [{"finish_reason": finish_reason, "index": 0, "delta": fields}],
        "timings": {"predicted_n": predicted},
    }


def folded(fold: ChatFold | CompletionFold, chunks: list[dict[str, Any]]) -> list[EngineEvent]:
    return [event for chunk in chunks for event in fold.feed(chunk)]


# Server-sent events


def test_sse_in_pieces_of_any_size() -> None:
    stream = b': ping\n\ndata: {"a": 1}\r\n\r\ndata:{"b":"\xc3\xa4"}\n\ndata: [DONE]\n\n'
    for size in range(1, len(stream)):
        decoder = SseDecoder()
        events: list[dict[str, Any]] = []
        for at in range(0, len(stream), size):
            events += decoder.feed(stream[at : at + size])
        assert events == [{"a": 1}, {"b": "ä"}]


def test_sse_error_has_one_form() -> None:
    decoder = SseDecoder()
    wanted = [{"error": {"code": 500, "message": "m"}}]
    assert decoder.feed(b'error: {"code": 500, "message": "m"}\n') == wanted
    assert decoder.feed(b'data: {"error": {"code": 500, "message": "m"}}\n') == wanted


# Chat


def test_chat_counts_tokens_that_come_together() -> None:
    fold = ChatFold()
    events = folded(
        fold,
        [
            {"prompt_progress": {"total": 9, "processed": 4, "cache": 2}},
            delta(1, role="assistant", content=None),
            delta(1, content="a"),
            delta(4, content="bcd"),
            delta(5, "stop"),
            {
                "choices": [],
                "usage": {"prompt_tokens": 9, "completion_tokens": 5},
                "timings": {"predicted_n": 5},
            },
        ],
    )
    assert events == [PromptProgress(9, 4, 2), Text("a", 1), Text("bcd", 3)]
    assert fold.finish() == [Finished("eos", None, 9, 5)]


def test_chat_reasoning_gets_tags() -> None:
    fold = ChatFold()
    events = folded(
        fold,
        [
            delta(1, reasoning_content="hm"),
            delta(2, reasoning_content="m"),
            delta(5, content="yes"),
        ],
    )
    assert events == [
        Text("<think>", 0, reasoning="reasoningStartTag", structural=True),
        Text("hm", 1, reasoning="reasoning"),
        Text("m", 1, reasoning="reasoning"),
        # Of the three tokens since, two were the tag's.
        Text("</think>", 2, reasoning="reasoningEndTag", structural=True),
        Text("yes", 1),
    ]


def test_chat_reasoning_before_a_call() -> None:
    fold = ChatFold()
    call = {"index": 0, "id": "A", "function": {"name": "add", "arguments": "{"}}
    events = folded(fold, [delta(1, reasoning_content="hm"), delta(9, tool_calls=[call])])
    # Of the tokens since, one was the tag's and the others the beginning of the call.
    assert events[2:] == [
        Text("</think>", 1, reasoning="reasoningEndTag", structural=True),
        ToolCallStart("A"),
        ToolCallName("add"),
        ToolCallArguments("{", 9),
    ]


def test_chat_two_calls_after_text() -> None:
    fold = ChatFold()
    first = {"index": 0, "id": "A", "function": {"name": "add", "arguments": '{"a"'}}
    events = folded(
        fold,
        [
            delta(1, content="Now:"),
            delta(5, tool_calls=[first]),
            delta(6, tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
            delta(9, tool_calls=[{"index": 1, "id": "B", "function": {"name": "ping"}}]),
            delta(9, "tool_calls"),
        ],
    )
    events += fold.finish()
    assert events == [
        Text("Now:", 1),
        ToolCallStart("A"),
        ToolCallName("add"),
        ToolCallArguments('{"a"', 5),
        ToolCallArguments(": 1}", 6),
        ToolCallEnd("A", "add", {"a": 1}, '{"name": "add", "arguments": {"a": 1}}'),
        ToolCallStart("B"),
        ToolCallName("ping"),
        ToolCallEnd("B", "ping", {}, '{"name": "ping", "arguments": {}}'),
        Finished("tool_calls", None, 0, 9),
    ]


@pytest.mark.parametrize(
    ("arguments", "finish_reason", "message"),
    [
        ('{"a": 1', "length", "ended inside the call of 'add'"),
        ('{"a": }', "tool_calls", "not valid JSON"),
        ("[1]", "tool_calls", "not a JSON object"),
    ],
)
def test_chat_call_that_fails(arguments: str, finish_reason: str, message: str) -> None:
    fold = ChatFold(max_tokens=4)
    call = {"index": 0, "id": "A", "function": {"name": "add", "arguments": arguments}}
    folded(fold, [delta(4, tool_calls=[call]), delta(4, finish_reason)])
    failed, finished = fold.finish()
    assert isinstance(failed, ToolCallFailed)
    assert message in failed.message
    assert failed.raw is not None
    assert arguments in failed.raw
    assert isinstance(finished, Finished)
    assert finished.stop_reason == ("length" if finish_reason == "length" else "tool_calls")


@pytest.mark.parametrize(("limit", "reason"), [(5, "length"), (9, "context"), (None, "context")])
def test_which_limit_ended_it(limit: int | None, reason: str) -> None:
    fold = ChatFold(max_tokens=limit)
    folded(fold, [delta(5, content="x"), delta(5, "length")])
    (finished,) = fold.finish()
    assert isinstance(finished, Finished)
    assert finished.stop_reason == reason
    completion = CompletionFold(max_tokens=limit)
    folded(completion, [{"content": "", "stop": True, "stop_type": "limit", "tokens_predicted": 5}])
    assert completion.finished().stop_reason == reason


def test_chat_probabilities() -> None:
    entry = {
        "token": "a",
        "id": 7,
        "logprob": -0.5,
        "top_logprobs": [
            {"token": "a", "id": 7, "logprob": -0.5},
            {"token": "b", "id": 8, "logprob": -1.5},
        ],
    }
    chunk = delta(1, content="a")
    chunk["choices"][0]["logprobs"] = {"content": [entry]}
    (text,) = folded(ChatFold(log_probs=1), [chunk])
    assert isinstance(text, Text)
    assert text.tokens == (Token("a", 7, -0.5, (TokenCandidate("a", 7, -0.5),)),)


# Completion


def test_completion_of_characters_made_of_several_tokens() -> None:
    fold = CompletionFold(log_probs=0)

    def chunk(predicted: int, content: str) -> dict[str, Any]:
        entry = {"token": "?", "id": predicted, "logprob": 0.0, "top_logprobs": []}
        return {
            "content": content,
            "tokens": [predicted],
            "tokens_predicted": predicted,
            "tokens_evaluated": 3,
            "completion_probabilities": [entry],
            "stop": False,
        }

    events = folded(fold, [chunk(1, ""), chunk(2, "你"), chunk(3, "!")])
    assert [(e.content, e.tokens_count) for e in events if isinstance(e, Text)] == [
        ("你", 2),
        ("!", 1),
    ]
    assert [[t.id for t in e.tokens] for e in events if isinstance(e, Text)] == [[1, 2], [3]]
    folded(fold, [{"content": "", "stop": True, "stop_type": "word", "stopping_word": "END"}])
    assert fold.stop_string == "END"
    assert fold.cut_off
    assert fold.finished() == Finished("stop_string", "END", 3, 3)


# Stop strings


def stopped(strings: list[str], pieces: list[str]) -> tuple[list[str], str | None]:
    matcher = StopMatcher(strings)
    released: list[Text] = []
    for piece in pieces:
        released += matcher.feed(Text(piece))
        if matcher.matched is not None:
            break
    else:
        released += matcher.flush()
    return [text.content for text in released], matcher.matched


@pytest.mark.parametrize(
    ("strings", "pieces", "released", "matched"),
    [
        ([], ["a", "b"], ["a", "b"], None),
        (["END"], ["a", "E", "N", "D", "b"], ["a"], "END"),
        (["END"], ["aEN", "Db"], ["a"], "END"),
        (["END"], ["a", "EN", "x"], ["a", "EN", "x"], None),
        (["END"], ["a", "EN"], ["a", "EN"], None),
        (["END"], ["EEND"], ["E"], "END"),
        (["ab", "abc"], ["xabc"], ["x"], "abc"),
        (["b", "ab"], ["xab"], ["x"], "ab"),
        ([""], ["a"], ["a"], None),
    ],
)
def test_stop_matching(
    strings: list[str], pieces: list[str], released: list[str], matched: str | None
) -> None:
    assert stopped(strings, pieces) == (released, matched)


def test_stop_matching_holds_back_no_more_than_it_must() -> None:
    matcher = StopMatcher(["END"])
    assert matcher.feed(Text("a")) == [Text("a")]
    assert matcher.feed(Text("E")) == []
    assert matcher.feed(Text("E")) == [Text("E")]
    assert matcher.flush() == [Text("E")]


# Tool calls in text


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_call_in_pieces(size: int) -> None:
    arguments = '{"text": "a } \\"b\\" ", "deep": {"x": [1, {}]}}'
    raw = f'{{"name": "write", "arguments": {arguments}}}'
    parser = CallParser("id")
    events: list[EngineEvent] = []
    for at in range(0, len(raw), size):
        events += parser.feed(raw[at : at + size])
    events += parser.finish()
    assert events[:2] == [ToolCallStart("id"), ToolCallName("write")]
    assert events[-1] == ToolCallEnd("id", "write", json.loads(arguments), raw)
    pieces = [e.content for e in events if isinstance(e, ToolCallArguments)]
    assert "".join(pieces) == arguments
    assert len(events) == len(pieces) + 3


@pytest.mark.parametrize(
    ("raw", "last"),
    [
        ('{"arguments": {"a": 1}, "name": "add"}', ToolCallEnd),
        ('{"name": "add", "arguments": "{\\"a\\": 1}"}', ToolCallEnd),
        ('{"name": "add"}', ToolCallEnd),
        ('{"name": "add", "arguments": [1]}', ToolCallFailed),
        ('{"name": 1, "arguments": {}}', ToolCallFailed),
        ("[]", ToolCallFailed),
        ('{"name": "add", "arguments": {', ToolCallFailed),
    ],
)
def test_call_in_other_forms(raw: str, last: type) -> None:
    parser = CallParser("id")
    events = parser.feed(raw) + parser.finish()
    assert isinstance(events[-1], last)
    assert isinstance(events[0], ToolCallStart)
    if last is ToolCallEnd:
        assert ToolCallName("add") in events


def split(
    pieces: list[str],
    *,
    opened: tuple[str, str] | None = None,
    tools: bool = True,
    cut_off: bool = False,
) -> list[EngineEvent]:
    splitter = MarkupSplitter(opened=opened, tools=tools, new_call_id=lambda: "id")
    events = [event for piece in pieces for event in splitter.feed(Text(piece))]
    return events + splitter.finish(cut_off=cut_off)


RAW = (
    '<think>\nhm < m\n</think>\n\nSo: <tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'
)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_markup_in_pieces(size: int) -> None:
    pieces = [RAW[at : at + size] for at in range(0, len(RAW), size)]
    events = split(pieces)
    texts = [e for e in events if isinstance(e, Text)]

    def joined(sort: str) -> str:
        return "".join(text.content for text in texts if text.reasoning == sort)

    assert joined("reasoningStartTag") == "<think>"
    assert joined("reasoning") == "hm < m\n"
    assert joined("reasoningEndTag") == "</think>"
    assert joined("none") == "So: "
    assert events[-1] == ToolCallEnd("id", "ping", {}, '{"name": "ping", "arguments": {}}')
    assert sum(text.tokens_count for text in texts) <= len(pieces)


def test_markup_that_begins_inside_thinking() -> None:
    opened = open_thinking("<|im_start|>assistant\n<think>\n")
    assert opened == ("<think>", "</think>")
    assert open_thinking("<think>done</think>\n") is None
    events = split(["hm", "</think>", "yes"], opened=opened)
    assert events == [
        Text("<think>", 0, reasoning="reasoningStartTag", structural=True),
        Text("hm", 1, reasoning="reasoning"),
        Text("</think>", 1, reasoning="reasoningEndTag", structural=True),
        Text("yes", 1),
    ]


def test_markup_without_tools_and_cut_off() -> None:
    assert split(["<tool_call>", "x"], tools=False) == [Text("<tool_call>"), Text("x")]
    assert split(["a <", "thi"]) == [Text("a "), Text("<thi", 2 - 1)]
    (start, failed) = split(['<tool_call>{"nam'], cut_off=True)
    assert start == ToolCallStart("id")
    assert isinstance(failed, ToolCallFailed)


# Bodies


def test_body_says_only_what_is_set() -> None:
    body = chat_body(ChatRequest(USER, Sampling(temperature=0.5, stop=["x"])), None)
    assert body == {
        "messages": USER,
        "temperature": 0.5,
        "stream": True,
        "return_progress": True,
        "timings_per_token": True,
        "stream_options": {"include_usage": True},
    }
    assert chat_body(ChatRequest(USER), 7)["seed"] == 7
    assert chat_body(ChatRequest(USER, Sampling(seed=0)), 7)["seed"] == 0


def test_body_with_tools() -> None:
    request = ChatRequest(USER, Sampling(log_probs=2), tools=[TOOL], tool_choice="required")
    body = chat_body(request, None)
    [tool] = body["tools"]
    assert tool["function"] == {"name": "add", "parameters": {"type": "object", "properties": {}}}
    assert body["tool_choice"] == "required"
    # llama.cpp refuses both together.
    assert "logprobs" not in body
    none = chat_body(ChatRequest(USER, tools=[TOOL], tool_choice="none"), None)
    assert "tools" not in none
    assert "tool_choice" not in none


@pytest.mark.parametrize(
    ("messages", "asked", "constrained", "wanted"),
    [
        (USER, None, False, None),
        (USER, True, False, True),
        (USER, None, True, False),
        (USER, True, True, True),
        ([*USER, {"role": "assistant", "content": "I"}], True, False, False),
    ],
)
def test_when_the_template_is_asked_for_thinking(
    messages: list[dict[str, str]], asked: bool | None, constrained: bool, wanted: bool | None
) -> None:
    request = ChatRequest(messages, enable_thinking=asked)
    kwargs = template_body(request, constrained=constrained).get("chat_template_kwargs")
    assert kwargs == (None if wanted is None else {"enable_thinking": wanted})


def test_completion_body() -> None:
    sampling = Sampling(max_tokens=5, stop=["a"], log_probs=0, grammar="root ::= x")
    body = completion_body("p", sampling, None)
    assert body["n_predict"] == 5
    assert body["stop"] == ["a"]
    assert body["n_probs"] == 1
    assert body["grammar"] == "root ::= x"
    assert completion_body("p", Sampling(), None)["n_predict"] == -1


def test_schema_is_tagged_in_front_and_keeps_the_callers_guidance() -> None:
    schema = {"type": "string", "$comment": "mine", "x-guidance": {"whitespace_flexible": True}}
    tagged = tagged_schema(schema, "tag")
    assert next(iter(tagged.items())) == ("$comment", "tag")
    assert tagged["x-guidance"] == {"whitespace_flexible": True}
    assert schema["$comment"] == "mine"


def test_images_in_order() -> None:
    def image(data: str) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}

    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "t"}, image("AA"), image("BB")]},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [image("CC")]},
    ]
    assert images_of(messages) == ["AA", "BB", "CC"]


def test_text_always_follows_an_image() -> None:
    assert prompt_with_images("p", [], "<M>") == "p"
    assert prompt_with_images("p<M>?", ["AA"], "<M>") == {
        "prompt_string": "p<M>?",
        "multimodal_data": ["AA"],
    }
    whole = prompt_with_images("p<M>", ["AA"], "<M>")
    assert isinstance(whole, dict)
    assert whole["prompt_string"] == "p<M>\n"


def test_thinking_before_an_answer_counts() -> None:
    thinking = Thinking("P<think>\n")
    assert thinking.tags == ("<think>", "</think>")
    free = thinking.free(Sampling(json_schema={}, stop=["x"], max_tokens=9))
    assert (free.json_schema, free.stop) == (None, ("</think>",))
    fold = CompletionFold()
    thinking.fold = fold
    folded(fold, [{"content": "hm", "tokens_predicted": 4, "tokens_evaluated": 3}])
    assert thinking.unfinished
    folded(fold, [{"content": "", "stop": True, "stop_type": "word", "stopping_word": "</think>"}])
    assert not thinking.unfinished
    assert thinking.prompt == "P<think>\nhm</think>\n\n"
    assert thinking.remaining(Sampling(max_tokens=9)).max_tokens == 5
    assert thinking.remaining(Sampling(max_tokens=2)).max_tokens == 1
    assert thinking.remaining(Sampling()).max_tokens is None
    assert thinking.together(Finished("eos", None, 30, 6)) == Finished("eos", None, 3, 10)
