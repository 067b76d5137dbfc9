"""Predictions over real sockets with a scripted engine."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from fake_engine import FakeEngine
from wire_client import Refused, client, fake_server, load, prediction, query, run, said, stack

MULTIPLY = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiply.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}


def answer(packets: list[dict[str, Any]]) -> str:
    return "".join(p["fragment"]["content"] for p in packets if p["type"] == "fragment")


async def predict(
    text: str, engine: FakeEngine | None = None, **fields: Any
) -> list[dict[str, Any]]:
    async with fake_server(engine) as server, client(server, "llm") as llm:
        await load(llm)
        return await llm.collect("predict", **prediction(text, **fields))


def test_the_order_of_packets() -> None:
    async def test() -> None:
        packets = await predict("say: a b")
        assert [p["type"] for p in packets] == [
            "promptProcessingProgress",
            "promptProcessingProgress",
            "fragment",
            "fragment",
            "success",
        ]
        assert packets[0]["details"] == {
            "cachedTokenCount": 0,
            "totalPromptTokenCount": 3,
            "processedPromptTokenCount": 1,
            "unprocessedPromptTokenCount": 2,
        }
        assert packets[1]["progress"] == 1.0
        success = packets[-1]
        assert success["modelInfo"]["identifier"] == "pocket"
        stats = success["stats"]
        assert stats["stopReason"] == "eosFound"
        assert (stats["promptTokensCount"], stats["predictedTokensCount"]) == (3, 2)
        assert stats["totalTokensCount"] == 5
        assert 0 < stats["timeToFirstTokenSec"] <= stats["totalTimeSec"]
        assert stats["tokensPerSecond"] > 0
        assert {"key": "llm.load.contextLength", "value": 2048} in success["loadModelConfig"][
            "fields"
        ]

    run(test)


@pytest.mark.parametrize(
    ("text", "fields", "reason", "stop"),
    [
        ("say: a b c", {"maxPredictedTokens": {"checked": True, "value": 2}},
         "maxPredictedTokensReached", None),
        ("say: a b c", {"stopStrings": ["b"]}, "stopStringFound", "b"),
        ("say: a b c", {"toolCallStopStrings": ["b"]}, "toolCalls", None),
        ("long", {}, "contextLengthReached", None),
    ],
)  # fmt: skip
def test_stop_reasons(text: str, fields: dict[str, Any], reason: str, stop: str | None) -> None:
    async def test() -> None:
        packets = await predict(text, **{f"llm__prediction__{k}": v for k, v in fields.items()})
        stats = packets[-1]["stats"]
        assert stats["stopReason"] == reason
        assert stats.get("stopString") == stop

    run(test)


def test_reasoning() -> None:
    async def test() -> None:
        packets = await predict("think")
        kinds = [
            (p["fragment"]["reasoningType"], p["fragment"]["isStructural"])
            for p in packets
            if p["type"] == "fragment"
        ]
        assert kinds == [
            ("reasoningStartTag", True),
            ("reasoning", False),
            ("reasoningEndTag", True),
            ("none", False),
        ]
        parsing = {"enabled": False, "startString": "<think>", "endString": "</think>"}
        packets = await predict("think", llm__prediction__reasoning__parsing=parsing)
        assert {p["fragment"]["reasoningType"] for p in packets if p["type"] == "fragment"} == {
            "none"
        }
        assert answer(packets) == "<think>hm</think>done"
        parsing = {"enabled": True, "startString": "[", "endString": "]"}
        packets = await predict("say: [why ] so", llm__prediction__reasoning__parsing=parsing)
        assert [
            (p["fragment"]["content"], p["fragment"]["reasoningType"])
            for p in packets
            if p["type"] == "fragment"
        ] == [
            ("[", "reasoningStartTag"),
            ("why ", "reasoning"),
            ("]", "reasoningEndTag"),
            (" ", "none"),
            ("so ", "none"),
        ]

    run(test)


def test_tool_calls() -> None:
    async def test() -> None:
        tools = {"type": "toolArray", "tools": [MULTIPLY]}
        packets = await predict('call multiply {"a": 2}', llm__prediction__tools=tools)
        assert [p["type"] for p in packets[2:]] == [
            "toolCallGenerationStart",
            "toolCallGenerationNameReceived",
            "toolCallGenerationArgumentFragmentGenerated",
            "toolCallGenerationEnd",
            "success",
        ]
        assert packets[-2]["toolCallRequest"] == {
            "type": "function", "id": "c1", "name": "multiply", "arguments": {"a": 2},
        }  # fmt: skip
        assert packets[-1]["stats"]["stopReason"] == "toolCalls"
        packets = await predict("badcall")
        assert packets[-3]["type"] == "toolCallGenerationFailed"
        # It is the model's text, too, for clients that know no such packet.
        assert packets[-2]["fragment"]["content"] == packets[-3]["rawContent"]
        assert packets[-3]["error"]["cause"] == "no JSON"

    run(test)


def test_structured_output_and_sampling_reach_the_engine() -> None:
    async def test() -> None:
        engine = FakeEngine()
        schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
        packets = await predict(
            "hello",
            engine,
            llm__prediction__structured={"type": "json", "jsonSchema": schema},
            llm__prediction__temperature=0.25,
            llm__prediction__topPSampling={"checked": False, "value": 0.95},
        )
        assert answer(packets) == '{"x": 1}'
        [request] = engine.requests
        assert request.sampling.json_schema == schema
        assert request.sampling.temperature == 0.25
        assert request.sampling.top_p == 1.0
        fields = packets[-1]["predictionConfig"]["fields"]
        assert {"key": "llm.prediction.temperature", "value": 0.25} in fields

    run(test)


def test_cancel_is_a_normal_end() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            await load(llm)
            packets = await llm.open("predict", **prediction("wait"))
            await engine.waiting.wait()
            await packets.cancel()
            seen = [p async for p in packets]
            assert answer(seen) == "one "
            assert seen[-1]["stats"]["stopReason"] == "userStopped"
            assert seen[-1]["stats"]["predictedTokensCount"] == 1
            assert engine.closed_generations == 1
            assert answer(await llm.collect("predict", **prediction("say: on"))) == "on "

    run(test)


def test_a_client_that_goes_away_ends_its_generations(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "lmstudio_server")

    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm", "guest:other") as other:
            async with client(server, "llm") as llm:
                await load(llm)
                await llm.open("predict", **prediction("wait"))
                await engine.waiting.wait()
            while server.services.presence.sockets > 1:
                await other.call("listLoaded")
            assert engine.closed_generations == 1
            state = await other.call(
                "getInstanceProcessingState", specifier=query(), throwIfNotFound=True
            )
            assert state == {"status": "idle", "queued": 0}

    run(test)
    assert "given up after 1 predicted tokens: the client went away" in caplog.text


def test_an_engine_that_crashes() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            await load(llm)
            with pytest.raises(Refused) as caught:
                await llm.collect("predict", **prediction("crash"))
            assert "killed by a test" in caught.value.error["cause"]
            assert caught.value.error["suggestion"]
            assert await llm.call("listLoaded") == []
            await load(llm)
            assert answer(await llm.collect("predict", **prediction("say: back"))) == "back "

    run(test)


def test_what_is_missing_is_a_model_of_the_kind_asked_for() -> None:
    async def test() -> None:
        async with (
            fake_server() as server,
            client(server, "llm") as llm,
            client(server, "embedding") as embedding,
        ):
            await load(llm)
            query = {"specifier": {"type": "query", "query": {}}, "throwIfNotFound": True}
            with pytest.raises(Refused, match="No embedding model is loaded") as caught:
                await embedding.call("getModelInfo", **query)
            assert caught.value.error["cause"] == "Loaded embedding models (0): none."
            assert "client.embedding.model(key)" in caught.value.error["suggestion"]

    run(test)


def test_errors_of_a_prediction() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            with pytest.raises(Refused, match="No loaded model has the identifier"):
                await llm.collect("predict", **prediction("hi"))
            asked = {
                **prediction("hi"),
                "modelSpecifier": {"type": "query", "query": {"vision": True}},
            }
            with pytest.raises(Refused, match="No loaded model sees pictures"):
                await llm.collect("predict", **asked)
            await load(llm)
            with pytest.raises(Refused, match="It did not work"):
                await llm.collect("predict", **prediction("raise"))
            with pytest.raises(Refused) as caught:
                await llm.collect("predict", **prediction("hi"), fuzzyPresetIdentifier="p")
            assert caught.value.error["displayData"]["code"] == "generic.presetNotFound"

    run(test)


def test_a_prompt_that_is_too_long() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            await llm.collect(
                "loadModel",
                modelKey="pocket",
                loadConfigStack=stack(llm__load__contextLength=20),
            )
            long = "word " * 100 + "end"
            packets = await llm.collect("predict", **prediction(long))
            assert packets[-1]["stats"]["promptTokensCount"] < 20
            cut = engine.requests[-1].messages[-1]["content"]
            assert cut.startswith("word")
            assert cut.endswith("end")
            policy = {"llm__prediction__contextOverflowPolicy": "rollingWindow"}
            await llm.collect("predict", **prediction(long, **policy))
            cut = engine.requests[-1].messages[-1]["content"]
            assert cut.endswith("end")
            assert "[…]" not in cut
            policy = {"llm__prediction__contextOverflowPolicy": "stopAtLimit"}
            with pytest.raises(Refused, match="context holds 20"):
                await llm.collect("predict", **prediction(long, **policy))
            raw = {"modelSpecifier": query(), "rawPrompt": long, "predictionConfigStack": stack()}
            await llm.collect("completeRawText", **raw)
            assert engine.requests[-1].prompt.endswith("end")

    run(test)


def test_raw_completion_both_ways() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            await load(llm)
            packets = await llm.collect(
                "completeRawText",
                modelSpecifier=query(),
                rawPrompt="say: raw",
                predictionConfigStack=stack(),
            )
            assert answer(packets) == "raw "
            emulated = prediction("say: old")
            template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
            emulated["predictionConfigStack"]["layers"].append(
                {
                    "layerName": "completeModeFormatting",
                    "config": stack(
                        llm__prediction__promptTemplate={
                            "type": "jinja",
                            "jinjaPromptTemplate": {"template": template, "bosToken": ""},
                            "stopStrings": [],
                        }
                    )["layers"][0]["config"],
                }
            )
            assert answer(await llm.collect("predict", **emulated)) == "old "
            assert [type(r).__name__ for r in engine.requests] == ["CompletionRequest"] * 2

    run(test)


def test_prompt_templates() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            await load(llm)
            result = await llm.call(
                "applyPromptTemplate",
                specifier=query(),
                history=said("hi"),
                predictionConfigStack=stack(llm__prediction__systemPrompt="be good"),
                opts={"toolDefinitions": [MULTIPLY]},
            )
            assert result == {"formatted": "<tool>multiply</tool><system>be good<user>hi"}

    run(test)


def test_images_go_to_models_that_see() -> None:
    async def test() -> None:
        engine = FakeEngine()
        png = b"\x89PNG\r\n\x1a\nrest"
        async with (
            fake_server(engine) as server,
            client(server, "files") as files,
            client(server, "llm") as llm,
            client(server, "llm", "guest:stranger") as stranger,
        ):
            upload = await files.call(
                "uploadFileBase64", name="a.png", contentBase64=base64.b64encode(png).decode()
            )
            assert upload["fileType"] == "image"
            assert upload["sizeBytes"] == len(png)
            part = {"type": "file", "name": "a.png", **upload}
            history = {"messages": [{"role": "user", "content": [part]}]}
            for key in ("pocket", "seeing"):
                await load(llm, key)

            def ask(key: str) -> dict[str, Any]:
                return {**prediction(""), "history": history, "modelSpecifier": query(key)}

            with pytest.raises(Refused, match="cannot see images"):
                await llm.collect("predict", **ask("pocket"))
            await llm.collect("predict", **ask("seeing"))
            [piece] = engine.requests[-1].messages[0]["content"]
            assert piece["image_url"]["url"].startswith("data:image/png;base64,")
            with pytest.raises(Refused, match="not on this server"):
                await stranger.collect("predict", **ask("seeing"))

    run(test)


def test_a_prompt_with_a_picture_that_is_too_long() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with (
            fake_server(engine) as server,
            client(server, "files") as files,
            client(server, "llm") as llm,
        ):
            content = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
            upload = await files.call("uploadFileBase64", name="a.png", contentBase64=content)
            part = {"type": "file", "name": "a.png", **upload}
            words = {"type": "text", "text": "word " * 100 + "end"}
            config = stack(llm__load__contextLength=40)
            await llm.collect("loadModel", modelKey="seeing", loadConfigStack=config)
            asked = {
                **prediction(""),
                "modelSpecifier": query("seeing"),
                "history": {"messages": [{"role": "user", "content": [part, words]}]},
            }
            packets = await llm.collect("predict", **asked)
            assert packets[-1]["stats"]["promptTokensCount"] < 40
            shown, said = engine.requests[-1].messages[0]["content"]
            assert shown["type"] == "image_url"
            assert said["text"].startswith("word")
            assert said["text"].endswith("end")

    run(test)


def test_many_at_once_on_one_socket() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            await load(llm)
            for channel_id in range(100, 120):
                await llm.send(
                    type="channelCreate",
                    endpoint="predict",
                    channelId=channel_id,
                    creationParameter=prediction(f"say: n{channel_id}"),
                )
            texts: dict[int, str] = {}
            closed: set[int] = set()
            while len(closed) < 20:
                frame = await llm.receive()
                if frame["type"] == "channelClose":
                    closed.add(frame["channelId"])
                elif frame["message"]["type"] == "fragment":
                    texts[frame["channelId"]] = frame["message"]["fragment"]["content"]
            assert texts == {n: f"n{n} " for n in range(100, 120)}

    run(test)
