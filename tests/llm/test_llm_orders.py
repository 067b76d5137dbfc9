"""Every packet of a prediction in every legal order, and in illegal ones."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_scripts import INFO, Caller, fragment, progress, success, tool_call

from lmstudio_core.errors import LMStudioChannelClosedError, LMStudioPredictionError
from lmstudio_llm import (
    LlmPredictionFragment,
    PromptProcessingProgress,
    ToolCallArgumentsFragment,
    ToolCallGenerationEnd,
    ToolCallGenerationFailed,
    ToolCallGenerationStart,
    ToolCallNameReceived,
)
from lmstudio_llm.prediction import PredictionChannel
from lmstudio_testing import FakeServer, ServerFailure

PREDICT, RAW = "llm.predict", "llm.completeRawText"

START = {"type": "toolCallGenerationStart", "toolCallId": "1"}
BARE_START = {"type": "toolCallGenerationStart"}
NAME = {"type": "toolCallGenerationNameReceived", "name": "add"}
ARGUMENTS = {"type": "toolCallGenerationArgumentFragmentGenerated", "content": '{"a":'}
FAILED = {"type": "toolCallGenerationFailed", "error": {"title": "No"}, "rawContent": "<"}

EVENT_OF = {
    "fragment": LlmPredictionFragment,
    "promptProcessingProgress": PromptProcessingProgress,
    "toolCallGenerationStart": ToolCallGenerationStart,
    "toolCallGenerationNameReceived": ToolCallNameReceived,
    "toolCallGenerationArgumentFragmentGenerated": ToolCallArgumentsFragment,
    "toolCallGenerationEnd": ToolCallGenerationEnd,
    "toolCallGenerationFailed": ToolCallGenerationFailed,
}

progresses = st.lists(
    st.one_of(
        st.builds(progress, st.floats(0, 1)),
        st.builds(lambda p: {"type": "promptProcessingProgress", "progress": p}, st.floats(0, 1)),
    ),
    max_size=3,
)
words = st.text(alphabet="ab {}\n", min_size=1, max_size=4)
fragments = st.builds(
    fragment,
    words,
    st.sampled_from(["none", "reasoning", "reasoningStartTag", "reasoningEndTag"]),
    st.booleans(),
).map(lambda packet: [packet])
tool_calls = st.builds(
    lambda start, name, arguments, end: [*start, *name, *arguments, end],
    st.sampled_from([[START], [BARE_START], []]),
    st.sampled_from([[NAME], []]),
    st.lists(st.just(ARGUMENTS), max_size=2),
    st.sampled_from([tool_call(a=1), tool_call(call_id=None), FAILED]),
)
legal = st.builds(
    lambda before, middle: [*before, *itertools.chain.from_iterable(middle)],
    progresses,
    st.lists(fragments | tool_calls, max_size=6),
)


def fold(packets: Any) -> tuple[PredictionChannel[Any], list[Any]]:
    channel = PredictionChannel[Any]("predict", {})
    return channel, [event for packet in packets for event in channel.feed(packet)]


def joined(packets: Any, *kinds: str) -> str:
    pieces = [packet["fragment"] for packet in packets if packet["type"] == "fragment"]
    return "".join(
        piece["content"]
        for piece in pieces
        if not kinds or (piece["reasoningType"] in kinds and not piece["isStructural"])
    )


@given(legal)
def test_every_legal_order(packets: list[Any]) -> None:
    channel, events = fold([*packets, success()])
    assert channel.done
    channel.on_close()
    assert [type(event) for event in events] == [EVENT_OF[packet["type"]] for packet in packets]
    result = channel.result()
    assert result.content == joined(packets, "none")
    assert result.reasoning == joined(packets, "reasoning")
    assert result.raw_content == joined(packets)
    kinds = [packet["type"] for packet in packets]
    assert len(result.tool_calls) == kinds.count("toolCallGenerationEnd")
    assert len(result.failed_tool_calls) == kinds.count("toolCallGenerationFailed")


garbage = st.one_of(
    st.none(),
    st.integers(),
    st.text(),
    st.dictionaries(st.text(), st.integers(), max_size=2),
    st.builds(lambda kind, value: {"type": kind, "fragment": value}, st.text(), st.none()),
    st.sampled_from([{"type": kind} for kind in EVENT_OF]),
)


@given(legal, st.randoms(use_true_random=False), st.lists(garbage, max_size=3), st.booleans())
def test_illegal_orders_never_break_it(
    packets: list[Any], chance: Any, more: list[Any], ends: bool
) -> None:
    mixed = [*packets, *packets[:2], *more]
    chance.shuffle(mixed)
    channel, _ = fold(mixed)
    assert not channel.done
    if not ends:
        with pytest.raises(LMStudioChannelClosedError):
            channel.on_close()
        return
    channel.feed(success())
    before = channel.result()
    for packet in [*mixed, success("failed")]:  # after the end nothing counts
        assert list(channel.feed(packet)) == []
    assert channel.result() is before
    channel.on_close()


BEFORE: list[list[Any]] = [[], [progress(0.0), progress(1.0)]]
MIDDLE: list[list[Any]] = [
    [],
    [fragment("a"), fragment("b")],
    [START, NAME, ARGUMENTS, tool_call(a=1)],
    [BARE_START, FAILED],
    [fragment("a"), tool_call(), fragment("b")],
    [fragment("<", "reasoningStartTag", True), fragment("h", "reasoning"), fragment("a")],
]
ORDERS = [[*before, *middle] for before in BEFORE for middle in MIDDLE]


@pytest.mark.parametrize("packets", ORDERS)
def test_legal_orders_over_the_wire(server: FakeServer, caller: Caller, packets: list[Any]) -> None:
    server.on_channel(PREDICT, [*packets, success()])
    result = caller.run(caller.model.respond("hi"))
    assert result.content == joined(packets, "none")
    stream = caller.model.respond_stream("hi")
    events = caller.take(stream.events())
    assert [type(event) for event in events] == [EVENT_OF[packet["type"]] for packet in packets]
    assert stream.result() == result


@pytest.mark.parametrize("packets", [[], [progress(1.0)], [fragment("a")], [START], [None, 3, {}]])
def test_an_end_without_the_last_packet(
    server: FakeServer, caller: Caller, packets: list[Any]
) -> None:
    server.on_channel(PREDICT, packets)
    with pytest.raises(LMStudioChannelClosedError, match=r"llm\.predict"):
        caller.run(caller.model.respond("hi"))
    with pytest.raises(LMStudioChannelClosedError, match=r"llm\.predict"):
        caller.take(caller.model.respond_stream("hi"))
    server.on_channel(PREDICT, [success()])
    assert caller.run(caller.model.respond("hi")).content == ""


@pytest.mark.parametrize("packets", [[], [fragment("a")], [START, NAME]])
def test_an_error_in_the_middle(server: FakeServer, caller: Caller, packets: list[Any]) -> None:
    def script(channel: Any) -> None:
        channel.send(*packets)
        channel.fail(ServerFailure("It broke", cause="A wire", suggestion="Mend it"))

    server.on_channel(PREDICT, script)
    for ask in (
        lambda: caller.run(caller.model.respond("hi")),
        lambda: caller.take(caller.model.respond_stream("hi")),
    ):
        with pytest.raises(LMStudioPredictionError, match="It broke\nA wire\nMend it") as caught:
            ask()
        assert caught.value.server_error is not None
        assert caught.value.server_error.suggestion == "Mend it"
        assert caught.value.endpoint == PREDICT


def test_raw_completion_has_the_same_packets(server: FakeServer, caller: Caller) -> None:
    server.on_channel(RAW, [progress(0.5), fragment("a"), fragment("b"), success()])
    stream = caller.model.complete_stream("x")
    assert [type(event) for event in caller.take(stream.events())] == [
        PromptProcessingProgress,
        LlmPredictionFragment,
        LlmPredictionFragment,
    ]
    assert stream.result().content == "ab"


def test_all_stats_arrive(server: FakeServer, caller: Caller) -> None:
    stats = {
        "stopReason": "stopStringFound",
        "stopString": "END",
        "tokensPerSecond": 10.5,
        "numGpuLayers": 3,
        "timeToFirstTokenSec": 0.25,
        "totalTimeSec": 1.5,
        "promptTokensCount": 7,
        "predictedTokensCount": 5,
        "totalTokensCount": 12,
        "usedDraftModelKey": "tiny",
        "totalDraftTokensCount": 9,
        "acceptedDraftTokensCount": 4,
        "rejectedDraftTokensCount": 3,
        "ignoredDraftTokensCount": 2,
        "aNumberOfTomorrow": 1,
    }
    server.on_channel(PREDICT, [fragment("a"), success(stats=stats, modelInfo=INFO)])
    found = caller.run(caller.model.respond("hi")).stats
    assert found.to_dict() == stats
    assert (found.stop_string, found.accepted_draft_tokens_count) == ("END", 4)
