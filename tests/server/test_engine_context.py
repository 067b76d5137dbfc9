"""The end of the context: alone, rolling, shared by several, and one for each. The real llama.cpp."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pocket_models import ask, collect, finish_of, greedy, loaded, run, text_of

from lmstudio_server.engines.base import (
    CompletionRequest,
    ContextOverflowError,
    ContextSharedError,
    EngineError,
    PromptProgress,
    Text,
)
from lmstudio_server.engines.llamacpp.diagnosis import response_error
from lmstudio_server.engines.llamacpp.turns import Turns

if TYPE_CHECKING:
    from lmstudio_server.engines.base import ContextOverflow, Sampling

CONTEXT = 256
"""llama.cpp rounds up to multiples of this."""


def endless(**fields: Any) -> Sampling:
    """Sampling that never ends by itself: the pocket model's special tokens are banned."""
    banned = tuple((token, -math.inf) for token in range(1015, 1024))
    return replace(greedy(), temperature=1, seed=3, logit_bias=banned, **fields)


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "raw"])
def test_stopping_at_the_limit(chat: bool) -> None:
    async def test() -> None:
        async with loaded(context_length=CONTEXT, parallel=1) as model:
            sampling = endless()
            stream = (
                model.chat(ask("Tell me a story.", sampling))
                if chat
                else model.complete(CompletionRequest("Once upon a time", sampling))
            )
            events = await collect(stream)
            finished = finish_of(events)
            assert finished.stop_reason == "context"
            assert finished.prompt_tokens + finished.predicted_tokens == CONTEXT
            # It is free again for the next.
            again = await collect(model.chat(ask("Hello!", greedy(max_tokens=5))))
            assert text_of(again)

    run(test)


@pytest.mark.parametrize("overflow", ["keep_start", "roll"])
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "raw"])
def test_rolling_while_generating(overflow: ContextOverflow, chat: bool) -> None:
    async def test() -> None:
        async with loaded(context_length=CONTEXT, parallel=1) as model:
            sampling = endless(overflow=overflow, max_tokens=3 * CONTEXT)
            stream = (
                model.chat(ask("Tell me a story.", sampling))
                if chat
                else model.complete(CompletionRequest("Once upon a time", sampling))
            )
            finished = finish_of(await collect(stream))
        assert finished.stop_reason == "length"
        assert finished.predicted_tokens == 3 * CONTEXT

    run(test)


def test_a_prompt_that_is_too_long_is_refused_by_all() -> None:
    async def test() -> None:
        async with loaded(context_length=CONTEXT) as model:
            for overflow in ("stop", "roll"):
                request = ask("apple " * 300, greedy(overflow=overflow))
                with pytest.raises(ContextOverflowError):
                    await collect(model.chat(request))

    run(test)


def test_each_has_a_context_of_its_own() -> None:
    async def test() -> None:
        async with loaded(context_length=256, parallel=4, unified_cache=False) as model:
            assert model.context_length == 256
            requests = [
                CompletionRequest(f"{number}" + " apple" * 100, endless()) for number in range(4)
            ]
            ends = await asyncio.gather(*(collect(model.complete(r)) for r in requests))
        for events in ends:
            finished = finish_of(events)
            assert finished.stop_reason == "context"
            assert finished.prompt_tokens + finished.predicted_tokens == 256

    run(test)


def test_a_shared_context_that_is_full_fails_nobody() -> None:
    async def test() -> None:
        async with loaded(context_length=512, parallel=4) as model:
            requests = [
                CompletionRequest(f"{number}" + " apple" * 60, endless()) for number in range(4)
            ]
            ends = await asyncio.gather(*(collect(model.complete(r)) for r in requests))
            for events in ends:
                finished = finish_of(events)
                assert finished.stop_reason == "context"
                assert finished.predicted_tokens > 0
                said = sum(e.tokens_count for e in events if isinstance(e, Text))
                assert said <= finished.predicted_tokens
            assert text_of(await collect(model.chat(ask("Hello!", greedy(max_tokens=5)))))

    run(test)


def test_prompts_that_fit_only_alone_are_answered_one_by_one() -> None:
    async def test() -> None:
        async with loaded(context_length=512, parallel=4, batch_size=32) as model:
            prompts = [f"{number}" + " apple" * 150 for number in range(4)]
            sizes = [len(await model.tokenize(prompt)) for prompt in prompts]
            assert max(sizes) < 512 < sum(sizes)
            requests = [CompletionRequest(p, endless(max_tokens=20)) for p in prompts]
            ends = await asyncio.gather(*(collect(model.complete(r)) for r in requests))
            for events, size in zip(ends, sizes, strict=True):
                finished = finish_of(events)
                assert finished.prompt_tokens == size
                assert finished.stop_reason in ("length", "context")
                if finished.stop_reason == "length":
                    assert finished.predicted_tokens == 20
                assert any(isinstance(event, PromptProgress) for event in events)
            assert any(finish_of(events).stop_reason == "length" for events in ends)

    run(test)


def test_running_alone() -> None:
    """Who runs alone waits for those that run, and lets nobody in."""

    async def test() -> None:
        shared = Turns(4)
        order: list[str] = []
        first, second = asyncio.Event(), asyncio.Event()

        async def together(name: str, until: asyncio.Event) -> None:
            async with shared.together():
                order.append(name)
                await until.wait()
                order.append(f"{name} ends")

        async def alone() -> None:
            async with shared.alone():
                order.append("alone")
                await second.wait()
                order.append("alone ends")

        a = asyncio.create_task(together("a", first))
        await turns()
        b = asyncio.create_task(alone())
        await turns()
        c = asyncio.create_task(together("c", second))
        await turns()
        assert order == ["a"]
        first.set()
        await turns()
        second.set()
        await asyncio.gather(a, b, c)
        assert order == ["a", "a ends", "alone", "alone ends", "c", "c ends"]

    run(test)


async def turns() -> None:
    """Let the others run until all of them wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_words_for_it() -> None:
    said = response_error(500, {"error": {"message": "Context size has been exceeded."}}, [], 99)
    assert isinstance(said, ContextSharedError)
    assert isinstance(said, EngineError)
    assert "99 tokens" in str(said)
    assert "useUnifiedKvCache" in str(said.suggestion)
