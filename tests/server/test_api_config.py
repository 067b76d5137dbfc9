"""Configuration, read without a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lmstudio_server.api.usage import cache_bytes_per_token, estimate_usage
from lmstudio_server.kv import stack
from lmstudio_server.kv.load import effective_load_config, load_request
from lmstudio_server.kv.prediction import effective_prediction_config, prediction_settings
from lmstudio_server.kv.support import SUPPORT, ineffective
from lmstudio_server.kv.templates import is_plain_concatenation, manual_to_jinja, read_template
from lmstudio_server.kv.values import structure_problem, usable
from lmstudio_server.library import GgufHeader, Library


@dataclass
class Field:
    key: str
    value: Any = None


def settings(model: str = "other", **given: Any) -> Any:
    client = {f"llm.prediction.{key.replace('__', '.')}": value for key, value in given.items()}
    return prediction_settings(effective_prediction_config(client, model), client=client)


class TestStack:
    def test_later_layers_win_key_by_key(self) -> None:
        layers = [[Field("a", 1), Field("b", 1)], [Field("b", 2), Field("c")], [Field("a", None)]]
        assert stack.collapse(layers) == {"a": 1, "b": 2}

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"checked": True, "value": 5}, (True, 5)),
            ({"checked": False, "value": 5}, (False, 5)),
            ({"checked": True, "value": False}, (False, None)),
            ({"checked": True}, (False, None)),
            ({"checked": "yes", "value": 5}, (False, 5)),
            (5, (True, 5)),
            (False, (False, False)),
            (None, (False, None)),
        ],
    )
    def test_checkbox(self, value: Any, expected: tuple[bool, Any]) -> None:
        assert stack.checkbox(value) == expected

    def test_numbers(self) -> None:
        assert stack.number(0.5, 0, 1) == 0.5
        for odd in (True, "1", None, float("nan"), float("inf"), 2, -1):
            assert stack.number(odd, 0, 1) is None
        assert stack.integer(5.0) == 5
        assert stack.integer(5.5) is None
        assert stack.strings(["a", "", 5, None]) == ["a"]
        assert stack.strings("abc") == []


class TestPrediction:
    def test_defaults(self) -> None:
        sampling = settings().sampling
        assert sampling.temperature == 0.8
        assert sampling.top_k == 40
        assert sampling.top_p == 0.95
        assert sampling.min_p == 0.05
        assert sampling.repeat_penalty == 1.1
        assert sampling.presence_penalty == 0.0
        assert (sampling.max_tokens, sampling.seed, sampling.log_probs) == (None, None, None)

    def test_the_pocket_model_has_its_own(self) -> None:
        assert settings("pocket").sampling.temperature == 0.0
        assert settings("pocket", temperature=0.5).sampling.temperature == 0.5

    def test_values(self) -> None:
        on = {"checked": True}
        sampling = settings(
            temperature=0,
            topKSampling=-1,
            topPSampling={**on, "value": 0.5},
            minPSampling={"checked": False, "value": 0.05},
            repeatPenalty={"checked": False, "value": 1.1},
            llama__presencePenalty={**on, "value": -0.5},
            llama__frequencyPenalty={**on, "value": 0.25},
            maxPredictedTokens={**on, "value": 7},
            seed={**on, "value": 3},
            logProbs={**on, "value": 2},
            stopStrings=["x", "x", ""],
        ).sampling
        assert (sampling.temperature, sampling.top_k) == (0, 0)
        assert (sampling.top_p, sampling.min_p, sampling.repeat_penalty) == (0.5, 0.0, 1.0)
        assert (sampling.presence_penalty, sampling.frequency_penalty) == (-0.5, 0.25)
        assert (sampling.max_tokens, sampling.seed, sampling.log_probs) == (7, 3, 2)
        assert sampling.stop == ("x",)

    @pytest.mark.parametrize(
        "bad", [True, "hot", -1, None, {"checked": True, "value": "x"}, [], float("nan")]
    )
    def test_bad_values_are_no_values(self, bad: Any) -> None:
        sampling = settings(
            temperature=bad, topKSampling=bad, maxPredictedTokens=bad, seed=bad, stopStrings=bad
        ).sampling
        assert sampling.max_tokens is None
        assert sampling.seed is None
        assert sampling.stop == ()

    def test_no_limit_is_larger_than_engines_can_count(self) -> None:
        huge = {"checked": True, "value": 2**40}
        assert settings(maxPredictedTokens=huge).sampling.max_tokens == 2**31 - 1
        assert settings(reasoning__budgetTokens=huge).reasoning_budget == 2**30

    def test_structure(self) -> None:
        schema = {"type": "object"}
        assert settings(structured={"type": "json", "jsonSchema": schema}).sampling.json_schema == (
            schema
        )
        assert settings(structured={"type": "json"}).sampling.json_schema == {}
        grammar = settings(structured={"type": "gbnf", "gbnfGrammar": "root ::= [a]"}).sampling
        assert (grammar.json_schema, grammar.grammar) == (None, "root ::= [a]")
        for nothing in ({"type": "none"}, "json", {"type": "gbnf"}):
            sampling = settings(structured=nothing).sampling
            assert (sampling.json_schema, sampling.grammar) == (None, None)

    def test_tools(self) -> None:
        tool = {"type": "function", "function": {"name": "f"}}
        given = {"type": "toolArray", "tools": [tool, {"function": {}}, 5]}
        assert settings(tools=given).tools == [tool]
        assert settings(tools={"type": "none", "tools": [tool]}).tools == []
        assert settings(toolChoice={"type": "generic", "mode": "required"}).tool_choice == (
            "required"
        )
        assert settings(toolChoice="x").tool_choice == "auto"
        stops = settings(toolCallStopStrings=["<call>"])
        assert stops.tool_stop_strings == {"<call>"}
        assert stops.sampling.stop == ("<call>",)

    def test_thinking(self) -> None:
        assert settings().enable_thinking is None
        assert settings(reasoning__enableThinking=True).enable_thinking is True
        assert settings(reasoning__enableThinking=False).enable_thinking is False
        none = {"checked": True, "value": 0}
        assert settings(reasoning__budgetTokens=none).enable_thinking is False
        assert settings(reasoning__parsing={"enabled": False}).parse_reasoning is False

    def test_overflow(self) -> None:
        assert settings().overflow == "truncateMiddle"
        assert settings(contextOverflowPolicy="rollingWindow").overflow == "rollingWindow"
        assert settings(contextOverflowPolicy="?").overflow == "truncateMiddle"

    def test_what_has_no_effect_is_known(self) -> None:
        given = ("llm.prediction.llama.cpuThreads", "unheardOf", "llm.prediction.temperature")
        assert ineffective(dict.fromkeys(given, 1)) == given[:2]


class TestValues:
    def test_what_cannot_be_used_is_left_out_and_named(self) -> None:
        on = {"checked": True}
        good: dict[str, Any] = {
            "temperature": 0,
            "topPSampling": {**on, "value": 1},
            "minPSampling": False,
            "seed": {**on, "value": -1},
            "repeatPenalty": {"checked": False},
            "maxPredictedTokens": {**on, "value": False},  # as some clients say "off"
            "llama.cpuThreads": "no matter",
            "unheardOf": None,
        }
        bad: dict[str, Any] = {
            "temperature": "hot",
            "topPSampling": {**on, "value": 5},
            "topKSampling": 40.5,
            "maxPredictedTokens": {**on, "value": 1.5},
            "seed": "x",
            "contextOverflowPolicy": "?",
            "promptTemplate": {"type": "jinja"},
            "stopStrings": "abc",
        }
        for given, dropped in ((good, []), (bad, list(bad))):
            client = {f"llm.prediction.{key}": value for key, value in given.items()}
            kept, left_out = usable(client)
            assert [key.removeprefix("llm.prediction.") for key in left_out] == dropped
            assert set(kept) | set(left_out) == set(client)

    def test_every_mapped_setting_is_checked(self) -> None:
        for key, support in SUPPORT.items():
            if support.effect == "mapped":
                # Nothing takes a number like this one for itself, but what is refused in words.
                dropped = usable({key: -(2.0**40)})[1]
                assert dropped or key == "llm.prediction.structured", key

    def test_loads(self) -> None:
        off = {"checked": False, "value": "f16"}
        good: dict[str, Any] = {"llama.kCacheQuantizationType": off, "contextLength": 1}
        bad: dict[str, Any] = {
            "llama.kCacheQuantizationType": {"checked": True, "value": "q99"},
            "contextLength": 0,
            "llama.acceleration.offloadRatio": 7,
            "llama.flashAttention": "yes",
        }
        for prefix in ("llm.load.", "embedding.load."):
            assert usable({prefix + key: value for key, value in good.items()})[1] == ()
            given = {prefix + key: value for key, value in bad.items()}
            assert usable(given) == ({}, tuple(given))

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ({"type": "json"}, None),
            ({"type": "json", "jsonSchema": {}}, None),
            ({"type": "json", "jsonSchema": True}, None),
            ({"type": "gbnf", "gbnfGrammar": 'root ::= "a"'}, None),
            ({"type": "none", "jsonSchema": 3}, None),
            ({"type": "json", "jsonSchema": False}, "jsonSchema"),
            ({"type": "json", "jsonSchema": "{}"}, "jsonSchema"),
            ({"type": "gbnf"}, "gbnfGrammar"),
            ({"type": "gbnf", "gbnfGrammar": " "}, "gbnfGrammar"),
            ({"type": "xml"}, "type"),
            ("json", "type"),
        ],
    )
    def test_a_structure_that_is_none(self, value: Any, words: str | None) -> None:
        problem = structure_problem({"llm.prediction.structured": value})
        assert problem is None if words is None else words in str(problem)


class TestTemplates:
    def test_jinja(self) -> None:
        value = {
            "type": "jinja",
            "jinjaPromptTemplate": {"template": "{{ x }}", "bosToken": ""},
            "stopStrings": ["<end>"],
        }
        found = settings(promptTemplate=value)
        assert found.template.jinja == "{{ x }}"
        assert found.sampling.stop == ("<end>",)
        for odd in (None, 5, {"type": "jinja"}, {"type": "manual"}, {"type": "?"}):
            assert read_template(odd) is None

    def test_manual(self) -> None:
        jinja2 = pytest.importorskip("jinja2")
        text = manual_to_jinja(
            {"beforeUser": '<u "', "afterUser": "\n>", "beforeAssistant": "A:", "beforeSystem": "S"}
        )
        messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]
        rendered = jinja2.Template(text).render(messages=messages, add_generation_prompt=True)
        assert rendered == 'Ss<u "hi\n>A:'

    @pytest.mark.parametrize(
        ("template", "plain"),
        [
            ("{% for message in messages %}{{ message['content'] }}{% endfor %}", True),
            ('{%- for message in messages -%}{{ message["content"] }}{%- endfor %}', True),
            ("{% for message in messages %}{{ message.content }}{% endfor %}", True),
            ("{% for message in messages %}<{{ message['content'] }}>{% endfor %}", False),
            ("{{ messages[0]['content'] }}", False),
        ],
    )
    def test_concatenation(self, template: str, plain: bool) -> None:
        assert is_plain_concatenation(template) is plain


class TestLoad:
    def test_defaults(self) -> None:
        config = effective_load_config("llm", {}, 100_000)
        request = load_request("llm", config, Path("m.gguf"))
        assert request.context_length == 4096
        assert (request.parallel, request.batch_size, request.use_mmap) == (4, 256, True)
        assert (request.gpu_layers, request.threads, request.seed) == (None, None, None)

    def test_the_context_is_at_most_the_model_s_own(self) -> None:
        asked = {"llm.load.contextLength": 8192}
        assert effective_load_config("llm", asked, 2048)["llm.load.contextLength"] == 2048
        assert effective_load_config("llm", asked, 0)["llm.load.contextLength"] == 8192
        odd = {"llm.load.contextLength": "large"}
        assert effective_load_config("llm", odd, 2048)["llm.load.contextLength"] == 2048

    def test_values(self) -> None:
        client = {
            "llm.load.numParallelSessions": 1,
            "llm.load.llama.evalBatchSize": 64,
            "llm.load.llama.cpuThreadPoolSize": 2,
            "llm.load.llama.flashAttention": True,
            "llm.load.llama.acceleration.offloadRatio": 1,
            "llm.load.llama.ropeFrequencyBase": {"checked": True, "value": 10_000},
            "llm.load.llama.ropeFrequencyScale": {"checked": False, "value": 2},
            "embedding.load.contextLength": 1,
            "something.else": 1,
        }
        config = effective_load_config("llm", client, 2048)
        assert "something.else" not in config
        assert "embedding.load.contextLength" not in config
        request = load_request("llm", config, Path("m.gguf"), Path("p.gguf"))
        assert (request.parallel, request.batch_size, request.threads) == (1, 64, 2)
        assert (request.flash_attention, request.gpu_ratio) == (True, 1)
        assert (request.rope_frequency_base, request.rope_frequency_scale) == (10_000, None)
        assert request.mmproj == Path("p.gguf")

    def test_embedding(self) -> None:
        config = effective_load_config("embedding", {"embedding.load.contextLength": 99}, 512)
        request = load_request("embedding", config, Path("m.gguf"))
        assert (request.kind, request.context_length) == ("embedding", 99)


class TestUsage:
    def test_the_cache_follows_from_the_dimensions(self) -> None:
        def header(**metadata: int) -> GgufHeader:
            values = {f"m.{key.replace('__', '.')}": value for key, value in metadata.items()}
            return GgufHeader(3, {"general.architecture": "m", **values}, 0, 0, 0)

        plain = {"block_count": 4, "embedding_length": 128, "attention__head_count": 8}
        assert cache_bytes_per_token(header(**plain)) == 4 * 8 * (16 + 16) * 2
        grouped = header(**plain, attention__head_count_kv=2)
        assert cache_bytes_per_token(grouped) == 4 * 2 * (16 + 16) * 2
        wide = header(**plain, attention__key_length=64, attention__value_length=32)
        assert cache_bytes_per_token(wide) == 4 * 8 * (64 + 32) * 2
        assert cache_bytes_per_token(header(block_count=4)) is None

    def test_the_pocket_model(self) -> None:
        pocket = Library([]).find("pocket")
        assert pocket is not None
        usage = estimate_usage(pocket, {"llm.load.contextLength": 2048})
        memory = usage["memory"]
        assert memory["confidence"] == "high"
        assert memory["modelBytes"] == pocket.size_bytes
        assert memory["totalBytes"] == memory["modelBytes"] + memory["contextBytes"]

    def test_settings_change_the_cache(self) -> None:
        pocket = Library([]).find("pocket")
        assert pocket is not None
        plain = {"llm.load.contextLength": 2048, "llm.load.numParallelSessions": 4}

        def context_bytes(**more: Any) -> int:
            return estimate_usage(pocket, {**plain, **more})["memory"]["contextBytes"]

        whole = context_bytes()
        assert context_bytes(**{"llm.load.useUnifiedKvCache": False}) == 4 * whole
        assert context_bytes(**{"llm.load.llama.useFp16ForKVCache": False}) == 2 * whole
        eight = {"checked": True, "value": "q8_0"}
        half = context_bytes(**{"llm.load.llama.kCacheQuantizationType": eight})
        assert half == whole * (2 + 34 / 32) / 4
