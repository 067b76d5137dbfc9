"""Settings of loads and predictions, as llama.cpp itself reports or shows them."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pocket_models import (
    MEANING,
    MEANING_ANSWER,
    POCKET,
    POCKET_THINK,
    ask,
    collect,
    finish_of,
    greedy,
    loaded,
    run,
    text_of,
)

from lmstudio_server.engines.base import (
    ChatRequest,
    CompletionRequest,
    Draft,
    EngineError,
    LoadRequest,
    Sampling,
    Text,
)
from lmstudio_server.engines.llamacpp.bodies import chat_body, completion_body
from lmstudio_server.engines.llamacpp.options import cpu_experts, load_mode
from lmstudio_server.engines.llamacpp.starting import fitted, layers_of_ratio, start_generator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmstudio_server.engines.llamacpp.generation import Generator

THINK = ask(
    "Is the result of 12345 + 45668 a prime? Think step by step.",
    greedy(max_tokens=60),
    enable_thinking=True,
)


@asynccontextmanager
async def started(**settings: Any) -> AsyncGenerator[Generator, None]:
    generator = await start_generator(LoadRequest(POCKET, **settings), lambda _: None)
    try:
        yield generator
    finally:
        await generator.worker.stop()


def test_every_sampler_s_setting_arrives() -> None:
    sampling = Sampling(
        temperature=0.5,
        top_k=7,
        top_p=0.6,
        min_p=0.25,
        repeat_penalty=1.5,
        presence_penalty=0.5,
        frequency_penalty=0.75,
        seed=11,
        max_tokens=3,
        xtc_probability=0.125,
        xtc_threshold=0.25,
        typical_p=0.875,
        mirostat=2,
        mirostat_learning_rate=0.25,
        mirostat_entropy=4.0,
        logit_bias=((42, -1.5), (43, -math.inf)),
        overflow="keep_start",
    )

    async def test() -> None:
        async with started() as generator:
            body = completion_body("Hello", sampling, None, 4096) | {"stream": False}
            answer = await generator.client.post("/completion", body)
        found = answer["generation_settings"]
        expected = {
            "temperature": 0.5,
            "top_k": 7,
            "min_p": 0.25,
            "repeat_penalty": 1.5,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.75,
            "seed": 11,
            "n_predict": 3,
            "xtc_probability": 0.125,
            "xtc_threshold": 0.25,
            "typical_p": 0.875,
            "mirostat": 2,
            "mirostat_eta": 0.25,
            "mirostat_tau": 4.0,
            "n_keep": 2048,
        }
        assert {key: found[key] for key in expected} == expected
        # JSON has no infinity: llama.cpp shows the ban as null.
        assert found["logit_bias"] == [{"token": 42, "bias": -1.5}, {"token": 43, "bias": None}]
        # A chat's body says the same in the same words.
        chat = chat_body(ChatRequest([], sampling), None, 4096)
        plain = completion_body("", sampling, None, 4096)
        same = plain.keys() - {"prompt", "n_predict", "return_tokens"}
        assert {key: chat[key] for key in same} == {key: plain[key] for key in same}

    run(test)


def test_a_banned_token_is_not_said() -> None:
    async def test() -> None:
        async with loaded() as model:
            first, *_ = await model.tokenize(MEANING_ANSWER)
            banned = greedy(logit_bias=((first, -math.inf),), max_tokens=5)
            for events in (
                await collect(model.chat(ask(MEANING, banned))),
                await collect(
                    model.chat(ask(MEANING, replace(banned, grammar="root ::= [A-z ]+")))
                ),
            ):
                assert text_of(events)
                assert not text_of(events).startswith("The")

    run(test)


@pytest.mark.parametrize("budget", [1, 3, 6])
def test_a_budget_ends_the_thinking(budget: int) -> None:
    async def test() -> None:
        async with loaded(POCKET_THINK, reasoning_budget_message=" [enough]") as model:
            whole = text_of(await collect(model.chat(THINK)), "reasoning")
            parsed = await collect(model.chat(replace(THINK, reasoning_budget=budget)))
            held = replace(THINK, sampling=replace(THINK.sampling, json_schema={"type": "object"}))
            constrained = await collect(model.chat(replace(held, reasoning_budget=budget)))
            # The same tokens as without a budget, and not one more.
            for events in (parsed, constrained):
                thought, found, rest = text_of(events, "reasoning").partition(" [enough]")
                assert (found, rest.strip()) == (" [enough]", "")
                assert whole.startswith(thought)
                assert len(await model.tokenize(thought)) == budget
                ends = [e for e in events if isinstance(e, Text)]
                assert sum(e.reasoning == "reasoningEndTag" for e in ends) == 1
            assert text_of(constrained).startswith("{")

    run(test)


@pytest.mark.parametrize("budget", [1, 5])
def test_a_model_that_thinks_on_after_its_budget_leaves_no_tag_in_the_answer(budget: int) -> None:
    async def test() -> None:
        question = ask("What is the capital of France?", greedy(), enable_thinking=True)
        async with loaded(POCKET_THINK) as model:
            events = await collect(model.chat(replace(question, reasoning_budget=budget)))
            assert "</think>" not in text_of(events)
            texts = [event for event in events if isinstance(event, Text)]
            assert [e.content for e in texts if e.structural] == ["<think>", "</think>", "</think>"]

    run(test)


def test_a_budget_with_a_template_of_the_caller_s() -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n<think>\n"
    )

    async def test() -> None:
        async with loaded(POCKET_THINK) as model:
            request = replace(THINK, chat_template=template, reasoning_budget=4)
            events = await collect(model.chat(request))
            assert len(await model.tokenize(text_of(events, "reasoning"))) == 4
            finished = finish_of(events)
            counted = sum(e.tokens_count for e in events if isinstance(e, Text))
            assert 4 < counted <= finished.predicted_tokens
            # A limit for everything that comes first ends it all.
            short = replace(request, sampling=greedy(max_tokens=3))
            assert finish_of(await collect(model.chat(short))).stop_reason == "length"

    run(test)


def test_a_large_budget_changes_nothing() -> None:
    async def test() -> None:
        async with loaded(POCKET_THINK) as model:
            plain = await collect(model.chat(THINK))
            budgeted = await collect(model.chat(replace(THINK, reasoning_budget=500)))
        assert text_of(plain, "reasoning") == text_of(budgeted, "reasoning")
        assert text_of(plain) == text_of(budgeted)

    run(test)


@pytest.mark.parametrize(
    "settings",
    [
        {"cache_type_k": "q8_0"},
        {"cache_type_k": "iq4_nl", "cache_type_v": "q5_1", "flash_attention": True},
        {"cache_type_k": "f32", "cache_type_v": "f32"},
        {"keep_in_memory": True},
        {"use_mmap": False, "keep_in_memory": True},
        {"direct_io": True},
        {"offload_cache": False, "gpu_ratio": 0.5, "cpu_expert_ratio": 0.5},
        {"context_checkpoints": 0, "physical_batch_size": 16, "batch_size": 32},
        {"unified_cache": False, "rope_frequency_base": 10_000.0, "rope_frequency_scale": 1.0},
    ],
    ids=str,
)
def test_load_settings_are_taken(settings: dict[str, Any]) -> None:
    async def test() -> None:
        async with loaded(**settings) as model:
            events = await collect(model.chat(ask(MEANING, greedy(max_tokens=3))))
            assert text_of(events)
            assert model.context_length == 2048

    run(test)


@pytest.mark.parametrize(
    "settings",
    [
        {"context_length": 1},
        {"batch_size": 1, "parallel": 8},
        {"batch_size": 1, "physical_batch_size": 1, "draft": Draft(POCKET, max_tokens=64)},
        {"parallel": 64, "batch_size": 8, "unified_cache": False, "context_length": 300},
    ],
    ids=str,
)
def test_the_smallest_sizes(settings: dict[str, Any]) -> None:
    async def test() -> None:
        async with loaded(**settings) as model:
            request = ask(MEANING, greedy(max_tokens=20))
            answers = await asyncio.gather(*(collect(model.chat(request)) for _ in range(8)))
            assert {text_of(events) for events in answers} == {MEANING_ANSWER}
            asked = settings.get("context_length", 2048)
            assert model.context_length == {1: 256, 300: 512, 2048: 2048}[asked]

    run(test)


def test_a_cache_that_llama_cpp_refuses_is_named() -> None:
    async def test() -> None:
        with pytest.raises(EngineError) as caught:
            async with loaded(cache_type_v="q6_k"):
                pass
        assert caught.value.title

    run(test)


def test_shares_of_layers() -> None:
    assert layers_of_ratio(0, 4) == 0
    assert layers_of_ratio(1, 4) == -1
    assert layers_of_ratio(0.5, 23) == 12
    assert layers_of_ratio(0.5, None) is None
    # The pocket model has four blocks, and an output.
    assert fitted(LoadRequest(POCKET, gpu_ratio=0.6)).gpu_layers == 3
    assert fitted(LoadRequest(POCKET, gpu_ratio=0.6, gpu_layers=1)).gpu_layers == 1
    assert fitted(LoadRequest(POCKET)).gpu_layers is None
    assert cpu_experts(0.5, 4) == r"blk\.(0|1)\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
    assert cpu_experts(0.0, 4) == cpu_experts(1.0, None) == cpu_experts(0.01, 4) == ""


def test_how_the_file_comes_into_memory() -> None:
    modes = {
        load_mode(LoadRequest(POCKET, use_mmap=mmap, keep_in_memory=keep, direct_io=direct))
        for mmap in (True, False)
        for keep in (True, False)
        for direct in (True, False)
    }
    assert modes == {"MMAP", "MMAP_MLOCK", "MLOCK", "NONE", "DIRECT_IO"}


def test_raw_completion_takes_the_same() -> None:
    async def test() -> None:
        async with loaded() as model:
            request = CompletionRequest("one two three", greedy(max_tokens=4, typical_p=0.5))
            finished = finish_of(await collect(model.complete(request)))
        assert finished.predicted_tokens == 4
        assert finished.draft is None
        assert finished.generation_time is not None

    run(test)
