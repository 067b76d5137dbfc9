"""What becomes of every key of LM Studio's configuration."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from wire_client import Refused, client, fake_server, load, prediction, run, stack
from wire_schema import SCHEMAS

from lmstudio_server.convert.packets import PredictionFold
from lmstudio_server.engines.base import DraftUse, Finished, Sampling, Text
from lmstudio_server.kv.drafts import load_draft, prediction_draft
from lmstudio_server.kv.load import effective_load_config, load_request
from lmstudio_server.kv.prediction import effective_prediction_config, prediction_settings
from lmstudio_server.kv.support import SUPPORT, ineffective, refusals

FIELDS = SCHEMAS / "_kv-config.json"
ON = {"checked": True}


def sampling(**given: Any) -> Sampling:
    keys = {f"llm.prediction.{key.replace('__', '.')}": value for key, value in given.items()}
    return prediction_settings(effective_prediction_config(keys, "m"), client=keys).sampling


def loading(**given: Any) -> Any:
    keys = {f"llm.load.{key.replace('__', '.')}": value for key, value in given.items()}
    return load_request("llm", effective_load_config("llm", keys, 0), Path("m.gguf"))


@pytest.mark.skipif(not FIELDS.exists(), reason="the protocol's schemas are not here")
def test_no_key_of_the_protocol_is_missing() -> None:
    known = json.loads(FIELDS.read_text())["fields"]
    wanted = {key for key in known if not key.startswith("retrieval.")}
    assert wanted == set(SUPPORT)
    # The defaults of the protocol ask for nothing that is refused.
    defaults = {key: value["default"] for key, value in known.items() if "default" in value}
    assert refusals(defaults) == []


@pytest.mark.skipif(not FIELDS.exists(), reason="the protocol's schemas are not here")
def test_mapped_keys_change_what_the_engine_is_asked() -> None:
    """Each mapped key of sampling and loading is read: another value, another request."""
    plain = sampling()
    samplings: dict[str, Any] = {
        "temperature": 0.1,
        "contextOverflowPolicy": "rollingWindow",
        "maxPredictedTokens": {**ON, "value": 3},
        "stopStrings": ["x"],
        "toolCallStopStrings": ["x"],
        "structured": {"type": "json", "jsonSchema": {}},
        "seed": {**ON, "value": 3},
        "topKSampling": 3,
        "repeatPenalty": {**ON, "value": 3},
        "minPSampling": {**ON, "value": 0.3},
        "topPSampling": {**ON, "value": 0.3},
        "logProbs": {**ON, "value": 3},
        "llama__frequencyPenalty": {**ON, "value": 3},
        "llama__presencePenalty": {**ON, "value": 3},
        "llama__xtcProbability": {**ON, "value": 0.3},
        "llama__xtcThreshold": {**ON, "value": 0.3},
        "llama__locallyTypicalSampling": {**ON, "value": 0.3},
        "llama__mirostatSampling": {"version": 2, "learningRate": 0.3, "targetEntropy": 3},
        "llama__logitBias": [[3, 1.5]],
    }
    for key, value in samplings.items():
        assert sampling(**{key: value}) != plain, key
    elsewhere = {
        *["tools", "toolChoice", "toolNaming", "promptTemplate", "systemPrompt"],
        *["reasoning__enableThinking", "reasoning__budgetTokens", "reasoning__parsing"],
        *(f"speculativeDecoding__{name}" for name in DRAFTING),
    }
    mapped = {key for key, support in SUPPORT.items() if support.effect == "mapped"}
    tried = {key.replace("__", ".") for key in (*samplings, *elsewhere)}
    prefix = "llm.prediction."
    assert {key.removeprefix(prefix) for key in mapped if key.startswith(prefix)} == tried


DRAFTING = [
    "draftModel",
    "minDraftLengthToConsider",
    "minContinueDraftingProbability",
    "maxTokensToDraft",
    "numDraftTokensExact",
]


def test_mapped_load_keys_change_what_the_engine_is_asked() -> None:
    plain = loading()
    loads: dict[str, Any] = {
        "contextLength": 99,
        "seed": {**ON, "value": 3},
        "offloadKVCacheToGpu": False,
        "numCpuExpertLayersRatio": "max",
        "numParallelSessions": 2,
        "useUnifiedKvCache": False,
        "llama__acceleration__offloadRatio": 0.5,
        "llama__cpuThreadPoolSize": 3,
        "llama__evalBatchSize": 64,
        "llama__physicalBatchSize": 64,
        "llama__flashAttention": True,
        "llama__contextCheckpoints": 3,
        "llama__reasoningBudgetMessage": "x",
        "llama__ropeFrequencyBase": {**ON, "value": 10_000},
        "llama__ropeFrequencyScale": {**ON, "value": 2},
        "llama__keepModelInMemory": True,
        "llama__useFp16ForKVCache": False,
        "llama__tryMmap": False,
        "llama__tryDirectIO": True,
        "llama__kCacheQuantizationType": {**ON, "value": "q8_0"},
        "llama__vCacheQuantizationType": {**ON, "value": "q8_0"},
    }
    for key, value in loads.items():
        assert loading(**{key: value}) != plain, key
    # A template is the predictions' matter, and a draft has to be looked up.
    mapped = {
        key.removeprefix("llm.load.")
        for key, support in SUPPORT.items()
        if support.effect == "mapped" and key.startswith("llm.load.")
        if "speculative" not in key and key != "llm.load.promptTemplate"
    }
    assert mapped == {key.replace("__", ".") for key in loads}


def test_values_of_the_samplers() -> None:
    found = sampling(
        llama__logitBias=[[1, 2], [3, "-inf"], [4.0, -0.5], ["x", 1], [5], 7, [-1, 2]],
        llama__mirostatSampling={"version": 1, "learningRate": "?", "targetEntropy": 4},
    )
    assert found.logit_bias == ((1, 2), (3, -math.inf), (4, -0.5))
    assert (found.mirostat, found.mirostat_learning_rate, found.mirostat_entropy) == (1, 0.1, 4)
    for nothing in ({"version": 0}, {"version": 3}, 5, None):
        assert sampling(llama__mirostatSampling=nothing).mirostat is None
    assert sampling(llama__xtcProbability={"checked": False, "value": 1}).xtc_probability is None
    assert sampling().overflow == "stop"  # although prompts are shortened in the middle
    assert sampling(contextOverflowPolicy="truncateMiddle").overflow == "keep_start"
    assert sampling(contextOverflowPolicy="rollingWindow").overflow == "roll"
    assert sampling(contextOverflowPolicy="stopAtLimit").overflow == "stop"


def test_the_cache_s_types() -> None:
    half = loading(llama__vCacheQuantizationType={**ON, "value": "q4_0"})
    assert (half.cache_type_k, half.cache_type_v) == ("f16", "q4_0")
    assert half.flash_attention  # llama.cpp needs it for this
    assert not loading(llama__kCacheQuantizationType={**ON, "value": "q4_0"}).flash_attention
    full = loading(llama__useFp16ForKVCache=False)
    assert (full.cache_type_k, full.cache_type_v) == ("f32", "f32")
    odd = loading(llama__kCacheQuantizationType={**ON, "value": "q9"})
    assert odd.cache_type_k == "f16"


@pytest.mark.parametrize(
    ("value", "ratio"), [("max", None), ("off", 0.0), (0.25, 0.25), (1, 1), (7, None), ("?", None)]
)
def test_offload_ratios(value: Any, ratio: float | None) -> None:
    assert loading(llama__acceleration__offloadRatio=value).gpu_ratio == ratio


def test_refusals() -> None:
    assert refusals({"llm.load.numExperts": 0, "llm.prediction.contextPrefill": []}) == []
    asked = {
        "llm.load.numExperts": 2,
        "llm.prediction.contextPrefill": [{"type": "jsonFile", "absPath": "/x"}],
        "llm.load.llama.speculativeDecoding.draftMtp": True,
        "llm.load.llama.argumentsOverride": {"enabled": True},
    }
    assert [key for key, _ in refusals(asked)] == list(asked)
    assert ineffective({"load.gpuStrictVramCap": True, "llm.load.seed": 1, "x": 1}) == (
        "load.gpuStrictVramCap",
        "x",
    )


def test_drafts_in_a_configuration() -> None:
    prefix = "llm.prediction.speculativeDecoding."
    assert prediction_draft({}) is None
    assert prediction_draft({prefix + "draftModel": ""}) is None
    wish = prediction_draft({prefix + "draftModel": "d"})
    assert wish is not None
    assert (wish.key, wish.max_tokens, wish.min_tokens, wish.min_probability) == ("d", 16, 0, 0.75)
    exact = prediction_draft({prefix + "draftModel": "d", prefix + "numDraftTokensExact": 2})
    assert exact is not None
    assert (exact.max_tokens, exact.min_probability) == (2, 0.0)
    loads = "llm.load.llama.speculativeDecoding."
    assert load_draft({loads + "draftSimple": True}) is None
    found = load_draft({loads + "draftSimple": True, loads + "draftModel": "d"})
    assert found is not None
    assert (found.max_tokens, found.min_tokens, found.min_probability) == (3, 0, 0.0)


def test_what_is_refused_and_what_reaches_the_engine() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            await load(llm)
            prefill = [{"type": "jsonFile", "absPath": "/x"}]
            with pytest.raises(Refused, match="contextPrefill") as caught:
                await llm.collect(
                    "predict", **prediction("hi", llm__prediction__contextPrefill=prefill)
                )
            code = caught.value.error["displayData"]["code"]
            assert code == "generic.engineDoesNotSupportFeature"
            for nonsense in ({"type": "gbnf"}, {"type": "json", "jsonSchema": "{}"}, "json"):
                given = {"llm__prediction__structured": nonsense}
                with pytest.raises(Refused, match="structured cannot be used"):
                    await llm.collect("predict", **prediction("hi", **given))
            hot = {"llm__prediction__topPSampling": {**ON, "value": 5}}
            answered = await llm.collect("predict", **prediction("hi", **hot))
            assert engine.requests[-1].sampling.top_p == 0.95
            used = {f["key"]: f["value"] for f in answered[-1]["predictionConfig"]["fields"]}
            assert used["llm.prediction.topPSampling"]["value"] == 0.95
            budget = {"llm__prediction__reasoning__budgetTokens": {**ON, "value": 7}}
            await llm.collect("predict", **prediction("hi", **budget))
            assert engine.requests[-1].reasoning_budget == 7
            mtp = stack(llm__load__llama__speculativeDecoding__draftMtp=True)
            with pytest.raises(Refused, match="draftMtp"):
                await llm.collect("loadModel", modelKey="pocket", loadConfigStack=mtp)
            # This engine takes no draft models, and there is no model of that name.
            for key, words in (("pocket", "Speculative decoding"), ("nobody", "nobody")):
                draft = {"llm__prediction__speculativeDecoding__draftModel": key}
                with pytest.raises(Refused, match=words):
                    await llm.collect("predict", **prediction("hi", **draft))

    run(test)


def test_what_changes_nothing_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            given = stack(llm__load__llama__autoFit=True, llm__load__contextLength="large")
            await llm.collect("loadModel", modelKey="pocket", loadConfigStack=given)
            odd = {"llm__prediction__temperature": "hot", "llm__prediction__unheardOf": 1}
            await llm.collect("predict", **prediction("hi", **odd))

    with caplog.at_level(logging.DEBUG, "lmstudio_server"):
        run(test)
    assert [line for line in caplog.messages if "no effect" in line or "left out" in line] == [
        "no effect here: llm.load.llama.autoFit",
        "not a value for its key, and left out: llm.load.contextLength",
        "no effect here: llm.prediction.unheardOf",
        "not a value for its key, and left out: llm.prediction.temperature",
    ]


def test_statistics_are_the_engine_s() -> None:
    fold = PredictionFold(0.0)
    fold.feed(Text("a b", tokens_count=2, drafted=True), 1.5)
    fold.feed(
        Finished(
            "eos",
            prompt_tokens=7,
            predicted_tokens=11,
            time_to_first_token=1.0,
            total_time=5.0,
            generation_time=2.0,
            draft=DraftUse("d", 9, 6),
        ),
        9.0,
    )
    # Ten tokens came after the first, in the two seconds of the engine's own clock.
    assert fold.stats(9.0) == {
        "stopReason": "eosFound",
        "usedDraftModelKey": "d",
        "totalDraftTokensCount": 9,
        "acceptedDraftTokensCount": 6,
        "rejectedDraftTokensCount": 3,
        "ignoredDraftTokensCount": 0,
        "totalTimeSec": 5.0,
        "timeToFirstTokenSec": 1.0,
        "tokensPerSecond": 5.0,
        "promptTokensCount": 7,
        "predictedTokensCount": 11,
        "totalTokensCount": 18,
    }
