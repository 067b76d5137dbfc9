"""Handles, lists and ``client.models`` against a scripted server, sync and async."""

from __future__ import annotations

from typing import Any

import pytest
from model_infos import downloaded, loaded

import lmstudio_core as lms
from lmstudio_core.errors import (
    LMStudioAmbiguousModelError,
    LMStudioModelNotFoundError,
    LMStudioValueError,
)
from lmstudio_core.models.infos import parse_model_info
from lmstudio_core.models.matching import close_matches, find_model
from lmstudio_testing import ServerFailure

KINDS = pytest.mark.parametrize("kind", ["llm", "embedding"])
MEMORY = {
    "confidence": "high",
    "modelVramBytes": 1,
    "contextVramBytes": 2,
    "totalVramBytes": 3,
    "modelBytes": 4,
    "contextBytes": 5,
    "totalBytes": 9,
}
SPECIFIER = {"type": "query", "query": {"identifier": "m"}}


def the_model(api: Any, server: Any, kind: str = "llm") -> Any:
    server.on(f"{kind}.listLoaded", [loaded("m", kind)])
    (model,) = api(getattr(api.client, kind).list_loaded())
    return model


@KINDS
def test_a_handle_tells_of_its_model(api: Any, server: Any, kind: str) -> None:
    key = "llm.load.contextLength" if kind == "llm" else "embedding.load.contextLength"
    model = the_model(api, server, kind)
    server.on(f"{kind}.getModelInfo", loaded("m", kind))
    server.on(f"{kind}.getLoadConfig", {"fields": [{"key": key, "value": 4096}]})
    server.on(f"{kind}.tokenize", {"tokens": [1, 2]})
    server.on(f"{kind}.countTokens", {"tokenCount": 2})
    assert api(model.get_info()).instance_reference == "ref-m"
    assert api(model.get_load_config()).context_length == 4096
    assert api(model.get_context_length()) == 4096
    assert api(model.tokenize("a b")) == [1, 2]
    assert api(model.tokenize(["a", "b"])) == [[1, 2], [1, 2]]
    assert api(model.count_tokens("a b")) == 2


def test_the_context_length_of_an_older_server(api: Any, server: Any) -> None:
    model = the_model(api, server)
    server.on_odd("llm.getModelInfo", {"identifier": "m"})
    fields = [{"key": "llm.load.contextLength", "value": 1024}]
    server.on("llm.getLoadConfig", {"fields": fields})
    assert api(model.get_context_length()) == 1024


@KINDS
def test_the_processing_state(api: Any, server: Any, kind: str) -> None:
    model = the_model(api, server, kind)
    server.on(f"{kind}.getInstanceProcessingState", {"status": "generating", "queued": 2})
    state = api(model.processing_state())
    assert isinstance(state, lms.ModelProcessingState)
    assert (state.status, state.queued) == ("generating", 2)
    assert server.parameters[-1] == {"specifier": SPECIFIER, "throwIfNotFound": True}


@KINDS
def test_the_base_prediction_config(api: Any, server: Any, kind: str) -> None:
    model = the_model(api, server, kind)
    fields = [{"key": "llm.prediction.temperature", "value": 0.25}]
    server.on(f"{kind}.getBasePredictionConfig", {"fields": fields})
    config = api(model.base_prediction_config())
    if kind == "llm":
        assert type(config).__name__ == "LlmPredictionConfig"
        assert config.temperature == 0.25
    else:
        assert config == {"llm.prediction.temperature": 0.25}
    assert server.parameters[-1] == {"specifier": SPECIFIER}
    api(model.base_prediction_config(ignore_server_session_config=True))
    assert server.parameters[-1]["ignoreServerSessionConfig"] is True


def test_a_draft_model_is_loaded_in_advance(api: Any, server: Any) -> None:
    model = the_model(api, server)
    server.on("llm.preloadDraftModel")
    api(model.preload_draft_model("tiny"))
    assert server.parameters[-1] == {"specifier": SPECIFIER, "draftModelKey": "tiny"}
    with pytest.raises(LMStudioValueError):
        api(model.preload_draft_model(""))


@KINDS
def test_estimates(api: Any, server: Any, kind: str) -> None:
    server.on(f"{kind}.estimateModelUsage", {"memory": MEMORY, "passesGuardrails": False})
    models = getattr(api.client, kind)
    estimate = api(models.estimate_resources("m", {"contextLength": 512}, device="local"))
    assert isinstance(estimate, lms.EstimatedResources)
    assert (estimate.memory.total_bytes, estimate.passes_guardrails) == (9, False)
    parameter = server.parameters[-1]
    assert (parameter["modelKey"], parameter["deviceIdentifier"]) == ("m", None)
    fields = parameter["loadConfigStack"]["layers"][0]["config"]["fields"]
    assert {"key": f"{kind}.load.contextLength", "value": 512} in fields
    api(models.estimate_resources("m"))
    assert "deviceIdentifier" not in server.parameters[-1]


