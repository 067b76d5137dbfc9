"""Configs: both spellings, ``None`` and ``False``, the key-value form there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core.errors import LMStudioUnknownSettingWarning, LMStudioValueError
from lmstudio_llm import LlmLoadModelConfig, LlmPredictionConfig, LlmReasoningParsing

SCHEMA = Path(__file__).parents[3] / "shared" / "protocol" / "schema"
needs_schema = pytest.mark.skipif(not SCHEMA.is_dir(), reason="the protocol's schema is not here")


def probes(kind: str) -> list[Any]:
    if not SCHEMA.is_dir():
        return []
    found = json.loads((SCHEMA / "_client-config.json").read_text())["toKVConfigProbes"][kind]
    return [pytest.param(p["in"], p["out"], id=f"{n}{i}")
            for n, many in found.items() for i, p in enumerate(many)]  # fmt: skip


def wire(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in pairs}


@needs_schema
@pytest.mark.parametrize(("given_", "out"), probes("llmPrediction"))
def test_prediction_probes(given_, out) -> None:
    config = LlmPredictionConfig.parse(given_)
    assert config.to_kv() == wire(out)
    if "raw" not in given_:
        assert LlmPredictionConfig.from_kv(wire(out)) == config


@needs_schema
@pytest.mark.parametrize(("given_", "out"), probes("llmLoad"))
def test_load_probes(given_, out) -> None:
    # The probes are of the converter alone; settings that need each other come one by one.
    config = LlmLoadModelConfig.parse(given_)
    assert config._values() == wire(out)


@needs_schema
@pytest.mark.parametrize(
    ("cls", "definition"),
    [
        (LlmPredictionConfig, "llmPredictionConfigInput"),
        (LlmLoadModelConfig, "llmLoadModelConfig"),
    ],
)
def test_every_field_of_the_protocol_is_there(cls, definition) -> None:
    schema = json.loads((SCHEMA / "_client-config.json").read_text())["definitions"][definition]
    assert set(schema["properties"]) <= {f.alias for f in cls.model_fields.values()}


@needs_schema
@pytest.mark.parametrize("cls", [LlmPredictionConfig, LlmLoadModelConfig])
def test_every_key_is_one_of_the_protocol(cls) -> None:
    known = json.loads((SCHEMA / "_kv-config.json").read_text())["fields"]
    assert {kv.key for _, kv in cls._keys()} <= set(known)


class TestPrediction:
    def test_both_spellings_and_objects(self) -> None:
        made = LlmPredictionConfig(max_tokens=5, top_k_sampling=3)
        assert LlmPredictionConfig.parse({"maxTokens": 5, "topKSampling": 3}) == made
        assert LlmPredictionConfig.parse({"max_tokens": 5, "top_k_sampling": 3}) == made
        assert LlmPredictionConfig.parse(made) is made
        assert LlmPredictionConfig.parse(None) == LlmPredictionConfig()
        assert made.to_dict() == {"maxTokens": 5, "topKSampling": 3}

    def test_none_is_not_sent_and_false_turns_off(self) -> None:
        config = LlmPredictionConfig(max_tokens=False, top_p_sampling=False, temperature=None)
        assert config.to_kv() == {
            "llm.prediction.maxPredictedTokens": {"checked": False, "value": 1},
            "llm.prediction.topPSampling": {"checked": False, "value": 0.95},
        }
        assert config.to_dict() == {"maxTokens": False, "topPSampling": False}

    def test_zero_is_not_false(self) -> None:
        config = LlmPredictionConfig(presence_penalty=0, log_probs=0, top_p_sampling=0.0)
        assert all(value["checked"] for value in config.to_kv().values())
        assert config.log_probs is not False

    def test_minus_one_is_no_limit(self) -> None:
        assert LlmPredictionConfig(max_tokens=-1).max_tokens is False

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"maxTokens": True}, "False to turn it off"),
            ({"maxTokens": 0}, "maxTokens = 0"),
            ({"maxTokens": "many"}, "'many'"),
            ({"temperature": -1}, "greater than or equal to 0"),
            ({"temperature": False}, "no switch to turn it off"),
            ({"temperature": float("inf")}, "finite"),
            ({"presencePenalty": float("nan")}, "finite"),
            ({"cpuThreads": True}, "give a number"),
            ({"maxTokens": 5, "max_tokens": 5}, "'max_tokens' twice"),
            ({"topPSampling": 1.5}, "less than or equal to 1"),
            ({"stopStrings": [""]}, "at least 1 character"),
            ({"toolChoice": "maybe"}, "toolChoice"),
            ({"contextOverflowPolicy": "explode"}, "contextOverflowPolicy"),
            ({"structured": {"type": "objekt"}}, "no JSON schema"),
            ([], "not list"),
            ("max_tokens=5", "not str"),
        ],
    )
    def test_what_is_wrong_is_said(self, config, says) -> None:
        with pytest.raises(LMStudioValueError, match=says):
            LlmPredictionConfig.parse(config)

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"maxTokenz": 5}, "did you mean 'maxTokens'"),
            ({"max_token": 5}, "did you mean 'max_tokens'"),
            ({"zzz": 5}, "known: max_tokens"),
            ({"rawTools": {"type": "none", "forced": True}}, "did you mean 'force'"),
            ({"structured": {"type": "none", "schema": {}}}, "did you mean 'json_?[sS]chema'"),
        ],
    )
    def test_a_key_that_is_unknown_is_left_out_with_a_warning(self, config, says) -> None:
        with pytest.warns(LMStudioUnknownSettingWarning, match=says):
            made = LlmPredictionConfig.parse({**config, "temperature": 1})
        assert made.temperature == 1
        with pytest.raises(TypeError, match=says):
            LlmPredictionConfig(**config)

    def test_so_is_one_of_the_values_in_it(self) -> None:
        with pytest.warns(LMStudioUnknownSettingWarning, match="LlmReasoningParsing has no field"):
            made = LlmReasoningParsing.from_dict({"enabled": True, "startStrings": "<t>"})
        assert made == LlmReasoningParsing(enabled=True)

    def test_tools_may_be_forced(self) -> None:
        tools = {"type": "toolArray", "tools": [{"type": "function"}], "force": True}
        assert LlmPredictionConfig.parse({"rawTools": tools}).to_kv() == {
            "llm.prediction.tools": tools
        }

    def test_constructor_and_assignment_check_too(self) -> None:
        with pytest.raises(LMStudioValueError, match="did you mean 'max_tokens'"):
            LlmPredictionConfig(max_tokenz=5)
        config = LlmPredictionConfig()
        with pytest.raises(LMStudioValueError, match="max_tokens = 0"):
            config.max_tokens = 0
        with pytest.raises(LMStudioValueError, match="did you mean 'max_tokens'"):
            config.max_tokenz = 5

    def test_raw_is_under_the_explicit_fields(self) -> None:
        raw = {"llm.prediction.temperature": 1, "llm.prediction.systemPrompt": "x"}
        as_kv = {"fields": [{"key": key, "value": value} for key, value in raw.items()]}
        for form in (raw, as_kv):
            config = LlmPredictionConfig.parse({"raw": form, "temperature": 0.5})
            assert config.to_kv() == {**raw, "llm.prediction.temperature": 0.5}

    def test_structured_takes_what_response_format_takes(self) -> None:
        config = LlmPredictionConfig.parse({"structured": {"type": "object"}})
        assert config.to_kv() == {
            "llm.prediction.structured": {"type": "json", "jsonSchema": {"type": "object"}}
        }

    def test_reading_back_is_lenient(self) -> None:
        values = {
            "llm.prediction.temperature": 0.3,
            "llm.prediction.contextOverflowPolicy": "aNewPolicy",
            "llm.prediction.maxPredictedTokens": "garbage",
            "llm.prediction.topPSampling": {"checked": False, "value": 0.9},
            "some.future.key": {},
        }
        read = LlmPredictionConfig.from_kv(values)
        assert read == LlmPredictionConfig(temperature=0.3, top_p_sampling=False)

    def test_repr_shows_what_is_set(self) -> None:
        config = LlmPredictionConfig(temperature=0.5)
        assert repr(config) == str(config) == "LlmPredictionConfig(temperature=0.5)"


class TestLoad:
    @pytest.mark.parametrize("name", ["offloadKVCacheToGpu", "useFp16ForKVCache", "tryDirectIO"])
    def test_odd_spellings(self, name) -> None:
        assert LlmLoadModelConfig.parse({name: True}).to_dict() == {name: True}

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"auto_fit": True, "context_length": 5}, "context_length"),
            ({"autoFit": True, "gpu": {"mainGpu": 0}}, "gpu.main_gpu"),
            ({"speculativeDraftMtp": True, "speculativeDraftSimple": True}, "exclude"),
            ({"speculativeDraftSimple": True}, "go together"),
            ({"speculativeDraftModel": "m"}, "go together"),
            ({"speculativeDraftMinTokens": 3, "speculativeDraftMaxTokens": 2}, "more than"),
        ],
    )
    def test_what_excludes_each_other(self, config, says) -> None:
        made = LlmLoadModelConfig.parse(config)
        with pytest.raises(LMStudioValueError, match=says):
            made.to_kv()

    def test_a_fitted_model_hides_the_placement(self) -> None:
        values = {
            "llm.load.llama.autoFit": True,
            "llm.load.contextLength": 2048,
            "llm.load.llama.acceleration.offloadRatio": "max",
            "llm.load.llama.flashAttention": True,
        }
        read = LlmLoadModelConfig.from_kv(values)
        assert read == LlmLoadModelConfig(auto_fit=True, flash_attention=True)
        assert LlmLoadModelConfig.from_kv(read.to_kv()) == read

    def test_wrong_gpu_settings(self) -> None:
        with pytest.raises(LMStudioValueError, match="ratio"):
            LlmLoadModelConfig.parse({"gpu": {"ratio": 2}})


def _off(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.just(False) | values


share = st.floats(0, 1)
prediction_fields = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": _off(st.integers(1, 10**6)),
        "temperature": st.none() | st.floats(0, 5),
        "stop_strings": st.none() | st.lists(st.text(min_size=1), max_size=3),
        "tool_choice": st.none() | st.sampled_from(["none", "auto", "required"]),
        "tool_naming": st.none() | st.sampled_from(["passThrough", "snakeCase"]),
        "top_k_sampling": st.none() | st.integers(-1, 500),
        "repeat_penalty": _off(st.floats(-1, 3)),
        "presence_penalty": _off(st.floats(-2, 2)),
        "frequency_penalty": _off(st.floats(-2, 2)),
        "min_p_sampling": _off(share),
        "xtc_threshold": _off(share),
        "log_probs": _off(st.integers(0, 100)),
        "seed": _off(st.integers(-1, 2**31)),
        "enable_thinking": st.none() | st.booleans(),
        "reasoning_budget": _off(st.integers(0, 10**5)),
        "reasoning_parsing": st.none()
        | st.fixed_dictionaries({"enabled": st.booleans(), "startString": st.text()}),
        "user_max_image_dimension_pixels": _off(st.integers(1, 5000)),
        "draft_model": st.none() | st.text(),
    },
)
load_fields = st.fixed_dictionaries(
    {},
    optional={
        "auto_fit": st.none() | st.just(False),
        "gpu": st.none() | st.fixed_dictionaries({}, optional={
            "ratio": share | st.sampled_from(["max", "off"]),
            "mainGpu": st.integers(0, 8),
            "splitStrategy": st.just("favorMainGpu"),
            "numCpuExpertLayersRatio": share}),
        "context_length": st.none() | st.integers(1, 10**6),
        "offload_kv_cache_to_gpu": st.none() | st.booleans(),
        "rope_frequency_base": _off(st.floats(0, 10**6)),
        "seed": _off(st.integers(-1, 2**31)),
        "llama_k_cache_quantization_type": _off(st.sampled_from(["f16", "q8_0"])),
        "num_experts": st.none() | st.integers(0, 64),
        "max_parallel_predictions": st.none() | st.integers(1, 64),
    },
)  # fmt: skip


@given(prediction_fields)
def test_any_prediction_config_goes_there_and_back(fields) -> None:
    config = LlmPredictionConfig(**fields)
    assert LlmPredictionConfig.from_kv(config.to_kv()) == config
    assert LlmPredictionConfig.from_dict(config.to_dict()) == config
    assert json.loads(json.dumps(config.to_kv())) == config.to_kv()


@given(load_fields)
def test_any_load_config_goes_there_and_back(fields) -> None:
    config = LlmLoadModelConfig(**fields)
    values = config.to_kv()
    assert LlmLoadModelConfig.from_kv(values).to_kv() == values
    assert LlmLoadModelConfig.from_dict(config.to_dict()).to_kv() == values
