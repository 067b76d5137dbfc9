"""Draft models: the pocket model drafts for itself, with the real llama.cpp."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from gguf_files import model as model_bytes
from gguf_files import put
from pocket_models import (
    MULTIPLY,
    POCKET,
    PRODUCT,
    STORY,
    ask,
    calls_of,
    collect,
    finish_of,
    greedy,
    loaded,
    run,
    text_of,
)

from lmstudio_server.engines.base import (
    CompletionRequest,
    Draft,
    DraftingModel,
    EngineCrashedError,
    EngineError,
    LoadRequest,
    Text,
)
from lmstudio_server.engines.llamacpp.drafting import DraftWorkers
from lmstudio_server.engines.llamacpp.timings import Timings
from lmstudio_server.engines.llamacpp.vocabulary import vocabulary_difference
from lmstudio_server.library import GgufHeader

if TYPE_CHECKING:
    from pathlib import Path

    from lmstudio_server.library.gguf import Value

SELF = Draft(POCKET, "pocket", max_tokens=8)
REQUEST = ask(STORY, greedy(max_tokens=60))


def test_the_same_answer_with_the_draft_s_tokens_counted() -> None:
    async def test() -> None:
        async with loaded() as model:
            assert isinstance(model, DraftingModel)
            plain = await collect(model.chat(REQUEST))
            drafted = await collect(model.chat(replace(REQUEST, draft=SELF)))
            raw = CompletionRequest("Once upon a time", greedy(max_tokens=40), draft=SELF)
            completed = await collect(model.complete(raw))
        assert text_of(drafted) == text_of(plain)
        assert finish_of(plain).draft is None
        finished = finish_of(drafted)
        assert finished.draft is not None
        assert finished.draft.name == "pocket"
        # It agrees with itself.
        assert finished.draft.proposed == finished.draft.accepted > 40
        assert finished.predicted_tokens == finish_of(plain).predicted_tokens == 60
        texts = [event for event in drafted if isinstance(event, Text)]
        from_draft = sum(text.tokens_count for text in texts if text.drafted)
        assert from_draft == finished.draft.accepted
        assert not any(e.drafted for e in plain if isinstance(e, Text))
        counted = finish_of(completed).draft
        assert counted is not None
        assert counted.accepted > 0

    run(test)


def test_tools_and_schemas_with_a_draft() -> None:
    async def test() -> None:
        async with loaded() as model:
            called = await collect(model.chat(ask(PRODUCT, greedy(), tools=[MULTIPLY], draft=SELF)))
            schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
            held = ask("?", greedy(json_schema=schema, max_tokens=30), draft=SELF)
            events = await collect(model.chat(held))
        assert calls_of(called) == [("multiply", {"a": 12345, "b": 54321})]
        assert finish_of(called).draft is not None
        assert text_of(events).startswith("{")

    run(test)


def test_a_draft_of_the_load() -> None:
    async def test() -> None:
        async with loaded(draft=replace(SELF, max_tokens=2, name="small")) as model:
            finished = finish_of(await collect(model.chat(REQUEST)))
        assert finished.draft is not None
        assert finished.draft.name == "small"
        assert finished.draft.accepted > 0

    run(test)


def test_a_worker_stays_until_another_draft_is_used() -> None:
    other = replace(SELF, max_tokens=2)

    async def test() -> None:
        drafts = DraftWorkers(LoadRequest(POCKET))
        async with drafts.use(SELF) as first:
            async with drafts.use(SELF) as again:
                assert again is first
            async with drafts.use(other) as second:
                assert not first.worker.gone
                assert second.worker.pid != first.worker.pid
        # Nobody uses the first any more, and it was not the last.
        assert first.worker.gone
        assert not second.worker.gone
        async with drafts.use(other) as third:
            assert third is second
        await drafts.stop()
        assert second.worker.gone
        with pytest.raises(EngineCrashedError, match="unloaded"):
            async with drafts.use(SELF):
                pass

    run(test)


def test_a_worker_that_was_killed_is_replaced() -> None:
    async def test() -> None:
        drafts = DraftWorkers(LoadRequest(POCKET))
        async with drafts.use(SELF) as first:
            os.kill(first.worker.pid, signal.SIGKILL)
            await first.worker.wait_gone()
        async with drafts.use(SELF) as second:
            assert not second.worker.gone
        await drafts.stop()

    run(test)


def test_a_draft_with_other_words_is_refused(tmp_path: Path) -> None:
    words = [f"word {number}" for number in range(1024)]
    foreign = put(
        tmp_path,
        "foreign.gguf",
        model_bytes(
            tokenizer__ggml__tokens=words,
            tokenizer__ggml__model="gpt2",
            tokenizer__ggml__eos_token_id=2,
        ),
    )
    broken = put(tmp_path, "broken.gguf", b"GGUF")

    async def test() -> None:
        async with loaded() as model:
            for path, words in (
                (foreign, "vocabularies differ"),
                (broken, "Could not load broken.gguf"),
                (tmp_path / "none.gguf", "Could not load none.gguf"),
            ):
                with pytest.raises(EngineError, match=words):
                    await model.preload_draft(Draft(path))
                with pytest.raises(EngineError, match=words):
                    await collect(model.chat(replace(REQUEST, draft=Draft(path))))
                with pytest.raises(EngineError, match=words):
                    async with loaded(draft=Draft(path)):
                        pass
            # The model itself is none the worse for it.
            assert text_of(await collect(model.chat(REQUEST)))

    run(test)


def test_what_makes_vocabularies_differ() -> None:
    def header(**values: Value) -> GgufHeader:
        keys = {f"tokenizer.ggml.{key}": value for key, value in values.items()}
        return GgufHeader(3, keys, 0, 0, 0)

    words: tuple[str, ...] = tuple(map(str, range(300)))
    one = header(model="gpt2", eos_token_id=2, tokens=words)
    assert vocabulary_difference(one, header(model="gpt2", eos_token_id=2, tokens=words)) is None
    longer = header(model="gpt2", eos_token_id=2, tokens=(*words, "filling"))
    assert vocabulary_difference(one, longer) is None
    for other, said in (
        (header(model="llama", eos_token_id=2, tokens=words), "kind of tokenizer is 'gpt2'"),
        (header(model="gpt2", eos_token_id=3, tokens=words), "ends an answer is 2"),
        (header(model="gpt2", eos_token_id=2, tokens=words[:100]), "300 tokens and the draft 100"),
        (header(model="gpt2", eos_token_id=2, tokens=("x", *words[1:])), "token 0 is '0'"),
        (header(model="gpt2", eos_token_id=2), "the draft 0"),
    ):
        assert said in (vocabulary_difference(one, other) or "")


def test_which_tokens_were_drafted() -> None:
    timings = Timings("d")
    timings.feed({"timings": {"predicted_n": 1, "predicted_ms": 0.0}})
    assert not timings.drafted(1)
    timings.feed(
        {"timings": {"predicted_n": 2, "predicted_ms": 4, "draft_n": 3, "draft_n_accepted": 2}}
    )
    assert [timings.drafted(1) for _ in range(3)] == [True, True, False]
    use = timings.draft_use
    assert use is not None
    assert (use.proposed, use.accepted, timings.generation_time) == (3, 2, 0.004)
