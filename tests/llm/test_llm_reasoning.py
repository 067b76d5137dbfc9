"""Reasoning that the server does not tell apart: tags and separators in the text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_scripts import fragment, success, tool_call

from lmstudio_llm import LlmPredictionFragment, PredictionResult, StructuredOutputError
from lmstudio_llm.operations import respond
from lmstudio_llm.prediction import PredictionCallbacks, PredictionChannel
from lmstudio_llm.reasoning import DEFAULT_TAGS, ReasoningSplitter, reasoning_tags
from lmstudio_llm.schemas import resolve_format

HASH = "f4e9a8d2c6b14d0c9e5f3a7b8c1d2e6a"
END = f"__LM_STUDIO_INTERNAL_LSEP_SYNTHETIC_REASONING_END_{HASH}__"
START = f"__LM_STUDIO_INTERNAL_LSEP_SYNTHETIC_REASONING_START_{HASH}__"


def result_of(*packets: Any, response_format: Any = None, **more: Any) -> PredictionResult[Any]:
    wanted = None if response_format is None else resolve_format(response_format)
    channel = PredictionChannel[Any]("predict", {}, wanted, **more)
    for packet in (*packets, success()):
        channel.feed(packet)
    return channel.result()


def pieces(text: str, size: int) -> list[Any]:
    return [fragment(text[i : i + size]) for i in range(0, len(text), size)]


def split(*texts: str, tags: Any = DEFAULT_TAGS) -> list[tuple[str, str]]:
    splitter = ReasoningSplitter(tags)
    found = [f for text in texts for f in splitter.feed(LlmPredictionFragment(text))]
    return [(f.content, f.reasoning_type) for f in [*found, *splitter.flush()]]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize(
    ("said", "reasoning", "content"),
    [
        ("<think>Hmm.</think>\n\nFour.", "Hmm.", "Four."),
        (" \n<think>\nHmm.\n</think>Four.", "\nHmm.\n", "Four."),
        ("<thinking>Hmm.</thinking> Four.", "Hmm.", "Four."),
        ("[THINK]Hmm.[/THINK]Four.", "Hmm.", "Four."),
        ("<|channel>thought\nHmm.<channel|>Four.", "\nHmm.", "Four."),
        ("<think></think>Four.", "", "Four."),
        ("<think>a < b </thin </think>Four.", "a < b </thin ", "Four."),
        ("<think>never ends", "never ends", ""),
        ("<think>nearly ends</thi", "nearly ends</thi", ""),
        (f"{START}Hmm.{END}Four.", "Hmm.", "Four."),
        (f"Hmm.{END}\nFour.", "Hmm.", "Four."),
        (f"<think>Hmm.{END}Four.", "Hmm.", "Four."),
        (f"Hmm.{END.replace('_' + HASH, '')}Four.", "Hmm.", "Four."),
        # The prompt's template opened the block.
        ("Hmm.\n</think>\n\nFour.", "Hmm.\n", "Four."),
        ("Hmm.[/THINK]Four.", "Hmm.", "Four."),
        (
            "a < b, so </think>Four: <think> and </think>",
            "a < b, so ",
            "Four: <think> and </think>",
        ),
        ("Hmm.</think>", "Hmm.", ""),
        # What is no block at the beginning stays where it is.
        ("It ends with `</think>`.", "", "It ends with `</think>`."),
        ('{"tag": "a </think> b"}', "", '{"tag": "a </think> b"}'),
        ("Nearly </thi", "", "Nearly </thi"),
        ("Use <think> and </think>.", "", "Use <think> and </think>."),
        ("<thin ice>", "", "<thin ice>"),
        ("<th", "", "<th"),
        ("  ", "", "  "),
        ("def __init__(self): __LM_STUDIO", "", "def __init__(self): __LM_STUDIO"),
        ("a __LM_STUDIO_INTERNAL_ b", "", "a __LM_STUDIO_INTERNAL_ b"),
        ("<think>Hmm.</think>Say <think>x</think>!", "Hmm.", "Say <think>x</think>!"),
    ],
)
def test_however_it_is_cut(said: str, reasoning: str, content: str, size: int) -> None:
    result = result_of(*pieces(said, size))
    assert (result.reasoning, result.content) == (reasoning, content)
    assert result.raw_content == said


def test_streams_show_the_same_at_once() -> None:
    assert split("<think>", "So", ".", "</think>", "Yes") == [
        ("<think>", "reasoningStartTag"),
        ("So", "reasoning"),
        (".", "reasoning"),
        ("</think>", "reasoningEndTag"),
        ("Yes", "none"),
    ]
    splitter = ReasoningSplitter()
    assert list(splitter.feed(LlmPredictionFragment("Yes"))) == [LlmPredictionFragment("Yes")]
    assert list(splitter.feed(LlmPredictionFragment("<think>"))) != []  # no longer the beginning


def test_fragments_in_which_a_tag_ends_are_cut() -> None:
    assert split("\n<think>So", ".</think> Yes") == [
        ("\n<think>", "reasoningStartTag"),
        ("So", "reasoning"),
        (".", "reasoning"),
        ("</think>", "reasoningEndTag"),
        (" ", "reasoningEndTag"),
        ("Yes", "none"),
    ]


def test_nothing_is_counted_twice() -> None:
    splitter = ReasoningSplitter()
    whole = LlmPredictionFragment("<think>a</think>b", 5, True, tokens=[{"text": "x"}])
    found = splitter.feed(whole)
    assert sum(f.tokens_count for f in found) == 5
    assert all(f.contains_drafted for f in found)
    assert [f.tokens for f in found] == [whole.tokens, None, None, None]


def test_a_server_that_tells_them_apart_is_believed() -> None:
    result = result_of(
        fragment("Hmm.", "reasoning"), fragment("<think>"), fragment("is a tag</think>")
    )
    assert (result.reasoning, result.content) == ("Hmm.", "<think>is a tag</think>")


def test_tool_calls_come_after_the_text_before_them() -> None:
    channel = PredictionChannel[Any]("predict", {})
    assert list(channel.feed(fragment("<th"))) == []
    held, call = channel.feed(tool_call())
    assert (held.content, type(call).__name__) == ("<th", "ToolCallGenerationEnd")


def test_what_is_held_back_comes_with_the_end() -> None:
    seen: list[Any] = []
    channel = PredictionChannel[Any](
        "predict", {}, None, PredictionCallbacks(on_prediction_fragment=seen.append)
    )
    channel.feed(fragment("a_"))
    assert [event.content for event in channel.feed(success())] == ["_"]
    assert [f.content for f in seen] == ["a", "_"]
    assert channel.result().content == "a_"


class TestSettings:
    def test_other_tags(self) -> None:
        tags = (("<r>", "</r>"),)
        assert result_of(*pieces("<r>a</r>b", 2), tags=tags).content == "b"
        assert result_of(fragment("<think>a</think>b"), tags=tags).reasoning == ""

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_other_tags_that_the_template_opened(self, size: int) -> None:
        said = "Well, hmm.◁/think▷Four."
        texts = [said[at : at + size] for at in range(0, len(said), size)]
        splitter = ReasoningSplitter([("◁think▷", "◁/think▷")])
        for text in texts:
            splitter.feed(LlmPredictionFragment(text))
        assert splitter.answer_begins

    def test_none_at_all(self) -> None:
        result = result_of(*pieces(f"<think>a</think>b{END}c", 3), tags=())
        assert result.content == "c"  # LM Studio's own separators are never text
        assert result_of(fragment("<think>a</think>b"), tags=()).content == "<think>a</think>b"

    def test_they_come_from_the_config(self) -> None:
        key = "llm.prediction.reasoning.parsing"
        assert reasoning_tags({}) == DEFAULT_TAGS
        assert reasoning_tags({key: {"enabled": False}}) == ()
        given_ = {"enabled": True, "startString": "<r>", "endString": "</r>"}
        assert reasoning_tags({key: given_}) == (("<r>", "</r>"),)
        for config in (
            {"reasoningParsing": {"enabled": True, "startString": "<r>", "endString": "</r>"}},
            {"raw": {key: given_}},
        ):
            channel = respond("m", "hi", config=config).channel
            channel.feed(fragment("<r>a</r>b"))
            channel.feed(success())
            assert channel.result().content == "b"


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


class TestStructured:
    @pytest.mark.parametrize(
        "said",
        [
            'Let me see: {"a": 2}? No.' + END + '{"a": 1}',
            '<think>{"a": 2}</think>{"a": 1}',
            'The template began it.</think>\n{"a": 1}',
        ],
    )
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_reasoning_does_not_break_it(self, said: str, size: int) -> None:
        result = result_of(*pieces(said, size), response_format=SCHEMA)
        assert result.parsed == {"a": 1}
        assert result.content == '{"a": 1}'
        assert result.reasoning

    def test_data_that_the_server_took_for_reasoning(self) -> None:
        result = result_of(fragment('{"a": 1}', "reasoning"), response_format=SCHEMA)
        assert (result.parsed, result.content, result.reasoning) == ({"a": 1}, '{"a": 1}', "")

    def test_thoughts_are_no_answer(self) -> None:
        result = result_of(fragment("Hmm.", "reasoning"), response_format=SCHEMA)
        with pytest.raises(StructuredOutputError):
            result.parsed  # noqa: B018


@given(st.text(alphabet="<think/> a\n_[]THINK"), st.lists(st.integers(1, 6)))
def test_no_text_is_lost_or_changes_its_place(said: str, sizes: list[int]) -> None:
    texts, at = [], 0
    for size in sizes:
        texts.append(said[at : at + size])
        at += size
    found = split(*texts, said[at:])
    assert "".join(text for text, _ in found) == said
    assert "".join(t for t, kind in split(said) if kind == "none") == "".join(
        t for t, kind in found if kind == "none"
    )
