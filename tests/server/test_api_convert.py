"""Between LM Studio's shapes and the engine's, without a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from lmstudio_server.api.parameters import History
from lmstudio_server.convert.history import joined_text, to_messages
from lmstudio_server.convert.overflow import pictures, shorten_messages, shorten_text
from lmstudio_server.convert.packets import PredictionFold
from lmstudio_server.convert.reasoning import ReasoningSplitter
from lmstudio_server.convert.tools import ToolNames, rename
from lmstudio_server.documents.document import Document
from lmstudio_server.engines import base as e
from lmstudio_server.errors import WireError
from lmstudio_server.files import recognise

PLAIN = ToolNames((), "passThrough")


@dataclass
class Stored:
    name: str
    file_type: str
    mime_type: str = "image/png"
    content: bytes = b"data"
    document: Document | None = None

    def read(self) -> bytes:
        return self.content


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def call(name: str, call_id: str | None = None, **arguments: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"type": "function", "name": name, "arguments": arguments}
    if call_id:
        request["id"] = call_id
    return {"type": "toolCallRequest", "toolCallRequest": request}


def result(content: str, call_id: str | None = None) -> dict[str, Any]:
    part = {"type": "toolCallResult", "content": content}
    return {**part, "toolCallId": call_id} if call_id else part


def convert(*messages: tuple[str, list[dict[str, Any]]], **options: Any) -> list[dict[str, Any]]:
    history = History.model_validate(
        {"messages": [{"role": role, "content": parts} for role, parts in messages]}
    )
    return to_messages(
        history, **{"names": PLAIN, "find_file": lambda _identifier: None, **options}
    )


class TestHistory:
    def test_texts(self) -> None:
        assert convert(("system", [text("s")]), ("user", [text("a"), text("b")])) == [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "a\nb"},
        ]

    def test_a_system_prompt_of_the_configuration(self) -> None:
        assert convert(("user", [text("u")]), system_prompt="s")[0] == {
            "role": "system",
            "content": "s",
        }
        assert len(convert(("system", [text("own")]), system_prompt="s")) == 1

    def test_tool_calls(self) -> None:
        converted = convert(
            ("user", [text("u")]),
            ("assistant", [text(""), call("f", "id1", a=1), call("g", b="é")]),
            ("tool", [result("1", "id1"), result("2")]),
        )
        assert converted[1]["tool_calls"] == [
            {"id": "id1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
            {"id": "call_2", "type": "function",
             "function": {"name": "g", "arguments": '{"b": "é"}'}},
        ]  # fmt: skip
        assert converted[2:] == [
            {"role": "tool", "content": "1", "tool_call_id": "id1", "name": "f"},
            {"role": "tool", "content": "2", "tool_call_id": "call_2", "name": "g"},
        ]

    def test_an_empty_last_answer_is_one_to_begin(self) -> None:
        question = ("user", [text("?")])
        assert convert(question, ("assistant", [text("")])) == convert(question)
        assert len(convert(question, ("assistant", [text("Yes")]))) == 2
        assert len(convert(question, ("assistant", [call("f")]))) == 2
        assert len(convert(("assistant", []), question)) == 2

    def test_results_without_ids_answer_in_order(self) -> None:
        converted = convert(
            ("assistant", [call("f"), call("g")]),
            ("tool", [result("1"), result("2"), result("3")]),
        )
        assert [m["tool_call_id"] for m in converted[1:]] == ["call_1", "call_2", "call_3"]
        assert [m.get("name") for m in converted[1:]] == ["f", "g", None]

    def test_files(self) -> None:
        part = {"type": "file", "name": "a", "identifier": "x", "sizeBytes": 4, "fileType": "image"}
        image = Stored("a.png", "image")
        [message] = convert(("user", [text("look"), part]), find_file=lambda _: image)
        assert [piece["type"] for piece in message["content"]] == ["text", "image_url"]
        with pytest.raises(WireError, match="cannot see"):
            convert(("user", [part]), find_file=lambda _: image, vision=False)
        with pytest.raises(WireError, match="not on this server"):
            convert(("user", [part]))
        note = Stored("n.md", "text/other", document=Document(("# hi",)))
        [message] = convert(("user", [part]), find_file=lambda _: note)
        assert message["content"] == "[n.md]\n# hi"
        with pytest.raises(WireError, match="cannot be put"):
            convert(("user", [part]), find_file=lambda _: Stored("d", "application/pdf"))

    def test_raw_text(self) -> None:
        history = History.model_validate(
            {"messages": [{"role": "user", "content": [text("a"), text("b")]}]}
        )
        assert joined_text(history) == "ab"

    @pytest.mark.parametrize(
        "message",
        [
            {"role": "other", "content": []},
            {"role": "user", "content": "text"},
            {"role": "user", "content": [{"type": "text"}]},
            {"role": "user", "content": [{"type": "video"}]},
            {"role": "tool", "content": [{"type": "toolCallResult", "content": 5}]},
        ],
    )
    def test_what_is_no_history(self, message: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            History.model_validate({"messages": [message]})


def test_errors_read_as_sentences() -> None:
    assert str(WireError("It failed.", cause="Why.")) == "It failed. Why."
    assert str(WireError("m: it failed", cause="why")) == "m: it failed: why"


class TestToolNames:
    @pytest.mark.parametrize(
        ("name", "style", "expected"),
        [
            ("get weather!", "removeSpecial", "getweather"),
            ("get_weather", "removeSpecial", "get_weather"),
            ("!!!", "removeSpecial", "!!!"),
            ("getWeatherHTTP", "snakeCase", "get_weather_http"),
            ("get-weather now", "camelCase", "getWeatherNow"),
            ("any thing", "passThrough", "any thing"),
        ],
    )
    def test_rename(self, name: str, style: str, expected: str) -> None:
        assert rename(name, style) == expected

    def test_the_way_back(self) -> None:
        given = ["a b", "ab", "a!b", "ab_2", "ab"]
        names = ToolNames(given, "removeSpecial")
        shown = [names.for_model(name) for name in dict.fromkeys(given)]
        assert shown[0] == "ab"
        assert len(set(shown)) == 4
        assert [names.for_client(name) for name in shown] == given[:4]
        assert names.for_client("unknown") == "unknown"

    def test_definitions(self) -> None:
        tool = {"type": "function", "function": {"name": "a b", "description": "d"}}
        [shown] = ToolNames(["a b"], "removeSpecial").tools_for_model([tool])
        assert shown["function"] == {"name": "ab", "description": "d"}
        assert tool["function"]["name"] == "a b"  # type: ignore[index]


class TestFold:
    def test_tokens_of_a_call_that_was_cancelled(self) -> None:
        fold = PredictionFold(0.0)
        fold.feed(e.Text("Now", tokens_count=1), 1.0)
        fold.feed(e.ToolCallStart("A"), 1.0)
        fold.feed(e.ToolCallArguments('{"a"', 5), 1.0)
        fold.feed(e.ToolCallArguments(": 1", 7), 1.0)
        assert fold.stats(2.0, "userStopped")["predictedTokensCount"] == 7

    def test_a_cancelled_generation_keeps_what_is_known(self) -> None:
        fold = PredictionFold(10.0)
        fold.feed(e.PromptProgress(total=10, processed=4, cached=2), 10.5)
        fold.feed(e.Text("a"), 11.0)
        fold.feed(e.Text("bc", tokens_count=2), 11.5)
        stats = fold.stats(12.0, "userStopped")
        assert stats == {
            "stopReason": "userStopped",
            "totalTimeSec": 2.0,
            "timeToFirstTokenSec": 1.0,
            "tokensPerSecond": 2.0,
            "promptTokensCount": 10,
            "predictedTokensCount": 3,
            "totalTokensCount": 13,
        }

    def test_cancelled_before_anything_came(self) -> None:
        stats = PredictionFold(1.0).stats(1.5, "userStopped")
        assert stats["totalTokensCount"] == 0
        assert "timeToFirstTokenSec" not in stats

    def test_the_engine_s_own_numbers_win(self) -> None:
        fold = PredictionFold(0.0)
        fold.feed(e.Text("a"), 5.0)
        fold.feed(
            e.Finished("stop_string", "X", 7, 5, time_to_first_token=1.0, total_time=3.0), 9.0
        )
        stats = fold.stats(9.0)
        assert (stats["stopReason"], stats["stopString"]) == ("stopStringFound", "X")
        assert (stats["promptTokensCount"], stats["predictedTokensCount"]) == (7, 5)
        assert stats["tokensPerSecond"] == 2.0

    def test_log_probabilities(self) -> None:
        token = e.Token("a", 5, -0.1, [e.TokenCandidate("a", 5, -0.1)])
        packet = PredictionFold(0.0).feed(e.Text("a", tokens=[token]), 1.0)
        assert packet is not None
        assert packet["fragment"]["tokens"] == [
            {"text": "a", "id": 5, "logProb": -0.1,
             "candidates": [{"text": "a", "id": 5, "logProb": -0.1}]}
        ]  # fmt: skip
        packet = PredictionFold(0.0).feed(e.Text("a", tokens=[e.Token("a", 5)]), 1.0)
        assert packet is not None
        assert packet["fragment"]["tokens"] == [{"text": "a", "id": 5}]

    def test_tool_names_come_back(self) -> None:
        fold = PredictionFold(0.0, names=ToolNames(["a b"], "removeSpecial"))
        name = fold.feed(e.ToolCallName("ab"), 0.0)
        end = fold.feed(e.ToolCallEnd("1", "ab", {}), 0.0)
        assert name is not None
        assert end is not None
        assert name["name"] == end["toolCallRequest"]["name"] == "a b"

    def test_progress_never_exceeds_the_whole(self) -> None:
        packet = PredictionFold(0.0).feed(e.PromptProgress(total=0, processed=5, cached=0), 0.0)
        assert packet is not None
        assert packet["progress"] == 1.0


class TestReasoningSplitter:
    @staticmethod
    def split(*pieces: str) -> list[tuple[str, str]]:
        splitter = ReasoningSplitter("<a>", "</a>")
        events = [event for piece in pieces for event in splitter.feed(e.Text(piece))]
        events += splitter.feed(e.Finished("eos"))
        texts = [event for event in events if isinstance(event, e.Text)]
        assert sum(text.tokens_count for text in texts) == len(pieces)
        assert all(text.structural == text.reasoning.endswith("Tag") for text in texts)
        return [(text.content, text.reasoning) for text in texts]

    def test_whole_tags(self) -> None:
        assert self.split("x<a>why</a>so") == [
            ("x", "none"),
            ("<a>", "reasoningStartTag"),
            ("why", "reasoning"),
            ("</a>", "reasoningEndTag"),
            ("so", "none"),
        ]

    def test_tags_in_pieces(self) -> None:
        assert self.split("x<", "a", ">w", "</", "a>", "so") == [
            ("x", "none"),
            ("<a>", "reasoningStartTag"),
            ("w", "reasoning"),
            ("</a>", "reasoningEndTag"),
            ("so", "none"),
        ]

    def test_what_only_looks_like_a_tag(self) -> None:
        assert "".join(content for content, _ in self.split("1 <", " 2 <b", "> <")) == "1 < 2 <b> <"

    def test_other_events_pass(self) -> None:
        splitter = ReasoningSplitter("<a>", "</a>")
        assert splitter.feed(e.Text("<")) == []
        start = e.ToolCallStart("1")
        assert splitter.feed(start) == [e.Text("<"), start]


def turn(number: int, size: int = 100) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": f"u{number} " + "x" * size},
        {"role": "assistant", "content": f"a{number}"},
    ]


class TestOverflow:
    messages = ({"role": "system", "content": "s"}, *turn(1), *turn(2), *turn(3), *turn(4)[:1])

    def kept(self, policy: Any, keep: float) -> list[str]:
        found = shorten_messages(self.messages, policy, keep)
        assert found is not None
        return [message["content"][:2] for message in found]

    def test_the_rolling_window_drops_the_oldest(self) -> None:
        assert self.kept("rollingWindow", 0.6) == ["s", "u3", "a3", "u4"]

    def test_the_middle_is_dropped(self) -> None:
        assert self.kept("truncateMiddle", 0.6) == ["s", "u1", "a1", "u4"]
        assert self.kept("truncateMiddle", 0.4) == ["s", "u4"]

    def test_a_single_text_is_cut(self) -> None:
        message = {"role": "user", "content": "begin " + "x" * 500 + " end"}
        found = shorten_messages([message], "truncateMiddle", 0.5)
        assert found is not None
        cut = found[0]["content"]
        assert cut.startswith("begin")
        assert cut.endswith("end")
        assert "[…]" in cut
        assert len(cut) < 300
        assert shorten_messages([{"role": "user", "content": ""}], "truncateMiddle", 0.5) is None

    @pytest.mark.parametrize("policy", ["truncateMiddle", "rollingWindow"])
    def test_the_oldest_rounds_of_a_long_turn_are_dropped(self, policy: Any) -> None:
        def round_(number: int) -> list[dict[str, Any]]:
            calls = [{"id": str(number)}]
            return [
                {"role": "assistant", "content": "", "tool_calls": calls},
                {"role": "tool", "content": "x" * 100, "tool_call_id": str(number)},
            ]

        question = {"role": "user", "content": "What now?"}
        rounds = [message for number in range(40) for message in round_(number)]
        found = shorten_messages([*turn(1), question, *rounds], policy, 0.3)
        assert found is not None
        assert found[0] == question
        assert found[1:] == rounds[-len(found) + 1 :]
        assert found[1]["role"] == "assistant"
        assert 10 < len(found) < 30

    def test_very_many_messages(self) -> None:
        many = [message for number in range(20_000) for message in turn(number)]
        found = shorten_messages(many, "truncateMiddle", 0.01)
        assert found is not None
        assert found[0] == many[0]
        assert found[-1] == many[-1]
        assert 200 < len(found) < 800

    def test_the_text_beside_a_picture_is_cut(self) -> None:
        picture = {"type": "image_url", "image_url": {"url": "data:,"}}
        parts = [text("look"), picture, text("begin " + "x" * 500 + " end")]
        found = shorten_messages([{"role": "user", "content": parts}], "truncateMiddle", 0.5)
        assert found is not None
        [message] = found
        assert message["content"][:2] == parts[:2]
        assert message["content"][2]["text"].startswith("begin")
        assert len(message["content"][2]["text"]) < 300
        assert pictures(found) == 1
        lone = [{"role": "user", "content": [picture]}]
        assert shorten_messages(lone, "truncateMiddle", 0.5) is None

    def test_tool_results_go_with_their_turn(self) -> None:
        messages = [
            *turn(1)[:1],
            {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]},
            {"role": "tool", "content": "r", "tool_call_id": "1"},
            {"role": "assistant", "content": "done"},
            *turn(2)[:1],
        ]
        found = shorten_messages(messages, "rollingWindow", 0.5)
        assert found is not None
        assert [m["role"] for m in found] == ["user"]

    def test_texts(self) -> None:
        assert shorten_text("0123456789", "rollingWindow", 0.5) == "56789"
        assert shorten_text("abc", "rollingWindow", 0.0) is None
        assert shorten_text("abc", "rollingWindow", 1.0) is None


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"\x89PNG\r\n\x1a\n..", ("image", "image/png")),
        ("a", b"RIFF....WEBPVP8 ", ("image", "image/webp")),
        ("a", b"\xff\xd8\xff\xe0", ("image", "image/jpeg")),
        ("a.pdf", b"%PDF-1.7", ("application/pdf", "application/pdf")),
        ("a.docx", b"PK\x03\x04", ("application/word", "application/msword")),
        ("a", b"PK\x03\x04..word/document.xml", ("application/word", "application/msword")),
        ("a", b"PK\x03\x04..\xff", ("unknown", "application/octet-stream")),
        ("a.txt", b"hi", ("text/plain", "text/plain")),
        ("a.py", b"hi", ("text/other", "text/plain")),
        ("a.bin", b"\xff\xfe\x00", ("unknown", "application/octet-stream")),
        ("a.txt", b"a\x00b", ("unknown", "application/octet-stream")),
    ],
)
def test_file_types(name: str, content: bytes, expected: tuple[str, str]) -> None:
    assert recognise(name, content) == expected