def test_estimates_of_a_newer_server_can_be_read(api: Any, server: Any) -> None:
    server.on_odd("llm.estimateModelUsage", {"memory": {"totalBytes": 7, "more": 1}, "new": 2})
    estimate = api(api.client.llm.estimate_resources("m"))
    assert estimate.memory.total_bytes == 7


@KINDS
def test_lists_are_of_one_kind(api: Any, server: Any, kind: str) -> None:
    both = [downloaded("a"), downloaded("b", "embedding")]
    server.on("system.listDownloadedModels", both)
    server.on("system.listDownloadedModelVariants", both)
    models = getattr(api.client, kind)
    (model,) = api(models.list_downloaded())
    (variant,) = api(models.list_downloaded_variants("a"))
    assert model.type == variant.type == kind
    assert server.parameters[-1] == {"modelKey": "a"}


def test_a_downloaded_model_loads_itself(api: Any, server: Any) -> None:
    server.on("system.listDownloadedModels", [downloaded("a")])
    server.on_channel("llm.getOrLoad", [{"type": "alreadyLoaded", "info": loaded("a")}])
    server.on_channel("llm.loadModel", [{"type": "success", "info": loaded("mine")}])
    (found,) = api(api.client.llm.list_downloaded())
    assert api(found.model(device="d")).identifier == "a"
    assert server.parameters[-1]["deviceIdentifier"] == "d"
    made = api(found.load_new_instance(instance_identifier="mine", device="d", ttl=None))
    assert made.identifier == "mine"
    assert server.parameters[-1]["deviceIdentifier"] == "d"


# -- across kinds --------------------------------------------------------------------------------


def test_models_of_every_kind_are_listed(api: Any, server: Any) -> None:
    server.on("llm.listLoaded", [loaded("a", deviceIdentifier="d")])
    server.on("embedding.listLoaded", [loaded("b", "embedding")])
    models = api(api.client.models.list_loaded())
    assert [(m.identifier, m.device_identifier) for m in models] == [("a", "d"), ("b", None)]
    (one,) = api(api.client.models.list_loaded("embedding"))
    assert type(one).__name__.endswith("EmbeddingModel")
    with pytest.raises(LMStudioValueError, match="'llm', 'embedding'"):
        api(api.client.models.list_loaded("images"))


def test_unload_finds_the_kind(api: Any, server: Any) -> None:
    server.on("llm.listLoaded", [loaded("a", deviceIdentifier="d"), loaded("a")])
    server.on("embedding.listLoaded", [loaded("b", "embedding")])
    server.on("llm.unloadModel")
    server.on("embedding.unloadModel")
    api(api.client.models.unload("b"))
    assert server.requests[-1].endpoint == "embedding.unloadModel"
    assert server.parameters[-1] == {"identifier": "b"}
    api(api.client.models.unload("a"))
    assert server.parameters[-1] == {"identifier": "a", "deviceIdentifier": "d"}
    api(api.client.models.unload("a", device="local"))
    assert server.parameters[-1] == {"identifier": "a", "deviceIdentifier": None}
    with pytest.raises(
        LMStudioModelNotFoundError, match=r"on the device 'd' has .* 'b'. Loaded are: a\."
    ):
        api(api.client.models.unload("b", device="d"))


def test_unload_where_nothing_is_loaded(api: Any, server: Any) -> None:
    server.on("llm.listLoaded", [])
    server.on("embedding.listLoaded", [])
    with pytest.raises(LMStudioModelNotFoundError, match="None is loaded"):
        api(api.client.models.unload("b"))


@KINDS
@pytest.mark.parametrize("identifier", ["", None, 3])
def test_what_is_unloaded_has_an_identifier(api: Any, kind: str, identifier: Any) -> None:
    with pytest.raises(LMStudioValueError, match="by its identifier, a string, not by"):
        api(getattr(api.client, kind).unload(identifier))


def test_unloading_from_a_device_where_the_model_is_not(api: Any, server: Any) -> None:
    server.on("llm.listLoaded", [loaded("a")])
    server.on("embedding.listLoaded", [])
    with pytest.raises(
        LMStudioModelNotFoundError, match=r"on the device 'laptop' has .* 'a'. None"
    ):
        api(api.client.models.unload("a", device="laptop"))


def test_a_downloaded_model_is_found_by_its_name(api: Any, server: Any) -> None:
    both = [downloaded("someone/a"), downloaded("b", "embedding")]
    server.on("system.listDownloadedModels", both)
    server.on("system.listDownloadedModelVariants", both)
    assert api(api.client.models.find_downloaded("A")).model_key == "someone/a"
    assert api(api.client.models.find_downloaded("b")).type == "embedding"
    variants = api(api.client.models.list_downloaded_variants("a"))
    assert [v.model_key for v in variants] == ["someone/a", "b"]
    with pytest.raises(LMStudioModelNotFoundError, match="Did you mean someone/a"):
        api(api.client.models.find_downloaded("omeone"))


