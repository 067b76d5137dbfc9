"""From HTTP requests to predictions and back, without a socket."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_server.doors.bodies import read
from lmstudio_server.doors.errors import DoorError, described
from lmstudio_server.doors.messages import history_of
from lmstudio_server.doors.openai.answers import Answer, Generation, embedding_answer
from lmstudio_server.doors.openai.requests import ChatBody, CompletionBody, prediction_fields
from lmstudio_server.doors.rest.answers import ChatEvents
from lmstudio_server.doors.rest.chats import Chats
from lmstudio_server.doors.rest.requests import LoadBody, load_fields, message_of
from lmstudio_server.engines.base import ContextOverflowError, EngineCrashedError, EngineError
from lmstudio_server.errors import from_engine, model_not_found

TOOL = {"type": "function", "function": {"name": "add", "description": "Adds."}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


@dataclass
class Stored:
    name: str
    identifier: str = "local:1"
    size_bytes: int = 8
    file_type: str = "image"


def history(*messages: Any, **image: Any) -> list[Any]:
    return history_of(list(messages), lambda name, _: Stored(name, **image))["messages"]


def chat(**body: Any) -> dict[str, Any]:
    fields = prediction_fields(read(ChatBody, {"messages": [], **body}))
    return {key.removeprefix("llm.prediction."): value for key, value in fields.items()}


def fragment(content: str, reasoning: str = "none", structural: bool = False) -> dict[str, Any]:
    return {
        "type": "fragment",
        "fragment": {
            "content": content,
            "tokensCount": 1,
            "containsDrafted": False,
            "reasoningType": reasoning,
            "isStructural": structural,
        },
    }


def success(reason: str = "eosFound", **stats: Any) -> dict[str, Any]:
    return {"type": "success", "stats": {"stopReason": reason, **stats}}


THOUGHT = [
    fragment("<think>", "reasoningStartTag", structural=True),
    fragment("hm", "reasoning"),
    fragment("</think>", "reasoningEndTag", structural=True),
    fragment("yes"),
    success(promptTokensCount=3, predictedTokensCount=4),
]
CALL = [
    {"type": "toolCallGenerationStart", "toolCallId": "c1"},
    {"type": "toolCallGenerationNameReceived", "name": "add"},
    {"type": "toolCallGenerationArgumentFragmentGenerated", "content": '{"a":'},
    {"type": "toolCallGenerationArgumentFragmentGenerated", "content": " 1}"},
    {
        "type": "toolCallGenerationEnd",
        "toolCallRequest": {"type": "function", "id": "c1", "name": "add", "arguments": {"a": 1}},
    },
    success("toolCalls"),
]


class TestMessages:
    def test_roles_and_parts(self) -> None:
        assert history(
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": None},
        ) == [
            {"role": "system", "content": [{"type": "text", "text": "Be short."}]},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": []},
        ]

    def test_calls_and_results(self) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
        assistant, tool = history(
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "3"},
        )
        assert assistant["content"] == [
            {
                "type": "toolCallRequest",
                "toolCallRequest": {
                    "type": "function",
                    "name": "add",
                    "arguments": {"a": 2},
                    "id": "1",
                },
            }
        ]
        assert tool["content"] == [{"type": "toolCallResult", "content": "3", "toolCallId": "1"}]

    def test_images(self) -> None:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        [message] = history({"role": "user", "content": [part]})
        assert message["content"] == [
            {
                "type": "file",
                "name": "image.png",
                "identifier": "local:1",
                "sizeBytes": 8,
                "fileType": "image",
            }
        ]

    @pytest.mark.parametrize(
        ("message", "param"),
        [
            ("hi", "messages[0]"),
            ({"content": "hi"}, "messages[0].role"),
            ({"role": "user", "content": 5}, "messages[0].content"),
            ({"role": "user", "content": [{"type": "sound"}]}, "messages[0].content[0].type"),
            ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
            (
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]},
                "messages[0].content[0].image_url.url",
            ),
            (
                {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
                "messages[0].content[0].image_url.url",
            ),
            (
                {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]},
                "messages[0].tool_calls[0].function.arguments",
            ),
            (
                {"role": "assistant", "tool_calls": [{"function": {}}]},
                "messages[0].tool_calls[0].function.name",
            ),
        ],
    )  # fmt: skip
    def test_nonsense_names_its_place(self, message: Any, param: str) -> None:
        with pytest.raises(DoorError) as caught:
            history(message)
        assert (caught.value.status, caught.value.param) == (400, param)

    def test_what_is_no_image(self) -> None:
        part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        with pytest.raises(DoorError, match="no image"):
            history({"role": "user", "content": [part]}, file_type="unknown")
        part["image_url"] = {"url": "data:image/png;base64,?"}
        with pytest.raises(DoorError, match="base64"):
            history({"role": "user", "content": [part]})

    def test_no_messages(self) -> None:
        for messages in ([], "hello", None):
            with pytest.raises(DoorError, match="messages"):
                history_of(messages, lambda name, _: Stored(name))


class TestSettings:
    def test_nothing_asked_for(self) -> None:
        assert chat() == {}
        assert chat(temperature=None, stop=None, tools=None, seed=-1) == {}
        assert (
            chat(top_k=None, top_p=None, min_p=None, repeat_penalty=None, top_logprobs=None) == {}
        )
        # As in LM Studio's own examples.
        assert chat(max_tokens=-1, max_completion_tokens=-1, tool_choice="auto") == {}

    def test_sampling(self) -> None:
        assert chat(
            temperature=0,
            top_p=0.5,
            top_k=3,
            seed=7,
            stop="end",
            max_completion_tokens=9,
            frequency_penalty=-1,
            logprobs=True,
            top_logprobs=2,
            logit_bias={"5": -100, "6": 1},
        ) == {
            "temperature": 0,
            "topPSampling": {"checked": True, "value": 0.5},
            "topKSampling": 3,
            "seed": {"checked": True, "value": 7},
            "stopStrings": ["end"],
            "maxPredictedTokens": {"checked": True, "value": 9},
            "llama.frequencyPenalty": {"checked": True, "value": -1},
            "logProbs": {"checked": True, "value": 2},
            "llama.logitBias": [[5, "-inf"], [6, 1.0]],
        }

    def test_structure(self) -> None:
        schema = {"type": "object", "properties": {}}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        assert chat(response_format=form)["structured"] == {"type": "json", "jsonSchema": schema}
        assert chat(response_format={"type": "json_object"})["structured"] == {
            "type": "json",
            "jsonSchema": {"type": "object"},
        }
        assert chat(response_format={"type": "text"}) == {}

    def test_tools(self) -> None:
        other = {"type": "function", "function": {"name": "other"}}
        both = chat(tools=[TOOL, other], tool_choice="required")
        assert len(both["tools"]["tools"]) == 2
        assert both["toolChoice"]["mode"] == "required"
        one = chat(
            tools=[TOOL, other], tool_choice={"type": "function", "function": {"name": "add"}}
        )
        assert [t["function"]["name"] for t in one["tools"]["tools"]] == ["add"]
        assert one["toolChoice"]["mode"] == "required"
        assert one["tools"]["tools"][0]["function"]["parameters"]["type"] == "object"
        assert "parallel" not in one["toolChoice"]
        alone = chat(tools=[TOOL], parallel_tool_calls=False)
        assert alone["toolChoice"] == {"type": "generic", "mode": "auto", "parallel": False}

    @pytest.mark.parametrize(
        ("parameters", "taken"),
        [
            (None, {}),
            ({}, {}),
            (True, {}),
            ([], {}),
            ({"type": "object"}, {"additionalProperties": True}),
            ({"type": "object", "properties": None}, {"properties": None}),
            ({"$ref": "#/none"}, {"$ref": "#/none", "additionalProperties": True}),
        ],
    )
    def test_parameters_of_every_sort(self, parameters: Any, taken: Any) -> None:
        tool = {"type": "function", "function": {"name": "add", "parameters": parameters}}
        [one] = chat(tools=[tool])["tools"]["tools"]
        assert one["function"]["parameters"] == {"type": "object", "properties": {}, **taken}

    def test_parameters_that_are_none_are_named(self) -> None:
        tool = {"type": "function", "function": {"name": "add", "parameters": "text"}}
        with pytest.raises(DoorError, match=r"tools\[0\].function.parameters\" of 'add'"):
            chat(tools=[tool])

    def test_thinking(self) -> None:
        assert chat(reasoning_effort="none") == {"reasoning.enableThinking": False}
        assert chat(reasoning_effort="high") == {"reasoning.enableThinking": True}
        assert chat(chat_template_kwargs={"enable_thinking": False}) == {
            "reasoning.enableThinking": False
        }

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"temperature": "hot"}, "temperature"),
            ({"temperature": -1}, "temperature"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"max_tokens": -2}, "max_tokens"),
            ({"max_tokens": True}, "max_tokens"),
            ({"top_p": 1.5}, "top_p"),
            ({"min_p": -0.1}, "min_p"),
            ({"top_k": 501}, "top_k"),
            ({"top_k": 2.5}, "top_k"),
            ({"repeat_penalty": 0}, "repeat_penalty"),
            ({"seed": "x"}, "seed"),
            ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
            ({"tool_choice": "required"}, "tool_choice"),
            ({"tools": [], "tool_choice": {"function": {"name": "x"}}}, "tool_choice"),
            ({"stop": [1]}, "stop"),
            ({"n": 2}, "n"),
            ({"tools": [{}]}, "tools[0].function.name"),
            ({"tools": {}}, "tools"),
            ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice"),
            ({"tools": [TOOL], "tool_choice": {"function": {"name": "x"}}}, "tool_choice"),
            ({"response_format": {"type": "xml"}}, "response_format.type"),
            (
                {"response_format": {"type": "json_schema"}},
                "response_format.json_schema.schema",
            ),
            ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
            ({"logit_bias": {"a": 1}}, "logit_bias"),
        ],
    )
    def test_what_is_wrong_is_named(self, body: dict[str, Any], param: str) -> None:
        with pytest.raises(DoorError) as caught:
            chat(**body)
        assert caught.value.param == param
        assert caught.value.status in (400, 501)
        assert param.split("[")[0].split(".")[0] in caught.value.message

    def test_completions(self) -> None:
        fields = prediction_fields(read(CompletionBody, {"prompt": "x", "logprobs": 0}))
        assert fields == {"llm.prediction.logProbs": {"checked": True, "value": 0}}
        with pytest.raises(DoorError, match="suffix"):
            prediction_fields(read(CompletionBody, {"prompt": "x", "suffix": "y"}))


class TestAnswers:
    def whole(self, packets: list[Any], **settings: Any) -> dict[str, Any]:
        generation = Generation()
        for packet in packets:
            generation.feed(packet)
        return self.answer(**settings).whole([generation])

    def stream(self, packets: list[Any], **settings: Any) -> list[dict[str, Any]]:
        generation, answer = Generation(), self.answer(**settings)
        chunks = list(answer.first())
        for packet in packets:
            chunks += answer.next(generation, packet)
        return [*chunks, *answer.last(generation), *answer.usage([generation])]

    def answer(self, **settings: Any) -> Answer:
        return Answer("id", 1, "m", **{"chat": True, **settings})

    def test_reasoning_is_apart(self) -> None:
        [choice] = self.whole(THOUGHT)["choices"]
        assert choice["message"] == {
            "role": "assistant",
            "content": "yes",
            "reasoning_content": "hm",
        }
        assert choice["finish_reason"] == "stop"
        deltas = [chunk["choices"][0]["delta"] for chunk in self.stream(THOUGHT)]
        assert deltas == [
            {"role": "assistant", "content": ""},
            {"reasoning_content": "hm"},
            {"content": "yes"},
            {},
        ]

    def test_usage(self) -> None:
        usage = self.whole(THOUGHT)["usage"]
        assert (usage["prompt_tokens"], usage["total_tokens"]) == (3, 7)
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 1}
        chunks = self.stream(THOUGHT, include_usage=True)
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"] == usage
        assert all(chunk["usage"] is None for chunk in chunks[:-1])

    def test_calls(self) -> None:
        [choice] = self.whole(CALL)["choices"]
        call = {
            "id": "c1",
            "type": "function",
            "function": {"name": "add", "arguments": '{"a": 1}'},
        }
        assert choice["message"] == {"role": "assistant", "content": None, "tool_calls": [call]}
        assert choice["finish_reason"] == "tool_calls"
        deltas = [chunk["choices"][0]["delta"] for chunk in self.stream(CALL)]
        # Not before it is whole: one that a limit cuts off is text.
        assert [d["tool_calls"] for d in deltas if "tool_calls" in d] == [[{"index": 0, **call}]]

    def test_a_call_that_comes_whole(self) -> None:
        packets = [CALL[0], CALL[4], success()]
        [delta] = [
            chunk["choices"][0]["delta"]["tool_calls"][0]
            for chunk in self.stream(packets)
            if "tool_calls" in chunk["choices"][0]["delta"]
        ]
        assert json.loads(delta["function"]["arguments"]) == {"a": 1}
        assert self.whole(packets)["choices"][0]["finish_reason"] == "tool_calls"

    @given(st.lists(st.sampled_from(["call", "named", "cut off", "text"]), max_size=6))
    def test_calls_and_what_is_none_in_any_order(self, kinds: list[str]) -> None:
        packets: list[Any] = []
        for number, kind in enumerate(kinds):
            raw = f"<{number}>"
            failed = {"type": "toolCallGenerationFailed", "error": {}, "rawContent": raw}
            request = {**CALL[4]["toolCallRequest"], "id": f"c{number}"}
            whole = [CALL[0], {**CALL[4], "toolCallRequest": request}]
            packets += {
                "call": whole,
                "named": [CALL[0], *CALL[1:4], whole[1]],
                "cut off": [*CALL[:3], failed, fragment(raw)],
                "text": [fragment(raw)],
            }[kind]
        packets.append(success())
        [choice] = self.whole(packets)["choices"]
        ids = [f"c{number}" for number, kind in enumerate(kinds) if kind in ("call", "named")]
        texts = [f"<{number}>" for number, kind in enumerate(kinds) if kind in ("cut off", "text")]
        message = choice["message"]
        assert [call["id"] for call in message.get("tool_calls", ())] == ids
        assert (message["content"] or "") == "".join(texts)
        assert choice["finish_reason"] == ("tool_calls" if ids else "stop")
        deltas = [chunk["choices"][0]["delta"] for chunk in self.stream(packets)]
        assert "".join(delta.get("content", "") for delta in deltas) == "".join(texts)
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        assert [call["index"] for call in calls] == list(range(len(ids)))
        assert [{k: v for k, v in call.items() if k != "index"} for call in calls] == message.get(
            "tool_calls", []
        )
        # What is sent is taken back.
        said: Any = history({"role": "user", "content": "?"}, message)[1]["content"]
        assert [p["toolCallRequest"]["id"] for p in said if p["type"] == "toolCallRequest"] == ids

    @pytest.mark.parametrize(
        ("reason", "finish"),
        [
            ("eosFound", "stop"),
            ("stopStringFound", "stop"),
            ("maxPredictedTokensReached", "length"),
            ("contextLengthReached", "length"),
            ("toolCalls", "tool_calls"),
        ],
    )
    def test_why_it_ended(self, reason: str, finish: str) -> None:
        assert self.whole([success(reason)])["choices"][0]["finish_reason"] == finish

    def test_a_model_that_went_away(self) -> None:
        for make in (self.whole, self.stream):
            with pytest.raises(DoorError, match="unloaded") as caught:
                make([fragment("a"), success("modelUnloaded")])
            assert caught.value.status == 503

    def test_log_probabilities(self) -> None:
        packet = fragment("é")
        candidates = [
            {"text": "é", "id": 1, "logProb": -0.5},
            {"text": "e", "id": 2, "logProb": -2},
        ]
        packet["fragment"]["tokens"] = [
            {"text": "é", "id": 1, "logProb": -0.5, "candidates": candidates}
        ]
        [token] = self.whole([packet, success()], logprobs=1)["choices"][0]["logprobs"]["content"]
        assert token == {
            "token": "é",
            "logprob": -0.5,
            "bytes": [0xC3, 0xA9],
            "top_logprobs": [{"token": "é", "logprob": -0.5, "bytes": [0xC3, 0xA9]}],
        }
        assert self.whole([packet, success()])["choices"][0]["logprobs"] is None

    def test_embeddings(self) -> None:
        packed = embedding_answer([[1.0, -2.0]], "m", 3, as_base64=True)["data"][0]["embedding"]
        assert base64.b64decode(packed) == b"\x00\x00\x80?\x00\x00\x00\xc0"


class TestRest:
    def events(self, packets: list[Any]) -> tuple[list[str], ChatEvents]:
        fold = ChatEvents("m")
        return [event["type"] for packet in packets for event in fold.feed(packet)], fold

    def test_events_in_order(self) -> None:
        progress = {"type": "promptProcessingProgress", "progress": 0.5, "details": {}}
        kinds, fold = self.events([progress, progress, *THOUGHT])
        assert kinds == [
            "prompt_processing.start",
            "prompt_processing.progress",
            "prompt_processing.progress",
            "prompt_processing.end",
            "reasoning.start",
            "reasoning.delta",
            "reasoning.end",
            "message.start",
            "message.delta",
            "message.end",
        ]
        result = fold.result()
        assert result["output"] == [
            {"type": "reasoning", "content": "hm"},
            {"type": "message", "content": "yes"},
        ]
        assert result["stats"]["reasoning_output_tokens"] == 1
        assert "response_id" not in result
        assert fold.text() == "yes"

    def test_input(self) -> None:
        url = {"url": "data:x"}
        assert message_of("hi") == {"role": "user", "content": "hi"}
        items = [{"type": "message", "content": "hi"}, {"type": "image", "data_url": "data:x"}]
        assert message_of(items)["content"] == [
            {"type": "text", "text": "hi"},
            {"type": "image_url", "image_url": url},
        ]
        for wrong in (5, [], [5], [{"type": "sound"}], [{"type": "message"}]):
            with pytest.raises(DoorError, match="input"):
                message_of(wrong)

    def test_load_settings_stand_beside_the_model_or_in_config(self) -> None:
        body = read(
            LoadBody, {"model": "m", "context_length": 5, "config": {"flash_attention": True}}
        )
        assert load_fields(body, "llm") == {
            "llm.load.contextLength": 5,
            "llm.load.llama.flashAttention": True,
        }

    def test_the_oldest_conversations_go_first(self) -> None:
        chats = Chats(max_chats=2, max_characters=100)
        for name in ("a", "b"):
            chats.keep(name, ({"role": "user"},), 10)
        chats.find("a")
        chats.keep("c", (), 10)
        assert chats.find("a")
        with pytest.raises(DoorError, match="b"):
            chats.find("b")
        chats.keep("large", (), 1000)
        with pytest.raises(DoorError):
            chats.find("a")
        assert chats.find("large") == ()


class TestErrors:
    def test_statuses(self) -> None:
        missing = described(model_not_found("x", [], []))
        assert (missing.status, missing.code) == (404, "model_not_found")
        internal = described(RuntimeError("oops"))
        assert (internal.status, internal.retry) == (500, False)

        def wrapped(error: Any) -> DoorError:
            wire = from_engine(error, "m")
            wire.__cause__ = error
            return described(wire)

        overflow = wrapped(ContextOverflowError(10, 5))
        assert (overflow.status, overflow.code) == (400, "context_length_exceeded")
        plain = wrapped(EngineError("It failed", cause="of old age", suggestion="Try again."))
        assert plain.message == "m: It failed. of old age. Try again."
        crash = wrapped(EngineCrashedError("it ended"))
        assert (crash.status, crash.retry) == (500, True)

    def test_bodies(self) -> None:
        with pytest.raises(DoorError, match="object"):
            read(ChatBody, [])
        with pytest.raises(DoorError) as caught:
            read(ChatBody, {"model": "x"})
        assert caught.value.code == "missing_required_parameter"
        assert caught.value.param == "messages"
