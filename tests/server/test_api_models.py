"""Loading, finding and describing models, over real sockets with a scripted engine."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fake_engine import FakeEngine
from pydantic import ValidationError
from wire_client import Refused, client, fake_server, load, prediction, query, run, stack

from lmstudio_server.api.parameters import LoadModel


async def refused(call: object) -> dict[str, object]:
    with pytest.raises(Refused) as caught:
        await call  # type: ignore[misc]
    return caught.value.error


def code(error: dict[str, object]) -> object:
    return error.get("displayData", {}).get("code")  # type: ignore[attr-defined]


def test_load_tells_its_progress_and_the_instance() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            packets = await llm.collect("loadModel", modelKey="pocket", loadConfigStack=stack())
            assert [p["type"] for p in packets] == [
                "resolved", "progress", "progress", "progress", "success",
            ]  # fmt: skip
            assert [p["progress"] for p in packets[1:-1]] == [0.0, 0.5, 1.0]
            info = packets[-1]["info"]
            assert info["identifier"] == "pocket"
            assert info["ttlMs"] is None
            assert info["contextLength"] == 2048
            assert await llm.call("listLoaded") == [info]

    run(test)


def test_identifiers() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            assert (await load(llm))["identifier"] == "pocket"
            assert (await load(llm))["identifier"] == "pocket:2"
            assert (await load(llm, identifier="mine"))["identifier"] == "mine"
            error = await refused(load(llm, identifier="mine"))
            assert "already exists" in str(error["title"])
            await llm.call("unloadModel", identifier="pocket")
            assert (await load(llm))["identifier"] == "pocket"

    run(test)


def test_an_identifier_is_not_empty() -> None:
    asked = {"modelKey": "pocket", "loadConfigStack": stack()}
    assert LoadModel.model_validate(asked).identifier is None
    with pytest.raises(ValidationError):
        LoadModel.model_validate({**asked, "identifier": ""})


def test_get_or_load() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            packets = await llm.collect(
                "getOrLoad", identifier="pocket", loadTtlMs=60_000, loadConfigStack=stack()
            )
            assert [p["type"] for p in packets] == [
                "startLoading", "loadProgress", "loadProgress", "loadProgress", "loadSuccess",
            ]  # fmt: skip
            assert packets[0]["identifier"] == "pocket"
            assert packets[-1]["info"]["ttlMs"] == 60_000
            for name in ("pocket", "Pocket", "tests/pocket.gguf", "tests"):
                packets = await llm.collect("getOrLoad", identifier=name, loadConfigStack=stack())
                assert [p["type"] for p in packets] == ["alreadyLoaded"]

    run(test)


def test_two_who_want_the_same_model_share_one_load() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with (
            fake_server(engine) as server,
            client(server, "llm") as one,
            client(server, "llm") as two,
        ):
            first, second = [
                await who.open("getOrLoad", identifier="slow", loadConfigStack=stack())
                for who in (one, two)
            ]
            for packets in (first, second):
                assert (await packets.__anext__())["type"] == "startLoading"
                assert (await packets.__anext__())["progress"] == 0.0
            await second.cancel()
            assert [p["type"] async for p in second if p["type"] != "loadProgress"] == []
            engine.release.set()
            assert [p["type"] async for p in first][-1] == "loadSuccess"
            assert len(engine.loads) == 1
            assert engine.cancelled_loads == 0

    run(test)


def test_a_load_that_ended_while_another_client_prepared_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        engine = FakeEngine()
        preparing, loaded = threading.Event(), threading.Event()

        def estimate(*_: Any) -> Any:
            if not preparing.is_set():  # the first to come waits
                preparing.set()
                assert loaded.wait(10)
            return {"memory": {"totalBytes": 1}}

        monkeypatch.setattr("lmstudio_server.api.models.estimate_usage", estimate)
        # What is loaded meanwhile is no model to make room.
        async with (
            fake_server(engine, jit_models=1) as server,
            client(server, "llm") as one,
            client(server, "llm") as two,
        ):
            ask = {"identifier": "pocket", "loadConfigStack": stack()}
            late = await one.open("getOrLoad", **ask)
            await asyncio.to_thread(preparing.wait, 10)
            first = (await two.collect("getOrLoad", **ask))[-1]
            loaded.set()
            second = [packet async for packet in late][-1]
            assert [first["type"], second["type"]] == ["loadSuccess", "loadSuccess"]
            assert first["info"]["instanceReference"] == second["info"]["instanceReference"]
            assert len(engine.loads) == 1

    run(test)


def test_cancelling_a_load_leaves_nothing_behind() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            packets = await llm.open("loadModel", modelKey="slow", loadConfigStack=stack())
            seen = [await packets.__anext__() for _ in range(2)]
            assert [p["type"] for p in seen] == ["resolved", "progress"]
            await packets.cancel()
            assert "success" not in [p["type"] async for p in packets]
            assert engine.cancelled_loads == 1
            assert await llm.call("listLoaded") == []
            engine.release.set()
            assert (await load(llm, "slow"))["identifier"] == "slow"

    run(test)


def test_a_client_that_goes_away_cancels_its_load() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            packets = await llm.open("loadModel", modelKey="slow", loadConfigStack=stack())
            await packets.__anext__()
            await packets.__anext__()
        assert engine.cancelled_loads == 1

    run(test)


def test_models_that_cannot_be_loaded() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            error = await refused(load(llm, "pocketx"))
            assert code(error) == "generic.pathNotFound"
            assert error["displayData"]["totalModels"] == 5  # type: ignore[index]
            assert '"pocket"' in str(error["suggestion"])
            error = await refused(load(llm, "pocket-embedding"))
            assert code(error) == "generic.domainMismatch"
            error = await refused(load(llm, "corrupt"))
            assert "corrupt.gguf" in str(error["cause"])
            assert "magic is wrong" in str(error["cause"])
            error = await refused(load(llm, "broken"))
            assert "broken.gguf" in str(error["cause"])
            error = await refused(load(llm, deviceIdentifier="elsewhere"))
            assert "elsewhere" in str(error["title"])
            assert await llm.call("listLoaded") == []

    run(test)


def test_an_identifier_of_the_other_kind_is_said_to_be_one() -> None:
    async def test() -> None:
        async with (
            fake_server() as server,
            client(server, "llm") as llm,
            client(server, "embedding") as embedding,
        ):
            await load(llm, identifier="mine")
            error = await refused(
                embedding.collect("getOrLoad", identifier="mine", loadConfigStack=stack())
            )
            assert code(error) == "generic.domainMismatch"
            assert "client.llm" in str(error["suggestion"])
            error = await refused(
                embedding.collect("getOrLoad", identifier="yours", loadConfigStack=stack())
            )
            assert code(error) == "generic.pathNotFound"
            # What is much like it is of the kind asked for.
            error = await refused(
                embedding.collect("getOrLoad", identifier="pocketed", loadConfigStack=stack())
            )
            assert str(error["suggestion"]).startswith('Did you mean "pocket-embedding"?')

    run(test)


def test_model_info() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            nothing = await llm.call("getModelInfo", specifier=query(), throwIfNotFound=False)
            assert nothing is None
            error = await refused(
                llm.call("getModelInfo", specifier=query("pocket"), throwIfNotFound=True)
            )
            assert code(error) == "generic.noModelMatchingQuery"
            info = await load(llm)
            any_model = await llm.call("getModelInfo", specifier=query(), throwIfNotFound=True)
            assert any_model["instanceReference"] == info["instanceReference"]
            pinned = {"type": "instanceReference", "instanceReference": info["instanceReference"]}
            same = await llm.call("getModelInfo", specifier=pinned, throwIfNotFound=True)
            assert same["identifier"] == "pocket"
            for odd in ({"vision": True}, {"domain": "embedding"}, {"path": "other"}):
                specifier = {"type": "query", "query": odd}
                missing = await llm.call("getModelInfo", specifier=specifier, throwIfNotFound=False)
                assert missing is None
            await llm.call("unloadModel", identifier="pocket")
            error = await refused(llm.call("getModelInfo", specifier=pinned, throwIfNotFound=True))
            assert code(error) == "generic.specificModelUnloaded"

    run(test)


def test_load_config() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            await llm.collect(
                "loadModel",
                modelKey="pocket",
                loadConfigStack=stack(
                    llm__load__contextLength=512,
                    llm__load__numParallelSessions=2,
                    llm__load__seed={"checked": True, "value": 7},
                    llm__load__llama__tryMmap=False,
                    llm__load__llama__acceleration__offloadRatio="off",
                    unknown__key=1,
                ),
            )
            [request] = engine.loads
            assert (request.context_length, request.parallel, request.seed) == (512, 2, 7)
            assert (request.use_mmap, request.gpu_ratio) == (False, 0)
            config = await llm.call("getLoadConfig", specifier=query("pocket"))
            values = {field["key"]: field["value"] for field in config["fields"]}
            assert values["llm.load.contextLength"] == 512
            assert "unknown.key" not in values
            await load(llm)
            assert engine.loads[1].context_length == 2048

    run(test)


def test_unloading() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            error = await refused(llm.call("unloadModel", identifier="pocket"))
            assert code(error) == "generic.noModelMatchingQuery"
            await load(llm)
            assert await llm.call("unloadModel", identifier="pocket", deviceIdentifier=None) is None
            assert engine.models[0].unloaded
            await load(llm)
        assert engine.models[1].unloaded

    run(test)


def test_unloading_ends_a_prediction_well() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with (
            fake_server(engine) as server,
            client(server, "llm") as llm,
            client(server, "llm") as other,
        ):
            await load(llm)
            packets = await llm.open("predict", **prediction("wait"))
            await engine.waiting.wait()
            assert await other.call(
                "getInstanceProcessingState", specifier=query(), throwIfNotFound=True
            ) == {"status": "generating", "queued": 0}
            await other.call("unloadModel", identifier="pocket")
            seen = [p async for p in packets]
            assert seen[-1]["stats"]["stopReason"] == "modelUnloaded"
            assert engine.closed_generations == 1

    run(test)


def test_ttl_counts_from_the_last_use() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            await load(llm, ttlMs=1)
            while await llm.call("listLoaded"):
                pass
            assert engine.models[0].unloaded
            info = await load(llm, ttlMs=3_600_000)
            instance = server.services.registry.by_reference(info["instanceReference"])
            assert instance is not None
            armed = instance.timer
            packets = await llm.open("predict", **prediction("wait"))
            await engine.waiting.wait()
            assert instance.timer is None
            assert armed is not None
            assert armed.cancelled()
            await packets.cancel()
            assert [p async for p in packets][-1]["modelInfo"]["lastUsedTime"] > 0
            assert instance.timer is not None

    run(test)


def test_embeddings_are_instances_of_their_own() -> None:
    async def test() -> None:
        async with (
            fake_server() as server,
            client(server, "llm") as llm,
            client(server, "embedding") as embedding,
        ):
            await load(llm)
            await load(embedding, "pocket-embedding")
            assert len(await llm.call("listLoaded")) == 1
            [info] = await embedding.call("listLoaded")
            assert info["type"] == "embedding"
            specifier = query("pocket-embedding")
            result = await embedding.call(
                "embedString", modelSpecifier=specifier, inputString="abc"
            )
            assert result == {"embedding": [3.0, 0.5, -1.0]}
            tokens = await embedding.call("tokenize", specifier=specifier, inputString="a bb")
            assert tokens == {"tokens": [1, 2]}
            count = await embedding.call("countTokens", specifier=specifier, inputString="a bb")
            assert count == {"tokenCount": 2}
            config = await embedding.call("getLoadConfig", specifier=specifier)
            assert {"key": "embedding.load.contextLength", "value": 2048} in config["fields"]
            base = await embedding.call("getBasePredictionConfig", specifier=specifier)
            assert base == {"fields": []}
            error = await refused(embedding.call("unloadModel", identifier="pocket"))
            assert code(error) == "generic.noModelMatchingQuery"

    run(test)


def test_what_the_engine_cannot_do_is_said() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            await load(llm)
            error = await refused(
                llm.call("preloadDraftModel", specifier=query(), draftModelKey="x")
            )
            assert code(error) == "generic.engineDoesNotSupportFeature"
            usage = await llm.call("estimateModelUsage", modelKey="pocket", loadConfigStack=stack())
            assert usage["memory"]["modelBytes"] == 1000
            assert usage["passesGuardrails"] is True

    run(test)
