"""The fold of a prediction: every packet, in legal orders and illegal ones."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_scripts import HELLO, fragment, progress, success, tool_call

from lmstudio_core.errors import (
    LMStudioChannelClosedError,
    LMStudioModelNotFoundError,
    LMStudioPredictionError,
    LMStudioRuntimeError,
)
from lmstudio_llm import (
    LlmPredictionFragment,
    LlmPredictionStats,
    PredictionResult,
    PredictionRoundResult,
    PromptProcessingProgress,
    StructuredOutputError,
    ToolCallGenerationEnd,
    ToolCallGenerationFailed,
)
from lmstudio_llm.prediction import PredictionCallbacks, PredictionChannel
from lmstudio_llm.schemas import resolve_format


def fold(*packets: Any, response_format: Any = None, **callbacks: Any) -> Any:
    channel = PredictionChannel[Any](
        "predict",
        {},
        None if response_format is None else resolve_format(response_format),
        PredictionCallbacks(**callbacks),
    )
    events = [event for packet in packets for event in channel.feed(packet)]
    return channel, events


def result_of(*packets: Any, **more: Any) -> PredictionResult[Any]:
    return fold(*packets, **more)[0].result()


def test_the_usual_order() -> None:
    channel, events = fold(*HELLO)
    assert channel.done
    channel.on_close()
    result = channel.result()
    assert [type(event) for event in events] == [PromptProcessingProgress] * 2 + [
        LlmPredictionFragment
    ] * 2
    assert events[0].details.total_prompt_token_count == 4
    assert (result.content, result.parsed, result.value, str(result)) == ("Hello",) * 4
    assert result.stats.stop_reason == "eosFound"
    assert result.stats.total_time_sec == 0.5
    assert result.model_info.identifier == "scripted"
    assert result.load_config.context_length == 2048
    assert result.prediction_config.temperature == 0.5
    assert not result.structured
    assert result.tool_calls == []


def test_an_answer_without_a_word() -> None:
    assert result_of(success()).content == ""


def test_older_servers_leave_things_out() -> None:
    bare = {"type": "fragment", "fragment": {"content": "x"}}
    result = result_of(
        {"type": "promptProcessingProgress", "progress": 0.5}, bare, {"type": "success"}
    )
    assert result.content == "x"
    assert result.stats.stop_reason == ""
    assert result.model_info.identifier == ""


class TestReasoning:
    PACKETS = (
        fragment("<think>", "reasoningStartTag", True),
        fragment("Hmm. ", "reasoning"),
        fragment("</think>", "reasoningEndTag", True),
        fragment("<|channel|>", "none", True),
        fragment("Four."),
        success(),
    )

    def test_is_told_apart(self) -> None:
        result = result_of(*self.PACKETS)
        assert (result.content, result.reasoning) == ("Four.", "Hmm. ")
        assert result.raw_content == "<think>Hmm. </think><|channel|>Four."

    def test_tags_that_are_not_marked_structural_stay_out_too(self) -> None:
        packets = [fragment("<think>", "reasoningStartTag"), *self.PACKETS[1:]]
        assert result_of(*packets).content == "Four."

    def test_does_not_break_structured_output(self) -> None:
        packets = [*self.PACKETS[:4], fragment('{"a": 1}'), success()]
        assert result_of(*packets, response_format={"type": "object"}).parsed == {"a": 1}

    def test_a_server_that_does_not_tell_it_apart_does_not_break_it_either(self) -> None:
        packets = [fragment("<think>so {so}</think>\n"), fragment('{"a": 1}'), success()]
        assert result_of(*packets, response_format={"type": "object"}).parsed == {"a": 1}


class TestToolCalls:
    def test_the_full_order(self) -> None:
        result_, events = fold(
            fragment("Wait."),
            {"type": "toolCallGenerationStart", "toolCallId": "1"},
            {"type": "toolCallGenerationNameReceived", "name": "add"},
            {"type": "toolCallGenerationArgumentFragmentGenerated", "content": '{"a"'},
            {"type": "toolCallGenerationArgumentFragmentGenerated", "content": ": 1}"},
            tool_call(a=1),
            success("toolCalls"),
        )
        names = [type(event).__name__ for event in events]
        assert names == [
            "LlmPredictionFragment",
            "ToolCallGenerationStart",
            "ToolCallNameReceived",
            "ToolCallArgumentsFragment",
            "ToolCallArgumentsFragment",
            "ToolCallGenerationEnd",
        ]
        [call] = result_.result().tool_calls
        assert (call.name, call.id, call.arguments, call.raw_content) == (
            "add",
            "1",
            {"a": 1},
            "<raw>",
        )
        assert "raw" not in str(call.to_dict())

    def test_an_end_alone_is_enough(self) -> None:
        _, events = fold(tool_call())
        assert isinstance(events[0], ToolCallGenerationEnd)

    def test_the_id_may_come_with_the_start_alone(self) -> None:
        start = {"type": "toolCallGenerationStart", "toolCallId": "7"}
        result = result_of(start, tool_call(call_id=None), tool_call(call_id=None), success())
        assert [call.id for call in result.tool_calls] == ["7", None]

    def test_a_failure(self) -> None:
        failed = {
            "type": "toolCallGenerationFailed",
            "error": {"title": "No such tool"},
            "rawContent": "<tool",
        }
        result = result_of(failed, success())
        [failure] = result.failed_tool_calls
        assert isinstance(failure, ToolCallGenerationFailed)
        assert (failure.error.title, failure.raw_content) == ("No such tool", "<tool")

    @pytest.mark.parametrize("request_", [None, {}, {"name": 3}, {"name": "f", "arguments": "x"}])
    def test_a_call_that_cannot_be_read_is_a_failure(self, request_) -> None:
        end = {"type": "toolCallGenerationEnd", "toolCallRequest": request_}
        result = result_of(end, success())
        assert result.tool_calls == []
        assert "cannot be read" in result.failed_tool_calls[0].error.title


class TestCallbacks:
    def test_all_of_them_in_order(self) -> None:
        seen: list[Any] = []
        result_of(
            *HELLO,
            on_message=lambda message: seen.append(("message", message.text())),
            on_first_token=lambda: seen.append("first"),
            on_prediction_fragment=lambda piece: seen.append(piece.content),
            on_prompt_processing_progress=lambda ratio: seen.append(ratio),
        )
        assert seen == [0.0, 1.0, "first", "Hel", "lo", ("message", "Hello")]

    @pytest.mark.parametrize(
        ("sent", "told"),
        [((), [0.0, 1.0]), ((0.5,), [0.0, 0.5, 1.0]), ((0.0, 0.5, 0.5, 0.2, 1.0), [0.0, 0.5, 1.0])],
    )
    def test_progress_goes_from_nothing_to_all(self, sent: Any, told: list[float]) -> None:
        seen: list[float] = []
        result_of(
            *map(progress, sent),
            fragment("a"),
            success(),
            on_prompt_processing_progress=seen.append,
        )
        assert seen == told

    def test_the_message_holds_the_tool_calls(self) -> None:
        messages: list[Any] = []
        result_of(tool_call(a=1), success(), on_message=messages.append)
        assert messages[0].tool_call_requests[0].arguments == {"a": 1}

    @pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, TypeError, AttributeError])
    def test_what_on_message_raises_is_the_callers(self, error: type[Exception]) -> None:
        def bad(_: Any) -> None:
            raise error("mine")

        channel, _ = fold(*HELLO[:-1], on_message=bad)
        with pytest.raises(error, match="mine"):
            channel.feed(HELLO[-1])
        assert channel.result().content == "Hello"

    def test_one_that_raises_is_logged_once_and_breaks_nothing(self, caplog) -> None:
        def bad(*_: Any) -> None:
            raise ZeroDivisionError

        with caplog.at_level(logging.ERROR, "lmstudio"):
            result = result_of(
                *HELLO,
                on_first_token=bad,
                on_prediction_fragment=bad,
                on_prompt_processing_progress=bad,
            )
        assert result.content == "Hello"
        assert [record.message.split()[0] for record in caplog.records] == [
            "on_prompt_processing_progress",
            "on_first_token",
            "on_prediction_fragment",
        ]


class TestIllegal:
    def test_a_close_before_the_end(self) -> None:
        channel, _ = fold(fragment("x"))
        with pytest.raises(LMStudioChannelClosedError, match=r"llm\.predict"):
            channel.on_close()
        with pytest.raises(LMStudioRuntimeError, match="not ended"):
            channel.result()

    @pytest.mark.parametrize(
        "packet",
        [
            None,
            3,
            "fragment",
            [],
            {},
            {"type": "aTypeOfTomorrow"},
            {"type": []},
            {"type": "fragment"},
            {"type": "fragment", "fragment": None},
            {"type": "promptProcessingProgress", "progress": "half"},
            {"type": "toolCallGenerationNameReceived"},
        ],
    )
    def test_packets_that_make_no_sense_are_ignored(self, packet) -> None:
        channel, events = fold(packet, *HELLO)
        assert channel.result().content == "Hello"
        assert len(events) == 4

    def test_what_comes_after_the_end_is_ignored(self) -> None:
        channel, events = fold(*HELLO, fragment("more"), success("failed"), tool_call())
        assert len(events) == 4
        assert channel.result().content == "Hello"
        assert channel.result().stats.stop_reason == "eosFound"

    def test_progress_after_fragments_is_no_problem(self) -> None:
        assert result_of(fragment("a"), progress(0.5), fragment("b"), success()).content == "ab"

    def test_garbage_in_the_last_packet(self) -> None:
        last = success(stats=3, modelInfo=[], loadModelConfig="x", predictionConfig={"fields": [1]})
        assert result_of(fragment("a"), last).content == "a"

    def test_the_servers_error(self) -> None:
        channel, _ = fold()
        assert type(channel.error({"title": "No"})) is LMStudioPredictionError
        unloaded = {"title": "x", "displayData": {"code": "generic.specificModelUnloaded"}}
        assert type(channel.error(unloaded)) is LMStudioModelNotFoundError


ANY = st.one_of(
    st.builds(fragment, st.text(), st.sampled_from(["none", "reasoning", "tomorrow"])),
    st.builds(progress, st.floats(-1, 2)),
    st.builds(tool_call),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["toolCallGenerationStart", "toolCallGenerationFailed", "x"])}
    ),
    st.recursive(st.none() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)),
)


@given(st.lists(ANY))
def test_any_packets_and_then_the_end_give_a_result(packets) -> None:
    result = result_of(*packets, success())
    fragments = [p["fragment"] for p in packets if isinstance(p, dict) and "fragment" in p]
    assert result.raw_content == "".join(f["content"] for f in fragments)


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


class TestStructured:
    def test_cut_off_output_never_passes(self) -> None:
        result = result_of(
            fragment('{"a": '), success("maxPredictedTokensReached"), response_format=SCHEMA
        )
        assert result.structured
        assert str(result) == result.content == '{"a": '
        for name in ("parsed", "value"):
            with pytest.raises(StructuredOutputError, match="max_tokens") as caught:
                getattr(result, name)
            assert isinstance(caught.value, LMStudioPredictionError)
            assert caught.value.text == '{"a": '
            assert caught.value.stop_reason == "maxPredictedTokensReached"
            assert "not JSON" in caught.value.problems[0]
            again = pickle.loads(pickle.dumps(caught.value))
            assert str(again) == str(caught.value)

    def test_output_of_another_shape_never_passes(self) -> None:
        result = result_of(fragment('{"a": "x"}'), success(), response_format=SCHEMA)
        with pytest.raises(StructuredOutputError, match="a: 'x' is not of type 'integer'"):
            result.parsed  # noqa: B018

    def test_str_is_formatted_json(self) -> None:
        result = result_of(fragment('{"a":1}'), success(), response_format=SCHEMA)
        assert str(result) == '{\n  "a": 1\n}'


class TestResults:
    def test_round_results_are_the_same_with_a_number(self) -> None:
        result = result_of(fragment('{"a": '), success(), response_format={"type": "object"})
        numbered = PredictionRoundResult.from_result(result, 3)
        assert numbered.round_index == 3
        assert numbered.content == result.content
        assert numbered != result
        assert numbered == PredictionRoundResult.from_result(numbered, 3)
        with pytest.raises(StructuredOutputError):
            numbered.value  # noqa: B018

    def test_copies(self) -> None:
        result = result_of(*HELLO)
        assert pickle.loads(pickle.dumps(result)) == result

    def test_what_people_construct(self) -> None:
        first = result_of(*HELLO)
        made = PredictionResult[Any](
            content="{}",
            parsed={},
            stats=LlmPredictionStats(stop_reason="eosFound"),
            model_info=first.model_info,
            load_config=first.load_config,
            prediction_config=first.prediction_config,
        )
        assert made.structured
        assert made.value == {}
        assert "eosFound" in repr(made)


class TestFragments:
    def test_there_and_back(self) -> None:
        wire = fragment("x", "reasoning", True)["fragment"]
        made = LlmPredictionFragment.from_dict(wire)
        assert made.to_dict() == wire
        assert made == LlmPredictionFragment(
            content="x",
            tokens_count=1,
            contains_drafted=False,
            reasoning_type="reasoning",
            is_structural=True,
        )
        assert made != LlmPredictionFragment(content="y")
        assert made != "x"
        assert str(made) == "x"
        assert {made} == {LlmPredictionFragment.from_dict(made.to_dict())}
        assert pickle.loads(pickle.dumps(made)) == made

    def test_token_data_comes_along(self) -> None:
        packet = fragment("x")
        packet["fragment"]["tokens"] = [{"text": "x", "id": 1, "logProb": -0.5}]
        _, [event] = fold(packet)
        assert event.tokens[0]["logProb"] == -0.5

    def test_repr(self) -> None:
        expected = (
            "LlmPredictionFragment(content='x', tokens_count=1, contains_drafted=False, "
            "reasoning_type='none')"
        )
        assert repr(LlmPredictionFragment(content="x")) == expected


def test_a_class_that_cannot_hold_the_data_leaves_it_in_parsed() -> None:
    class Described:
        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:
            return {"type": "object", "properties": {"a": {"type": "integer"}}}

    result = result_of(fragment('{"a": 1}'), success(), response_format=Described)
    assert (result.parsed, result.problems) == ({"a": 1}, ())
    with pytest.raises(StructuredOutputError, match="'parsed' has the data"):
        assert result.value


@pytest.mark.parametrize("reason", ["eosFound", "maxPredictedTokensReached", "userStopped"])
def test_a_cancel_that_came_too_late_leaves_the_servers_reason(reason: str) -> None:
    channel, _ = fold(fragment("a"))
    channel.cancelled()
    assert list(channel.feed(success(reason))) == []
    assert (channel.result().content, channel.result().stats.stop_reason) == ("a", reason)


def test_a_cancel_that_cost_text_is_the_reason() -> None:
    channel, _ = fold(fragment("a"))
    channel.cancelled()
    assert list(channel.feed(fragment("b"))) == []
    channel.feed(success("eosFound"))
    assert (channel.result().content, channel.result().stats.stop_reason) == ("a", "userStopped")
