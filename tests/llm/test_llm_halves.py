"""Emoji that a server cuts in two, in every text that a prediction has."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core.lenient import readable
from lmstudio_llm.fragments import LlmPredictionFragment, ToolCallArgumentsFragment
from lmstudio_llm.prediction import PredictionCallbacks, PredictionChannel
from lmstudio_llm.schemas import resolve_format

FIRST, SECOND = "\ud83d", "\ude00"


def fragment(content, kind="none", **more):
    raw = {"content": content, "tokensCount": 1, "containsDrafted": False, "reasoningType": kind}
    return {"type": "fragment", "fragment": {**raw, **more}}


SUCCESS = {"type": "success", "stats": {}, "modelInfo": {}}


def fold(*packets, **options):
    channel = PredictionChannel("predict", {}, **options)
    events = [event for packet in (*packets, SUCCESS) for event in channel.feed(packet)]
    return channel.result(), events


def test_neighbouring_halves_are_one_character():
    seen = []
    callbacks = PredictionCallbacks(on_prediction_fragment=seen.append)
    result, events = fold(
        fragment(f"so {FIRST}"), fragment(f"{SECOND}!"), fragment(" ok"), callbacks=callbacks
    )
    assert result.content == "so 😀! ok"
    assert [event.content for event in events] == ["so ", "😀!", " ok"]
    assert seen == events
    assert sum(event.tokens_count for event in events) == 3


@pytest.mark.parametrize("after", [fragment(" text"), fragment("ü"), None])
def test_a_half_that_stays_alone(after):
    result, events = fold(fragment(f"a{FIRST}"), *([after] if after else []))
    rest = after["fragment"]["content"] if after else ""
    assert result.content == f"a\ufffd{rest}"
    assert "".join(event.content for event in events) == result.content


def test_reasoning_and_answer_are_texts_of_their_own():
    result, _ = fold(
        fragment(f"hm {FIRST}", "reasoning"),
        fragment(f"{SECOND} hm{FIRST}", "reasoning"),
        fragment(f"{SECOND}yes"),
    )
    assert result.reasoning == "hm 😀 hm\ufffd"
    assert result.content == "\ufffdyes"


def test_reasoning_in_tags():
    result, _ = fold(
        fragment(f"<think>{FIRST}"), fragment(f"{SECOND}</think>{FIRST}"), fragment(SECOND)
    )
    assert (result.reasoning, result.content) == ("😀", "😀")


def test_a_tool_call_is_not_lost():
    arguments = {"path": "caf\udce9", "text": "x"}
    result, events = fold(
        fragment(f"I look {FIRST}"),
        {"type": "toolCallGenerationStart", "toolCallId": "1"},
        {"type": "toolCallGenerationNameReceived", "name": "look"},
        {"type": "toolCallGenerationArgumentFragmentGenerated", "content": f'{{"a": "{FIRST}'},
        {"type": "toolCallGenerationArgumentFragmentGenerated", "content": f'{SECOND}"{FIRST}'},
        {
            "type": "toolCallGenerationEnd",
            "toolCallRequest": {
                "id": "1",
                "type": "function",
                "name": "look",
                "arguments": arguments,
            },
            "rawContent": FIRST,
        },
    )
    pieces = [e.content for e in events if isinstance(e, ToolCallArgumentsFragment)]
    assert pieces == ['{"a": "', '😀"', "\ufffd"]
    assert result.content == "I look \ufffd"
    [call] = result.tool_calls
    assert call.arguments == arguments  # a tool is to find the file
    for event in events:
        str(getattr(event, "content", "")).encode()


def test_structured_output():
    text = json.dumps({"mood": "😀"}, ensure_ascii=False)
    cut = text.index("😀")
    result, _ = fold(
        fragment(text[:cut] + FIRST),
        fragment(SECOND + text[cut + 1 :]),
        output_format=resolve_format({"type": "object"}),
    )
    assert result.parsed == {"mood": "😀"}
    escaped, _ = fold(
        fragment(r'{"mood": "\ud83d"}'), output_format=resolve_format({"type": "object"})
    )
    assert escaped.parsed == {"mood": FIRST}
    str(escaped).encode()


def test_candidates_of_tokens_can_be_printed():
    tokens = [{"text": FIRST, "logProb": -1.0, "candidates": [{"text": SECOND}]}]
    _, [event, *_] = fold(fragment("a", tokens=tokens))
    assert event.tokens == [{"text": "\ufffd", "logProb": -1.0, "candidates": [{"text": "\ufffd"}]}]


@given(st.lists(st.text(st.sampled_from(f"ab😀{FIRST}{SECOND}")), max_size=8))
def test_however_the_text_is_cut(pieces):
    result, events = fold(*map(fragment, pieces))
    assert result.content == readable("".join(pieces))
    assert all(isinstance(event, LlmPredictionFragment) for event in events)
    assert "".join(event.content for event in events) == result.content
    assert sum(event.tokens_count for event in events) == len(pieces)


def test_a_packet_of_a_known_kind_that_makes_no_sense_is_a_warning(caplog):
    result, _ = fold({"type": "fragment"}, fragment("a"), {"type": "news"})
    assert result.content == "a"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
