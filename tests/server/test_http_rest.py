"""LM Studio's REST API over real sockets with a scripted engine."""

from __future__ import annotations

from typing import Any

from fake_engine import FakeEngine
from http_client import get, post
from wire_client import fake_server, run


def test_models_and_loading() -> None:
    async def test() -> None:
        async with fake_server() as server:
            listed = (await get(server, "/api/v1/models")).json["models"]
            assert "broken" not in [model["key"] for model in listed]
            [pocket] = [model for model in listed if model["key"] == "pocket"]
            assert pocket["loaded_instances"] == []
            assert pocket["capabilities"] == {"vision": False, "trained_for_tool_use": True}
            assert pocket["quantization"] == {"name": "Q8_0", "bits_per_weight": 8}
            [embedding] = [model for model in listed if model["type"] == "embedding"]
            assert "capabilities" not in embedding

            loaded = await post(
                server, "/api/v1/models/load", model="pocket", context_length=512, echo_load_config=True
            )  # fmt: skip
            assert loaded.json["instance_id"] == "pocket"
            assert loaded.json["status"] == "loaded"
            assert loaded.json["load_config"]["context_length"] == 512
            assert loaded.json["load_time_seconds"] >= 0
            again = await post(server, "/api/v1/models/load", model="pocket")
            assert again.json["instance_id"] == "pocket:2"
            listed = (await get(server, "/api/v1/models")).json["models"]
            [pocket] = [model for model in listed if model["key"] == "pocket"]
            assert [i["id"] for i in pocket["loaded_instances"]] == ["pocket", "pocket:2"]

            gone = await post(server, "/api/v1/models/unload", instance_id="pocket:2")
            assert gone.json == {"instance_id": "pocket:2"}
            unknown = await post(server, "/api/v1/models/unload", instance_id="pocket:2")
            assert unknown.status == 404
            assert "Loaded: pocket." in unknown.error["message"]

    run(test)


def test_loads_that_fail() -> None:
    async def test() -> None:
        async with fake_server() as server:
            corrupt = await post(server, "/api/v1/models/load", model="corrupt")
            assert corrupt.status == 400
            assert "magic is wrong" in corrupt.error["message"]
            broken = await post(server, "/api/v1/models/load", model="broken")
            assert broken.status == 400
            assert "not a GGUF file" in broken.error["message"]
            wrong = await post(server, "/api/v1/models/load", model="pocket", context_length="a")
            assert (wrong.status, wrong.error["param"]) == (400, "context_length")
            missing = await post(server, "/api/v1/models/load")
            assert missing.error["code"] == "missing_required_parameter"

    run(test)


def test_a_chat_streams_its_load_and_its_answer() -> None:
    async def test() -> None:
        async with fake_server() as server:
            answer = await post(
                server, "/api/v1/chat", model="pocket", input="think", stream=True, context_length=99
            )  # fmt: skip
            assert answer.headers["content-type"].startswith("text/event-stream")
            kinds = [event["type"] for event in answer.events]
            assert kinds[:3] == ["chat.start", "model_load.start", "model_load.progress"]
            assert kinds[-1] == "chat.end"
            names = [
                line.removeprefix("event: ")
                for line in answer.body.decode().splitlines()
                if line.startswith("event: ")
            ]
            assert names == kinds
            result = answer.events[-1]["result"]
            assert result["output"] == [
                {"type": "reasoning", "content": "hm"},
                {"type": "message", "content": "done"},
            ]
            assert result["stats"]["model_load_time_seconds"] >= 0
            assert server.services.registry.instances()[0].model.context_length == 99

            second = await post(server, "/api/v1/chat", model="pocket", input="think", stream=True)
            assert [event["type"] for event in second.events][:2] == [
                "chat.start",
                "prompt_processing.start",
            ]

    run(test)


def test_a_conversation_is_remembered_and_branches() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server:

            async def chat(text: str, **more: Any) -> Any:
                return (await post(server, "/api/v1/chat", model="pocket", input=text, **more)).json

            def seen() -> list[str]:
                return [f"{m['role']}: {m['content']}" for m in engine.requests[-1].messages]

            first = await chat("say: a", system_prompt="Be short.")
            assert first["response_id"].startswith("resp_")
            assert seen() == ["system: Be short.", "user: say: a"]
            before = first["response_id"]
            second = await chat("say: b", previous_response_id=before)
            assert seen()[1:] == ["user: say: a", "assistant: a ", "user: say: b"]
            other = await chat("say: c", previous_response_id=before, system_prompt="New.")
            assert seen() == ["system: New.", "user: say: a", "assistant: a ", "user: say: c"]
            assert len({before, second["response_id"], other["response_id"]}) == 3
            assert "response_id" not in await chat("say: d", store=False)
            unknown = await post(
                server, "/api/v1/chat", model="pocket", input="a", previous_response_id="resp_x"
            )
            assert (unknown.status, unknown.error["param"]) == (404, "previous_response_id")

    run(test)


def test_what_a_chat_refuses() -> None:
    async def test() -> None:
        async with fake_server() as server:

            async def refused(**body: Any) -> tuple[int, Any]:
                answer = await post(server, "/api/v1/chat", **{"model": "pocket", **body})
                return answer.status, answer.error.get("param")

            assert await refused(input="a", integrations=["mcp/x"]) == (501, "integrations")
            assert await refused(input="a", reasoning="on") == (400, "reasoning")
            assert await refused(input="a", reasoning="much") == (400, "reasoning")
            assert await refused(input=[]) == (400, "input")
            assert await refused() == (400, "input")
            assert await refused(input="a", temperature="x") == (400, "temperature")

    run(test)
