"""Embeddings of the pocket model."""

from __future__ import annotations

import asyncio
import math

import pytest
from pocket_models import POCKET, loaded, run

from lmstudio_server.engines.base import ContextOverflowError, EngineError


def test_vectors_have_length_one_and_differ() -> None:
    async def test() -> None:
        async with loaded(POCKET, kind="embedding") as model:
            cat, cat_again, dog = await asyncio.gather(
                model.embed("The cat says meow."),
                model.embed("The cat says meow."),
                model.embed("What is 3 plus 5?"),
            )
            counted = await model.tokenize("The cat says meow.")
        assert len(cat) == 128
        assert cat.tokens == len(counted)  # so that nothing has to be counted apart
        assert math.isclose(math.sqrt(sum(x * x for x in cat)), 1.0, abs_tol=1e-4)
        assert sum(a * b for a, b in zip(cat, cat_again, strict=True)) > 0.999
        assert sum(a * b for a, b in zip(cat, dog, strict=True)) < 0.95

    run(test)


def test_text_up_to_the_context_and_beyond() -> None:
    async def test() -> None:
        async with loaded(POCKET, kind="embedding", context_length=256) as model:
            words = "apple " * 60
            assert 50 < len(await model.tokenize(words)) < 256
            assert len(await model.embed(words)) == 128
            with pytest.raises(ContextOverflowError) as caught:
                await model.embed("apple " * 400)
        assert caught.value.context_length == 256
        assert caught.value.title.startswith("The text has 8")
        assert "Embed it in parts" in str(caught.value.suggestion)

    run(test)


def test_model_loaded_for_text_does_not_embed() -> None:
    async def test() -> None:
        async with loaded() as model:
            with pytest.raises(EngineError, match="embeddings"):
                await model.embed("text")

    run(test)


def test_many_long_texts_at_once() -> None:
    async def test() -> None:
        async with loaded(POCKET, kind="embedding", context_length=256) as model:
            words = "apple " * 115
            assert 200 < len(await model.tokenize(words)) < 250  # two do not fit into one context
            texts = [words, "A dog barks.", "apple " * 60, "The cat says meow."]
            alone = [await model.embed(text) for text in texts]
            together = await asyncio.gather(*(model.embed(text) for text in texts * 6))
        for vector, expected in zip(together, alone * 6, strict=True):
            assert vector == pytest.approx(expected, abs=1e-4)

    run(test)


def test_an_empty_text_is_named() -> None:
    async def test() -> None:
        async with loaded(POCKET, kind="embedding") as model:
            with pytest.raises(EngineError, match="empty text") as caught:
                await model.embed("")
            assert "Leave empty texts out" in str(caught.value.suggestion)
            assert len(await model.embed(" ")) == 128

    run(test)
