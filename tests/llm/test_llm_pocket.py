"""Limits, reasoning, context and concurrency with real inference: the embedded server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pydantic
import pytest
from llm_scripts import Caller

pytest.importorskip("xllamacpp", reason="the embedded server's engine is not installed")

from lmstudio_core.errors import LMStudioTimeoutError
from lmstudio_llm import Chat, LMStudioVisionError
from lmstudio_server.testing import ServerProcess, running_server

CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin"}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


@pytest.fixture(scope="module")
def pocket() -> Iterator[ServerProcess]:
    with running_server() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, pocket: ServerProcess) -> Iterator[Caller]:
    made = Caller(pocket.host, is_async=request.param == "async")
    made.model = made.run(made.client.llm.model("pocket"))
    yield made
    made.close()


def answered(caller: Caller) -> bool:
    return "Paris" in caller.run(caller.model.respond("What is the capital of France?")).content


def test_after_a_limit_all_goes_on(caller: Caller) -> None:
    for _ in range(3):
        with pytest.raises(LMStudioTimeoutError):
            caller.run(caller.model.respond("Tell me a story.", timeout=1e-4))
        assert answered(caller)


def test_cancel_keeps_what_there_is(caller: Caller) -> None:
    stream = caller.model.complete_stream("Once upon a time", config={"maxTokens": 2000})
    caller.run(stream.start())
    caller.run(stream.cancel())
    caller.take(stream)
    result = stream.result()
    assert result.stats.stop_reason in ("userStopped", "eosFound")
    assert answered(caller)


def test_context_usage(caller: Caller) -> None:
    chat = Chat("Be brief.")
    chat.add_user_message("What is the capital of France?")
    usage = caller.run(caller.model.get_context_usage(chat))
    result = caller.run(caller.model.respond(chat))
    assert usage.tokens == result.stats.prompt_tokens_count
    assert usage.context_length == caller.run(caller.model.get_context_length())
    assert usage.fits
    chat.add_user_message("word " * usage.context_length)
    assert not caller.run(caller.model.get_context_usage(chat)).fits


def test_a_model_that_cannot_see(caller: Caller) -> None:
    image = caller.run(caller.client.prepare_image(PIXEL))
    chat = Chat()
    chat.add_user_message("What is this?", images=[image])
    with pytest.raises(LMStudioVisionError, match="pocket"):
        caller.run(caller.model.respond(chat))
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    again = caller.run(caller.client.prepare_image(url))
    assert (again.file_type, again.size_bytes) == ("image", len(PIXEL))
    assert answered(caller)


class TestReasoning:
    @pytest.fixture
    def thinker(self, caller: Caller) -> Any:
        return caller.run(caller.client.llm.model("pocket-think"))

    def test_streams_tell_it_apart(self, caller: Caller, thinker: Any) -> None:
        stream = thinker.respond_stream("What is the capital of France?")
        kinds = [piece.reasoning_type for piece in caller.take(stream)]
        assert {"reasoning", "none"} <= set(kinds)
        assert kinds.index("reasoning") < kinds.index("none")
        assert "think" not in stream.result().content

    def test_it_can_be_turned_off(self, caller: Caller, thinker: Any) -> None:
        config = {"enableThinking": False}
        result = caller.run(thinker.respond("What is the capital of France?", config=config))
        assert (result.reasoning, "Paris" in result.content) == ("", True)

    def test_the_text_can_be_left_as_it_is(self, caller: Caller, thinker: Any) -> None:
        config = {"reasoningParsing": {"enabled": False}}
        result = caller.run(thinker.respond("What is the capital of France?", config=config))
        assert result.reasoning == ""
        assert "</think>" in result.content

    def test_structured_output_is_not_broken(self, caller: Caller, thinker: Any) -> None:
        class City(pydantic.BaseModel):
            city: str

        result = caller.run(thinker.respond("Tell me of a city.", response_format=City, retries=2))
        assert isinstance(result.value, City)


def test_many_threads(pocket: ServerProcess) -> None:
    caller = Caller(pocket.host, is_async=False)
    model = caller.client.llm.model("pocket")

    def ask(country: str) -> str:
        stream = model.respond_stream(f"What is the capital of {country}?")
        text = "".join(piece.content for piece in stream)
        assert stream.result().content == text
        return text

    countries = [*CAPITALS] * 3
    with ThreadPoolExecutor(len(countries)) as pool:
        for country, answer in zip(countries, pool.map(ask, countries), strict=True):
            assert CAPITALS[country] in answer
    caller.close()


def test_many_tasks(pocket: ServerProcess) -> None:
    caller = Caller(pocket.host, is_async=True)
    model = caller.run(caller.client.llm.model("pocket"))
    countries = [*CAPITALS] * 3

    async def ask_all() -> list[Any]:
        asked = (model.respond(f"What is the capital of {country}?") for country in countries)
        return await asyncio.gather(*asked)

    for country, result in zip(countries, caller.run(ask_all()), strict=True):
        assert CAPITALS[country] in result.content
    caller.close()
