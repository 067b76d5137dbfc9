"""Loading models of both kinds against a scripted server, sync and async."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from model_infos import downloaded, loaded

import lmstudio_core as lms
from lmstudio_core.errors import (
    LMStudioIdentifierInUseError,
    LMStudioModelDomainError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_core.models.generic import GENERIC_KINDS
from lmstudio_core.models.loading import LoadChannel
from lmstudio_testing import NO_ANSWER, ServerFailure

KINDS = pytest.mark.parametrize("kind", ["llm", "embedding"])
NO_CONFIG = {"layers": [{"layerName": "apiOverride", "config": {"fields": []}}]}


def start(key: str = "m", kind: str = "llm") -> dict[str, Any]:
    return {"type": "startLoading", "identifier": key, "info": downloaded(key, kind)}


def namespace(api: Any, kind: str) -> Any:
    return getattr(api.client, kind)


@KINDS
def test_get_or_load_loads_and_reports_progress(api: Any, server: Any, kind: str) -> None:
    seen: list[float] = []
    server.on_channel(
        f"{kind}.getOrLoad",
        [
            start("m", kind),
            {"type": "unloadingOtherJITModel", "info": loaded("old", kind)},
            *({"type": "loadProgress", "progress": p} for p in (0.2, 0.2, 0.1, 0.9)),
            {"type": "loadSuccess", "info": loaded("m", kind)},
        ],
    )
    model = api(namespace(api, kind).model("m", ttl=90, on_load_progress=seen.append))
    assert model.identifier == "m"
    assert seen == [0.0, 0.2, 0.9, 1.0]
    assert server.parameters == [
        {"identifier": "m", "loadConfigStack": NO_CONFIG, "loadTtlMs": 90_000}
    ]


@KINDS
def test_a_loaded_model_is_taken_as_it_is(api: Any, server: Any, kind: str) -> None:
    seen: list[float] = []
    server.on_channel(f"{kind}.getOrLoad", [{"type": "alreadyLoaded", "info": loaded("m", kind)}])
    model = api(namespace(api, kind).model("m", ttl=None, on_load_progress=seen.append))
    assert (model.identifier, seen) == ("m", [])
    assert server.parameters == [{"identifier": "m", "loadConfigStack": NO_CONFIG}]


@KINDS
def test_new_instances(api: Any, server: Any, kind: str) -> None:
    server.on_channel(
        f"{kind}.loadModel",
        [
            {"type": "resolved", "info": downloaded("m", kind)},
            {"type": "progress", "progress": 0.5},
            {"type": "success", "info": loaded("mine", kind)},
        ],
    )
    model = api(namespace(api, kind).load_new_instance("m", "mine", ttl=None))
    assert model.identifier == "mine"
    assert server.parameters == [
        {"modelKey": "m", "identifier": "mine", "loadConfigStack": NO_CONFIG}
    ]


@pytest.mark.parametrize("identifier", ["", " ", 5])
def test_what_is_no_identifier_is_not_sent(api: Any, server: Any, identifier: Any) -> None:
    with pytest.raises(LMStudioValueError, match="instance_identifier"):
        api(api.client.llm.load_new_instance("m", identifier))
    assert server.requests == ()


@pytest.mark.parametrize(("device", "sent"), [("device-2", "device-2"), ("local", None)])
@KINDS
def test_models_go_to_the_device_asked_for(
    api: Any, server: Any, kind: str, device: str, sent: str | None
) -> None:
    info = loaded("m", kind, deviceIdentifier=sent)
    success = {"type": "success", "info": info}
    server.on_channel(f"{kind}.getOrLoad", [{"type": "alreadyLoaded", "info": info}])
    server.on_channel(f"{kind}.loadModel", [success])
    server.on(f"{kind}.getModelInfo", info)
    server.on(f"{kind}.unloadModel")
    models = namespace(api, kind)
    for made in (
        models.model("m", device=device),
        models.load_new_instance("m", device=device),
        models.model(device=device),
    ):
        model = api(made)
        assert model.device_identifier == sent
        assert server.parameters[-1].get("deviceIdentifier", sent) == sent
    assert server.parameters[0]["deviceIdentifier"] == sent
    assert server.parameters[1]["deviceIdentifier"] == sent
    assert server.parameters[2]["specifier"]["query"] == {"deviceIdentifier": sent}
    api(models.unload("m", device=device))
    assert server.parameters[-1] == {"identifier": "m", "deviceIdentifier": sent}


def test_a_handle_stays_with_its_device(api: Any, server: Any) -> None:
    info = loaded("m", deviceIdentifier="device-2")
    server.on("llm.listLoaded", [info])
    server.on("llm.getModelInfo", info)
    server.on("llm.unloadModel")
    (model,) = api(api.client.llm.list_loaded())
    assert api(model.get_info()).device_identifier == "device-2"
    query = {"identifier": "m", "deviceIdentifier": "device-2"}
    assert server.parameters[-1]["specifier"] == {"type": "query", "query": query}
    api(model.unload())
    assert server.parameters[-1] == query


@pytest.mark.parametrize("device", ["", 3, False])
def test_a_device_that_cannot_be_one_is_refused(api: Any, server: Any, device: Any) -> None:
    with pytest.raises(LMStudioValueError, match=r"lm_link\.status"):
        api(api.client.llm.model("m", device=device))
    assert server.requests == ()


# -- what a load tells ---------------------------------------------------------------------------


def test_a_smaller_context_than_asked_for_is_a_warning(
    api: Any, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.on_channel(
        "llm.loadModel", [{"type": "success", "info": loaded("m", contextLength=2048)}]
    )
    with caplog.at_level(logging.WARNING, "lmstudio"):
        api(api.client.llm.load_new_instance("m", config={"contextLength": 2048}))
        assert caplog.records == []
        api(api.client.llm.load_new_instance("m", config={"contextLength": 8192}))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "2048" in record.message
    assert "8192" in record.message


def test_an_ambiguous_key_names_the_candidates(
    api: Any, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.on_channel(
        "llm.loadModel",
        [
            {"type": "resolved", "info": downloaded("a/m"), "ambiguous": ["a/m", "b/m"]},
            {"type": "success", "info": loaded("a/m")},
        ],
    )
    assert api(api.client.llm.load_new_instance("m")).identifier == "a/m"
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "'m': a/m, b/m. The server loads a/m" in record.message


def not_found(**fields: Any) -> ServerFailure:
    data = {
        "code": "generic.pathNotFound",
        "path": "qwen3",
        "availablePathsSample": [],
        "totalModels": 2,
    }
    return ServerFailure("Model not found", displayData=data, **fields)


def test_an_unknown_model_is_told_with_close_matches(api: Any, server: Any) -> None:
    server.on_channel("llm.getOrLoad", not_found())
    server.on(
        "system.listDownloadedModels",
        [downloaded("qwen/qwen3-4b"), downloaded("other"), downloaded("qwen-embed", "embedding")],
    )
    with pytest.raises(LMStudioModelNotFoundError) as caught:
        api(api.client.llm.model("qwen3-4"))
    assert caught.value.close_matches == ("qwen/qwen3-4b",)
    assert str(caught.value).endswith("Did you mean qwen/qwen3-4b?\nEndpoint: llm.getOrLoad")


def test_so_is_one_that_is_estimated_or_drafts(api: Any, server: Any) -> None:
    refused = ServerFailure("Not found", displayData={"code": "generic.pathNotFound", "path": "x"})
    server.on("llm.estimateModelUsage", refused)
    server.on("llm.preloadDraftModel", refused)
    server.on("system.listDownloadedModels", [downloaded("qwen/qwen3-4b")])
    server.on_channel("llm.getOrLoad", [{"type": "alreadyLoaded", "info": loaded("a")}])
    model = api(api.client.llm.model("a"))
    for ask in (api.client.llm.estimate_resources, model.preload_draft_model):
        with pytest.raises(LMStudioModelNotFoundError) as caught:
            api(ask("qwen3-4"))
        assert caught.value.close_matches == ("qwen/qwen3-4b",)
    with pytest.raises(LMStudioModelNotFoundError) as caught:
        api(model.preload_draft_model("qwen/qwen3-4b"))  # there, but the model itself is not
    assert "Did you mean" not in str(caught.value)


def test_what_the_server_suggests_is_not_said_twice(api: Any, server: Any) -> None:
    server.on_channel("llm.loadModel", not_found(suggestion='Did you mean "qwen/qwen3-4b"?'))
    server.on("system.listDownloadedModels", [downloaded("qwen/qwen3-4b")])
    with pytest.raises(LMStudioModelNotFoundError) as caught:
        api(api.client.llm.load_new_instance("qwen3"))
    assert str(caught.value).count("Did you mean") == 1
    assert caught.value.close_matches == ("qwen/qwen3-4b",)


def test_an_unknown_model_that_is_one_of_another_kind(api: Any, server: Any) -> None:
    server.on_channel("embedding.getOrLoad", not_found())
    server.on("system.listDownloadedModels", [downloaded("qwen/qwen3-4b")])
    with pytest.raises(LMStudioModelNotFoundError, match=r"a model for client\.llm"):
        api(api.client.embedding.model("qwen/qwen3-4b"))


def test_the_servers_error_stays_if_its_list_cannot_be_had(api: Any, server: Any) -> None:
    server.on_channel("llm.getOrLoad", not_found())
    server.on("system.listDownloadedModels", ServerFailure("no list today"))
    with pytest.raises(LMStudioModelNotFoundError, match="Model not found"):
        api(api.client.llm.model("qwen3"))


def test_the_wrong_domain_is_an_error_of_its_own(api: Any, server: Any) -> None:
    data = {
        "code": "generic.domainMismatch",
        "path": "m",
        "actualDomain": "llm",
        "expectedDomain": "embedding",
    }
    server.on_channel("embedding.getOrLoad", ServerFailure("Wrong kind", displayData=data))
    with pytest.raises(LMStudioModelDomainError) as caught:
        api(api.client.embedding.model("m"))
    assert caught.value.actual_domain == "llm"
    assert caught.value.expected_domain == "embedding"
    assert LMStudioModelDomainError("?").actual_domain == ""


def test_an_identifier_in_use_is_an_error_of_its_own(api: Any, server: Any) -> None:
    failure = ServerFailure('A model with the identifier "mine" already exists.')
    server.on_channel("llm.loadModel", failure)
    with pytest.raises(LMStudioIdentifierInUseError, match="mine"):
        api(api.client.llm.load_new_instance("m", "mine"))
    with pytest.raises(LMStudioServerError) as caught:  # no identifier was asked for
        api(api.client.llm.load_new_instance("m"))
    assert type(caught.value) is LMStudioServerError


def test_an_impossible_config_keeps_the_servers_words(api: Any, server: Any) -> None:
    failure = ServerFailure("Cannot load", cause="Too large.", suggestion="Use a smaller context.")
    server.on_channel("llm.loadModel", failure)
    with pytest.raises(LMStudioServerError) as caught:
        api(api.client.llm.load_new_instance("m"))
    assert str(caught.value) == (
        "Cannot load\nToo large.\nUse a smaller context.\nEndpoint: llm.loadModel"
    )
    assert caught.value.endpoint == "llm.loadModel"


@pytest.mark.parametrize(
    "bad", [{"model_key": ""}, {"model_key": None}, {"ttl": 0}, {"ttl": True}, {"config": 3}]
)
def test_bad_arguments_are_refused_before_anything_is_sent(
    api: Any, server: Any, bad: dict[str, Any]
) -> None:
    with pytest.raises(LMStudioValueError):
        api(api.client.llm.load_new_instance(**{"model_key": "m", **bad}))
    assert server.requests == ()


# -- a load that is given up ---------------------------------------------------------------------


def still_works(api: Any, server: Any) -> None:
    server.on("llm.listLoaded", [])
    assert api(api.client.llm.list_loaded()) == []
    assert len(server.sockets) <= 2  # the load's, and no other in its place


@pytest.mark.parametrize("endpoint", ["getOrLoad", "loadModel"])
def test_an_interrupt_cancels_the_load(server: Any, endpoint: str) -> None:
    def interrupt(progress: float) -> None:
        raise KeyboardInterrupt

    server.on_odd_channel(f"llm.{endpoint}", lambda channel: channel.send(start()))
    with lms.Client(server.api_host) as client:
        load = client.llm.model if endpoint == "getOrLoad" else client.llm.load_new_instance
        with pytest.raises(KeyboardInterrupt):
            load("m", on_load_progress=interrupt)
        server.requests[0].wait_for_message("cancel")
        server.on("llm.listLoaded", [])
        assert client.llm.list_loaded() == []


def test_a_timeout_cancels_the_load(server: Any) -> None:
    server.on_odd_channel("llm.getOrLoad", lambda channel: channel.send(start()))
    with lms.Client(server.api_host) as client:
        client.connect("llm")
        lms.set_sync_api_timeout(0.05)
        with pytest.raises(LMStudioTimeoutError):
            client.llm.model("m")
        lms.set_sync_api_timeout(60)
        server.requests[0].wait_for_message("cancel")
        server.on("llm.listLoaded", [])
        assert client.llm.list_loaded() == []


def test_cancelling_the_task_cancels_the_load(server: Any) -> None:
    server.on_channel("llm.getOrLoad", NO_ANSWER)
    server.on("llm.listLoaded", [])

    async def main() -> None:
        async with lms.AsyncClient(server.api_host) as client:
            task = asyncio.ensure_future(client.llm.model("m"))
            channel = await asyncio.to_thread(server.wait_for_request, "llm.getOrLoad")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(channel.wait_for_message, "cancel")
            channel.send({"type": "loadProgress", "progress": 0.5})  # too late: nobody listens
            channel.close()
            assert await client.llm.list_loaded() == []

    asyncio.run(main())


def test_a_callback_that_raises_does_not_stop_the_load(
    api: Any, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(progress: float) -> None:
        raise RuntimeError("no")

    server.on_channel("llm.getOrLoad", [start(), {"type": "loadSuccess", "info": loaded("m")}])
    assert api(api.client.llm.model("m", on_load_progress=broken)).identifier == "m"
    assert "on_load_progress raised" in caplog.text


# -- the fold alone ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet", [None, 3, [], {}, {"type": "news"}, {"type": "progress"}, {"type": "resolved"}]
)
def test_odd_packets_do_no_harm(packet: Any) -> None:
    channel = LoadChannel(GENERIC_KINDS["llm"], "loadModel", {}, None)
    assert [*channel.feed(packet)] in ([], [0.0])
    assert not channel.done
    channel.feed({"type": "success", "info": None})
    assert channel.done
    assert channel.result() is not None
