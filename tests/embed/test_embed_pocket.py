"""Embeddings of a real model: the embedded server's pocket weights, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lmstudio_core
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioModelNotFoundError, LMStudioServerError
from lmstudio_embed import (
    AsyncDownloadedEmbeddingModel,
    DownloadedEmbeddingModel,
    EmbeddingLoadModelConfig,
)
from lmstudio_server.testing import running_server

KEY = "pocket-embedding"
TEXTS = ["a cat", "a dog", "The meaning of life is 42."]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with running_server() as server:
        yield server.host


def with_sync(host: str, use: Callable[[Any, Callable[[Any], Any]], Any]) -> Any:
    """Run a coroutine function written for both facades over the sync one."""

    async def now(value: Any) -> Any:
        return value

    with Client(host) as client:
        return asyncio.run(use(client, now))


def with_async(host: str, use: Callable[[Any, Callable[[Any], Any]], Any]) -> Any:
    async def main() -> Any:
        async with AsyncClient(host) as client:
            return await use(client, lambda value: value)

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("over", [with_sync, with_async])


@BOTH
def test_one_text_and_many_give_the_same_vectors(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        model = await done(client.embedding.model(KEY))
        one = [await done(model.embed(text)) for text in TEXTS]
        many = await done(model.embed(TEXTS))
        assert len(many) == 3
        assert len({len(vector) for vector in many}) == 1
        for alone, together in zip(one, many, strict=True):
            assert alone == pytest.approx(together, abs=1e-4)
        assert one[0] != one[1]
        assert await done(model.embed([])) == []

    over(host, use)


@BOTH
def test_the_handles_other_methods(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        config = EmbeddingLoadModelConfig(context_length=256)
        model = await done(
            client.embedding.load_new_instance(KEY, "short", config=config, ttl=None)
        )
        assert model.identifier == "short"
        assert await done(model.get_context_length()) == 256
        assert (await done(model.get_load_config())).context_length == 256
        info = await done(model.get_info())
        assert (info.model_key, info.identifier) == (KEY, "short")
        tokens = await done(model.tokenize("a cat"))
        assert all(isinstance(token, int) for token in tokens)
        assert 0 < await done(model.count_tokens("a cat")) <= len(tokens)
        assert "short" in [
            loaded.identifier for loaded in await done(client.embedding.list_loaded())
        ]
        await done(model.unload())
        with pytest.raises(LMStudioModelNotFoundError):
            await done(model.embed("gone"))

    over(host, use)


@BOTH
def test_a_text_that_is_too_long_fails_alone(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        model = await done(client.embedding.load_new_instance(KEY, config={"contextLength": 128}))
        texts = ["short", "long " * 1000, "short"]
        with pytest.raises(LMStudioServerError):
            await done(model.embed(texts))
        first, error, last = await done(model.embed(texts, on_error="return"))
        assert isinstance(error, LMStudioServerError)
        assert first == pytest.approx(last, abs=1e-4)
        assert len(await done(model.embed(texts, on_error="skip"))) == 2
        await done(model.unload())

    over(host, use)


@BOTH
def test_downloaded_models_load_from_the_list(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        found = await done(client.embedding.list_downloaded())
        entry = next(model for model in found if model.model_key == KEY)
        assert isinstance(entry, (DownloadedEmbeddingModel, AsyncDownloadedEmbeddingModel))
        assert entry.type == "embedding"
        model = await done(entry.model())
        assert len(await done(model.embed("Hello"))) > 0

    over(host, use)


@BOTH
def test_a_model_that_is_not_there_is_not_found(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        with pytest.raises(LMStudioServerError):
            await done(client.embedding.model("no-such-model"))

    over(host, use)


def test_streams_over_a_real_server(host: str) -> None:
    with Client(host) as client:
        model = client.embedding.model(KEY)
        vectors = list(model.embed_stream((f"text {n}" for n in range(100)), max_in_flight=16))
        assert len(vectors) == 100
        assert vectors[7] == pytest.approx(model.embed("text 7"), abs=1e-4)


def test_the_convenience_function(host: str) -> None:
    from lmstudio_core.client import default

    lmstudio_core.configure_default_client(host)
    try:
        model = lmstudio_core.embedding_model(KEY)
        assert repr(model) == f"EmbeddingModel(identifier={KEY!r})"
        any_loaded = lmstudio_core.embedding_model()
        assert any_loaded.embed("Hello") == pytest.approx(model.embed("Hello"), abs=1e-4)
    finally:
        default.reset_default_client()