def test_a_variant_that_lists_leave_out_is_found(api: Any, server: Any) -> None:
    server.on("system.listDownloadedModels", [downloaded("acme/m")])
    server.on(
        "system.listDownloadedModelVariants", [downloaded("acme/m@q4"), downloaded("acme/m@q8")]
    )
    assert api(api.client.models.find_downloaded("acme/m@Q8")).model_key == "acme/m@q8"
    with pytest.raises(LMStudioModelNotFoundError, match="Did you mean acme/m"):
        api(api.client.models.find_downloaded("acme/m@q5"))


def test_a_name_that_only_the_server_knows_is_found(api: Any, server: Any) -> None:
    minilm = downloaded("text-embedding-all-minilm", "embedding")
    server.on("system.listDownloadedModels", [minilm])
    server.on("system.listDownloadedModelVariants", [minilm])
    found = api(api.client.models.find_downloaded("all-minilm"))
    assert found.model_key == "text-embedding-all-minilm"
    server.on("system.listDownloadedModelVariants", ServerFailure("no such model"))
    with pytest.raises(LMStudioModelNotFoundError, match="Did you mean text-embedding"):
        api(api.client.models.find_downloaded("all-minilm"))


def test_variants_of_an_unknown_model_are_an_error(api: Any, server: Any) -> None:
    server.on("system.listDownloadedModels", [downloaded("acme/qwen")])
    server.on("system.listDownloadedModelVariants", [])
    client = api.client
    for variants in (
        client.models.list_downloaded_variants,
        client.llm.list_downloaded_variants,
        client.system.list_downloaded_model_variants,
    ):
        with pytest.raises(LMStudioModelNotFoundError, match=r"Did you mean acme/qwen\?"):
            api(variants("quen"))
    server.on("system.listDownloadedModels", [downloaded("acme/m"), downloaded("beta/m")])
    assert api(api.client.models.list_downloaded_variants("m")) == []


def test_numbers_stay_what_the_server_sent(api: Any, server: Any) -> None:
    memory = {**MEMORY, "totalBytes": 5275200, "contextBytes": 0.5}
    server.on("llm.estimateModelUsage", {"memory": memory, "passesGuardrails": True})
    estimate = api(api.client.llm.estimate_resources("m"))
    assert f"{estimate.memory.total_bytes} {estimate.memory.context_bytes}" == "5275200 0.5"


# -- matching, without a server ------------------------------------------------------------------

INFOS = [
    parse_model_info(downloaded(key))
    for key in ("qwen/qwen3-4b", "other/qwen3-4b", "qwen/qwen3-8b", "Phi")
]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("qwen/qwen3-4b", "qwen/qwen3-4b"),
        ("qwen3-8b", "qwen/qwen3-8b"),
        ("QWEN3-8B", "qwen/qwen3-8b"),
        ("phi", "Phi"),
        ("qwen/qwen3-8b/model.gguf", "qwen/qwen3-8b"),
    ],
)
def test_what_a_key_means(key: str, found: str) -> None:
    assert find_model(key, INFOS).model_key == found


@pytest.mark.parametrize("key", ["zero", "ACME/zero"])
def test_a_name_without_its_quantization_or_file(key: str) -> None:
    infos = [
        parse_model_info(downloaded(f"zero@{q}", path=f"acme/zero/zero-{q}.gguf"))
        for q in ("q4_0", "q8_0")
    ]
    with pytest.raises(LMStudioAmbiguousModelError, match="zero@q4_0, zero@q8_0"):
        find_model(key, infos)
    assert find_model(key, infos[:1]).model_key == "zero@q4_0"


def test_a_name_that_two_models_have_is_ambiguous() -> None:
    with pytest.raises(LMStudioAmbiguousModelError) as caught:
        find_model("qwen3-4b", INFOS)
    assert caught.value.close_matches == ("qwen/qwen3-4b", "other/qwen3-4b")
    assert "qwen/qwen3-4b, other/qwen3-4b. Use one of these keys." in str(caught.value)


def test_nothing_like_it_lists_what_there_is() -> None:
    with pytest.raises(LMStudioModelNotFoundError, match="Downloaded are: qwen/qwen3-4b, other"):
        find_model("zzz", INFOS)
    with pytest.raises(LMStudioModelNotFoundError, match="No model is downloaded yet"):
        find_model("zzz", [])


@pytest.mark.parametrize(
    ("key", "known", "like"),
    [
        ("qwen3", ["qwen/qwen3-4b", "phi"], ["qwen/qwen3-4b"]),
        ("qwen3-4", ["qwen/qwen3-4b-2507", "phi"], ["qwen/qwen3-4b-2507"]),
        ("PHI3", ["phi-3", "gemma"], ["phi-3"]),
        ("x", [], []),
    ],
)
def test_close_matches(key: str, known: list[str], like: list[str]) -> None:
    assert close_matches(key, known) == like
